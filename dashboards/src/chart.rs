//! Line charts as SVG, drawn on the server: axes, units, a title and a description for those who do not see them.

use crate::text;
use engine::time::{NANOS_PER_SEC, Timestamp};
use maud::{Markup, html};

/// Width and height of a chart, and the room left for its labels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 8.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 32.0;
/// Most events marked: what is older is left out.
const EVENTS_MAX: usize = 6;
/// Values beyond this are drawn at it: a scale must stay finite.
const VALUE_MAX: f64 = 1e9;

/// Something that happened while the chart ran: a revision appeared, a gate halted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What, in a word or two.
    pub label: String,
}

/// One chart: values over equal steps of time; `None` = no data, the line breaks there.
#[derive(Debug)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// One sentence with the last value.
    pub description: String,
    /// Values, oldest first.
    pub values: Vec<Option<f64>>,
    /// Time at the right end.
    pub until: Timestamp,
    /// Time covered, s.
    pub span_secs: u64,
    /// The scale covers at least this.
    pub range: (f64, f64),
    /// A line to compare with (threshold), and its name.
    pub mark: Option<(f64, &'a str)>,
    /// What happened meanwhile, newest first.
    pub events: Vec<Event>,
    /// How a value is written on the axis.
    pub label: fn(f64) -> String,
}

/// The vertical scale: round steps that cover every value.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn of(values: &[Option<f64>], range: (f64, f64)) -> Self {
        let finite = || values.iter().flatten().map(|value| bounded(*value));
        let low = finite().fold(range.0, f64::min);
        let high = finite().fold(range.1, f64::max).max(low + f64::EPSILON);
        let step = round_step((high - low) / 4.0);
        Self {
            low: (low / step).floor() * step,
            high: (high / step).ceil() * step,
            step,
        }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (self.high - bounded(value)) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(|index| self.low + f64::from(index) * self.step)
    }
}

fn bounded(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(-VALUE_MAX, VALUE_MAX)
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.max(1e-6).log10().floor());
    let steps = [1.0, 2.0, 5.0];
    let step = steps.iter().find(|step| **step * power >= rough);
    step.unwrap_or(&10.0) * power
}

impl Chart<'_> {
    /// The SVG. O(values).
    pub fn draw(&self) -> Markup {
        let scale = Scale::of(&self.values, self.range);
        html! {
            figure {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" {
                    title { (self.title) }
                    desc { (self.description) }
                    (self.grid(&scale))
                    (self.happened())
                    @if let Some((value, name)) = self.mark {
                        line.mark x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(scale.y(value))) y2=(at(scale.y(value))) {}
                        text x=(LEFT + 4.0) y=(at(scale.y(value) - 4.0)) { (name) }
                    }
                    @for line in lines(&self.values) { (self.line(&line, &scale)) }
                }
                figcaption { strong { (self.title) } ": " (self.description) (self.legend()) }
            }
        }
    }

    fn grid(&self, scale: &Scale) -> Markup {
        let quarters = [
            (0.0, "start"),
            (0.25, "middle"),
            (0.5, "middle"),
            (0.75, "middle"),
            (1.0, "end"),
        ];
        html! {
            @for value in scale.ticks() {
                @let y = scale.y(value);
                line class=(if value.abs() < scale.step / 2.0 { "zero" } else { "grid" }) x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(y)) y2=(at(y)) {}
                text x=(LEFT - 6.0) y=(at(y + 4.0)) text-anchor="end" { ((self.label)(value)) }
            }
            @for (part, anchor) in quarters {
                @let before = (self.span_secs as f64 * (1.0 - part)) as u64;
                text x=(at(LEFT + part * (WIDTH - LEFT - RIGHT))) y=(HEIGHT - 6.0) text-anchor=(anchor) {
                    (text::hour_and_minute(self.until.minus(before * NANOS_PER_SEC))) @if before == 0 { " UTC" }
                }
            }
        }
    }

    /// The newest events inside the chart, oldest first, each with its place from 0 (left) to 1.
    fn inside(&self) -> Vec<(f64, &Event)> {
        let span = (self.span_secs * NANOS_PER_SEC).max(1);
        let start = self.until.minus(span);
        let events = self.events.iter();
        let inside = events.filter(|event| event.at >= start && event.at <= self.until);
        let mut newest: Vec<_> = inside
            .take(EVENTS_MAX)
            .map(|event| (event.at.since(start) as f64 / span as f64, event))
            .collect();
        newest.reverse();
        newest
    }

    /// A numbered vertical line for each event; the caption says what the numbers are, so that no labels collide.
    fn happened(&self) -> Markup {
        html! {
            @for (index, (part, _)) in self.inside().into_iter().enumerate() {
                @let x = LEFT + part * (WIDTH - LEFT - RIGHT);
                @let y = if index % 2 == 0 { 10.0 } else { 22.0 };
                line.event x1=(at(x)) x2=(at(x)) y1=(y + 3.0) y2=(HEIGHT - BOTTOM) {}
                text x=(at(x)) y=(y) text-anchor="middle" { (index + 1) }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            @for (index, (_, event)) in self.inside().into_iter().enumerate() {
                div { (index + 1) ": " (text::name(&event.label)) ", " (text::hour_and_minute(event.at)) }
            }
        }
    }

    fn line(&self, line: &[(usize, f64)], scale: &Scale) -> Markup {
        let steps = self.values.len().saturating_sub(1).max(1) as f64;
        let x = |index: usize| LEFT + index as f64 / steps * (WIDTH - LEFT - RIGHT);
        html! {
            @if let [(index, value)] = line {
                circle.dot cx=(at(x(*index))) cy=(at(scale.y(*value))) r="2.5" {}
            } @else {
                @let points: Vec<String> = line.iter().map(|(index, value)| format!("{},{}", at(x(*index)), at(scale.y(*value)))).collect();
                polyline.line points=(points.join(" ")) {}
            }
        }
    }
}

/// A coordinate, to a tenth of a unit.
fn at(coordinate: f64) -> String {
    text::decimal(coordinate, 1)
}

/// Runs of present values with their positions.
fn lines(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut lines = vec![Vec::new()];
    for (index, value) in values.iter().enumerate() {
        match (value, lines.last_mut()) {
            (Some(value), Some(line)) => line.push((index, *value)),
            (None, Some(line)) if !line.is_empty() => lines.push(Vec::new()),
            _ => {}
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}
