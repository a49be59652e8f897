//! Tests of the budget's arithmetic, beside the numbers that Sloth's recording rules give.

use super::Budget;
use crate::burn_rate::{burn, is_reachable};
use crate::slo::{Ratio, default_tiers};
use crate::snapshot::Counts;

fn budget(good: u64, bad: u64, target: u64) -> Budget {
    Budget {
        counts: Counts { good, bad },
        target: Ratio::from_ppb(target),
    }
}

/// Scenario: budgets untouched, half spent, spent exactly, overspent; no events; no budget at all.
/// Guarantees: signed and never clamped, rounded toward negative infinity, unknown where nothing can be said.
#[test]
fn remaining_is_signed_and_exact() {
    let table = [
        ((999_500, 500, 999_000_000), Some(0.5), 500, false, false),
        ((1_000_000, 0, 999_000_000), Some(1.0), 1_000, false, false),
        ((999_000, 1_000, 999_000_000), Some(0.0), 0, false, true),
        ((998_999, 1_001, 999_000_000), Some(-0.001), -1, true, true),
        ((0, 100, 990_000_000), Some(-99.0), -99, true, true),
        (
            (998, 1, 999_000_000),
            Some(-0.001_001_001_001_001_001),
            -1,
            true,
            true,
        ),
        ((0, 0, 999_000_000), None, 0, false, false),
        ((5, 0, 1_000_000_000), Some(1.0), 0, false, false),
        ((5, 1, 1_000_000_000), None, -1, true, true),
    ];
    for ((good, bad, target), remaining, allowed, overspent, exhausted) in table {
        let budget = budget(good, bad, target);
        let close = match (budget.remaining(), remaining) {
            (Some(left), Some(right)) => (left - right).abs() < 1e-15,
            (left, right) => left == right,
        };
        assert!(close, "{budget:?}: {:?}", budget.remaining());
        assert_eq!(budget.bad_allowed(), allowed, "{budget:?}");
        assert_eq!(
            (budget.is_overspent(), budget.is_exhausted()),
            (overspent, exhausted),
            "{budget:?}"
        );
    }
    assert_eq!(
        budget(u64::MAX / 2, u64::MAX / 2, 0).bad_allowed(),
        i64::MAX
    );
}

/// Scenario: counts for which Sloth's rules give round numbers (`slo:current_burn_rate:ratio`,
/// `slo:period_burn_rate:ratio`, `slo:period_error_budget_remaining:ratio`, `slo:error_budget:ratio`).
/// Guarantees: ours are the same.
#[test]
fn the_numbers_are_sloths() {
    for (target, good, bad, burns) in [
        (999_000_000, 9_900, 100, 10.0),
        (999_000_000, 985_600, 14_400, 14.4),
        (990_000_000, 990, 10, 1.0),
        (950_000_000, 3, 1, 5.0),
        (999_900_000, 999_999, 1, 0.01),
    ] {
        let counts = Counts { good, bad };
        let ratio = Ratio::from_ppb(target);
        let measured = burn(counts, ratio).expect("events");
        assert!(
            (measured - burns).abs() <= 1e-12 * burns,
            "{measured} instead of {burns}"
        );
        let remaining = Budget {
            counts,
            target: ratio,
        }
        .remaining()
        .expect("events");
        assert!(
            (remaining - (1.0 - burns)).abs() <= 1e-12 * burns,
            "{remaining}"
        );
    }
    assert_eq!(
        burn(Counts::default(), Ratio::from_ppb(999_000_000)),
        None,
        "0/0 is not a number"
    );
    let table: Vec<(u64, u64, u64)> = default_tiers()
        .iter()
        .map(|tier| (tier.factor_milli, tier.long_secs, tier.short_secs))
        .collect();
    let minutes = |factor, long: u64, short: u64| (factor, long * 60, short * 60);
    assert_eq!(
        table,
        [
            minutes(14_400, 60, 5),
            minutes(6_000, 360, 30),
            minutes(3_000, 1_440, 120),
            minutes(1_000, 4_320, 360)
        ]
    );
}

/// Scenario: the pace of a full and of a partly spent 30-day budget.
/// Guarantees: remaining * period / burn; 0 when spent; unknown when it does not burn.
#[test]
fn exhaustion_follows_from_what_is_left() {
    const PERIOD: u64 = 30 * 86_400;
    let full = budget(1_000_000, 0, 999_000_000);
    assert_eq!(
        full.exhausted_in_secs(Some(14.4), PERIOD),
        Some(PERIOD * 10 / 144)
    );
    let half = budget(999_500, 500, 999_000_000);
    assert_eq!(
        half.exhausted_in_secs(Some(10.0), PERIOD),
        Some(PERIOD / 20)
    );
    assert_eq!(
        budget(0, 5, 999_000_000).exhausted_in_secs(Some(1.0), PERIOD),
        Some(0)
    );
    assert_eq!(full.exhausted_in_secs(Some(0.0), PERIOD), None);
    assert_eq!(full.exhausted_in_secs(None, PERIOD), None);
    assert_eq!(half.share(250), Some(0.25));
}

/// Scenario: the targets at which the default tiers stop being able to fire (93.06 %, 83.33 %, 66.67 %).
/// Guarantees: a tier is reachable exactly while its factor is below the burn of a total outage.
#[test]
fn unreachable_tiers_are_known() {
    for (factor, limit) in [
        (14_400, 930_555_555),
        (6_000, 833_333_333),
        (3_000, 666_666_666),
    ] {
        assert!(!is_reachable(Ratio::from_ppb(limit), factor));
        assert!(is_reachable(Ratio::from_ppb(limit + 1), factor));
    }
    assert!(
        !is_reachable(Ratio::from_ppb(0), 1_000),
        "burn cannot exceed 1 when everything may fail"
    );
}
