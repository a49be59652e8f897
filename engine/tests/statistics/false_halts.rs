//! (ii), (iii): how often an innocent candidate is halted in an hour, looked at after every stratum.

use crate::bounds::{lower, upper};
use crate::rng::Rng;
use crate::scaled;
use crate::traffic::{Gathering, Split, second};
use engine::stats::change_point::{ChangePoint, Schedule};
use engine::stats::exact::{GRID, Table, evidence};
use engine::stats::logfix::LogE;
use engine::stats::rollout::{Finding, RolloutTest, Stratum, TestPolicy};

const ALPHAS: [f64; 3] = [0.05, 0.01, 0.001];
const CELLS: [(u64, f64); 12] = [
    (1, 0.0001),
    (1, 0.001),
    (1, 0.01),
    (10, 0.0001),
    (10, 0.001),
    (10, 0.01),
    (100, 0.0001),
    (100, 0.001),
    (100, 0.01),
    (1_000, 0.0001),
    (1_000, 0.001),
    (1_000, 0.01),
];
const SECONDS: u64 = 3_600;

/// The exact process alone, undivided alpha, tolerated odds ratio 1.
pub(crate) struct ExactAlone {
    pub(crate) schedule: Schedule,
    process: ChangePoint,
}

impl ExactAlone {
    pub(crate) fn new() -> Self {
        Self {
            schedule: Schedule::new(SECONDS),
            process: ChangePoint::new(GRID.len()),
        }
    }

    /// Folds a stratum; the schedule has advanced for it.
    pub(crate) fn fold(&mut self, table: &Table) -> f64 {
        self.process
            .fold(&self.schedule, &evidence(table, 1.0, &GRID));
        self.process.supremum().nats()
    }
}

fn thresholds() -> [f64; 3] {
    ALPHAS.map(|alpha| LogE::threshold(alpha).nats())
}

/// Goes through an hour's strata: (candidate units, baseline units) and whether the weight changed before it.
fn strata(split: &Split, rng: &mut Rng, mut each: impl FnMut(&mut Rng, u64, u64, bool) -> bool) {
    let mut gathering = Gathering::default();
    let mut stepped = false;
    for t in 0..SECONDS {
        if split.is_step(t) {
            stepped = true;
            if let Some(old) = gathering.weight_step()
                && !each(rng, old.candidate.units, old.baseline.units, false)
            {
                return;
            }
        }
        let units = split.units(rng, t);
        if let Some(closed) = gathering.add(&second(rng, units, (0.0, 0.0))) {
            if !each(rng, closed.candidate.units, closed.baseline.units, stepped) {
                return;
            }
            stepped = false;
        }
    }
}

fn table(candidate: u64, baseline: u64, k: u64, x: u64) -> Table {
    Table {
        candidate,
        candidate_failed: x,
        baseline,
        baseline_failed: k - x,
    }
}

/// One run under the mixture the process bets on (a point of the grid, a time of change); `E` at the first crossing of
/// each alpha.
fn crossings_under_alternative(split: &Split, rate: f64, rng: &mut Rng) -> [Option<f64>; 3] {
    let w = GRID[rng.below(GRID.len() as u64) as usize];
    let start = rng.uniform();
    let mut test = ExactAlone::new();
    let mut crossed = [None; 3];
    let limits = thresholds();
    strata(split, rng, |rng, candidate, baseline, stepped| {
        if stepped {
            test.schedule.weight_step();
        }
        test.schedule.advance();
        let has_changed = start < 0.5 + test.schedule.put_in();
        let k = rng.binomial(candidate + baseline, rate);
        if k > 0 {
            let x = rng.fisher(candidate, baseline, k, if has_changed { w } else { 1.0 });
            let log_e = test.fold(&table(candidate, baseline, k, x));
            for (crossed, limit) in crossed.iter_mut().zip(limits) {
                if crossed.is_none() && log_e >= limit {
                    *crossed = Some(log_e);
                }
            }
        }
        crossed[2].is_none()
    });
    crossed
}

/// Scenario: a rollout of an hour over 1, 5, 10, 25, 50 %, 12 cells of traffic and failure rate, judged by the exact test
/// after each stratum; simulated under the alternative and weighted back (`P0 = E_Q[1 / E; crossed]`).
/// Guarantees: false halts at most alpha in every cell, known to 5 % or bounded by alpha / 5.
#[test]
fn false_halts_by_change_of_measure() {
    let runs = scaled(400, 2_000);
    // Fewer runs know less: the demanded precision scales with them.
    let precision = 0.05 * libm::sqrt(2_000.0 / f64::from(runs));
    println!("(ii) P(false halt) / alpha, {runs} runs a cell [relative standard error]");
    for (cell, (rps, rate)) in CELLS.into_iter().enumerate() {
        let split = Split::ramp(rps);
        let mut values = [const { Vec::new() }; 3];
        for run in 0..runs {
            let mut rng = Rng::new(2 + cell as u64, u64::from(run));
            for (values, crossed) in values
                .iter_mut()
                .zip(crossings_under_alternative(&split, rate, &mut rng))
            {
                values.push(crossed.map_or(0.0, |log_e| libm::exp(-log_e)));
            }
        }
        let parts: Vec<String> = ALPHAS
            .iter()
            .zip(&values)
            .map(|(alpha, values)| judge(*alpha, values, precision))
            .collect();
        println!(
            "  {rps:>5} rps, {:>5} %: {}",
            rate * 100.0,
            parts.join("   ")
        );
    }
}

fn judge(alpha: f64, values: &[f64], precision: f64) -> String {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    let relative = libm::sqrt(variance / n) / mean;
    // Each value is at most alpha, so the probability is at most alpha times that of crossing.
    let crossed = values.iter().filter(|v| **v > 0.0).count() as u64;
    let bound = alpha * upper(crossed, values.len() as u64, 0.999);
    assert!(mean <= alpha);
    assert!(
        relative <= precision || bound <= alpha / 5.0,
        "alpha {alpha}: error {relative:.3}, bound {bound:.2e}"
    );
    format!(
        "{alpha}: {:.3} [{:.1} %, bound {:.3}]",
        mean / alpha,
        relative * 100.0,
        bound / alpha
    )
}

/// Scenario: the same cells with an innocent candidate, simulated plainly, an hour each.
/// Guarantees: no cell's 99.9 % lower bound is above alpha; pooled, the 95 % upper bound is at most alpha.
#[test]
fn false_halts_by_plain_simulation() {
    let runs = u64::from(scaled(150, 20_000));
    println!("(iii) false halts of {runs} runs at alpha .05 / .01 / .001, exact test alone");
    let mut pooled = [0u64; 3];
    for (cell, (rps, rate)) in CELLS.into_iter().enumerate() {
        let split = Split::ramp(rps);
        let mut halts = [0u64; 3];
        for run in 0..runs {
            let mut rng = Rng::new(100 + cell as u64, run);
            let reached = innocent_hour(&split, rate, &mut rng);
            for (halts, limit) in halts.iter_mut().zip(thresholds()) {
                *halts += u64::from(reached >= limit);
            }
        }
        println!("  {rps:>5} rps, {:>5} %: {halts:?}", rate * 100.0);
        for i in 0..3 {
            assert!(lower(halts[i], runs, 0.999) <= ALPHAS[i]);
            pooled[i] += halts[i];
        }
    }
    let all = runs * CELLS.len() as u64;
    for i in 0..3 {
        let bound = upper(pooled[i], all, 0.95);
        println!(
            "  pooled at {}: {} of {all}, 95 % upper bound {bound:.5}",
            ALPHAS[i], pooled[i]
        );
        // Below 3,000 / (1,000 alpha) runs even zero halts prove nothing.
        assert!(bound <= ALPHAS[i] || (all as f64) * ALPHAS[i] < 10.0);
    }
}

fn innocent_hour(split: &Split, rate: f64, rng: &mut Rng) -> f64 {
    let mut test = ExactAlone::new();
    let mut reached = 0.0;
    strata(split, rng, |rng, candidate, baseline, stepped| {
        if stepped {
            test.schedule.weight_step();
        }
        test.schedule.advance();
        let k = rng.binomial(candidate + baseline, rate);
        if k > 0 {
            let x = rng.fisher(candidate, baseline, k, 1.0);
            reached = test.fold(&table(candidate, baseline, k, x));
        }
        true
    });
    reached
}

/// Scenario: innocent candidates at the tolerated ratio, judged by everything that can halt, budget 1 %, failure rates
/// up to 1 %, alpha of prototype, growth, mission-critical.
/// Guarantees: (iii)'s bounds for the verdict itself.
#[test]
fn false_halts_of_the_verdict() {
    let runs = u64::from(scaled(12, 2_000));
    println!("(iii) false halts of {runs} runs, everything that decides");
    let mut pooled = [0u64; 3];
    for (cell, (rps, rate)) in CELLS.into_iter().enumerate() {
        let split = Split::ramp(rps);
        let mut halts = [0u64; 3];
        for (i, alpha) in ALPHAS.into_iter().enumerate() {
            for run in 0..runs {
                let mut rng = Rng::new(300 + cell as u64, run * 3 + i as u64);
                let policy = TestPolicy {
                    alpha,
                    w0: 1.0,
                    w1: None,
                    beta: 0.05,
                    budget_rate: 0.001,
                    latency_threshold_nanos: None,
                };
                halts[i] += u64::from(is_halted(policy, &split, rate, &mut rng));
            }
            assert!(lower(halts[i], runs, 0.999) <= alpha);
            pooled[i] += halts[i];
        }
        println!("  {rps:>5} rps, {:>5} %: {halts:?}", rate * 100.0);
    }
    let all = runs * CELLS.len() as u64;
    for i in 0..3 {
        assert!(upper(pooled[i], all, 0.95) <= ALPHAS[i] || (all as f64) * ALPHAS[i] < 10.0);
    }
}

fn is_halted(policy: TestPolicy, split: &Split, rate: f64, rng: &mut Rng) -> bool {
    let mut test = RolloutTest::new(policy);
    strata(split, rng, |rng, candidate, baseline, stepped| {
        if stepped {
            test.weight_step();
        }
        let stratum: Stratum = second(rng, (candidate, baseline), (rate, rate));
        test.fold(&stratum);
        true
    });
    matches!(
        test.finding(),
        Finding::HaltErrors | Finding::HaltAbsolute | Finding::HaltLatency
    )
}
