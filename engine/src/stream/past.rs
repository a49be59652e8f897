//! The fold over the points of one stream in order of time: what each of them adds.

use super::Point;
use super::reading::{Count, MICRO, Reading};
use crate::anomaly;
use crate::metric::Temporality;
use smallvec::SmallVec;

/// Writers of one stream that are told apart by their start; of more the one that started first is forgotten.
const WRITERS_MAX: usize = 4;

/// One run of a cumulative writer: it began at `start` and last said `reading`.
#[derive(Debug, Clone)]
struct Writer {
    start: u64,
    time: u64,
    reading: Reading,
}

/// Everything before a point.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// A run that starts before this has its first point as the baseline.
    since: u64,
    /// Temporality and time of the last point.
    last: Option<(Temporality, u64)>,
    /// By start.
    writers: SmallVec<[Writer; 1]>,
    /// Runs that started up to here were forgotten.
    forgotten: u64,
    /// Time up to which deltas have been counted.
    covered: u64,
    /// Fraction of an event left over by deltas, in millionths.
    carry: i128,
}

impl Past {
    pub(super) fn new(since: u64) -> Self {
        Self {
            since,
            last: None,
            writers: SmallVec::new(),
            forgotten: 0,
            covered: 0,
            carry: 0,
        }
    }

    pub(super) fn newest_start(&self) -> u64 {
        self.writers.last().map_or(0, |writer| writer.start)
    }

    /// Whether `point` is not after everything here.
    pub(super) fn has_passed(&self, point: &Point) -> bool {
        self.last.is_some_and(|(_, time)| point.time <= time)
    }

    /// Whether the last point of a run here is `point`.
    pub(super) fn is_known(&self, point: &Point) -> bool {
        point.temporality == Temporality::Cumulative
            && self
                .writers
                .iter()
                .any(|writer| (writer.start, writer.time) == (point.start, point.time))
    }

    /// What `point`, which comes after everything here, adds; and anomaly bits of what was odd about it.
    pub(super) fn step(&mut self, point: &Point) -> (Count, u16) {
        let mut odd = 0;
        let before = self.last.map_or(0, |(_, time)| time);
        if let Some((temporality, time)) = self.last
            && temporality != point.temporality
        {
            // What the other temporality said up to now must not be said again.
            odd |= anomaly::TEMPORALITY_CHANGE;
            self.writers.clear();
            self.since = self.since.max(time);
            self.covered = self.covered.max(time);
        }
        self.last = Some((point.temporality, before.max(point.time)));
        let (count, more) = match point.temporality {
            Temporality::Delta => self.add(point),
            _ => self.follow(point, before),
        };
        (count, odd | more)
    }

    /// A delta: all of it, unless its time was counted already.
    fn add(&mut self, point: &Point) -> (Count, u16) {
        if point.start != 0 && point.start < self.covered {
            // Clocks that were set make ends and starts differ a little; a tenth of the interval is let pass.
            let length = point.time.saturating_sub(point.start);
            if self.covered - point.start > length / 10 {
                return (Count::default(), anomaly::OVERLAP);
            }
        }
        self.covered = self.covered.max(point.time);
        let micro = point.reading.micro + self.carry;
        self.carry = micro.rem_euclid(MICRO);
        let mut count = point.reading.whole();
        if point.reading.is_undivided() {
            count = Count::undivided(micro.div_euclid(MICRO));
        }
        (count, 0)
    }

    /// A cumulative value: what it adds to the point before it of the same run.
    fn follow(&mut self, point: &Point, before: u64) -> (Count, u16) {
        match self
            .writers
            .binary_search_by_key(&point.start, |writer| writer.start)
        {
            Ok(at) => self.go_on(at, point),
            Err(at) => self.begin(at, point, before),
        }
    }

    fn go_on(&mut self, at: usize, point: &Point) -> (Count, u16) {
        // A later run had begun before this increment did, and was still there: two writers say the same thing.
        let begun = self.writers[at].time;
        let is_overlap = self.writers[at + 1..]
            .iter()
            .any(|later| later.start <= begun && later.time > begun);
        let writer = &mut self.writers[at];
        let increment = point.reading.since(&writer.reading);
        writer.time = point.time;
        writer.reading = point.reading.clone();
        if is_overlap {
            return (Count::default(), anomaly::OVERLAP);
        }
        // A value that fell began again at zero.
        (increment.unwrap_or_else(|| point.reading.whole()), 0)
    }

    fn begin(&mut self, at: usize, point: &Point, before: u64) -> (Count, u16) {
        let is_first = before == 0;
        let is_overlap =
            at < self.writers.len() || (point.start <= self.forgotten && point.start > 0);
        let is_new = point.start >= self.since || (!is_first && point.start >= before);
        let is_gap = !is_first && point.start > before;
        self.writers.insert(
            at,
            Writer {
                start: point.start,
                time: point.time,
                reading: point.reading.clone(),
            },
        );
        if self.writers.len() > WRITERS_MAX {
            self.forgotten = self.writers.remove(0).start;
        }
        let odd = if is_overlap {
            anomaly::OVERLAP
        } else if is_gap {
            anomaly::STREAM_GAP
        } else {
            0
        };
        // A point of no duration says that the start is unknown: its value came about before.
        if is_overlap || !is_new || point.start == point.time {
            return (Count::default(), odd);
        }
        (point.reading.whole(), odd)
    }
}
