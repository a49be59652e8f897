//! Absolute evidence: does this arm fail more than a fixed rate `p0`, whoever else fails?
//!
//! Halting side, the unit-fraction bet: one bounded number a stratum, the failed share `f = s / n`, against
//! "mean of f <= p0 in every stratum": `e = f p1/p0 + (1 - f)(1 - p1)/(1 - p0)`. Valid under any dependence inside the
//! stratum; the product over units would halt 41 % of innocent services whose failures come in bursts of five.
//! Passing side, against "rate >= p0": the product over units, because the fraction bet gains at most `-ln(1 - p0)` a
//! stratum (an hour of strata at 99.9 %). It assumes that units fail independently given the past; a false pass is bounded
//! by beta under that assumption only, and the halting side goes on watching. Source: statistics notes (d).

use super::PerPoint;
use super::logfix::LogE;
use super::share::bet;

/// Alternatives above the rate, as multiples; those at or above 0.9 are dropped.
const MULTIPLES: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 500.0];
/// Alternatives below the rate, for passing.
pub const PARTS: [f64; 5] = [0.02, 0.1, 0.25, 0.5, 0.75];
const RATE_MAX: f64 = 0.9;

/// Alternatives to "rate <= p0" for `p0` in 0..1: [`MULTIPLES`] below 0.9, or halfway to 1 when none is left.
pub fn rates_above(p0: f64) -> PerPoint<f64> {
    let mut rates: PerPoint<f64> = MULTIPLES
        .iter()
        .map(|m| m * p0)
        .filter(|rate| *rate < RATE_MAX)
        .collect();
    if rates.is_empty() {
        rates.push(f64::midpoint(p0, 1.0));
    }
    rates
}

/// `ln e` of every alternative in `rates` against "rate <= p0", rounded down; 0 without units.
pub fn evidence(p0: f64, rates: &[f64], units: u64, failed: u64) -> PerPoint<LogE> {
    if units == 0 {
        return PerPoint::from_elem(LogE::ZERO, rates.len());
    }
    let fraction = failed as f64 / units as f64;
    rates
        .iter()
        .map(|p1| LogE::of(bet(fraction, p0, *p1)))
        .collect()
}

/// `ln e` of every part of `p0` against "rate >= p0" for independent units, rounded down.
pub fn evidence_below(p0: f64, units: u64, failed: u64) -> PerPoint<LogE> {
    let (failed, good) = (failed as f64, units.saturating_sub(failed) as f64);
    PARTS
        .iter()
        .map(|part| {
            let lost = failed * libm::log(*part);
            let gained = good * (libm::log1p(-part * p0) - libm::log1p(-p0));
            LogE::down(
                lost + gained,
                1e-14 * (gained - lost) + good * p0 * 1e-14 + 1e-14,
            )
        })
        .collect()
}

/// The burn that halts by itself: 14.4 times the budget rate (two percent of a 30-day budget in an hour).
pub const HALTING_BURN: f64 = 14.4;

/// The failure rate above which a candidate burns by itself: [`HALTING_BURN`] times the budget rate, but at most halfway
/// between the budget rate and total failure (which binds below a target of 96.4 %), and at most 0.85.
pub fn halting_rate(budget_rate: f64) -> f64 {
    (HALTING_BURN * budget_rate)
        .min(f64::midpoint(budget_rate, 1.0))
        .min(0.85)
}
