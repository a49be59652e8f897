//! The exactness property: whatever arrives in whatever order, every window and the budget equal a naive recount.

use super::rig::{START, definitions, slo, tier};
use crate::delta::SliDelta;
use crate::identity::RevisionId;
use crate::slo::{RATIO_ONE, Severity, Slo};
use crate::slo_machine::{SloFacts, SloMachine};
use crate::snapshot::{Counts, SloRow};
use crate::time::Timestamp;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    /// Time passes: milliseconds.
    Advance(u64),
    /// Events that ended `age` seconds ago (negative: in the future).
    Count {
        age: i64,
        good: i64,
        bad: i64,
        revision: u128,
    },
    /// Takes back an earlier statement, or says it before it is said (`early`).
    Correct { which: usize, early: bool },
    /// What was collected is applied, in this order.
    Flush { reversed: bool },
    /// The machine is serialized, thrown away and loaded.
    Restart,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let advance = prop_oneof![
        6 => 0u64..2_000,
        4 => 1_000u64..120_000,
        2 => 60_000u64..7_200_000,
        1 => 3_600_000u64..400_000_000,
        1 => Just(86_400_000u64 * 31),
    ];
    let age = prop_oneof![
        8 => 0i64..10,
        6 => 0i64..600,
        3 => 0i64..30_000,
        2 => 0i64..40 * 86_400,
        1 => -30i64..0,
    ];
    let count = (
        age,
        0i64..400,
        prop_oneof![3 => Just(0i64), 2 => 0i64..5, 1 => 0i64..70_000],
        1u128..4,
    )
        .prop_map(|(age, good, bad, revision)| Op::Count {
            age,
            good,
            bad,
            revision,
        });
    let op = prop_oneof![
        8 => count,
        4 => advance.prop_map(Op::Advance),
        2 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(which, early)| Op::Correct { which, early }),
        3 => any::<bool>().prop_map(|reversed| Op::Flush { reversed }),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..80)
}

fn definition() -> impl Strategy<Value = Slo> {
    let period = prop_oneof![
        Just(3_600u64),
        Just(21_600),
        Just(86_400),
        Just(7 * 86_400),
        Just(28 * 86_400),
        Just(30 * 86_400),
        Just(90 * 86_400),
        Just(400 * 86_400),
        60u64..40 * 86_400
    ];
    let long = prop_oneof![
        Just(3_600u64),
        Just(21_600),
        Just(86_400),
        Just(3 * 86_400),
        60u64..5 * 86_400
    ];
    let target = prop_oneof![
        Just(999_000_000u64),
        Just(990_000_000),
        Just(0),
        500_000_000u64..1_000_000_000
    ];
    (
        period,
        prop::collection::vec((long, 1u64..30_000), 0..5),
        target,
    )
        .prop_map(|(period, tiers, target)| {
            let mut slo = slo("availability", target);
            slo.period_secs = period;
            let named = |(number, (long, factor)): (usize, (u64, u64))| {
                tier(
                    &format!("t{number}"),
                    if number % 2 == 0 {
                        Severity::Page
                    } else {
                        Severity::Ticket
                    },
                    factor,
                    long,
                )
            };
            slo.tiers = tiers.into_iter().enumerate().map(named).collect();
            slo
        })
}

/// The documented alignment, written down a second time.
fn is_in_window(second: u64, now: u64, window: u64) -> bool {
    let width = match window {
        0..=3_600 => 1,
        3_601..=21_600 => 60,
        21_601..=259_200 => 600,
        _ => 3_600,
    };
    let buckets = window.div_ceil(width);
    second <= now && second / width <= now / width && second / width + buckets > now / width
}

fn recount(events: &[SliDelta], keep: impl Fn(&SliDelta) -> bool) -> Counts {
    let kept = || events.iter().filter(|event| keep(event));
    Counts {
        good: kept()
            .map(|event| event.good)
            .sum::<i64>()
            .max(0)
            .unsigned_abs(),
        bad: kept()
            .map(|event| event.bad)
            .sum::<i64>()
            .max(0)
            .unsigned_abs(),
    }
}

fn check(row: &SloRow, events: &[SliDelta], now: u64) -> Result<(), TestCaseError> {
    for window in &row.windows {
        let naive = recount(events, |event| {
            is_in_window(event.second, now, window.window_secs)
        });
        prop_assert_eq!(
            window.counts,
            naive,
            "window of {} s at {}",
            window.window_secs,
            now
        );
    }
    let period = recount(events, |event| {
        is_in_window(event.second, now, row.slo.period_secs)
    });
    prop_assert_eq!(row.period, period);
    let allowed =
        i128::from(period.total()) * i128::from(RATIO_ONE - row.slo.target.parts_per_billion);
    let left = (allowed - i128::from(period.bad) * i128::from(RATIO_ONE))
        .div_euclid(i128::from(RATIO_ONE));
    prop_assert_eq!(i128::from(row.bad_allowed), left);
    for slice in &row.slices {
        for window in &slice.windows {
            let naive = recount(events, |event| {
                event.revision == slice.revision
                    && is_in_window(event.second, now, window.window_secs)
            });
            prop_assert_eq!(
                window.counts,
                naive,
                "slice {:?} over {} s",
                slice.revision,
                window.window_secs
            );
        }
    }
    let minutes = |at: u64| {
        recount(events, |event| {
            event.second <= now && event.second / 60 * 60 == at
        })
    };
    for point in row.history.iter() {
        let at = point.at.secs();
        if is_in_window(at, now, 21_600) {
            prop_assert_eq!(point.counts, minutes(at), "minute {}", at);
        } else {
            prop_assert_eq!(point.counts.total(), 0, "a minute older than 6 h");
        }
    }
    let charted: u64 = row.history.iter().map(|point| point.counts.total()).sum();
    let six_hours = recount(events, |event| is_in_window(event.second, now, 21_600));
    if events.iter().all(|event| event.good >= 0 && event.bad >= 0) {
        prop_assert_eq!(charted, six_hours.total(), "the chart holds the 6 h window");
    }
    Ok(())
}

fn run(slo: &Slo, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut now = Timestamp::from_secs(START);
    let mut machine = SloMachine::default();
    machine.set_definitions(now, &definitions(std::slice::from_ref(slo)));
    let (mut collected, mut said, mut applied) = (Vec::new(), Vec::new(), Vec::new());
    for op in ops {
        match op {
            Op::Advance(millis) => now = now.plus(millis * 1_000_000),
            Op::Count {
                age,
                good,
                bad,
                revision,
            } => {
                let second = now.secs().saturating_add_signed(-age);
                let delta = SliDelta {
                    slo: slo.id,
                    revision: RevisionId(*revision),
                    second,
                    good: *good,
                    bad: *bad,
                };
                collected.push(delta);
                said.push(delta);
            }
            Op::Correct { which, early } => {
                let Some(delta) = (!said.is_empty()).then(|| said.swap_remove(which % said.len()))
                else {
                    continue;
                };
                let back = SliDelta {
                    good: -delta.good,
                    bad: -delta.bad,
                    ..delta
                };
                if *early {
                    collected.insert(0, back)
                } else {
                    collected.push(back)
                }
            }
            Op::Flush { reversed } => {
                if *reversed {
                    collected.reverse()
                }
                machine.apply(now, &collected);
                applied.append(&mut collected);
            }
            Op::Restart => {
                let bytes = postcard::to_stdvec(&machine)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                machine = postcard::from_bytes(&bytes)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                let again = postcard::to_stdvec(&machine)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert!(
                    bytes == again,
                    "a loaded machine serializes to the same bytes"
                );
            }
        }
        machine.tick(now, &SloFacts::default());
        check(&machine.rows()[&slo.id], &applied, now.secs())?;
    }
    Ok(())
}

/// Scenario: random SLOs; events of any age and of the future, shuffled, taken back before and after they are said, in
/// random batches; time passes by milliseconds and by months; the machine is restarted.
/// Guarantees: at every tick every window, the budget, every revision slice and the chart equal a naive recount.
#[test]
fn every_window_and_the_budget_equal_a_naive_recount() {
    let cases = if std::env::var_os("TIDEGATE_LONG").is_some() {
        10_000
    } else {
        400
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(definition(), ops()), |(slo, ops)| run(&slo, &ops))
        .expect("engine equals recount");
}
