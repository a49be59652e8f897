//! Line charts as SVG, drawn on the server: axes, units, a title and a description for those who do not see them.

use maud::{Markup, html};

/// Width and height of a chart, and the room left for its labels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;

/// One chart: values over equal steps of time that end now; `None` = no data, the line breaks there.
#[derive(Debug)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// One sentence with the last value.
    pub description: String,
    /// Values, oldest first.
    pub values: Vec<Option<f64>>,
    /// Time covered, s.
    pub span_secs: u64,
    /// A line to compare with (threshold), and its name.
    pub mark: Option<(f64, &'a str)>,
    /// How a value is written on the axis.
    pub label: fn(f64) -> String,
}

impl Chart<'_> {
    /// The SVG. O(values).
    pub fn draw(&self) -> Markup {
        let present = || self.values.iter().flatten().copied();
        let low = present().fold(0.0f64, f64::min);
        let marked = self.mark.map_or(0.0, |(value, _)| value);
        let mut high = present().fold(low, f64::max).max(marked);
        if high - low < f64::EPSILON {
            high = low + 1.0;
        }
        let y = |value: f64| TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
        let steps = self.values.len().saturating_sub(1).max(1) as f64;
        let x = |index: usize| LEFT + index as f64 / steps * (WIDTH - LEFT);
        html! {
            figure {
                svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" {
                    title { (self.title) }
                    desc { (self.description) }
                    @for part in [0.0, 0.5, 1.0] {
                        @let value = low + (high - low) * part;
                        line.grid x1=(LEFT) x2=(WIDTH) y1=(format!("{:.1}", y(value))) y2=(format!("{:.1}", y(value))) {}
                        text x=(LEFT - 6.0) y=(format!("{:.1}", y(value) + 4.0)) text-anchor="end" { ((self.label)(value)) }
                    }
                    @if let Some((value, name)) = self.mark {
                        line.mark x1=(LEFT) x2=(WIDTH) y1=(format!("{:.1}", y(value))) y2=(format!("{:.1}", y(value))) {}
                        text x=(WIDTH - 4.0) y=(format!("{:.1}", y(value) - 4.0)) text-anchor="end" { (name) }
                    }
                    @for line in lines(&self.values) {
                        polyline.line points=(points(&line, &x, &y)) {}
                    }
                    text x=(LEFT) y=(HEIGHT - 6.0) { (crate::text::duration(self.span_secs)) " ago" }
                    text x=(WIDTH - 4.0) y=(HEIGHT - 6.0) text-anchor="end" { "now" }
                }
                figcaption { (self.title) ": " (self.description) }
            }
        }
    }
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

fn points(line: &[(usize, f64)], x: &impl Fn(usize) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let points: Vec<String> = line
        .iter()
        .map(|(index, value)| format!("{:.1},{:.1}", x(*index), y(*value)))
        .collect();
    points.join(" ")
}
