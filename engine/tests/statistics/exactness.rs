//! (i): the conditional e-value is an e-value, and its logarithm is right.

use crate::is_long;
use crate::oracle::{dyadic, ln_quotient, log_ratio, log_ratio_large, support, terms};
use engine::stats::exact::{GRID, Table, evidence, log_ratios, mean_share};
use engine::stats::share::{FRACTIONS, evidence_below, tilted};
use num_bigint::BigUint;

const NULLS: [f64; 4] = [1.0, 1.1, 1.5, 2.0];
/// True odds ratios as parts of the tolerated one.
const TRUTHS: [f64; 4] = [1.0, 0.9, 0.5, 0.1];
const UNIT: u64 = 200;

fn tables(max: u64) -> impl Iterator<Item = Table> {
    (1..=max).flat_map(move |candidate| {
        (1..=max).flat_map(move |baseline| {
            (1..candidate + baseline).map(move |k| Table {
                candidate,
                candidate_failed: k.saturating_sub(baseline),
                baseline,
                baseline_failed: k.min(baseline),
            })
        })
    })
}

/// The same margins with `x` candidate failures.
fn with(table: &Table, x: u64) -> Table {
    Table {
        candidate_failed: x,
        baseline_failed: table.failed() - x,
        ..*table
    }
}

/// Largest `sum_x P(x) e(x)` over the grid, minus 1; `P` at odds ratio `truth`, `e` as the engine computes it.
fn worst_excess(table: &Table, null: f64, truths: &[Vec<BigUint>]) -> f64 {
    let grid = GRID.map(|multiple| multiple * null);
    let values: Vec<Vec<BigUint>> = support(table)
        .map(|x| {
            log_ratios(&with(table, x), null, &grid)
                .iter()
                .map(|ln| fixed(libm::exp(*ln)))
                .collect()
        })
        .collect();
    let mut worst = f64::MIN;
    for probability in truths {
        let all: BigUint = probability.iter().sum::<BigUint>() << UNIT;
        for g in 0..grid.len() {
            let expected: BigUint = probability
                .iter()
                .zip(&values)
                .map(|(p, e)| p * &e[g])
                .sum();
            worst = worst.max(libm::expm1(ln_quotient(&expected, &all)));
        }
    }
    worst
}

/// `value * 2^UNIT`.
fn fixed(value: f64) -> BigUint {
    let (mantissa, exponent) = libm::frexp(value);
    let bits = BigUint::from((mantissa * (1u64 << 53) as f64) as u64);
    let shift = UNIT as i64 - 53 + i64::from(exponent);
    if shift >= 0 {
        bits << shift as u64
    } else {
        bits >> (-shift) as u64
    }
}

/// Scenario: every table up to 24 + 24 units (12 + 12 in the short lane), every margin, four tolerated ratios, the whole
/// grid, true ratios up to the tolerated one.
/// Guarantees: no strategy of looking can gain: `sum P e <= 1 + 1e-12`, probabilities as exact rationals.
#[test]
fn no_table_expects_more_than_one() {
    let max = if is_long() { 24 } else { 9 };
    let (mut worst, mut cases) = (f64::MIN, 0u64);
    for table in tables(max) {
        for null in NULLS {
            let truths: Vec<_> = TRUTHS
                .iter()
                .map(|part| terms(&table, part * null))
                .collect();
            worst = worst.max(worst_excess(&table, null, &truths));
            cases += (TRUTHS.len() * GRID.len()) as u64;
        }
    }
    println!("(i) {cases} cases up to {max} + {max} units: largest sum P e - 1 = {worst:.2e}");
    assert!(worst <= 1e-12);
}

/// Scenario: every outcome of every table up to 24 + 24 units (8 + 8 in the short lane).
/// Guarantees: `ln e` within 1e-12, absolute or relative, of exact rationals; the stored form is never above it.
#[test]
fn small_tables_have_the_right_logarithm() {
    let max = if is_long() { 24 } else { 7 };
    let (mut worst, mut loosest) = (0.0f64, 0.0f64);
    for margins in tables(max) {
        for (null, x) in NULLS
            .into_iter()
            .flat_map(|null| support(&margins).map(move |x| (null, x)))
        {
            let table = with(&margins, x);
            let grid = [1.25 * null, 6.0 * null, 200.0 * null];
            let (float, stored) = (
                log_ratios(&table, null, &grid),
                evidence(&table, null, &grid),
            );
            for (i, w) in grid.iter().enumerate() {
                let truth = log_ratio(&table, null, *w);
                worst = worst.max(error(float[i], truth));
                loosest = loosest.max(truth - stored[i].nats());
                assert!(
                    stored[i].nats() <= truth + 1e-15,
                    "{table:?} {w}: rounded up"
                );
            }
        }
    }
    println!(
        "(i) up to {max} + {max} units: largest error of ln e {worst:.2e}, rounding at most {loosest:.2e}"
    );
    assert!(worst <= 1e-12 && loosest < 1e-8);
}

/// Absolute or relative, whichever is smaller.
fn error(got: f64, truth: f64) -> f64 {
    (got - truth).abs().min((got - truth).abs() / truth.abs())
}

/// Scenario: a million units, a few failures to half of all, near and far from what is expected.
/// Guarantees: `ln e` within 1e-12, absolute or relative, at sizes where log-gamma is off by 1e-9.
#[test]
fn a_million_units_have_the_right_logarithm() {
    let mut failures = vec![12u64, 1_000, 10_000];
    if is_long() {
        failures.extend([100_000, 500_000]);
    }
    let mut worst = 0.0f64;
    for (k, (candidate, baseline)) in failures
        .iter()
        .flat_map(|k| [(100_000u64, 900_000u64), (500_000, 500_000)].map(|n| (*k, n)))
    {
        let expected = k * candidate / (candidate + baseline);
        for x in [
            expected,
            expected * 11 / 10 + 1,
            expected / 2,
            (expected * 3).min(k).min(candidate),
        ] {
            let table = Table {
                candidate,
                candidate_failed: x,
                baseline,
                baseline_failed: k - x,
            };
            let grid = [1.25, 1.5, 10.0];
            for (w, got) in grid.iter().zip(log_ratios(&table, 1.0, &grid)) {
                let off = error(got, log_ratio_large(&table, 1.0, *w));
                worst = worst.max(off);
                assert!(off <= 1e-12, "{table:?} at {w}: {off:.2e}");
            }
        }
    }
    println!("(i) at 1e6 units: largest error of ln e {worst:.2e}");
}

/// Scenario: every table up to 10 + 10 units (24 + 24 in the long lane), expectations by exact rationals.
/// Guarantees: the share bet's premise `E[x / k] <= theta(w0)` and the reversed bet's exact mean, hence that both are
/// e-values at the boundary.
#[test]
fn the_share_bets_are_fair() {
    let max = if is_long() { 24 } else { 10 };
    for table in tables(max) {
        let (low, k) = (*support(&table).start(), table.failed());
        let theta = table.candidate as f64 / table.units() as f64;
        for null in [1.0, 1.5, 2.0, 3.0] {
            let weights = terms(&table, null);
            let all: BigUint = weights.iter().sum();
            let probability: Vec<f64> = weights
                .iter()
                .map(|term| libm::exp(ln_quotient(&(term + (&all >> 300u32)), &all)))
                .collect();
            let share: f64 = probability
                .iter()
                .enumerate()
                .map(|(i, p)| p * (low + i as u64) as f64 / k as f64)
                .sum();
            assert!(share <= tilted(theta, null) + 1e-13, "{table:?} at {null}");
            assert!(
                table.says_nothing() || (share - mean_share(&table, null)).abs() < 1e-12,
                "{table:?} at {null}"
            );
            let expected = (0..FRACTIONS.len()).map(|c| {
                let gains = probability.iter().enumerate().map(|(i, p)| {
                    p * libm::exp(evidence_below(&with(&table, low + i as u64), null)[c].nats())
                });
                gains.sum::<f64>()
            });
            assert!(
                expected.fold(0.0, f64::max) <= 1.0 + 1e-12,
                "{table:?} at {null}"
            );
        }
    }
}

/// Scenario: decimals that are no dyadic fractions.
/// Guarantees: the oracle takes exactly the f64 the engine takes.
#[test]
fn the_oracle_reads_floats_exactly() {
    let (numerator, shift) = dyadic(1.1);
    assert_eq!(numerator, BigUint::from(4_953_959_590_107_546u64 / 2));
    assert_eq!(shift, 51);
}
