//! How soon a bad canary is halted.

use crate::shop::{Arm, Export, Shop, failing};
use engine::gate::answer::{Code, Verdict};
use engine::slo::Maturity;

/// A canary at 1 % of 1,000 requests a second that fails completely from its first request. Returns (strata seconds
/// until the latch in event time, wall milliseconds from fault to verdict).
fn outage_at_one_percent(seed: u64, maturity: Maturity, export: Export) -> (u64, u64, Shop) {
    let mut shop = Shop::new(seed, 1_000.0, maturity);
    let start = 20_000 + seed * 37 % 5_000;
    shop.arms.push(Arm::new(
        "v1",
        move |ms| if ms < start { 1.0 } else { 0.99 },
        failing(0.001),
    ));
    shop.arms.push(Arm::new(
        "v2",
        move |ms| if ms < start { 0.0 } else { 0.01 },
        failing(1.0),
    ));
    for arm in &mut shop.arms {
        arm.export = export;
    }
    shop.run_while(start + 60_000, |shop| !shop.is_halted(1));
    let answer = shop.ask("v2");
    assert_eq!(
        answer.verdict,
        Verdict::Halt,
        "seed {seed}: {:?}",
        answer.reasons
    );
    let from = (crate::shop::EPOCH_MS + start) / 1_000;
    let tested = answer.evidence.closed_until.secs() - from;
    (tested, shop.now - start, shop)
}

/// Scenario: 1 % of 1,000 requests a second goes to a revision that always fails, spans exported at once.
/// Guarantees: halted from at most 7 s of strata, for growth and mission-critical.
#[test]
fn one_percent_slice_is_halted_within_seven_seconds_of_strata() {
    for maturity in [Maturity::Growth, Maturity::MissionCritical] {
        for seed in 0..10 {
            let (strata_secs, wall, _) = outage_at_one_percent(seed, maturity, Export::AtOnce);
            println!("{maturity:?} seed {seed}: {strata_secs} s of strata, {wall} ms wall");
            assert!(
                strata_secs <= 7,
                "seed {seed} {maturity:?}: {strata_secs} s of strata"
            );
        }
    }
}

/// Scenario: the same with the batching of the SDKs (every 5 s, at any phase).
/// Guarantees: from the fault to the verdict at most 15 s of wall time.
#[test]
fn with_default_batching_the_verdict_comes_within_fifteen_seconds() {
    for seed in 0..10 {
        let export = Export::Every {
            millis: 5_000,
            phase: seed * 500,
        };
        let (strata_secs, wall, shop) = outage_at_one_percent(seed, Maturity::Growth, export);
        println!("seed {seed}: {strata_secs} s of strata, {wall} ms wall");
        assert!(wall <= 15_000, "seed {seed}: {wall} ms");
        let answer = shop.ask("v2");
        assert_eq!(answer.code, Code::RegressionErrors);
        println!("{answer:#?}");
    }
}
