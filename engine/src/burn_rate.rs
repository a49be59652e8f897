//! Burn rates: how many times faster than allowed the budget is being spent, and when a tier may fire.
//!
//! `burn = (bad / total) / (1 - target)`: 1.0 spends the whole budget exactly by the end of the period. A tier fires
//! while its long *and* its short window burn faster than its factor (strict `>`, as Sloth and the Workbook write it);
//! the comparison is `bad * 10^12 > factor_milli * budget_ppb * total`, exact in 128 bits. Source: SRE Workbook ch. 5, slo.md 3.
//!
//! **Low-traffic guard.** At 10 requests an hour and 99.9 % one failure is a burn of 100: plain burn would page for
//! it. A tier therefore fires only if its long window holds at least [`GUARD_BAD_ENOUGH`] bad events, or at least two
//! and so many that a service which fails at exactly the allowed rate would show as many with a probability of at most
//! [`GUARD_CHANCE_MAX`]: `P[Binomial(total, 1 - target) >= bad] <= 1/1000` (exact tail, at most nine terms). So a single
//! failure never fires a tier, a total outage always does within [`GUARD_BAD_ENOUGH`] failed requests, and with
//! traffic to speak of the guard changes nothing: 10 bad events are there long before the burn is.
//!
//! **Young SLOs.** Ten seconds after the first event ever, every window holds the same ten seconds: one bad moment would
//! fire the 3-day tier. While less than the long window was observed, the unobserved rest therefore counts as time with
//! the same traffic and no failures: a tier fires only if `burn * observed / long > factor`. With constant traffic a young
//! SLO then fires exactly when an old one would (`t = L F b / e`), instead of at once.
//! Both rules: `docs/decisions/0014-young-and-quiet-slos.md`.

use crate::ring::Tally;
use crate::slo::{BurnTier, RATIO_ONE, Ratio};
use crate::snapshot::{BurnState, Counts};

/// Bad events in the long window from which plain burn decides alone.
pub const GUARD_BAD_ENOUGH: u64 = 10;
/// Highest chance, at the allowed failure rate, of the bad events that fire a tier below [`GUARD_BAD_ENOUGH`].
pub const GUARD_CHANCE_MAX: f64 = 1e-3;

/// Burn rate of `counts`: dimensionless, `>= 0`. `None` without events (silence is not health) and when the target
/// allows nothing.
pub fn burn(counts: Counts, target: Ratio) -> Option<f64> {
    let budget = target.complement().parts_per_billion;
    let allowed = i128::from(counts.total()) * i128::from(budget);
    let used = i128::from(counts.bad) * i128::from(RATIO_ONE);
    (allowed > 0).then(|| used as f64 / allowed as f64)
}

/// Whether `tally` burns strictly faster than `factor_milli` thousandths. Exact; never true without a bad event.
#[inline]
pub fn exceeds(tally: Tally, target: Ratio, factor_milli: u64) -> bool {
    if tally.bad <= 0 {
        return false;
    }
    let bad = tally.bad.unsigned_abs();
    let total = bad.saturating_add(tally.good.max(0).unsigned_abs());
    // Widened 64-bit products cannot overflow. The threshold saturates for factors beyond any sense: they never fire.
    let threshold = target
        .complement()
        .parts_per_billion
        .saturating_mul(factor_milli);
    u128::from(bad) * u128::from(RATIO_ONE * 1_000) > u128::from(threshold) * u128::from(total)
}

/// Whether a tier can fire at all: its factor is below `1 / (1 - target)`, the burn of a total outage.
pub fn is_reachable(target: Ratio, factor_milli: u64) -> bool {
    let budget = i128::from(target.complement().parts_per_billion);
    budget * i128::from(factor_milli) < i128::from(RATIO_ONE) * 1_000
}

/// What one tier measures now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The long window burns faster than the factor.
    pub long_burns: bool,
    /// The short window does.
    pub short_burns: bool,
}

impl Measure {
    /// Compares both windows of `tier`.
    #[inline]
    pub fn of(tier: &BurnTier, target: Ratio, long: Tally, short: Tally) -> Self {
        Self {
            long_burns: exceeds(long, target, tier.factor_milli),
            short_burns: exceeds(short, target, tier.factor_milli),
        }
    }

    /// Whether the tier's condition holds by plain burn.
    pub const fn burns(self) -> bool {
        self.long_burns && self.short_burns
    }

    /// The word for it on pages.
    pub const fn state(self) -> BurnState {
        match (self.long_burns, self.short_burns) {
            (true, true) => BurnState::Critical,
            (true, false) => BurnState::Recovering,
            (false, true) => BurnState::Increasing,
            (false, false) => BurnState::Acceptable,
        }
    }
}

/// Whether a tier whose windows burn may fire: its long window's counts are neither bad luck at low traffic nor just
/// the first moments of a young SLO, observed for `observed_secs` (module docs). O(1): at most nine terms.
pub fn guard_allows(tier: &BurnTier, target: Ratio, long: Counts, observed_secs: u64) -> bool {
    is_more_than_luck(long, target)
        && (observed_secs >= tier.long_secs || outlasts_youth(tier, target, long, observed_secs))
}

/// `burn * observed / long > factor`, exact while `bad * observed` stays below 2^87.
fn outlasts_youth(tier: &BurnTier, target: Ratio, long: Counts, observed_secs: u64) -> bool {
    let budget = i128::from(target.complement().parts_per_billion);
    let spent = (i128::from(long.bad) * i128::from(RATIO_ONE) * 1_000)
        .saturating_mul(i128::from(observed_secs));
    let threshold = (budget * i128::from(tier.factor_milli))
        .saturating_mul(i128::from(long.total()))
        .saturating_mul(i128::from(tier.long_secs));
    spent > threshold
}

/// The low-traffic guard.
fn is_more_than_luck(long: Counts, target: Ratio) -> bool {
    long.bad >= GUARD_BAD_ENOUGH
        || (long.bad >= 2 && chance_of_at_least(long.bad, long.total(), target) <= GUARD_CHANCE_MAX)
}

/// `P[Binomial(total, 1 - target) >= bad]`, summed from the other tail: exact up to f64 rounding for small `bad`.
fn chance_of_at_least(bad: u64, total: u64, target: Ratio) -> f64 {
    let rate = target.complement().as_f64();
    if rate >= 1.0 {
        return 1.0;
    }
    let mut term = libm::exp(total as f64 * libm::log1p(-rate));
    let mut below = 0.0;
    for failures in 0..bad {
        below += term;
        term *= (total - failures) as f64 / (failures + 1) as f64 * (rate / (1.0 - rate));
    }
    1.0 - below
}
