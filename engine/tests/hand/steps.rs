//! The question of an Argo analysis.

use crate::cluster::{BAD, World};
use crate::rules::{fail, failing};
use engine::gate::answer::Verdict;
use engine::hand::{ArgoQuestion, Level, Phase, WorkloadKind, ask_argo};

fn ask(world: &World, hash: &str, step: u32) -> (Verdict, &'static str) {
    let question = ArgoQuestion {
        namespace: "default".to_owned(),
        rollout: "checkout".to_owned(),
        hash: hash.to_owned(),
        step: Some(step),
    };
    let answer = ask_argo(&world.snapshot, &question).expect("not recovering");
    (answer.verdict, answer.code)
}

/// Scenario: a good canary goes from step to step.
/// Guarantees: Proceed in the step in which evidence was gathered; Wait for a step or template the watch has not seen, and
/// in the next step until it has evidence of its own.
#[test]
fn a_step_is_left_only_on_its_own_evidence() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Gate, false);
    assert_eq!(ask(&world, BAD, 1), (Verdict::Wait, "REVISION_UNKNOWN"));
    let mut seconds = 0;
    while ask(&world, BAD, 1).0 != Verdict::Proceed {
        world.serve(&["checkout"], true, 0);
        seconds += 1;
        assert!(seconds < 600, "{:?}", world.row(&key));
    }
    assert_eq!(ask(&world, BAD, 3), (Verdict::Wait, "STEP_UNSEEN"));
    assert_eq!(ask(&world, "other", 1), (Verdict::Wait, "STEP_UNSEEN"));
    world.change(&key, |seen| {
        seen.step = Some(3);
        seen.weight = Some(4_000);
    });
    world.tick();
    assert_eq!(ask(&world, BAD, 1), (Verdict::Wait, "STEP_UNSEEN"));
    assert_eq!(ask(&world, BAD, 3).0, Verdict::Wait);
    let mut seconds = 0;
    while ask(&world, BAD, 3).0 != Verdict::Proceed {
        world.serve(&["checkout"], true, 0);
        seconds += 1;
        assert!(seconds < 600, "{:?}", world.row(&key));
    }
    assert!(
        seconds > 2,
        "evidence of the step before was taken: {seconds} s"
    );
}

/// Scenario: a step of the same weight (a pause, then the analysis).
/// Guarantees: at least one second of the new step has been looked at before it may be left.
#[test]
fn a_step_of_the_same_weight_is_looked_at_too() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Gate, false);
    while ask(&world, BAD, 1).0 != Verdict::Proceed {
        world.serve(&["checkout"], true, 0);
    }
    world.change(&key, |seen| {
        seen.step = Some(2);
        seen.phase = Phase::Paused;
    });
    world.tick();
    assert_eq!(ask(&world, BAD, 2), (Verdict::Wait, "STEP_UNTESTED"));
}

/// Scenario: a bad canary; somebody disarms; the process restarts and its watch has not seen anything yet.
/// Guarantees: Halt; Wait(DISARMED); Wait(STEP_UNSEEN).
#[test]
fn disarmed_or_blind_the_gate_waits() {
    let (mut world, _) = failing(WorkloadKind::ArgoRollout, Level::Gate, false);
    fail(&mut world);
    world.tick();
    assert_eq!(ask(&world, BAD, 1), (Verdict::Halt, "REGRESSION_ERRORS"));
    world.steer(false);
    world.tick();
    assert_eq!(ask(&world, BAD, 1), (Verdict::Wait, "DISARMED"));
    let (state, now) = world.state();
    let mut world = World::resume(&state, now);
    let question = ArgoQuestion::default();
    assert_eq!(
        ask_argo(
            &engine::snapshot::Snapshot {
                is_recovering: true,
                ..world.snapshot.clone()
            },
            &question
        ),
        None
    );
    world.dry_run();
    world.tick();
    assert_eq!(ask(&world, BAD, 1), (Verdict::Wait, "STEP_UNSEEN"));
}
