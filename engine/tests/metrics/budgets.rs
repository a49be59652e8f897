//! Budgets from counters under restarts, resets, losses, overlaps, changes of temporality, shuffles and copies.

use crate::cases;
use crate::rig::{Counted, Step, deliver, fold, requests, run, sender};
use crate::story::{Rng, Story};
use engine::metric::{Instrument, Temporality};
use engine::metric_rows::{PointRow, PointValue, metric};
use engine::slo::Slo;
use std::collections::BTreeMap;

const SEC: u64 = 1_000_000_000;

/// Streams of one case: their points, and what must be counted.
struct Case {
    rows: Vec<PointRow>,
    expected: BTreeMap<u64, (i64, i64)>,
    stories: Vec<Story>,
}

fn case(rng: &mut Rng) -> Case {
    let mut case = Case {
        rows: Vec::new(),
        expected: BTreeMap::new(),
        stories: Vec::new(),
    };
    for number in 0..1 + rng.below(4) {
        let story = Story::new(rng);
        let is_bad = rng.one_in(2);
        let is_float = rng.one_in(2);
        for export in &story.delivered {
            let cumulative = export.temporality == Temporality::Cumulative;
            let value = match is_float {
                true => PointValue::Double(export.value as f64),
                false => PointValue::Int(export.value as i64),
            };
            let name = metric("requests", Instrument::Counter, export.temporality);
            let times = (export.start * SEC, export.time * SEC);
            let row = PointRow::new(&sender("v1"), &name, times, value)
                .with("code", if is_bad { 503 } else { 200 })
                .with("stream", number as i64);
            assert!(cumulative || export.temporality == Temporality::Delta);
            case.rows.push(row);
        }
        for (second, events) in &story.counted {
            let cell = case.expected.entry(*second).or_default();
            let side = if is_bad { &mut cell.1 } else { &mut cell.0 };
            *side += *events as i64;
        }
        case.stories.push(story);
    }
    case
}

fn explain(seed: u64, case: &Case, counted: &Counted) -> String {
    let different: Vec<String> = case
        .expected
        .keys()
        .chain(counted.seconds.keys())
        .filter(|second| case.expected.get(second) != counted.seconds.get(second))
        .map(|second| {
            let (wanted, got) = (case.expected.get(second), counted.seconds.get(second));
            format!("second {second}: {wanted:?} expected, {got:?} counted")
        })
        .collect();
    let stories: Vec<String> = case
        .stories
        .iter()
        .map(|story| format!("{story:#?}"))
        .collect();
    format!("seed {seed}: {different:#?}\n{}", stories.join("\n"))
}

/// Scenario: streams of processes that restart with and without a new start, lose exports, crash, are doubled by a
/// second writer or change their temporality; their exports arrive shuffled within the lateness, some twice, in
/// requests of any size.
/// Guarantees: second by second, what is counted are the events that delivered exports carried after the stream's
/// baseline; baselines, counted and uncarried events add up to all events; a second order of arrival gives the same.
#[test]
fn what_exports_carried_is_counted_and_nothing_else() {
    let slo = requests();
    let (mut carried, mut before, mut uncarried) = (0, 0, 0);
    let all = cases(400, 10_000);
    for seed in 0..all {
        let mut rng = Rng(seed);
        let case = case(&mut rng);
        let counted = fold(&slo, &deliver(&mut rng, &case.rows));
        let expected: BTreeMap<u64, (i64, i64)> = case
            .expected
            .iter()
            .filter(|(_, cell)| **cell != (0, 0))
            .map(|(second, cell)| (*second, *cell))
            .collect();
        assert!(
            counted.seconds == expected,
            "{}",
            explain(seed, &case, &counted)
        );
        let again = fold(&slo, &deliver(&mut rng, &case.rows));
        assert!(
            again == counted,
            "another order: {}",
            explain(seed, &case, &again)
        );
        for story in &case.stories {
            let told: u64 = story.counted.values().sum();
            let lost = story.uncarried.len() as u64;
            assert_eq!(told + story.before + lost, story.events, "seed {seed}");
            carried += told;
            before += story.before;
            uncarried += lost;
        }
    }
    println!(
        "{all} cases: {carried} events counted, {before} in baselines, {uncarried} carried by no export"
    );
    assert!(carried > 10 * all && before > all && uncarried > all);
}

fn state(slo: &Slo, steps: &[Step], folders: usize) -> Vec<u8> {
    postcard::to_stdvec(run(slo, steps, folders).decider()).unwrap()
}

/// Scenario: the same inputs through 1, 2, 7 and 64 folders.
/// Guarantees: the same deciding state, byte for byte, and the published budget is the oracle's.
#[test]
fn folders_never_change_a_budget_from_metrics() {
    let slo = requests();
    for seed in 0..cases(20, 400) {
        let mut rng = Rng(seed ^ 0xface);
        let case = case(&mut rng);
        let steps = deliver(&mut rng, &case.rows);
        let mut engine = run(&slo, &steps, 1);
        let cells = case.expected.values();
        let (good, bad) = cells.fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        let row = &engine.snapshot().slos[&slo.id];
        let period = (row.period.good as i64, row.period.bad as i64);
        assert_eq!(period, (good, bad), "seed {seed}");
        let reference = postcard::to_stdvec(engine.decider()).unwrap();
        for folders in [2, 7, 64] {
            assert!(
                state(&slo, &steps, folders) == reference,
                "seed {seed}, {folders} folders"
            );
        }
    }
}
