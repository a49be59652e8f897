//! The passing side: a bad candidate seldom passes, a good one soon.

use crate::bounds::lower;
use crate::rng::Rng;
use crate::scaled;
use crate::traffic::{Gathering, Split, second, with_odds};
use engine::latency::bucket;
use engine::slo::Maturity;
use engine::stats::rollout::{ArmCells, Finding, RolloutTest, TestPolicy};

const MILLI: u64 = 1_000_000;

/// Share of slow units of (candidate, baseline).
type Slow = Option<(f64, f64)>;

fn add_latency(rng: &mut Rng, arm: &mut ArmCells, slow: f64) {
    let count = rng.binomial(arm.units, slow);
    arm.latency = vec![
        (bucket(7 * MILLI), arm.units - count),
        (bucket(300 * MILLI), count),
    ];
}

/// First second at which it passes within an hour of the ramp (or of one weight); halts end the rollout.
fn passes_at(
    test: &mut RolloutTest,
    split: &Split,
    rates: (f64, f64),
    slow: Slow,
    rng: &mut Rng,
) -> Option<u64> {
    let mut gathering = Gathering::default();
    for t in 0..3_600 {
        if split.is_step(t) {
            gathering
                .weight_step()
                .into_iter()
                .for_each(|old| test.fold(&old));
            test.weight_step();
        }
        let units = split.units(rng, t);
        let mut fresh = second(rng, units, rates);
        if let Some((candidate, baseline)) = slow {
            add_latency(rng, &mut fresh.candidate, candidate);
            add_latency(rng, &mut fresh.baseline, baseline);
        }
        gathering
            .add(&fresh)
            .into_iter()
            .for_each(|stratum| test.fold(&stratum));
        match test.finding() {
            Finding::Pass => return Some(t + 1),
            Finding::HaltErrors | Finding::HaltAbsolute | Finding::HaltLatency => return None,
            Finding::BothBurn | Finding::NotYet => {}
        }
    }
    None
}

/// A policy that never halts, so that only the passing side is on trial.
fn patient(maturity: Maturity, budget_ppb: u64) -> TestPolicy {
    TestPolicy {
        alpha: 1e-9,
        ..TestPolicy::for_maturity(maturity, budget_ppb)
    }
}

/// Scenario: a candidate exactly as bad as must be excluded (in errors and burn), over five weight steps, growth and
/// mission-critical; and one whose only fault is that it is slow three (two) times as often.
/// Guarantees: it passes at any step with probability at most beta.
#[test]
fn the_boundary_seldom_passes() {
    let runs = u64::from(scaled(150, 2_000));
    for (maturity, w1, beta) in [
        (Maturity::Growth, 3.0, 0.10),
        (Maturity::MissionCritical, 2.0, 0.05),
    ] {
        for (name, rates, slow) in [
            ("errors", (with_odds(0.005, w1), 0.005), Some((0.02, 0.05))),
            ("latency", (0.0, 0.0), Some((with_odds(0.05, w1), 0.05))),
        ] {
            for rps in [10, 100, 1_000] {
                let split = Split::ramp(rps);
                let passed = (0..runs).filter(|run| {
                    let mut rng = Rng::new(700 + rps, *run);
                    let mut test = RolloutTest::new(patient(maturity, 5_000_000));
                    passes_at(&mut test, &split, rates, slow, &mut rng).is_some()
                });
                let passed = passed.count() as u64;
                println!(
                    "false pass, {} {name} at ratio {w1}, {rps} rps: {passed} of {runs} (beta {beta})",
                    maturity.name()
                );
                assert!(lower(passed, runs, 0.999) <= beta);
            }
        }
    }
}

/// Scenario: healthy candidates at 10 %, growth, budget 1 %, with and without failures.
/// Guarantees: at 100 rps half of them pass within a minute and a half, also with no failure at all; none is halted.
#[test]
fn the_healthy_pass() {
    let runs = u64::from(scaled(101, 1_001));
    for (rps, rate, limit) in [
        (10, 0.0, 900.0),
        (10, 0.005, 1_300.0),
        (100, 0.0, 90.0),
        (100, 0.001, 90.0),
        (100, 0.005, 120.0),
        (1_000, 0.001, 60.0),
    ] {
        let split = Split::constant(rps, 0.10);
        let mut seconds: Vec<f64> = (0..runs)
            .map(|run| {
                let mut rng = Rng::new(800 + rps, run);
                let mut test =
                    RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
                passes_at(
                    &mut test,
                    &split,
                    (rate, rate),
                    Some((0.04, 0.05)),
                    &mut rng,
                )
                .map_or(f64::INFINITY, |t| t as f64)
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let at = |q: f64| seconds[((seconds.len() - 1) as f64 * q) as usize];
        println!(
            "pass, growth, {rps} rps, {} % failures: median {} s, 90 % within {} s",
            rate * 100.0,
            at(0.5),
            at(0.9)
        );
        assert!(at(0.5) <= limit);
    }
}

/// Scenario: healthy candidates; after 10 s the forecast is taken, then the rollout goes on until it passes.
/// Guarantees: the need shown is the right order of magnitude: its median within a factor of 3 of what it took.
#[test]
fn the_need_shown_is_about_right() {
    let runs = u64::from(scaled(51, 501));
    for (rps, rate) in [(100, 0.0), (100, 0.005), (1_000, 0.002)] {
        let split = Split::constant(rps, 0.10);
        let mut ratios: Vec<f64> = (0..runs)
            .filter_map(|run| {
                let mut rng = Rng::new(850 + rps, run);
                let mut test =
                    RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
                for t in 0..10 {
                    let units = split.units(&mut rng, t);
                    let mut fresh = second(&mut rng, units, (rate, rate));
                    add_latency(&mut rng, &mut fresh.candidate, 0.04);
                    add_latency(&mut rng, &mut fresh.baseline, 0.05);
                    test.fold(&fresh);
                }
                let (shown, before) = (test.need().pass, test.total().candidate.units);
                passes_at(
                    &mut test,
                    &split,
                    (rate, rate),
                    Some((0.04, 0.05)),
                    &mut rng,
                )?;
                Some(shown as f64 / (test.total().candidate.units - before).max(1) as f64)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        println!(
            "need shown / requests it took, {rps} rps, {} %: median {median:.2}",
            rate * 100.0
        );
        assert!((1.0 / 3.0..3.0).contains(&median));
    }
}

/// Scenario: one request in 50 s, half of them the candidate's, two hours, both arms failing 1 %.
/// Guarantees: no false halt, and after every stratum the answer is "not yet" with a number.
#[test]
fn one_request_in_fifty_seconds() {
    for run in 0..u64::from(scaled(200, 1_000)) {
        let mut rng = Rng::new(870, run);
        let mut test = RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
        for _ in 0..144 {
            let candidate = u64::from(rng.chance(0.5));
            test.fold(&second(&mut rng, (candidate, 1 - candidate), (0.01, 0.01)));
            assert_eq!(test.finding(), Finding::NotYet, "run {run}");
            assert!(
                (1..100_000).contains(&test.need().pass),
                "{:?}",
                test.need()
            );
        }
    }
}
