//! Metric points to counts: increments through the streams of their SLOs, gauges one by one.
//!
//! Only points that an SLI selects are looked at. Where they are counted follows the rules of spans: exclusion,
//! intercepts, the future, the revision of the resource; the gate's units stay those of spans.

use super::keys::{ItemKey, Sighting};
use super::shard::Held;
use super::streams::{Outcome, Placed};
use super::{Folder, Heard};
use crate::anomaly;
use crate::delta::{Counter, Fate};
use crate::identity::{Identity, RevisionKind};
use crate::items::Signal;
use crate::matcher::{Matcher, PointMeasure, PointRule, PointView};
use crate::metric::{Instrument, MetricBatch, Number, Temporality, flag};
use crate::slo::{LATENESS_NANOS, Op, Side, SloId};
use crate::stream::reading::Reading;
use crate::stream::{Changes, Observed, Point};
use crate::time::Timestamp;
use std::cmp::Ordering;
use std::sync::Arc;

const OVERLAP: Counter = Counter::Anomaly(anomaly::OVERLAP.trailing_zeros() as u8);

/// One resource of a batch of points.
struct Meter<'a> {
    identity: &'a Arc<Identity>,
    measures: &'a [PointMeasure],
    /// By metric of the batch: the measures that may select it.
    candidates: Vec<Vec<usize>>,
    heard: Heard,
}

impl<'a> Meter<'a> {
    fn new(identity: &'a Arc<Identity>, matcher: &'a Matcher, batch: &MetricBatch) -> Self {
        let measures = &*matcher.measures_of(identity.service_id).points;
        let reading = |name: &str| {
            let reads = |(_, measure): &(usize, &PointMeasure)| measure.reads(name);
            let found = measures.iter().enumerate().filter(reads);
            found.map(|(index, _)| index).collect()
        };
        let candidates = match measures {
            [] => Vec::new(),
            _ => batch.metrics.iter().map(|one| reading(&one.name)).collect(),
        };
        Self {
            identity,
            measures,
            candidates,
            heard: Heard::default(),
        }
    }
}

/// What SLIs make of one point.
#[derive(Debug, Default)]
struct Selected {
    /// For streams.
    placed: Vec<Placed>,
    /// (slo, bad).
    events: Vec<(SloId, bool)>,
}

impl Folder {
    /// Counts metric points.
    pub fn fold_points(&mut self, batch: &MetricBatch) {
        let matcher = Arc::clone(&self.matcher);
        let resources = batch.items.resources.iter();
        let mut meters: Vec<Meter<'_>> = resources
            .map(|resource| Meter::new(&resource.identity, &matcher, batch))
            .collect();
        let is_measured = meters.iter().any(|meter| !meter.measures.is_empty());
        let mut view = is_measured.then(|| matcher.points(batch));
        for row in 0..batch.len() {
            if self.shards[usize::from(batch.shard[row])].is_none() {
                continue;
            }
            let meter = &mut meters[usize::from(batch.items.resource[row])];
            let odd = batch.anomalies[row];
            meter.heard.note(batch.time[row], odd);
            if odd != 0 {
                self.count_anomalies(odd);
            }
            if let Some(view) = &mut view
                && batch.flags[row] & flag::NO_RECORDED_VALUE == 0
            {
                let selected = self.select(batch, row, view, meter);
                if !selected.placed.is_empty() || !selected.events.is_empty() {
                    let is_excluded = view.is_excluded(row);
                    self.judge_point(batch, row, meter, is_excluded, selected);
                }
            }
        }
        let heard = meters.iter().map(|meter| meter.heard);
        self.account(Signal::Metrics, &batch.items, heard);
    }

    /// What the SLIs of its service make of a point; takes note of its type.
    fn select(
        &mut self,
        batch: &MetricBatch,
        row: usize,
        view: &mut PointView<'_>,
        meter: &Meter<'_>,
    ) -> Selected {
        let mut selected = Selected::default();
        let Some(candidates) = meter.candidates.get(usize::from(batch.metric[row])) else {
            return selected;
        };
        let instrument = batch.metric_of(row).instrument;
        for index in candidates {
            let measure = &meter.measures[*index];
            let role = view.role(measure, row);
            if role.mismatch {
                self.tally.instrument(measure.slo, instrument, false);
            }
            if !role.counts() {
                continue;
            }
            self.tally.instrument(measure.slo, instrument, true);
            match measure.rule {
                PointRule::Level { op, threshold } => {
                    if let Some(bad) = is_bad(batch.number(row), op, threshold) {
                        selected.events.push((measure.slo, bad));
                    }
                }
                PointRule::Increments { at_most, side } => {
                    let revision = meter.identity.revision.id;
                    if let Some(point) = point_of(batch, row, at_most) {
                        selected.placed.push(Placed {
                            slo: measure.slo,
                            stream: batch.stream[row],
                            revision,
                            is_total: role.total,
                            is_part: role.part,
                            side,
                            point,
                            is_repeated: false,
                        });
                    }
                }
            }
        }
        selected
    }

    /// Decides what becomes of a selected point.
    fn judge_point(
        &mut self,
        batch: &MetricBatch,
        row: usize,
        meter: &mut Meter<'_>,
        is_excluded: bool,
        mut selected: Selected,
    ) {
        let number = batch.shard[row];
        let (identity, heard) = (meter.identity, &mut meter.heard);
        if identity.revision.kind != RevisionKind::Release {
            return self.tally.item(Signal::Metrics, Fate::OutsideBudget);
        }
        if is_excluded {
            return self.tally.item(Signal::Metrics, Fate::Excluded);
        }
        let temporality = batch.metric_of(row).temporality;
        let key = ItemKey::of_point(
            self.seed,
            batch.stream[row],
            (batch.start[row], batch.time[row]),
            batch.value[row],
        );
        // A cumulative point is known by its stream; keys are for those that stand alone.
        if temporality != Temporality::Cumulative {
            match self.see(number, key, batch.items.received) {
                Sighting::Duplicate if selected.placed.is_empty() => {
                    return self.fate(Signal::Metrics, Fate::Duplicate, heard);
                }
                Sighting::Duplicate => {
                    for placed in &mut selected.placed {
                        placed.is_repeated = true;
                    }
                    selected.events.clear();
                }
                Sighting::Conflict if selected.placed.is_empty() => self.tally.count(OVERLAP, 1),
                Sighting::First | Sighting::Conflict => {}
            }
        }
        let time = Timestamp(batch.time[row]);
        if batch.anomalies[row] & anomaly::FUTURE != 0 {
            self.fate(Signal::Metrics, Fate::Future, heard);
            let held = Held {
                signal: Signal::Metrics,
                service: identity.service_id,
                revision: identity.revision.id,
                events: selected.events,
                unit: None,
                placed: selected.placed,
                error: None,
            };
            return self.put_aside(number, time, key, held);
        }
        for (slo, bad) in selected.events {
            let series = self.tally.series(slo, identity.revision.id);
            self.tally.event(series, time.secs(), bad);
        }
        if batch.items.received.since(time) > LATENESS_NANOS {
            self.fate(Signal::Metrics, Fate::Late, heard);
        }
        if let Some(fate) = self.place_all(number, selected.placed) {
            self.fate(Signal::Metrics, fate, heard);
        }
    }

    /// Looks `key` up in a shard's item keys and remembers it.
    fn see(&mut self, shard: u8, key: ItemKey, received: Timestamp) -> Sighting {
        let Some(shard) = &mut self.shards[usize::from(shard)] else {
            return Sighting::First;
        };
        let evicted = shard.make_room(&self.limits, received);
        self.tally.count(Counter::EvictedKeys, evicted);
        shard.keys.see(key)
    }

    /// Puts one point into the streams of its SLOs. What became of it, once, however many there are, when it is not
    /// counted as it came.
    pub(super) fn place_all(&mut self, shard: u8, placed: Vec<Placed>) -> Option<Fate> {
        let outcomes: Vec<Outcome> = placed
            .into_iter()
            .filter_map(|one| self.place(shard, &one))
            .collect();
        let odd = outcomes.iter().fold(0, |bits, outcome| match outcome {
            Outcome::Observed(Observed::Placed(odd)) => bits | odd,
            _ => bits,
        });
        if odd != 0 {
            self.count_anomalies(odd);
        }
        if outcomes.contains(&Outcome::Dropped) {
            return Some(Fate::Dropped);
        }
        let is_repeated = outcomes.contains(&Outcome::Observed(Observed::Duplicate));
        is_repeated.then_some(Fate::Duplicate)
    }

    /// Puts a point into its stream for one SLO and counts what that changes.
    fn place(&mut self, shard: u8, placed: &Placed) -> Option<Outcome> {
        let since = self.observed.of(placed.slo)?;
        let shard = self.shards[usize::from(shard)].as_mut()?;
        let mut changes = Changes::new();
        let times = (self.now, self.heard_at);
        let (outcome, early) =
            shard
                .streams
                .observe(placed, since, times, &self.limits, &mut changes);
        self.tally.count(Counter::EvictedKeys, early);
        for (time, change) in changes {
            let second = Timestamp(time).secs();
            let total = if placed.is_total { change.events } else { 0 };
            // What cannot be told is on the side that costs budget.
            let (good, bad) = match (placed.is_part, placed.side) {
                (false, Side::Good) => (0, total),
                (false, Side::Bad) => (total, 0),
                (true, Side::Good) => (change.low, total - change.low),
                (true, Side::Bad) => (total - change.high, change.high),
            };
            let series = self.tally.series(placed.slo, placed.revision);
            self.tally.events(series, second, good, bad);
            if placed.is_part {
                self.tally
                    .doubt(placed.slo, second, change.high - change.low);
            }
        }
        Some(outcome)
    }
}

/// The point of `row` for a stream with this threshold; `None` when it has no value or no temporality.
fn point_of(batch: &MetricBatch, row: usize, at_most: Option<f64>) -> Option<Point> {
    let metric = batch.metric_of(row);
    let reading = match metric.instrument {
        Instrument::Histogram => Reading::of_histogram(batch.histogram(row)?, at_most),
        Instrument::ExponentialHistogram => {
            Reading::of_exponential(batch.exponential(row)?, at_most)
        }
        _ => Reading::of_number(batch.number(row))?,
    };
    (metric.temporality != Temporality::None).then_some(Point {
        start: batch.start[row],
        time: batch.time[row],
        temporality: metric.temporality,
        reading,
    })
}

/// Whether a gauge's value is bad; `None` when it has none.
fn is_bad(value: Number, op: Op, threshold: f64) -> Option<bool> {
    let order = match value {
        Number::None => return None,
        Number::Int(int) => compare(int, threshold),
        // What is no number is not good.
        Number::Double(double) => match double.partial_cmp(&threshold) {
            Some(order) => order,
            None => return Some(true),
        },
    };
    Some(!op.holds(order))
}

/// An integer beside a double, exactly: 2^53 + 1 is more than 2^53.
fn compare(int: i64, threshold: f64) -> Ordering {
    let below = threshold.floor();
    // Saturates far beyond any i64.
    match i128::from(int).cmp(&(below as i128)) {
        Ordering::Equal if threshold > below => Ordering::Less,
        order => order,
    }
}
