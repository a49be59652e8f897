//! What a rollout's test finds on simple histories.

use super::{ArmCells, Finding, RolloutTest, Stratum, TestPolicy, should_close};
use crate::latency::bucket;
use crate::slo::Maturity;

const MILLI: u64 = 1_000_000;

fn arm(units: u64, failed: u64, slow: u64) -> ArmCells {
    let latency = vec![
        (bucket(5 * MILLI), units - slow),
        (bucket(200 * MILLI), slow),
    ];
    ArmCells {
        units,
        failed,
        latency,
    }
}

fn growth() -> RolloutTest {
    RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000))
}

/// Folds `strata` equal strata; the finding and how many strata it took to leave `NotYet`.
fn run(
    test: &mut RolloutTest,
    strata: u32,
    candidate: &ArmCells,
    baseline: &ArmCells,
) -> (Finding, u32) {
    let stratum = Stratum {
        candidate: candidate.clone(),
        baseline: baseline.clone(),
    };
    for t in 1..=strata {
        test.fold(&stratum);
        if test.finding() != Finding::NotYet {
            return (test.finding(), t);
        }
    }
    (Finding::NotYet, strata)
}

#[test]
fn a_failing_canary_halts_within_seconds() {
    let (finding, strata) = run(&mut growth(), 60, &arm(10, 5, 0), &arm(90, 0, 0));
    assert_eq!(finding, Finding::HaltErrors);
    assert!(strata <= 6, "{strata} strata");
}

#[test]
fn a_shared_outage_is_no_halt() {
    let (finding, _) = run(&mut growth(), 60, &arm(10, 8, 0), &arm(90, 72, 0));
    assert_eq!(finding, Finding::BothBurn);
}

#[test]
fn a_slow_canary_halts_although_it_makes_no_errors() {
    let (finding, strata) = run(&mut growth(), 60, &arm(10, 0, 10), &arm(90, 0, 3));
    assert_eq!(finding, Finding::HaltLatency);
    assert!(strata <= 15, "{strata} strata");
}

#[test]
fn a_healthy_canary_passes_and_says_how_far_it_is() {
    let mut test = growth();
    let first = test.need();
    assert!((100..5_000).contains(&first.pass), "{first:?}");
    let (finding, strata) = run(&mut test, 600, &arm(10, 0, 0), &arm(90, 0, 5));
    assert_eq!(finding, Finding::Pass);
    assert!(strata < 60, "{strata} strata");
    assert_eq!(test.need().pass, 0);
}

#[test]
fn a_weight_step_starts_the_passing_side_again() {
    let mut test = growth();
    assert_eq!(
        run(&mut test, 600, &arm(10, 0, 0), &arm(90, 0, 5)).0,
        Finding::Pass
    );
    test.weight_step();
    assert_eq!(test.finding(), Finding::NotYet);
    assert!(test.need().pass > 0);
    assert_eq!(
        run(&mut test, 600, &arm(50, 0, 3), &arm(50, 0, 3)).0,
        Finding::Pass
    );
}

#[test]
fn a_halt_is_latched() {
    let mut test = growth();
    run(&mut test, 60, &arm(10, 5, 0), &arm(90, 0, 0));
    run(&mut test, 1, &arm(1000, 0, 0), &arm(9000, 0, 0));
    assert_eq!(test.finding(), Finding::HaltErrors);
}

#[test]
fn a_candidate_alone_is_judged_by_its_budget() {
    let mut bad = growth();
    (0..30).for_each(|_| bad.fold_candidate_only(50, 40));
    assert_eq!(bad.finding(), Finding::HaltAbsolute);
    let mut good = growth();
    (0..30).for_each(|_| good.fold_candidate_only(50, 0));
    assert_eq!(good.finding(), Finding::Pass);
}

#[test]
fn the_floor_forgives_what_the_budget_forgives() {
    // Ten times the baseline's failures, but a tenth of the budget rate.
    let mut test = growth();
    for t in 0..2_000u64 {
        let failed = u64::from(t % 10 == 0);
        test.fold(&Stratum {
            candidate: arm(100, failed, 5),
            baseline: arm(900, failed, 45),
        });
    }
    assert_ne!(test.finding(), Finding::HaltErrors);
}

#[test]
fn strata_close_by_units_only() {
    assert!(!should_close(0, 1_000, 0.1, 0));
    assert!(!should_close(1, 8, 0.1, 0));
    assert!(should_close(1, 9, 0.1, 0));
    assert!(should_close(0, 1, 0.1, super::STRATUM_AGE_MAX_NANOS));
}

#[test]
fn evidence_survives_a_checkpoint() {
    let mut test = growth();
    run(&mut test, 3, &arm(10, 1, 2), &arm(90, 1, 3));
    let bytes = postcard::to_stdvec(&test).expect("serializes");
    let mut back: RolloutTest = postcard::from_bytes(&bytes).expect("reads back");
    assert_eq!(back, test);
    run(&mut test, 3, &arm(10, 1, 2), &arm(90, 1, 3));
    run(&mut back, 3, &arm(10, 1, 2), &arm(90, 1, 3));
    assert_eq!(back, test);
}
