//! Exact conditional evidence of one stratum: Fisher's noncentral hypergeometric distribution.
//!
//! Two arms serve the same moment; whatever the failure rate is then (it may jump between strata), given the margins
//! (`n_c`, `n_b`, total failures `k`) the candidate's failures `x` follow `P_w(j) ~ h(j) w^j` with
//! `h(j) = C(n_c, j) C(n_b, k - j)` and `w` the odds ratio. Against "odds ratio <= w0" the likelihood ratio
//! `e = P_w(x) / P_w0(x)` with `w > w0` has expectation at most 1 (ln of the normalizer is convex in ln w); with
//! `w < w0` the same holds against "odds ratio >= w0".
//!
//! The obvious way (log-gamma) loses 1e-9 per stratum at a million requests and differs between CPUs. Here
//! `e = S(w0) / S(w)`, `S(w) = sum_j [h(j)/h(x)] w^(j-x)`, whose terms follow from each other by `+ * /` alone, all
//! positive, summed outward from `x`; the ratio `h(j+1)/h(j)` is shared by the whole grid; exact power-of-two rescaling;
//! a geometric bound ends each tail below `2^-60`. A stratum without failures, or with one arm empty, says nothing and
//! costs nothing. O(grid * min(n_c, n_b, k, n - k)). Source: statistics notes (a), checked against big rationals.

use super::PerPoint;
use super::logfix::{LogE, Scaled};

/// Alternatives as multiples of the tolerated odds ratio.
pub const GRID: [f64; 12] = [
    1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 16.0, 25.0, 50.0, 100.0, 200.0,
];

const TAIL: f64 = 1.0 / (1u64 << 60) as f64;
const RESCALE_EXPONENT: i64 = 512;
/// `2^512` and its inverse, exact.
const RESCALE: f64 = f64::from_bits((1023 + 512) << 52);
const RESCALE_DOWN: f64 = f64::from_bits((1023 - 512) << 52);

/// Units and failed units of both arms in one stratum; failed <= units <= 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Table {
    /// Candidate's units.
    pub candidate: u64,
    /// Candidate's failed units.
    pub candidate_failed: u64,
    /// Baseline's units.
    pub baseline: u64,
    /// Baseline's failed units.
    pub baseline_failed: u64,
}

impl Table {
    /// Failures of both arms.
    pub const fn failed(&self) -> u64 {
        self.candidate_failed + self.baseline_failed
    }

    /// Units of both arms.
    pub const fn units(&self) -> u64 {
        self.candidate + self.baseline
    }

    /// Whether the margins leave only one possible split of the failures: then every e-value is 1.
    pub const fn says_nothing(&self) -> bool {
        self.lowest() == self.highest()
    }

    const fn lowest(&self) -> u64 {
        self.failed().saturating_sub(self.baseline)
    }

    const fn highest(&self) -> u64 {
        if self.failed() < self.candidate {
            self.failed()
        } else {
            self.candidate
        }
    }

    /// `h(j + 1) / h(j)`, for `lowest <= j < highest`.
    fn ratio_up(&self, j: u64) -> f64 {
        let numerator = (self.candidate - j) as f64 * (self.failed() - j) as f64;
        let denominator = (j + 1) as f64 * (self.baseline + j + 1 - self.failed()) as f64;
        numerator / denominator
    }

    /// `h(j - 1) / h(j)`, for `lowest < j <= highest`.
    fn ratio_down(&self, j: u64) -> f64 {
        let numerator = j as f64 * (self.baseline + j - self.failed()) as f64;
        let denominator = (self.candidate - j + 1) as f64 * (self.failed() - j + 1) as f64;
        numerator / denominator
    }
}

/// `ln e` of every alternative in `grid` against the boundary `null`, unrounded. `grid` ascends.
pub fn log_ratios(table: &Table, null: f64, grid: &[f64]) -> PerPoint<f64> {
    quotients(table, null, grid).map(Scaled::ln).collect()
}

/// `ln e` of every alternative in `grid` against the boundary `null`, rounded down. `grid` ascends.
pub fn evidence(table: &Table, null: f64, grid: &[f64]) -> PerPoint<LogE> {
    if table.says_nothing() {
        return PerPoint::from_elem(LogE::ZERO, grid.len());
    }
    quotients(table, null, grid).map(Scaled::log_e).collect()
}

/// The same over independent tables: the product of their e-values.
pub fn evidence_together(tables: &[Table], null: f64, grid: &[f64]) -> PerPoint<LogE> {
    let mut product = PerPoint::from_elem(LogE::ZERO, grid.len());
    for table in tables {
        for (into, e) in product.iter_mut().zip(evidence(table, null, grid)) {
            *into = into.times(e);
        }
    }
    product
}

fn quotients(table: &Table, null: f64, grid: &[f64]) -> impl Iterator<Item = Scaled> {
    let mut weights: PerPoint<f64> = PerPoint::from_slice(grid);
    let place = grid.iter().take_while(|w| **w < null).count();
    weights.insert(place, null);
    let sums = sums(table, &weights);
    let of_null = sums[place];
    (0..sums.len())
        .filter(move |i| *i != place)
        .map(move |i| of_null.over(sums[i]))
}

/// `S(w)` for each of the ascending `weights`.
fn sums(table: &Table, weights: &[f64]) -> PerPoint<Scaled> {
    let mut up = Lanes::new(weights, false);
    let mut j = table.candidate_failed;
    while j < table.highest() && !up.is_done() {
        up.step(table.ratio_up(j));
        j += 1;
    }
    // The term at x itself is counted once, in `up`.
    let inverse: PerPoint<f64> = weights.iter().rev().map(|w| 1.0 / w).collect();
    let mut down = Lanes::new(&inverse, true);
    let mut j = table.candidate_failed;
    while j > table.lowest() && !down.is_done() {
        down.step(table.ratio_down(j));
        j -= 1;
    }
    let last = weights.len() - 1;
    (0..weights.len())
        .map(|i| up.sum(i).plus(down.sum(last - i)))
        .collect()
}

/// One sum per weight, ascending: small weights end first, so the unfinished ones are a suffix.
struct Lanes {
    weight: PerPoint<f64>,
    term: PerPoint<f64>,
    sum: PerPoint<f64>,
    exponent: PerPoint<i64>,
    first: usize,
}

impl Lanes {
    fn new(weights: &[f64], without_start: bool) -> Self {
        let start = if without_start { 0.0 } else { 1.0 };
        Self {
            weight: PerPoint::from_slice(weights),
            term: PerPoint::from_elem(1.0, weights.len()),
            sum: PerPoint::from_elem(start, weights.len()),
            exponent: PerPoint::from_elem(0, weights.len()),
            first: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.first == self.weight.len()
    }

    fn sum(&self, lane: usize) -> Scaled {
        Scaled {
            mantissa: self.sum[lane],
            exponent: self.exponent[lane],
        }
    }

    /// Adds the next term of every unfinished lane: the last one times `ratio * weight`.
    fn step(&mut self, ratio: f64) {
        let lanes = self.first..self.weight.len();
        let (weight, term) = (&self.weight[lanes.clone()], &mut self.term[lanes.clone()]);
        let (sum, exponent) = (&mut self.sum[lanes.clone()], &mut self.exponent[lanes]);
        for (((weight, term), sum), exponent) in weight
            .iter()
            .zip(term.iter_mut())
            .zip(sum.iter_mut())
            .zip(exponent.iter_mut())
        {
            *term *= ratio * weight;
            *sum += *term;
            if *sum > RESCALE {
                *term *= RESCALE_DOWN;
                *sum *= RESCALE_DOWN;
                *exponent += RESCALE_EXPONENT;
            }
        }
        // Later ratios are smaller still: the rest of the lane is at most term * q / (1 - q).
        while !self.is_done() {
            let q = ratio * self.weight[self.first];
            let rest = self.term[self.first] * q;
            if q < 1.0 && rest < (1.0 - q) * self.sum[self.first] * TAIL {
                self.first += 1;
            } else {
                break;
            }
        }
    }
}

/// Expected share `E[x] / k` of the candidate in the failures at odds ratio `w`, given the margins; at least one
/// failure. It grows with `w`, so it bounds the share from below for every odds ratio `>= w`. Relative error < 1e-12.
///
/// Unlike `w theta / (1 - theta + w theta)` it is right when failures are common ("slower than the median"): the
/// candidate cannot have more failures than units. Summed outward from the mode, O(sqrt k).
pub fn mean_share(table: &Table, w: f64) -> f64 {
    let mode = mode(table, w);
    let (mut sum, mut moment) = (1.0, 0.0);
    let mut term = 1.0;
    for j in mode..table.highest() {
        let q = table.ratio_up(j) * w;
        term *= q;
        sum += term;
        moment += term * (j + 1 - mode) as f64;
        if q < 1.0 && term * q < (1.0 - q) * (1.0 - q) * sum * TAIL {
            break;
        }
    }
    let mut term = 1.0;
    let mut j = mode;
    while j > table.lowest() {
        let q = table.ratio_down(j) / w;
        term *= q;
        sum += term;
        moment -= term * (mode - j + 1) as f64;
        j -= 1;
        if q < 1.0 && term * q < (1.0 - q) * (1.0 - q) * sum * TAIL {
            break;
        }
    }
    (mode as f64 + moment / sum) / table.failed() as f64
}

/// A point at or beside the mode of the distribution: where `h(j + 1) w / h(j)` passes 1. Bisection: the ratio falls.
fn mode(table: &Table, w: f64) -> u64 {
    let (mut low, mut high) = (table.lowest(), table.highest());
    while low < high {
        let middle = low + (high - low) / 2;
        if table.ratio_up(middle) * w > 1.0 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
