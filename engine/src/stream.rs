//! Metric streams: cumulative values and deltas to counts of events, whatever is repeated, late, restarted or doubled.
//!
//! Problem: a cumulative point means something only beside the point before it, and points arrive twice, late, after a
//! restart, or from two writers at once. Counting differences as they arrive makes the result depend on the order.
//! What we do: a stream's counts are a fold over its points in order of time ([`past::Past::step`]). The points of the
//! last minutes are kept with what each was counted as. A point that arrives in its place is folded at the end; a late
//! one is put in its place and what follows is folded again, and only what changed is told. So the counts are those of
//! the sorted points, in whatever order they came, as long as they come within the time for which points are kept.
//!
//! One state serves one SLO: it begins when the SLO does. An increment lands whole at the time of its point.
//!
//! Limits: [`POINTS_MAX`] points a stream; beyond it the oldest are settled early: a point before them comes too late.
//! A late cumulative point loses nothing: its events are in the next point.
//! Sources: OpenTelemetry metrics data model, "Temporality", "Resets and gaps", "Overlap", "Exponential histogram".

pub mod exponential;
mod past;
pub mod reading;

use crate::metric::Temporality;
use crate::time::Timestamp;
use past::Past;
use reading::{Count, Reading};
use smallvec::SmallVec;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// Most points kept of one stream: ten and a half minutes of one a second.
pub const POINTS_MAX: usize = 640;

/// One point of a stream as one SLO needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Start of what it covers, ns; 0 = not known.
    pub start: u64,
    /// Event time, ns.
    pub time: u64,
    /// Whether the reading is since `start` or since the point before; never [`Temporality::None`].
    pub temporality: Temporality,
    /// What it says.
    pub reading: Reading,
}

impl Point {
    /// Order of the fold: at one time the run that began last comes first. Points that are equal in it are the same
    /// point, said again or by another writer.
    fn key(&self) -> (u64, Reverse<u64>, Temporality) {
        (self.time, Reverse(self.start), self.temporality)
    }
}

/// What became of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It has its place; anomaly bits of what was odd about it.
    Placed(u16),
    /// It was there.
    Duplicate,
    /// What lies around its time is settled. The events of a cumulative point are in later ones; those of a delta are
    /// told to be counted.
    Late,
}

/// Changes to tell: event time, ns, and by how much.
pub type Changes = SmallVec<[(u64, Count); 2]>;

#[derive(Debug)]
struct Kept {
    point: Point,
    count: Count,
}

/// The state of one stream for one SLO.
#[derive(Debug)]
pub struct Stream {
    /// The fold over everything before the kept points.
    settled: Past,
    /// By [`Point::key`].
    kept: VecDeque<Kept>,
    /// The fold over everything.
    latest: Past,
    /// Logical time at which it was last heard.
    pub heard: Timestamp,
}

impl Stream {
    /// A stream that was never seen: a cumulative value that starts before `since` is a baseline.
    pub fn new(since: Timestamp) -> Self {
        Self {
            settled: Past::new(since.0),
            kept: VecDeque::new(),
            latest: Past::new(since.0),
            heard: Timestamp::EPOCH,
        }
    }

    /// Points kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no point is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Latest start among its writers.
    pub fn newest_start(&self) -> u64 {
        self.latest.newest_start()
    }

    /// Settles points before `horizon` (ns), and the oldest ones beyond `max`; returns how many went before their time.
    pub fn settle(&mut self, horizon: u64, max: usize) -> u64 {
        let mut early = 0;
        while let Some(first) = self.kept.front() {
            let is_due = first.point.time < horizon;
            if !is_due && self.kept.len() <= max {
                break;
            }
            early += u64::from(!is_due);
            if let Some(kept) = self.kept.pop_front() {
                self.settled.step(&kept.point);
            }
        }
        early
    }

    /// Takes in a point. O(1) for the latest one, O(kept points) for others.
    pub fn observe(&mut self, point: Point, changes: &mut Changes) -> Observed {
        if self.settled.has_passed(&point) {
            return self.come_late(&point, changes);
        }
        let place = self
            .kept
            .binary_search_by(|kept| kept.point.key().cmp(&point.key()));
        match place {
            Err(at) if at == self.kept.len() => {
                let (count, odd) = self.latest.step(&point);
                changes.push((point.time, count));
                self.kept.push_back(Kept { point, count });
                Observed::Placed(odd)
            }
            Err(at) => {
                let count = Count::default();
                self.kept.insert(at, Kept { point, count });
                Observed::Placed(self.replay(at, changes))
            }
            Ok(at) if self.kept[at].point.reading == point.reading => Observed::Duplicate,
            Ok(at) => {
                // Two writers: the larger one stays, whichever came first.
                let known = &mut self.kept[at].point.reading;
                if point.reading.is_more_than(known) {
                    *known = point.reading;
                }
                Observed::Placed(self.replay(at, changes) | crate::anomaly::OVERLAP)
            }
        }
    }

    /// Folds the kept points again and tells what changed; what was odd about the point at `at`.
    fn replay(&mut self, at: usize, changes: &mut Changes) -> u16 {
        let mut past = self.settled.clone();
        let mut odd_there = 0;
        for (index, kept) in self.kept.iter_mut().enumerate() {
            let (count, odd) = past.step(&kept.point);
            if index == at {
                odd_there = odd;
            }
            if count != kept.count {
                changes.push((kept.point.time, count.minus(kept.count)));
                kept.count = count;
            }
        }
        self.latest = past;
        odd_there
    }

    fn come_late(&self, point: &Point, changes: &mut Changes) -> Observed {
        if self.settled.is_known(point) {
            return Observed::Duplicate;
        }
        if point.temporality == Temporality::Delta {
            changes.push((point.time, point.reading.whole()));
        }
        Observed::Late
    }
}

#[cfg(test)]
mod tests;
