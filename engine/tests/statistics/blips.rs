//! Shared blips seen through skewed clocks: both arms fail for the same real seconds, the candidate's clock is off.
//!
//! Counts only: arrival, batching and the clock guard are the gate's, whose tests run the same blips through spans.

use crate::bounds::{lower, upper};
use crate::rng::Rng;
use crate::scaled;
use crate::traffic::{Split, second, with_odds};
use engine::latency::bucket;
use engine::slo::Maturity;
use engine::stats::rollout::{ArmCells, Finding, RolloutTest, Stratum, TestPolicy};

const BLIP_AT: f64 = 40.5;
const SECONDS: u64 = 90;

/// Share of second `t` (by a clock that is `skew` ahead) that lies in a blip of `length`.
fn overlap(t: u64, length: f64, skew: f64) -> f64 {
    let (start, end) = (BLIP_AT + skew, BLIP_AT + skew + length);
    ((t + 1) as f64).min(end).max(t as f64) - (t as f64).max(start).min((t + 1) as f64)
}

fn run(length: f64, skew: f64, blip: f64, own: f64, seed: u64, run: u64) -> Finding {
    let mut rng = Rng::new(seed, run);
    let mut test = RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
    let split = Split::constant(1_000, 0.10);
    for t in 0..SECONDS {
        let units = split.units(&mut rng, t);
        let fails =
            |skew: f64, base: f64| base + (1.0 - base) * blip * overlap(t, length, skew).max(0.0);
        test.fold(&second(
            &mut rng,
            units,
            (fails(skew, own), fails(0.0, 0.001)),
        ));
    }
    test.finding()
}

fn is_halt(finding: Finding) -> bool {
    matches!(
        finding,
        Finding::HaltErrors | Finding::HaltAbsolute | Finding::HaltLatency
    )
}

/// Scenario: blips of 1, 2, 3, 10 s in which half or all requests fail, the candidate's clock 0, .25, 1 s ahead; alpha .01.
/// Guarantees: innocent candidates are halted no more often than alpha (99.9 % lower bound; pooled 95 % upper bound); a
/// candidate that fails 30 % by itself in the same runs is halted in at least 99 %.
#[test]
fn shared_blips_are_no_fault() {
    let runs = u64::from(scaled(100, 1_000));
    let (mut halts, mut all) = (0, 0);
    for (length, skew, blip) in [1.0, 2.0, 3.0, 10.0].into_iter().flat_map(|length| {
        [0.0, 0.25, 1.0]
            .into_iter()
            .flat_map(move |skew| [0.5, 1.0].map(|blip| (length, skew, blip)))
    }) {
        let count = |own: f64| {
            (0..runs)
                .filter(|r| is_halt(run(length, skew, blip, own, 900, *r)))
                .count() as u64
        };
        let (innocent, bad) = (count(0.001), count(0.3));
        println!(
            "blip {length} s, {:.0} % fail, skew {skew} s: innocent halted {innocent}, bad {bad} of {runs}",
            blip * 100.0
        );
        assert!(lower(innocent, runs, 0.999) <= 0.01);
        assert!(bad * 100 >= runs * 99);
        halts += innocent;
        all += runs;
    }
    let bound = upper(halts, all, 0.95);
    println!("pooled: {halts} of {all}, 95 % upper bound {bound:.5}");
    assert!(bound <= 0.01);
}

/// Slow units of one pod in one second: its odds of being slow are off by a factor of its own (logit deviation 1).
fn pod(rng: &mut Rng, units: u64, slow: f64) -> (u64, u64) {
    // Sum of 12 uniforms: mean 6, deviation 1.
    let normal = (0..12).map(|_| rng.uniform()).sum::<f64>() - 6.0;
    (
        units,
        rng.binomial(units, with_odds(slow, libm::exp(normal))),
    )
}

fn arm(pods: impl Iterator<Item = (u64, u64)>) -> ArmCells {
    let (units, slow) = pods.fold((0, 0), |(units, slow), pod| (units + pod.0, slow + pod.1));
    let latency = vec![
        (bucket(5_000_000), units - slow),
        (bucket(300_000_000), slow),
    ];
    ArmCells {
        units,
        failed: 0,
        latency,
    }
}

fn paused(slow: (f64, f64), seed: u64, run: u64) -> Option<u64> {
    let mut rng = Rng::new(seed, run);
    let policy = TestPolicy {
        w0: 1.0,
        ..TestPolicy::for_maturity(Maturity::Growth, 10_000_000)
    };
    let mut test = RolloutTest::new(policy);
    (0..900).find(|_| {
        let candidate = arm(std::iter::once(pod(&mut rng, 10, slow.0)));
        let baseline = arm((0..9).map(|_| pod(&mut rng, 10, slow.1)));
        test.fold(&Stratum {
            candidate,
            baseline,
        });
        test.finding() == Finding::HaltLatency
    })
}

/// Scenario: one candidate pod beside nine, each second of each pod slow by a factor of its own, as pauses make it;
/// 5 % or half of the requests slow; tolerated ratio 1, alpha .01, 15 min. Then a candidate slow five times as often.
/// Guarantees: pauses alone halt no more often than alpha; the slow one is halted in every run.
#[test]
fn pauses_of_one_pod_are_no_regression() {
    let runs = u64::from(scaled(100, 1_000));
    for slow in [0.05, 0.5] {
        let halts = (0..runs)
            .filter(|run| paused((slow, slow), 950, *run).is_some())
            .count() as u64;
        println!(
            "pauses, {:.0} % slow: {halts} of {runs} halted",
            slow * 100.0
        );
        assert!(lower(halts, runs, 0.999) <= 0.01);
    }
    let mut delays: Vec<u64> = (0..runs)
        .filter_map(|run| paused((0.25, 0.05), 960, run))
        .collect();
    delays.sort_unstable();
    println!(
        "slow five times as often: median halt after {} s",
        delays[delays.len() / 2] + 1
    );
    assert_eq!(delays.len() as u64, runs);
}

/// Scenario: so little traffic that every stratum holds one request of one arm; after 200 healthy requests an outage of
/// 5 to 60 requests fails everything (or 60 %) for both arms, then 100 healthy ones follow. Alpha .01, weights 10, 50, 90 %.
/// Guarantees: the absolute test does not take a shared outage for the candidate's, before, during or after it. (No
/// bound of the theory covers this: the null is violated. At 90 % there is hardly a witness, so that is only printed.)
#[test]
fn a_shared_outage_at_low_traffic_is_no_fault() {
    let runs = u64::from(scaled(200, 1_000));
    for (weight, fails, length) in [0.1, 0.5, 0.9].into_iter().flat_map(|weight| {
        [0.6, 1.0]
            .into_iter()
            .flat_map(move |fails| [5, 20, 60].map(|length| (weight, fails, length)))
    }) {
        let halted = |run: u64| {
            let mut rng = Rng::new(970, run);
            let mut test = RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
            for t in 0..300 + length {
                let candidate = u64::from(rng.chance(weight));
                let rate = if (200..200 + length).contains(&t) {
                    fails
                } else {
                    0.001
                };
                test.fold(&second(&mut rng, (candidate, 1 - candidate), (rate, rate)));
            }
            is_halt(test.finding())
        };
        let halts = (0..runs).filter(|run| halted(*run)).count() as u64;
        println!(
            "shared outage of {length} single requests, {:.0} % fail, weight {:.0} %: {halts} of {runs} halted",
            fails * 100.0,
            weight * 100.0
        );
        assert!(weight > 0.5 || lower(halts, runs, 0.999) <= 0.01);
    }
}
