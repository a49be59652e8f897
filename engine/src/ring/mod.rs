//! Sliding windows over integer counts: exact over bucket-aligned windows, whatever the order of arrival.
//!
//! Problem: an SLO has up to a dozen windows between 5 min and 400 d that end *now*, counts arrive late and are taken
//! back. Recounting costs O(window); a running sum that only ever adds cannot forget.
//! What we do: four levels of buckets, each event counted once in each level; every window keeps its running sum at
//! the level that fits its length, subtracts a bucket when it leaves and adds to it when an event falls inside.
//! Cost: O(levels + windows) per event, O(windows) per second that passes, nothing for levels whose bucket did not end.
//! Cache misses are what counts with 10,000 rings: sums lie side by side, and the newest bucket of every level, where
//! most events fall, lies beside its head and reaches its run only when it ends.
//!
//! **Alignment.** A window of `W` seconds has buckets of [`resolution`]`(W)` seconds: 1 s to 1 h, 1 min to 6 h, 10 min
//! to 3 d, 1 h beyond. At second `s` it holds the `ceil(W / resolution)` newest buckets, the one that contains `s`
//! included: the seconds from [`window_start`]`(s, W)` to `s`. It is therefore at most one bucket shorter than `W`.
//!
//! Limits: counts saturate at the ends of `i64`. About 13-17 KB for a 30 d SLO (`byte_size`).

mod cells;
#[cfg(test)]
mod tests;

use crate::snapshot::Counts;
use cells::{CELLS, Cells};
use serde::{Deserialize, Serialize};

/// Bucket lengths of the levels, s, and the longest window each serves, s.
const LEVELS: [(u64, u64); 4] = [
    (1, 3_600),
    (60, 6 * 3_600),
    (600, 3 * 86_400),
    (3_600, WINDOW_SECS_MAX),
];
/// Longest window: 400 d. Longer ones are cut to it.
pub const WINDOW_SECS_MAX: u64 = 400 * 86_400;
/// Level with one bucket a minute.
const MINUTES: usize = 1;

/// Length of the buckets of a window of `window_secs`, s.
pub fn resolution(window_secs: u64) -> u64 {
    LEVELS[level_of(window_secs)].0
}

/// First second that a window of `window_secs` holds at second `second`.
pub fn window_start(second: u64, window_secs: u64) -> u64 {
    let width = resolution(window_secs);
    let buckets = buckets_of(window_secs, width);
    (second / width + 1).saturating_sub(buckets) * width
}

fn level_of(window_secs: u64) -> usize {
    LEVELS
        .iter()
        .position(|(_, longest)| window_secs <= *longest)
        .unwrap_or(LEVELS.len() - 1)
}

fn buckets_of(window_secs: u64, width: u64) -> u64 {
    window_secs.clamp(1, WINDOW_SECS_MAX).div_ceil(width)
}

/// Signed good and bad events. Negative only while a correction arrived before what it corrects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Good events.
    pub good: i64,
    /// Bad events.
    pub bad: i64,
}

impl Tally {
    /// As published: negative counts read as none.
    pub fn counts(self) -> Counts {
        Counts {
            good: self.good.max(0).unsigned_abs(),
            bad: self.bad.max(0).unsigned_abs(),
        }
    }

    /// Whether both are zero.
    pub const fn is_zero(self) -> bool {
        self.good == 0 && self.bad == 0
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            bad: self.bad.saturating_add(other.bad),
        }
    }

    const fn minus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_sub(other.good),
            bad: self.bad.saturating_sub(other.bad),
        }
    }
}

/// Where a window's running sum lies in its [`Ring`]; valid for the ring that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowAt(u16);

/// What [`Ring::advance`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slid {
    /// The sum of a window changed.
    pub sums: bool,
    /// A minute ended.
    pub minute: bool,
}

/// Counts of one SLO (or of one of its revisions) at every resolution its windows need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ring {
    second: u64,
    /// First second at which a bucket of any level ends.
    next_end: u64,
    sums: Vec<Sum>,
    levels: Vec<Level>,
}

impl Ring {
    /// An empty ring at `second` for `windows` (seconds; doubles are joined, at most 65,535 are kept).
    ///
    /// Every level up to the one that the longest window needs is kept, so that windows can be changed later
    /// ([`Self::reshape`]) without losing counts.
    pub fn new(windows: &[u64], second: u64) -> Self {
        let mut windows: Vec<u64> = windows
            .iter()
            .map(|secs| (*secs).clamp(1, WINDOW_SECS_MAX))
            .collect();
        windows.sort_unstable();
        windows.dedup();
        windows.truncate(usize::from(u16::MAX));
        let longest = windows.last().copied().unwrap_or(1);
        let levels: Vec<Level> = (0..=level_of(longest))
            .map(|number| Level::new(number, longest, second))
            .collect();
        Self {
            second,
            next_end: next_end(&levels),
            sums: windows.into_iter().map(Sum::new).collect(),
            levels,
        }
    }

    /// The second the windows end at.
    pub const fn second(&self) -> u64 {
        self.second
    }

    /// The place of the window of `window_secs`, if the ring was made for it.
    pub fn find(&self, window_secs: u64) -> Option<WindowAt> {
        let at = self
            .sums
            .iter()
            .position(|sum| u64::from(sum.secs) == window_secs)?;
        u16::try_from(at).ok().map(WindowAt)
    }

    /// The events of a window. O(1).
    #[inline]
    pub fn sum(&self, at: WindowAt) -> Tally {
        self.sums
            .get(usize::from(at.0))
            .map(|sum| sum.tally)
            .unwrap_or_default()
    }

    /// Lets time pass until `second`; earlier seconds change nothing. O(windows x buckets passed).
    #[inline]
    pub fn advance(&mut self, second: u64) -> Slid {
        self.second = self.second.max(second);
        if second < self.next_end {
            return Slid::default();
        }
        self.slide(second)
    }

    fn slide(&mut self, second: u64) -> Slid {
        let mut slid = Slid::default();
        for (number, level) in self.levels.iter_mut().enumerate() {
            if second < level.ends_at {
                continue;
            }
            level.settle();
            for sum in &mut self.sums {
                if usize::from(sum.level) == number {
                    slid.sums |= sum.lose(level.leaving(u64::from(sum.buckets), second));
                }
            }
            level.advance(second);
            slid.minute |= number == MINUTES;
        }
        self.next_end = next_end(&self.levels);
        slid
    }

    /// Counts `change` at event second `second`, which must not be after [`Self::second`] (such events belong to no
    /// window yet: they are left out, and `false` is returned). Levels too short to hold the second leave it out.
    #[inline]
    pub fn add(&mut self, second: u64, change: Tally) -> bool {
        if second > self.second {
            return false;
        }
        let mut ages = [u64::MAX; LEVELS.len()];
        for (level, age) in self.levels.iter_mut().zip(&mut ages) {
            let bucket = second / u64::from(level.width);
            *age = level.head - bucket;
            level.add(bucket, change);
        }
        for sum in &mut self.sums {
            if ages[usize::from(sum.level)] < u64::from(sum.buckets) {
                sum.tally = sum.tally.plus(change);
            }
        }
        true
    }

    /// The same counts for other windows. What the old levels did not keep is not invented: a longer period starts
    /// with what there is. O(buckets).
    pub fn reshape(&self, windows: &[u64]) -> Self {
        let mut ring = Self::new(windows, self.second);
        for (number, level) in ring.levels.iter_mut().enumerate() {
            // A level that did not exist is seeded from the coarsest one there was.
            let Some(source) = self.levels.get(number).or(self.levels.last()) else {
                continue;
            };
            for (bucket, tally) in source.live() {
                level.add(
                    bucket * u64::from(source.width) / u64::from(level.width),
                    tally,
                );
            }
        }
        ring.recount();
        ring
    }

    /// Adds every count of `other` (made for the same windows) to this one. O(buckets).
    pub fn merge(&mut self, mut other: Self) {
        let second = self.second.max(other.second);
        self.advance(second);
        other.advance(second);
        for (level, source) in self.levels.iter_mut().zip(&other.levels) {
            for (bucket, tally) in source.live() {
                level.add(bucket, tally);
            }
        }
        self.recount();
    }

    fn recount(&mut self) {
        for sum in &mut self.sums {
            let Some(level) = self.levels.get(usize::from(sum.level)) else {
                continue;
            };
            let first = (level.head + 1).saturating_sub(u64::from(sum.buckets));
            sum.tally = level
                .live()
                .filter(|(bucket, _)| *bucket >= first)
                .fold(Tally::default(), |total, (_, tally)| total.plus(tally));
        }
    }

    /// Counts per minute of the last 6 h, oldest first, from second `since` on: (first second of the minute, events).
    pub fn minutes(&self, since: u64) -> impl Iterator<Item = (u64, Tally)> {
        self.levels.get(MINUTES).into_iter().flat_map(move |level| {
            let width = u64::from(level.width);
            let from = level.first().max(since / width);
            (from..=level.head).map(move |bucket| (bucket * width, level.get(bucket)))
        })
    }

    /// Bytes held, allocations included.
    pub fn byte_size(&self) -> usize {
        let levels: usize = self.levels.iter().map(Level::byte_size).sum();
        size_of::<Self>() + self.sums.len() * size_of::<Sum>() + levels
    }
}

fn next_end(levels: &[Level]) -> u64 {
    levels
        .iter()
        .map(|level| level.ends_at)
        .min()
        .unwrap_or(u64::MAX)
}

/// A window's running sum.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sum {
    tally: Tally,
    secs: u32,
    buckets: u32,
    level: u8,
}

impl Sum {
    /// Of a window of `secs`, at most [`WINDOW_SECS_MAX`].
    fn new(secs: u64) -> Self {
        let number = level_of(secs);
        Self {
            tally: Tally::default(),
            secs: secs as u32,
            buckets: buckets_of(secs, LEVELS[number].0) as u32,
            level: number as u8,
        }
    }

    /// Takes away what left; tells whether that was anything.
    fn lose(&mut self, leaving: Tally) -> bool {
        self.tally = self.tally.minus(leaving);
        !leaving.is_zero()
    }
}

/// A run of buckets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Run {
    good: Cells,
    bad: Cells,
}

/// Buckets of one length. Bucket `b` covers the seconds `b * width .. (b + 1) * width`; the live ones are
/// `head - buckets < b <= head`. There is one run more than they need, so that the run which `head` enters
/// holds nothing live and can be dropped whole. The head bucket itself is kept beside (`newest`) until it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Level {
    head: u64,
    /// First second after the head bucket.
    ends_at: u64,
    newest: Tally,
    width: u32,
    buckets: u32,
    runs: Vec<Run>,
}

impl Level {
    /// Level `number` for windows of up to `longest` seconds: the last level is as long as that, the others always whole.
    fn new(number: usize, longest: u64, second: u64) -> Self {
        let (width, most) = LEVELS[number];
        let buckets = buckets_of(most.min(longest.max(LEVELS[LEVELS.len() - 2].1)), width);
        let head = second / width;
        Self {
            head,
            ends_at: (head + 1) * width,
            newest: Tally::default(),
            width: width as u32,
            buckets: buckets as u32,
            runs: vec![Run::default(); buckets.div_ceil(CELLS as u64) as usize + 1],
        }
    }

    fn first(&self) -> u64 {
        (self.head + 1).saturating_sub(u64::from(self.buckets))
    }

    #[inline]
    fn slot(&self, bucket: u64) -> usize {
        (bucket / CELLS as u64) as usize % self.runs.len()
    }

    /// The count of a live bucket.
    #[inline]
    fn get(&self, bucket: u64) -> Tally {
        if bucket == self.head {
            self.newest
        } else {
            self.stored(bucket)
        }
    }

    #[inline]
    fn stored(&self, bucket: u64) -> Tally {
        let run = &self.runs[self.slot(bucket)];
        let at = bucket as usize;
        Tally {
            good: run.good.get(at),
            bad: run.bad.get(at),
        }
    }

    fn store(&mut self, bucket: u64, change: Tally) {
        let slot = self.slot(bucket);
        let run = &mut self.runs[slot];
        run.good.add(bucket as usize, change.good);
        run.bad.add(bucket as usize, change.bad);
    }

    /// Live buckets that are not zero, oldest first.
    fn live(&self) -> impl Iterator<Item = (u64, Tally)> {
        (self.first()..=self.head)
            .map(|bucket| (bucket, self.get(bucket)))
            .filter(|(_, tally)| !tally.is_zero())
    }

    /// Adds to a bucket that is not after the head; one that is no longer live is left out.
    #[inline]
    fn add(&mut self, bucket: u64, change: Tally) {
        if bucket == self.head {
            self.newest = self.newest.plus(change);
        } else if bucket >= self.first() {
            self.store(bucket, change);
        }
    }

    /// Puts the head bucket into its run.
    #[inline]
    fn settle(&mut self) {
        if !self.newest.is_zero() {
            let newest = std::mem::take(&mut self.newest);
            self.store(self.head, newest);
        }
    }

    /// Moves the head to the bucket of `second`, later than the settled one.
    fn advance(&mut self, second: u64) {
        let width = u64::from(self.width);
        let to = second / width;
        let (old_run, new_run) = (self.head / CELLS as u64, to / CELLS as u64);
        for entered in (old_run + 1..=new_run).rev().take(self.runs.len()) {
            let slot = entered as usize % self.runs.len();
            self.runs[slot] = Run::default();
        }
        self.head = to;
        self.ends_at = (to + 1).saturating_mul(width);
    }

    /// What a window of `buckets` loses when the settled head moves to the bucket of `second`.
    #[inline]
    fn leaving(&self, buckets: u64, second: u64) -> Tally {
        let to = second / u64::from(self.width);
        let mut from = (self.head + 1).saturating_sub(buckets);
        let until = (to + 1).saturating_sub(buckets).min(self.head + 1);
        let mut sum = Tally::default();
        while from < until {
            let at = from as usize % CELLS;
            let count = (CELLS - at).min((until - from) as usize);
            let run = &self.runs[self.slot(from)];
            sum = sum.plus(Tally {
                good: run.good.sum(at, count),
                bad: run.bad.sum(at, count),
            });
            from += count as u64;
        }
        sum
    }

    fn byte_size(&self) -> usize {
        let runs: usize = self
            .runs
            .iter()
            .map(|run| size_of::<Run>() + run.good.byte_size() + run.bad.byte_size())
            .sum();
        size_of::<Self>() + runs
    }
}
