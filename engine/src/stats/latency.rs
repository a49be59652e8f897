//! Latency evidence: is the candidate slower than what serves beside it?
//!
//! Compared at fixed edges ([`crate::latency`]): "candidate slower than 1.1 T" against "baseline slower than T", so a
//! tenth is tolerated in time, and the policy's odds ratio in how often. Slow requests come together (a pause, a queue,
//! a pod), hence share bets only, never the exact product: at a logit deviation of 1 the product halts 7 % of innocent
//! candidates at alpha 0.1 %. One process per edge, all of one filtration, weights summing to 1, combined by their mean.
//! Source: statistics notes (g).

use super::PerPoint;
use super::change_point::{ChangePoint, Schedule};
use super::exact::Table;
use super::logfix::{LogE, sum};
use super::pass::Mixture;
use super::rollout::Stratum;
use super::share;
use crate::latency::{
    LATENCY_BUCKETS, LATENCY_EDGES, edge_nanos, first_bucket_over, first_bucket_over_margin,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Alternatives as multiples of the tolerated odds ratio; few, because there are 31 edges.
const GRID: [f64; 4] = [1.5, 3.0, 8.0, 50.0];

/// How many units of each arm were slower than each edge, in one stratum. Units of unknown duration are in none.
#[derive(Debug, Clone)]
pub struct Slower {
    candidate: [u64; LATENCY_BUCKETS + 1],
    baseline: [u64; LATENCY_BUCKETS + 1],
}

impl Slower {
    /// Suffix sums of a stratum's buckets.
    pub fn of(stratum: &Stratum) -> Self {
        Self {
            candidate: suffix_sums(&stratum.candidate.latency),
            baseline: suffix_sums(&stratum.baseline.latency),
        }
    }

    fn has_both(&self) -> bool {
        self.candidate[0] > 0 && self.baseline[0] > 0
    }

    fn table(&self, edge: usize) -> Table {
        Table {
            candidate: self.candidate[0],
            candidate_failed: self.candidate[usize::from(first_bucket_over_margin(edge))],
            baseline: self.baseline[0],
            baseline_failed: self.baseline[usize::from(first_bucket_over(edge))],
        }
    }
}

fn tables(slower: &[Slower], edge: usize) -> SmallVec<[Table; 4]> {
    let both = slower.iter().filter(|stratum| stratum.has_both());
    both.map(|stratum| stratum.table(edge)).collect()
}

fn suffix_sums(buckets: &[(u8, u64)]) -> [u64; LATENCY_BUCKETS + 1] {
    let mut sums = [0u64; LATENCY_BUCKETS + 1];
    for (bucket, count) in buckets {
        sums[usize::from(*bucket).min(LATENCY_BUCKETS - 1)] += count;
    }
    for bucket in (0..LATENCY_BUCKETS).rev() {
        sums[bucket] += sums[bucket + 1];
    }
    sums
}

/// The halting side: the mean over all edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyHalt {
    edges: Vec<ChangePoint>,
    weights: Vec<LogE>,
    supremum: LogE,
}

impl LatencyHalt {
    /// Half of the weight on the edges beside the SLO's `threshold_nanos` when there is one, the rest evenly on all.
    pub fn new(threshold_nanos: Option<u64>) -> Self {
        let nearest = threshold_nanos.map_or_else(PerPoint::new, nearest_edges);
        let evenly = if nearest.is_empty() { 1.0 } else { 0.5 } / LATENCY_EDGES as f64;
        let weights = (0..LATENCY_EDGES).map(|edge| {
            let extra = if nearest.contains(&edge) {
                0.5 / nearest.len() as f64
            } else {
                0.0
            };
            LogE::of(evenly + extra)
        });
        Self {
            edges: vec![ChangePoint::new(GRID.len()); LATENCY_EDGES],
            weights: weights.collect(),
            supremum: LogE::ZERO,
        }
    }

    /// Folds one stratum against "odds ratio <= w0 at every edge". O(edges * 4).
    pub fn fold(&mut self, schedule: &Schedule, slower: &Slower, w0: f64) {
        self.fold_together(schedule, std::slice::from_ref(slower), w0);
    }

    /// Folds the strata of one moment as one bet an edge. O(edges * 4 * strata).
    pub fn fold_together(&mut self, schedule: &Schedule, slower: &[Slower], w0: f64) {
        if !slower.iter().any(Slower::has_both) {
            return;
        }
        let grid = GRID.map(|multiple| multiple * w0);
        for (edge, process) in self.edges.iter_mut().enumerate() {
            let tables = tables(slower, edge);
            process.fold(schedule, &share::evidence_together(&tables, w0, &grid));
        }
        let parts = self.edges.iter().zip(&self.weights);
        self.supremum = self
            .supremum
            .max(sum(parts.map(|(e, w)| e.current().times(*w))));
    }

    /// Largest `ln` of the mean so far (the maximum of the mean, not the mean of maxima).
    pub fn supremum(&self) -> LogE {
        self.supremum
    }

    /// The edge with the most evidence now, in nanoseconds: where the candidate is slower.
    pub fn worst_edge_nanos(&self) -> u64 {
        let worst = (0..LATENCY_EDGES)
            .rev()
            .max_by_key(|edge| self.edges[*edge].current());
        edge_nanos(worst.unwrap_or(0))
    }
}

fn nearest_edges(threshold: u64) -> PerPoint<usize> {
    let below = (0..LATENCY_EDGES)
        .rev()
        .find(|edge| edge_nanos(*edge) <= threshold);
    let above = (0..LATENCY_EDGES).find(|edge| edge_nanos(*edge) >= threshold);
    let mut edges: PerPoint<usize> = below.into_iter().chain(above).collect();
    edges.dedup();
    edges
}

/// Units of the baseline to see before an edge is designated, or this many strata.
const EARLY_UNITS: u64 = 200;
const EARLY_STRATA: u64 = 10;
/// Share of slow baseline requests an edge should have: rarer ones are seen too seldom, commoner ones move too little.
const SHARE_WANTED: f64 = 0.05;
const SHARE_MIN: f64 = 0.005;
const SHARE_MAX: f64 = 0.5;
/// With no such edge: the candidate's own share over an edge the baseline hardly passes must be proven below this.
const SLOW_SHARE_MAX: f64 = 0.2;

/// What the passing side claims, fixed before it is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The baseline is still being watched to choose.
    Choosing,
    /// "Odds of being slower than this edge are below w1 times the baseline's."
    Relative(u8),
    /// "Fewer than a fifth are slower than this edge": the baseline (almost) never is.
    Absolute(u8),
    /// Spans carry no durations: latency is not judged.
    Unjudged,
}

/// The passing side: one reversed share bet at one edge, chosen from the baseline's past only.
///
/// Without it a slow candidate that makes no errors would pass before the halting side, which watches 31 edges at an
/// eighth of alpha, could catch it. The edge is the one whose share of slow baseline requests is nearest 5 % by ratio;
/// it is chosen anew at each weight step, so it is always fixed before the strata it is tested on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyPass {
    claim: Claim,
    /// Baseline units slower than each edge so far, and all of them.
    slower: Vec<u64>,
    units: u64,
    strata: u64,
    strata_tested: u64,
    process: Mixture,
}

impl Default for LatencyPass {
    fn default() -> Self {
        Self {
            claim: Claim::Choosing,
            slower: vec![0; LATENCY_EDGES],
            units: 0,
            strata: 0,
            strata_tested: 0,
            process: Mixture::new(share::FRACTIONS.len()),
        }
    }
}

impl LatencyPass {
    /// Folds one stratum with both arms against "odds ratio >= w1".
    pub fn fold(&mut self, slower: &Slower, w1: f64) {
        self.fold_together(std::slice::from_ref(slower), w1);
    }

    /// Folds the strata of one moment as one bet.
    pub fn fold_together(&mut self, slower: &[Slower], w1: f64) {
        if slower.iter().any(Slower::has_both) {
            self.test(slower, w1);
        }
        self.strata += 1;
        for stratum in slower {
            self.units += stratum.baseline[0];
            for (edge, count) in self.slower.iter_mut().enumerate() {
                *count += stratum.baseline[usize::from(first_bucket_over(edge))];
            }
        }
        if matches!(self.claim, Claim::Choosing | Claim::Unjudged) {
            self.choose();
        }
    }

    fn test(&mut self, slower: &[Slower], w1: f64) {
        match self.claim {
            Claim::Relative(edge) => {
                let tables = tables(slower, usize::from(edge));
                self.process
                    .fold(&share::evidence_below_together(&tables, w1));
            }
            Claim::Absolute(edge) => {
                let tables = tables(slower, usize::from(edge));
                let units: u64 = tables.iter().map(|table| table.candidate).sum();
                let slow: u64 = tables.iter().map(|table| table.candidate_failed).sum();
                self.process
                    .fold(&share::below(slow as f64 / units as f64, SLOW_SHARE_MAX));
            }
            Claim::Choosing | Claim::Unjudged => return,
        }
        self.strata_tested += 1;
    }

    fn choose(&mut self) {
        if self.units == 0 && self.strata >= EARLY_STRATA {
            self.claim = Claim::Unjudged;
        }
        if self.units == 0 || (self.units < EARLY_UNITS && self.strata < EARLY_STRATA) {
            return;
        }
        let share = |edge: usize| self.slower[edge] as f64 / self.units as f64;
        let off = |edge: usize| (share(edge) / SHARE_WANTED).max(SHARE_WANTED / share(edge));
        let best = (0..LATENCY_EDGES)
            .filter(|edge| (SHARE_MIN..=SHARE_MAX).contains(&share(*edge)))
            .min_by(|a, b| off(*a).total_cmp(&off(*b)));
        let quiet = (0..LATENCY_EDGES).find(|edge| share(*edge) <= SHARE_WANTED);
        self.claim = match (best, quiet) {
            (Some(edge), _) => Claim::Relative(edge as u8),
            (None, Some(edge)) => Claim::Absolute(edge as u8),
            (None, None) => Claim::Unjudged,
        };
    }

    /// Starts again, choosing from everything seen so far.
    pub fn weight_step(&mut self) {
        self.process.reset();
        self.strata_tested = 0;
        self.choose();
    }

    /// What is claimed.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Strata tested since the last weight step.
    pub fn strata_tested(&self) -> u64 {
        self.strata_tested
    }

    /// `ln E` now.
    pub fn current(&self) -> LogE {
        self.process.current()
    }
}
