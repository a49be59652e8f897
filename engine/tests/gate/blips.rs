//! Shared blips: both arms fail for a moment, exporters and clocks make it look as if only one did.

use crate::shop::{Arm, EPOCH_MS, Export, Shop, blipping, runs};
use engine::gate::answer::{Code, Verdict};
use engine::slo::Maturity;

/// One cell of the grid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) blip_ms: u64,
    /// The canary's exporter delivers nothing for this long, from somewhere around the blip.
    pub(crate) stall_ms: u64,
    /// How far the canary's clock runs ahead.
    pub(crate) skew_ms: i64,
    /// Failure rate of the canary itself; .001 = innocent.
    pub(crate) failing: f64,
    pub(crate) routes: u64,
}

/// 10 % of 400 requests a second, growth (alpha .01); the stable arm exports at once, the canary every 5 s.
pub(crate) fn run(cell: Cell, seed: u64) -> Shop {
    let mut shop = Shop::new(seed, 400.0, Maturity::Growth);
    shop.routes = cell.routes;
    let canary_from = 11_000 + shop.rng.below(3_000);
    let from = canary_from + 5_000 + shop.rng.below(10_000);
    let to = from + cell.blip_ms;
    let blip = [0.2, 0.5, 1.0][shop.rng.below(3) as usize];
    let mut stable = Arm::new(
        "v1",
        move |ms| if ms < canary_from { 1.0 } else { 0.9 },
        blipping(0.001, from, to, blip),
    );
    stable.instances = 3;
    let mut canary = Arm::new(
        "v2",
        move |ms| if ms < canary_from { 0.0 } else { 0.1 },
        blipping(cell.failing, from, to, blip),
    );
    canary.export = Export::Every {
        millis: 5_000,
        phase: shop.rng.below(100) * 50,
    };
    canary.skew_ms = cell.skew_ms;
    if cell.stall_ms > 0 {
        let stall = from.saturating_sub(8_000) + shop.rng.below(8_000 + cell.blip_ms);
        canary.stall = Some((stall, stall + cell.stall_ms));
    }
    shop.arms = vec![stable, canary];
    shop.run_while(to + 25_000, |shop| !shop.is_halted(1));
    shop
}

/// One-sided lower bound at 99.9 % of a rate seen `k` times in `n` (Wilson).
fn lower_bound(k: u64, n: u64) -> f64 {
    let (z, n, p) = (3.09, n as f64, k as f64 / n as f64);
    let center = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((center - spread) / (1.0 + z * z / n)).max(0.0)
}

fn grid(skews: &[i64]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for blip_ms in [1_000, 2_000, 3_000, 10_000] {
        for stall_ms in [0, 12_000] {
            for skew_ms in skews {
                for routes in [1, 16] {
                    cells.push(Cell {
                        blip_ms,
                        stall_ms,
                        skew_ms: *skew_ms,
                        failing: 0.001,
                        routes,
                    });
                }
            }
        }
    }
    cells
}

/// Scenario: shared blips of 1, 2, 3 and 10 s; stable exports at once, the canary every 5 s, with and without a stall
/// of 12 s around the blip; the canary's clock off by 0, .25 and 1 s either way; one route and sixteen.
/// Guarantees: no cell halts innocent canaries significantly more often than alpha, nor do all cells together.
#[test]
fn shared_blips_halt_no_innocent_canary() {
    let (runs, mut halted, mut all) = (runs(6, 1_000), 0, 0);
    for cell in grid(&[0, 250, -250, 1_000, -1_000]) {
        let false_halts = (0..runs)
            .filter(|seed| run(cell, *seed).is_halted(1))
            .count() as u64;
        if false_halts > 0 || runs > 100 {
            println!("{cell:?}: {false_halts} of {runs} halted");
        }
        assert!(
            lower_bound(false_halts, runs) <= 0.01,
            "{cell:?}: {false_halts} of {runs}"
        );
        halted += false_halts;
        all += runs;
    }
    println!("all cells: {halted} of {all} innocent canaries halted (alpha .01)");
    assert!(lower_bound(halted, all) <= 0.01, "{halted} of {all}");
    assert!(halted as f64 / all as f64 <= 0.01, "{halted} of {all}");
}

/// Scenario: the same runs without skew, but the canary fails 30 % of its requests by itself.
/// Guarantees: halted in at least 99 %.
#[test]
fn a_canary_that_fails_thirty_percent_is_halted_in_the_same_runs() {
    let runs = runs(12, 1_000);
    let (mut halted, mut all) = (0, 0);
    for cell in grid(&[0]) {
        let cell = Cell {
            failing: 0.3,
            ..cell
        };
        let found = (0..runs)
            .filter(|seed| run(cell, *seed).is_halted(1))
            .count() as u64;
        if found < runs {
            println!("{cell:?}: {found} of {runs} halted");
        }
        halted += found;
        all += runs;
    }
    println!("{halted} of {all} bad canaries halted");
    assert!(halted * 100 >= all * 99, "{halted} of {all}");
}

/// Scenario: the canary's clock is off by 30 s, ahead or behind, with a shared blip.
/// Guarantees: the answer is Wait(CLOCK_SKEW) with the skew in words, nothing is halted.
#[test]
fn thirty_seconds_of_skew_are_waited_out() {
    for cell in grid(&[30_000, -30_000]) {
        for seed in 0..runs(3, 1_000) {
            let shop = run(cell, seed);
            assert!(!shop.is_halted(1), "{cell:?} seed {seed}");
            let answer = shop.ask("v2");
            assert_eq!(
                (answer.verdict, answer.code),
                (Verdict::Wait, Code::ClockSkew),
                "{cell:?} seed {seed}: {:?}",
                answer.reasons
            );
            let expected = if cell.skew_ms > 0 {
                "ahead of"
            } else {
                "behind"
            };
            assert!(answer.reasons[0].contains(expected), "{:?}", answer.reasons);
            assert!(answer.as_of.0 / 1_000_000 >= EPOCH_MS);
        }
    }
}

/// Scenario: one request in 50 s, healthy, for an hour, every second one to the canary.
/// Guarantees: no false halt; every answer is a Wait that says how many more requests are needed.
#[test]
fn one_request_in_fifty_seconds_is_a_wait_with_a_number() {
    for seed in 0..runs(20, 1_000) {
        let mut shop = Shop::new(seed, 0.02, Maturity::Growth);
        let p = [0.0005, 0.001, 0.01][(seed % 3) as usize];
        let from = 600_000;
        let rest = move |ms| if ms < from { 1.0 } else { 0.5 };
        shop.arms.push(Arm::new("v1", rest, blipping(p, 0, 0, 0.0)));
        let weight = move |ms| if ms < from { 0.0 } else { 0.5 };
        shop.arms
            .push(Arm::new("v2", weight, blipping(p, 0, 0, 0.0)));
        let mut answers = 0;
        shop.run_while(from + 3_600_000, |shop| {
            if shop.now % 10_000 == 0 && shop.now > from {
                let answer = shop.ask("");
                if answer.code == Code::NoCandidate {
                    return true;
                }
                answers += 1;
                assert_eq!(answer.verdict, Verdict::Wait, "seed {seed}: {answer:#?}");
                assert!(answer.need.requests > 0, "seed {seed}: {answer:#?}");
            }
            true
        });
        assert!(answers > 100, "seed {seed}: {answers} answers");
        assert!(!shop.is_halted(1), "seed {seed}");
    }
}
