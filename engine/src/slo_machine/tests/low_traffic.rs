//! The low-traffic guard: one failure never fires; a total outage always does, within few failed requests.

use super::rig::{Rig, START, slo, tier};
use crate::burn_rate::{GUARD_BAD_ENOUGH, exceeds, guard_allows};
use crate::ring::Tally;
use crate::slo::{Ratio, Severity};
use crate::snapshot::Counts;

const TEN_AN_HOUR: u64 = 360;

/// Scenario: 10 requests an hour at 99.9 %; one of them fails (a burn of 100, 14 % of the monthly budget).
/// Guarantees: no alert of any severity; the row says that the guard holds the tier.
#[test]
fn a_single_failure_never_fires() {
    let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
    for number in 0..200u64 {
        let second = START + number * TEN_AN_HOUR;
        let bad = i64::from(number == 120);
        rig.count(second, 1 - bad, bad);
        assert!(rig.tick(second).is_empty(), "request {number}");
        if number == 120 {
            assert!(
                rig.row(0).tiers[0].is_guarded,
                "plain burn alone would have fired"
            );
            assert!(rig.row(0).tiers[0].long_burn.expect("events") > 14.4);
        }
        for tick in 1..TEN_AN_HOUR / 60 {
            assert!(rig.tick(second + tick * 60).is_empty(), "request {number}");
        }
    }
    assert!(rig.machine.alerts().is_empty());
}

/// Scenario: total outages at rates from one request in 6 min to one a second, at three targets.
/// Guarantees: the page fires within [`GUARD_BAD_ENOUGH`] failed requests or, where there is more traffic than that, as
/// soon as plain burn does.
#[test]
fn a_total_outage_fires_within_few_failed_requests() {
    for target in [990_000_000, 999_000_000, 999_900_000] {
        for gap in [360, 60, 10, 1] {
            let mut availability = slo("availability", target);
            availability.tiers = vec![tier("page-fast", Severity::Page, 14_400, 3_600)];
            let mut rig = Rig::new(&[availability]);
            let onset = START + 7_200;
            for second in (START..onset).step_by(gap) {
                rig.count_at(onset, second, 1, 1, 0);
            }
            let in_hour = 3_600 / gap;
            let plain = (in_hour as f64 * 14.4 * (1.0 - target as f64 / 1e9)) as u64 + 1;
            let failed = (1..).find(|failed| {
                let second = onset + (failed - 1) * gap as u64;
                rig.count(second, 0, 1);
                !rig.tick(second).is_empty()
            });
            let most = GUARD_BAD_ENOUGH.max(plain + 1);
            assert!(
                failed.expect("fires") <= most,
                "target {target}, one in {gap} s: {failed:?} > {most}"
            );
            assert!(failed.expect("fires") >= 2);
        }
    }
}

/// Scenario: the exact binomial tail at known points.
/// Guarantees: `P[Bin(n, p) >= k] <= 1/1000` decides, two failures at least, ten always enough.
#[test]
fn the_guard_is_the_binomial_tail() {
    let allows = |bad, total, target| {
        guard_allows(
            &tier("old", Severity::Page, 0, 1),
            Ratio::from_ppb(target),
            Counts {
                good: total - bad,
                bad,
            },
            1,
        )
    };
    // 10 at .1 %: P(>= 1) = .00996, P(>= 2) = 4.5e-5.
    assert!(!allows(1, 10, 999_000_000));
    assert!(allows(2, 10, 999_000_000));
    // 100 at .1 %: P(>= 2) = .0046, P(>= 3) = 1.5e-4.
    assert!(!allows(2, 100, 999_000_000));
    assert!(allows(3, 100, 999_000_000));
    // 720 at .1 %: P(>= 4) = .0062, P(>= 5) = 8.6e-4 (Poisson .72: 7.8e-4).
    assert!(!allows(4, 720, 999_000_000));
    assert!(allows(5, 720, 999_000_000));
    // One failure of one at 99.999 %: unlikely (1e-5), and still one failure.
    assert!(!allows(1, 1, 999_990_000));
    assert!(
        allows(10, 1_000_000, 999_000_000),
        "from ten on plain burn decides"
    );
    assert!(!allows(5, 10, 0), "a target of 0 allows everything");
}

/// Scenario: burns just at and just above a factor; nonsense factors and targets.
/// Guarantees: strict and exact comparison, no overflow, never true without a bad event.
#[test]
fn burn_compares_exactly() {
    let target = Ratio::from_ppb(999_000_000);
    let at = |good, bad, factor| exceeds(Tally { good, bad }, target, factor);
    assert!(
        !at(985_600, 14_400, 14_400),
        "exactly 14.4 is not more than 14.4"
    );
    assert!(at(985_599, 14_401, 14_400));
    assert!(!at(0, 0, 0));
    assert!(!at(5, -3, 0));
    assert!(!at(i64::MAX - 1, 1, u64::MAX));
    assert!(!at(0, i64::MAX, u64::MAX));
    let hopeless = Ratio::from_ppb(1_000_000_000);
    assert!(
        exceeds(Tally { good: 1, bad: 1 }, hopeless, 14_400),
        "no budget: any failure exceeds"
    );
}

/// Scenario: a service is seen for the first time and fails 10 % of its requests from its first second on.
/// Guarantees: no tier fires at once; each fires when the table says, as if the service had been healthy before.
#[test]
fn a_young_slo_fires_when_an_old_one_would() {
    let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
    let mut moves = Vec::new();
    for second in START..START + 3_600 {
        rig.count(second, 90, 10);
        moves.extend(
            rig.tick(second)
                .into_iter()
                .map(|transition| (second + 1 - START, transition.row.tier.clone())),
        );
        if second == START + 60 {
            let row = rig.row(0);
            assert!(
                row.tiers.iter().all(|tier| tier.is_guarded),
                "burning, and too young to tell"
            );
        }
    }
    assert_eq!(
        moves,
        [(519, "page-fast".to_owned())],
        "3600 * 14.4 * .001 / .1 = 518.4 s"
    );
}
