//! The whole core on spans: a bad canary is halted, and nothing depends on how folders are spread or batches are cut.

use engine::decider::Decider;
use engine::folder::FolderLimits;
use engine::gate::answer::{Code, Phase, Verdict};
use engine::gate::{Question, ask};
use engine::hash::HashSeed;
use engine::input::{
    DefinitionsLoaded, Effect, EffectDone, EffectKind, Gap, Input, LatchCleared, RolloutChange,
    RolloutEvent,
};
use engine::items::Resource;
use engine::machine::{Engine, EngineConfig};
use engine::slo::Definitions;
use engine::snapshot::Snapshot;
use engine::span::{kind, status};
use engine::span_rows::{SpanRow, batch, resource};
use engine::time::{NANOS_PER_MILLI, NANOS_PER_SEC, Timestamp};
use std::sync::Arc;

const SEED: HashSeed = HashSeed(11, 13);
const START: u64 = 1_700_000_000;

fn engine(folders: usize, decider: Decider) -> Engine {
    let config = EngineConfig {
        seed: SEED,
        folders,
        limits: FolderLimits {
            keys_per_shard: 4_096,
            units_per_shard: 4_096,
            ..FolderLimits::default()
        },
        store_bytes: 1 << 20,
    };
    Engine::new(&config, decider)
}

/// A definitions record that names one webhook and no SLO.
fn with_webhook() -> Input {
    let definitions = Definitions {
        endpoints: vec!["ops".to_owned()],
        ..Definitions::default()
    };
    Input::Definitions(DefinitionsLoaded {
        definitions: Some(Arc::new(definitions)),
        problems: Vec::new(),
    })
}

/// Requests of one second: `rate` of them, every `fails_every`th failing (0 = none).
fn second_of(resource: &Arc<Resource>, second: u64, rate: u64, fails_every: u64) -> Vec<SpanRow> {
    (0..rate)
        .map(|number| {
            let id = u64::from(resource.hash as u32) << 32 | (second - START) << 12 | number;
            let end = second * NANOS_PER_SEC + number * (NANOS_PER_SEC / rate);
            let row = SpanRow::new(
                resource,
                (u128::from(id) << 7 | 1, id | 1),
                (end - 5 * NANOS_PER_MILLI, end),
                kind::SERVER,
            )
            .named("POST /checkout");
            if fails_every > 0 && number.is_multiple_of(fails_every) {
                row.with_status(status::ERROR)
            } else {
                row
            }
        })
        .collect()
}

struct Run {
    engine: Engine,
    effects: Vec<Effect>,
    snapshot: Snapshot,
}

/// 20 s of a healthy v1, then 30 s in which v2 takes a tenth of the traffic and fails every third request.
fn bad_canary(folders: usize, rows_per_batch: usize) -> Run {
    let mut engine = engine(folders, Decider::default());
    let mut effects = Vec::new();
    let mut snapshot = Snapshot::default();
    engine.apply(Timestamp::from_secs(START), with_webhook(), &mut effects);
    let v1 = resource(&[("service.name", "checkout"), ("service.version", "v1")]);
    let v2 = resource(&[("service.name", "checkout"), ("service.version", "v2")]);
    for second in START..START + 50 {
        let mut rows = second_of(&v1, second, 90, 90);
        if second >= START + 20 {
            rows.extend(second_of(&v2, second, 10, 3));
        }
        let received = Timestamp::from_secs(second + 1);
        for chunk in rows.chunks(rows_per_batch) {
            engine.fold(Arc::new(batch(SEED, received, chunk).into()));
        }
        snapshot = engine.tick(received, &mut effects);
    }
    Run {
        engine,
        effects,
        snapshot,
    }
}

fn question(candidate: &str) -> Question {
    Question {
        service: "checkout".to_owned(),
        namespace: String::new(),
        environment: String::new(),
        candidate: candidate.to_owned(),
        baseline: String::new(),
        phase: Phase::Advance,
    }
}

/// Scenario: a canary at a tenth of the traffic fails a third of its requests, without any definition file.
/// Guarantees: Halt for errors, latched and announced once to the configured webhook; the answer says IMPLICIT_SLO.
#[test]
fn a_bad_canary_is_halted_with_evidence() {
    let run = bad_canary(1, 1_000);
    let answer = ask(&run.snapshot, &question("v2"));
    assert_eq!(
        (answer.verdict, answer.code),
        (Verdict::Halt, Code::RegressionErrors),
        "{answer:#?}"
    );
    assert!(
        answer
            .notes
            .iter()
            .any(|note| note.starts_with("IMPLICIT_SLO")),
        "{:?}",
        answer.notes
    );
    assert!(
        answer.reasons[0].contains("v2 failed"),
        "{:?}",
        answer.reasons
    );
    assert!(!answer.counterfactual.is_empty());
    let halts: Vec<&Effect> = run
        .effects
        .iter()
        .filter(|effect| {
            let EffectKind::Notify { notification, .. } = &effect.kind else {
                return false;
            };
            notification.event == "gate.halt"
        })
        .collect();
    assert_eq!(halts.len(), 1);
    assert!(
        engine::gate::verify(
            run.snapshot
                .decisions
                .iter()
                .rev()
                .map(|decision| &**decision)
        )
        .is_ok()
    );
}

/// Scenario: the same spans through 1, 2, 7 and 64 folders, in batches of any size.
/// Guarantees: the same deciding state, byte for byte.
#[test]
fn folders_and_batches_never_change_a_decision() {
    let reference = postcard::to_stdvec(bad_canary(1, 1_000).engine.decider()).unwrap();
    for (folders, rows) in [(2, 1_000), (7, 1_000), (64, 1_000), (1, 3), (7, 17)] {
        let state = postcard::to_stdvec(bad_canary(folders, rows).engine.decider()).unwrap();
        assert!(state == reference, "{folders} folders, batches of {rows}");
    }
}

/// Scenario: the process dies after the Halt and a new one goes on from the checkpoint.
/// Guarantees: the gate is Unknown until the first tick; then the latch is there, the webhook is still owed under
/// the same id, and the gap is shown.
#[test]
fn a_latch_survives_a_restart() {
    let run = bad_canary(1, 1_000);
    let state = postcard::to_stdvec(run.engine.decider()).unwrap();
    let restored: Decider = postcard::from_bytes(&state).unwrap();
    let gap = Gap {
        from: restored.now(),
        to: Timestamp::from_secs(START + 80),
    };
    let mut engine = engine(1, restored);
    let mut effects = Vec::new();
    engine.apply(gap.to, Input::Gap(gap), &mut effects);
    let before = ask(&engine.snapshot(), &question("v2"));
    assert_eq!(
        (before.verdict, before.code),
        (Verdict::Unknown, Code::Recovering)
    );
    let snapshot = engine.tick(gap.to, &mut effects);
    let after = ask(&snapshot, &question("v2"));
    assert_eq!(after.verdict, Verdict::Halt, "{after:#?}");
    assert_eq!(snapshot.status.gaps, vec![gap]);
    assert!(
        effects.is_empty(),
        "nothing is announced twice: {effects:?}"
    );
    let owed: Vec<u128> = engine
        .decider()
        .pending_effects()
        .map(|effect| effect.id)
        .collect();
    assert_eq!(
        owed,
        run.effects
            .iter()
            .map(|effect| effect.id)
            .collect::<Vec<_>>()
    );
    let done = EffectDone {
        id: owed[0],
        delivered: true,
        attempts: 1,
        detail: "status 204".to_owned(),
        refusal: None,
    };
    engine.apply(gap.to, Input::EffectDone(done), &mut effects);
    assert_eq!(engine.decider().pending_effects().count(), owed.len() - 1);
}

/// Scenario: a person clears the latch, twice with the same event id.
/// Guarantees: it is cleared once, with its reason in the chain, and people are told.
#[test]
fn a_latch_is_cleared_once_with_its_reason() {
    let mut run = bad_canary(1, 1_000);
    let cleared = LatchCleared {
        id: "test/1".to_owned(),
        service: "checkout".to_owned(),
        namespace: String::new(),
        environment: String::new(),
        candidate: "v2".to_owned(),
        reason: "fault was in the load generator".to_owned(),
        author: "ann".to_owned(),
    };
    let now = Timestamp::from_secs(START + 51);
    let mut effects = Vec::new();
    run.engine
        .apply(now, Input::Override(cleared.clone()), &mut effects);
    run.engine
        .apply(now, Input::Override(cleared), &mut effects);
    assert_eq!(effects.len(), 1, "{effects:?}");
    let snapshot = run.engine.tick(now, &mut effects);
    let decision = snapshot
        .decisions
        .iter()
        .find(|decision| !decision.cleared_reason.is_empty())
        .unwrap();
    assert!(decision.cleared_reason.contains("load generator"));
    assert_ne!(ask(&snapshot, &question("v2")).verdict, Verdict::Halt);
}

/// Scenario: definitions with errors arrive after good ones; a rollout event is sent twice.
/// Guarantees: the good ones stay in force and the problem is visible; the event is listed once.
#[test]
fn bad_definitions_keep_the_old_state_and_repeated_events_count_once() {
    let mut run = bad_canary(1, 1_000);
    let now = Timestamp::from_secs(START + 51);
    let mut effects = Vec::new();
    let problem = engine::input::Problem {
        place: "a.yaml:1:1".to_owned(),
        field: "kind".to_owned(),
        message: "expected a kind".to_owned(),
        hint: String::new(),
        is_error: true,
    };
    let refused = DefinitionsLoaded {
        definitions: None,
        problems: vec![problem.clone()],
    };
    run.engine
        .apply(now, Input::Definitions(refused), &mut effects);
    let event = RolloutEvent {
        id: "ci/9".to_owned(),
        service: "checkout".to_owned(),
        namespace: String::new(),
        environment: String::new(),
        candidate: "v2".to_owned(),
        time: now,
        change: RolloutChange::Weight {
            basis_points: 2_500,
        },
    };
    run.engine
        .apply(now, Input::Rollout(event.clone()), &mut effects);
    run.engine.apply(now, Input::Rollout(event), &mut effects);
    let snapshot = run.engine.tick(now, &mut effects);
    assert_eq!(snapshot.status.definitions_generation, 1);
    assert_eq!(snapshot.status.problems, vec![problem]);
    assert_eq!(
        snapshot
            .events
            .iter()
            .filter(|event| event.kind == "rollout.weight")
            .count(),
        1
    );
    assert!(
        snapshot
            .events
            .iter()
            .any(|event| event.text.contains("weight 25.00 %"))
    );
}
