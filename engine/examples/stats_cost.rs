//! Prints what the gate's statistics cost: microseconds a stratum.

use engine::slo::Maturity;
use engine::stats::exact::{GRID, Table, evidence};
use engine::stats::rollout::{ArmCells, RolloutTest, Stratum, TestPolicy};
use std::hint::black_box;

fn main() {
    for (units, failed) in [
        (10_000, 0),
        (1_000, 12),
        (10_000, 100),
        (1_000_000, 1_000),
        (1_000_000, 100_000),
    ] {
        let table = Table {
            candidate: units / 10,
            candidate_failed: failed / 10,
            baseline: units - units / 10,
            baseline_failed: failed - failed / 10,
        };
        let micros = cost(|| {
            black_box(evidence(black_box(&table), 1.0, &GRID));
        });
        println!("exact, n {units:>8}, k {failed:>7}: {micros:>9.2} us");
    }
    for (failed, latency) in [(0, 0), (0, 20), (100, 20)] {
        let micros = whole(failed, latency);
        println!(
            "whole rollout, n 10000, k {failed:>4}, {latency:>2} latency buckets: {micros:.2} us"
        );
    }
}

fn whole(failed: u64, buckets: u8) -> f64 {
    let arm = |units: u64, failed| ArmCells {
        units,
        failed,
        latency: (0..buckets)
            .map(|b| (b + 10, units / u64::from(buckets)))
            .collect(),
    };
    let stratum = Stratum {
        candidate: arm(1_000, failed / 10),
        baseline: arm(9_000, failed - failed / 10),
    };
    let mut test = RolloutTest::new(TestPolicy::for_maturity(Maturity::Growth, 10_000_000));
    cost(|| test.fold(black_box(&stratum)))
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example measures; the engine never does"
)]
fn cost(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        (0..200).for_each(|_| work());
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / 200.0);
    }
    best
}
