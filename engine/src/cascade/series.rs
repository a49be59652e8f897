//! Keyed series: what every edge and every revision does, one bounded observation a block.
//!
//! Blocks are cut in order of *arrival*: every observation enters one bet, when it comes. Late halves and exporters that are
//! behind cost nothing, a gap in the data is just silence, and no watermark is waited for. A block ends at
//! [`BLOCK_OBSERVATIONS`] and a second, or later with fewer. When an incident began is told by event time all the same.
//!
//! | series | of | hit |
//! |---|---|---|
//! | errors | node and revision; caller and node | the request failed |
//! | latency | node, revision and operation (server half); caller and node (client half) | slower than 95 % were while it was learned |
//! | attempts | node | the request was no first attempt |
//! | waste | node | the server half outlived the client half |
//! | logs | service and revision | an error record beside requests |
//! | calls | revision and callee, beside the others of its service | a call made, against requests served |
//! | contrast | revision beside others of its service | failed, against the others at the same time: needs no past |

use super::baseline::Learned;
use super::detect::Detector;
use super::node::Node;
use crate::identity::RevisionId;
use crate::latency::LATENCY_BUCKETS;
use crate::stats::logfix::LogE;
use crate::stats::share;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};

/// What a series watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Watch {
    /// Failed requests.
    Errors,
    /// Slow requests.
    Latency,
    /// Attempts beyond the first.
    Attempts,
    /// Server halves that outlive their clients.
    Waste,
    /// Error records.
    Logs,
    /// Failures of a revision against those of the others at the same time.
    Contrast,
    /// Calls that a revision makes of one callee, against what the others make at the same time. By itself nothing is
    /// wrong with it: it opens no incident, and says who brought a callee down.
    Calls,
}

impl Watch {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Attempts => "attempts",
            Self::Waste => "wasted_work",
            Self::Logs => "log_errors",
            Self::Contrast => "revision_contrast",
            Self::Calls => "revision_calls",
        }
    }

    /// The bound that is assumed until one is learned: what no healthy system exceeds for long. `None`: nothing can be
    /// assumed.
    const fn assumed(self) -> Option<f64> {
        match self {
            Self::Errors | Self::Waste => Some(0.05),
            // 1.2 attempts a call.
            Self::Attempts => Some(0.17),
            Self::Latency | Self::Logs | Self::Contrast | Self::Calls => None,
        }
    }

    /// Whether it compares revisions and needs no past.
    const fn is_beside_others(self) -> bool {
        matches!(self, Self::Contrast | Self::Calls)
    }

    /// Whether an alarm of it means that something is wrong.
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::Calls)
    }
}

/// Which series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// Whom it is about: the one that is called.
    pub node: Node,
    /// Its revision, where the series tells revisions apart.
    pub revision: Option<RevisionId>,
    /// The other end, where the series is of one edge: the caller; of calls made, the callee.
    pub other: Option<Node>,
    /// The operation; 0 = all.
    pub route: u64,
    /// What is watched.
    pub watch: Watch,
}

/// Observations that end a block after a second.
pub const BLOCK_OBSERVATIONS: i64 = 40;
/// Fewer end it later: (observations, ns).
const BLOCK_ENDS: [(i64, u64); 3] = [
    (BLOCK_OBSERVATIONS, NANOS_PER_SEC),
    (10, 5 * NANOS_PER_SEC),
    (1, 20 * NANOS_PER_SEC),
];
/// The same of calls made: how many calls a request makes is known from few of them, and a candidate that brings a callee
/// down must be found out within seconds.
const CALLS_BLOCK_ENDS: [(i64, u64); 3] = [
    (4, NANOS_PER_SEC / 4),
    (2, 5 * NANOS_PER_SEC),
    (1, 20 * NANOS_PER_SEC),
];
/// Observations of which the slow bound of a latency series is taken.
const LATENCIES_LEAST: u64 = 500;
/// Share of observations above that bound, at most.
const SLOW_SHARE: f64 = 0.05;
/// A hot series cools after so many quiet blocks and so long.
const QUIET_BLOCKS: u32 = 3;
const QUIET_NANOS: u64 = 10 * NANOS_PER_SEC;
/// A hot series that nothing was heard of for so long cools.
const SILENT_NANOS: u64 = 300 * NANOS_PER_SEC;
/// What stays hot for so long is the new normal: it is learned anew. What burns a budget is told by its SLO.
const NEW_NORMAL_NANOS: u64 = 3_600 * NANOS_PER_SEC;
/// Odds ratio that a revision may have against the others.
const CONTRAST_NULL: f64 = 1.5;

/// A series that alarmed and has not cooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hot {
    /// Event second in which what alarmed began.
    pub onset: u64,
    /// Logical time of the alarm.
    pub at: Timestamp,
    /// Whether its bound was assumed, or learned from little.
    pub is_learning: bool,
    quiet_blocks: u32,
    quiet_since: Timestamp,
    fed: Timestamp,
}

impl Hot {
    /// Whether it cools by silence or by age.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.fed) > SILENT_NANOS || now.since(self.at) > NEW_NORMAL_NANOS
    }

    /// Whether it is over because this is what it does now.
    pub fn is_new_normal(&self, now: Timestamp) -> bool {
        now.since(self.at) > NEW_NORMAL_NANOS
    }
}

/// Counts of the open block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    observations: i64,
    hits: i64,
    /// Of the other revisions, for contrasts.
    others: (i64, i64),
    first_hit: u64,
    since: Timestamp,
}

impl Block {
    const fn new(since: Timestamp) -> Self {
        Self {
            observations: 0,
            hits: 0,
            others: (0, 0),
            first_hit: u64::MAX,
            since,
        }
    }

    fn is_due(&self, now: Timestamp, watch: Watch) -> bool {
        let age = now.since(self.since);
        let ends = match watch {
            Watch::Calls => CALLS_BLOCK_ENDS,
            _ => BLOCK_ENDS,
        };
        ends.iter()
            .any(|(observations, nanos)| self.observations >= *observations && age >= *nanos)
    }
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    block: Block,
    learned: Learned,
    detector: Detector,
    /// Latencies seen before the bound was taken.
    histogram: Vec<u32>,
    /// The first slow bucket.
    slow_from: Option<u8>,
    /// Event second since which every block was above the bound.
    rising: Option<u64>,
    evidence: LogE,
}

/// How a closed block changes a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to tell.
    Same,
    /// It alarmed.
    Alarms(Hot),
    /// It is as it was before it alarmed.
    Cools,
    /// It goes on alarming.
    Stays(Hot),
}

impl Series {
    /// Begins at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            block: Block::new(now),
            learned: Learned::default(),
            detector: Detector::default(),
            histogram: Vec::new(),
            slow_from: None,
            rising: None,
            evidence: LogE::NONE,
        }
    }

    /// Observations of an event second. Corrections may be negative.
    pub fn add(&mut self, second: u64, observations: i64, hits: i64) {
        self.block.observations += observations;
        self.block.hits += hits;
        if hits > 0 {
            self.block.first_hit = self.block.first_hit.min(second);
        }
    }

    /// What the other revisions did meanwhile.
    pub const fn add_others(&mut self, observations: i64, hits: i64) {
        self.block.others.0 += observations;
        self.block.others.1 += hits;
    }

    /// Latencies of an event second by bucket. Until the bound is taken they are only looked at.
    pub fn add_latencies(&mut self, second: u64, cells: &[(u8, i64)]) {
        let Some(slow_from) = self.slow_from else {
            return self.look_at(cells);
        };
        let mut counts = (0, 0);
        for (bucket, count) in cells {
            counts.0 += count;
            counts.1 += if *bucket >= slow_from { *count } else { 0 };
        }
        self.add(second, counts.0, counts.1);
    }

    fn look_at(&mut self, cells: &[(u8, i64)]) {
        self.histogram.resize(LATENCY_BUCKETS, 0);
        for (bucket, count) in cells {
            if let Some(seen) = self.histogram.get_mut(usize::from(*bucket)) {
                let sum = i64::from(*seen) + count;
                *seen = sum.clamp(0, i64::from(u32::MAX)) as u32;
            }
        }
        let all: u64 = self.histogram.iter().map(|count| u64::from(*count)).sum();
        if all < LATENCIES_LEAST {
            return;
        }
        let mut above = all;
        for (bucket, count) in self.histogram.iter().enumerate() {
            above -= u64::from(*count);
            if above as f64 <= SLOW_SHARE * all as f64 {
                self.slow_from = Some(bucket as u8 + 1);
                break;
            }
        }
        self.histogram = Vec::new();
    }

    /// Whether its block is to be closed.
    pub fn is_due(&self, now: Timestamp, watch: Watch) -> bool {
        self.block.is_due(now, watch)
    }

    /// Whether nothing was heard since `then`.
    pub fn is_idle_since(&self, then: Timestamp) -> bool {
        self.block.since < then && self.block.observations <= 0
    }

    /// `ln` of its evidence as of the last block, in seconds.
    pub const fn evidence(&self) -> LogE {
        self.evidence
    }

    /// Closes the block and bets on it. `rate` is its share of the system's allowance, `threshold` is ln T.
    pub fn close(
        &mut self,
        now: Timestamp,
        watch: Watch,
        hot: Option<Hot>,
        rate: f64,
        threshold: LogE,
    ) -> Turn {
        let block = std::mem::replace(&mut self.block, Block::new(now));
        let observations = block.observations.max(1);
        let hits = block.hits.clamp(0, observations);
        let beside = watch
            .is_beside_others()
            .then(|| Beside::of(watch, &block))
            .flatten();
        let (share, null) = match &beside {
            Some(beside) => (beside.share, Some(beside.null)),
            None if watch.is_beside_others() => return Turn::Same,
            None => (
                hits as f64 / observations as f64,
                self.learned.bound().or_else(|| watch.assumed()),
            ),
        };
        let is_above = null.is_some_and(|null| share > null);
        if let Some(hot) = hot {
            return self.while_hot(now, hot, is_above);
        }
        self.rising = is_above.then(|| self.rising.unwrap_or(block.first_hit));
        if let Some(beside) = &beside {
            self.detector.fold_bets(now, &beside.bets(), rate);
        } else if let Some(null) = null {
            self.detector.fold(now, share, null, rate);
        }
        let evidence = self.detector.evidence();
        self.evidence = evidence;
        if evidence >= threshold {
            let hot = Hot {
                onset: self.rising.unwrap_or(block.first_hit),
                at: now,
                is_learning: !watch.is_beside_others() && self.learned.is_learning(),
                quiet_blocks: 0,
                quiet_since: now,
                fed: now,
            };
            self.learned.forget_fresh();
            self.detector.restart();
            self.evidence = LogE::NONE;
            return Turn::Alarms(hot);
        }
        // Frozen while M > sqrt(T).
        if evidence.0 > threshold.0 / 2 {
            self.learned.forget_fresh();
        } else if !watch.is_beside_others() {
            self.learned.learn(now, observations as f64, hits as f64);
        }
        Turn::Same
    }

    fn while_hot(&mut self, now: Timestamp, mut hot: Hot, is_above: bool) -> Turn {
        hot.fed = now;
        if is_above {
            hot.quiet_blocks = 0;
            return Turn::Stays(hot);
        }
        if hot.quiet_blocks == 0 {
            hot.quiet_since = now;
        }
        hot.quiet_blocks += 1;
        if hot.quiet_blocks >= QUIET_BLOCKS && now.since(hot.quiet_since) >= QUIET_NANOS {
            self.rising = None;
            return Turn::Cools;
        }
        Turn::Stays(hot)
    }

    /// This is what it does now: learned anew.
    pub fn accept(&mut self) {
        self.learned.reset();
        self.detector.restart();
        self.rising = None;
        self.slow_from = None;
    }
}

/// What a revision had its share of, beside the others of its service: failures, or calls made.
///
/// One bounded number a block, so that any dependence between the hits is allowed (the share bet of
/// [`crate::stats::share`]).
#[derive(Debug, Clone, Copy)]
struct Beside {
    /// Its share of the hits.
    share: f64,
    /// Its share of what was asked of the service.
    theta: f64,
    /// The share of hits that the tolerated odds excuse.
    null: f64,
}

impl Beside {
    /// `None` when the block says nothing: an arm is missing, or nothing was hit.
    fn of(watch: Watch, block: &Block) -> Option<Self> {
        let count = |count: i64| count.max(0) as f64;
        let (own, others) = (count(block.observations), count(block.others.0));
        let (hits, of_others) = (count(block.hits), count(block.others.1));
        if own <= 0.0 || others <= 0.0 || hits + of_others <= 0.0 {
            return None;
        }
        let theta = own / (own + others);
        let share = hits / (hits + of_others);
        // When most requests fail on both sides, failures cannot be shared out by odds.
        let is_flooded = watch == Watch::Contrast && hits + of_others > 0.5 * (own + others);
        let null = share::tilted(theta, CONTRAST_NULL);
        (!is_flooded).then_some(Self { share, theta, null })
    }

    fn bets(&self) -> smallvec::SmallVec<[LogE; 4]> {
        let odds = Detector::alternatives().iter();
        odds.map(|odds| {
            let alternative = share::tilted(self.theta, CONTRAST_NULL * odds);
            LogE::of(share::bet(self.share, self.null, alternative))
        })
        .collect()
    }
}
