//! Who is halted, and who is not.

use crate::cluster::{Api, BAD, GOOD, World, definitions, workload};
use engine::gate::answer::{Code, Verdict};
use engine::hand::{ActionKind, HandState, Level, ObjectKey, Phase, WorkloadKind};
use engine::input::Input;
use engine::input::LatchCleared;

const CHECKOUT: &[&str] = &["checkout"];

/// A Halt of checkout's candidate is latched while its rollout is under way; nothing was done before.
pub(crate) fn failing(kind: WorkloadKind, level: Level, undo: bool) -> (World, ObjectKey) {
    let mut world = World::new();
    world.apply(definitions(CHECKOUT, level, undo));
    let seen = workload(kind, "checkout");
    let key = seen.object.clone();
    world.objects.insert(key.clone(), seen);
    world.watch();
    for _ in 0..20 {
        world.serve(CHECKOUT, false, 0);
    }
    assert!(world.taken.is_empty());
    (world, key)
}

/// Serves until the candidate is halted.
pub(crate) fn fail(world: &mut World) {
    for _ in 0..40 {
        world.serve(CHECKOUT, true, 2);
        if world.events("gate.halt").len() == 1 {
            return;
        }
    }
    panic!("never halted: {:?}", world.snapshot.rollouts);
}

/// Scenario: a bad canary of an Argo Rollout, level act.
/// Guarantees: aborted in the tick in which it is halted; once; said in the row, a webhook and a Kubernetes Event.
#[test]
fn a_bad_canary_is_aborted_at_once() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    fail(&mut world);
    assert_eq!(world.taken.len(), 1, "{:?}", world.row(&key));
    let action = &world.taken[0];
    assert_eq!(action.kind, ActionKind::Abort { unpause: false });
    assert_eq!((action.hash.as_str(), action.generation), (BAD, 7));
    assert!(
        action.reason.starts_with("REGRESSION_ERRORS: "),
        "{}",
        action.reason
    );
    world.tick();
    assert_eq!(world.row(&key).hand, HandState::Done);
    world.observe(&key);
    world.ticks(40);
    let row = world.row(&key);
    assert_eq!(row.hand, HandState::Halted);
    assert_eq!(row.verdict, Verdict::Halt);
    assert_ne!(row.decision_id, 0);
    assert_eq!(world.taken.len(), 1);
    assert_eq!(world.events("rollout.acted").len(), 1);
    assert!(
        world.told.iter().any(|told| told.starts_with(
            "TidegateHalted: Rollout default/checkout 7f9c: halt (REGRESSION_ERRORS)"
        )),
        "{:?}",
        world.told
    );
}

/// Scenario: the same as a Deployment, without and with leave to go back.
/// Guarantees: paused; undone to the template it was compared with.
#[test]
fn a_bad_deployment_is_paused_and_undone_where_that_is_allowed() {
    let (mut world, _) = failing(WorkloadKind::Deployment, Level::Act, false);
    fail(&mut world);
    assert_eq!(world.taken[0].kind, ActionKind::Pause);
    let (mut world, key) = failing(WorkloadKind::Deployment, Level::Act, true);
    fail(&mut world);
    let back = ActionKind::Undo {
        replica_set: format!("checkout-{GOOD}"),
        hash: GOOD.to_owned(),
    };
    assert_eq!(world.taken[0].kind, back);
    world.observe(&key);
    world.ticks(8);
    let row = world.row(&key);
    assert_eq!(
        (row.candidate.as_str(), row.hand),
        (GOOD, HandState::Watching)
    );
    assert_eq!(
        row.words,
        format!("undone by Tidegate: {BAD} back to {GOOD}")
    );
    assert_eq!(world.taken.len(), 1);
}

/// Scenario: levels below act; a server that allows less; an object that wants less; an object that wants more.
/// Guarantees: nothing is done; from advise up the cluster is told what would be done.
#[test]
fn below_act_nothing_is_done() {
    for level in [Level::Observe, Level::Advise, Level::Gate] {
        let (mut world, key) = failing(WorkloadKind::ArgoRollout, level, false);
        world.change(&key, |seen| seen.level = Some(Level::Act));
        fail(&mut world);
        world.ticks(8);
        assert!(world.taken.is_empty());
        assert_eq!(world.row(&key).hand, HandState::Advising);
        assert_eq!(world.row(&key).level, level);
        assert_eq!(
            world.told.is_empty(),
            level == Level::Observe,
            "{:?}",
            world.told
        );
    }
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.change(&key, |seen| seen.level = Some(Level::Advise));
    fail(&mut world);
    assert!(world.taken.is_empty());
    let (mut world, _) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.max_level = Level::Gate;
    world.dry_run();
    fail(&mut world);
    assert!(world.taken.is_empty());
}

/// Scenario: the dry run was refused; later it passes.
/// Guarantees: one page and nothing done; then the action, without another page.
#[test]
fn unarmed_it_pages_once_and_waits() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.is_armed = false;
    world.dry_run();
    fail(&mut world);
    world.ticks(40);
    assert!(world.taken.is_empty());
    assert_eq!(world.row(&key).hand, HandState::Blocked);
    assert_eq!(world.events("hand.not_armed").len(), 1);
    assert_eq!(world.snapshot.standings.holding().count(), 2);
    world.is_armed = true;
    world.dry_run();
    world.ticks(2);
    assert_eq!(world.taken.len(), 1);
    assert_eq!(world.events("hand.not_armed").len(), 1);
    assert_eq!(world.snapshot.standings.holding().count(), 1);
}

/// Scenario: the patch permission is taken away after the dry run, and given back.
/// Guarantees: one attempt, one page, not armed; then one more attempt that works.
#[test]
fn a_refused_patch_disarms_without_a_storm() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.api = Api::Forbids;
    fail(&mut world);
    world.ticks(40);
    assert_eq!(world.row(&key).hand, HandState::Blocked);
    assert!(!world.snapshot.hand.is_armed);
    assert_eq!(world.events("hand.not_armed").len(), 1);
    assert!(world.taken.is_empty());
    (world.api, world.is_armed) = (Api::Takes, true);
    world.dry_run();
    world.ticks(2);
    assert_eq!(world.taken.len(), 1);
}

/// Scenario: a person retries the aborted rollout; then clears the halt, and it is halted anew.
/// Guarantees: the person is respected; a new decision acts again.
#[test]
fn a_person_is_respected_until_the_next_decision() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    fail(&mut world);
    world.observe(&key);
    world.ticks(4);
    world.change(&key, |seen| seen.phase = Phase::Progressing);
    for _ in 0..20 {
        world.serve(CHECKOUT, true, 2);
    }
    assert_eq!(world.row(&key).hand, HandState::Resumed);
    assert_eq!(world.taken.len(), 1);
    world.apply(Input::Override(LatchCleared {
        id: "cleared".to_owned(),
        service: "checkout".to_owned(),
        namespace: String::new(),
        environment: String::new(),
        candidate: BAD.to_owned(),
        reason: "mended".to_owned(),
        author: String::new(),
    }));
    for _ in 0..40 {
        world.serve(CHECKOUT, true, 2);
    }
    assert_eq!(world.taken.len(), 2);
    assert_ne!(world.taken[0].decision, world.taken[1].decision);
}

/// Scenario: the object changes each time it is patched.
/// Guarantees: three plans, each from a newer observation, then a page.
#[test]
fn an_object_that_keeps_changing_is_planned_anew_three_times() {
    let (mut world, key) = failing(WorkloadKind::Deployment, Level::Act, false);
    world.api = Api::Conflicts;
    fail(&mut world);
    for _ in 0..10 {
        world.ticks(2);
        world.change(&key, |seen| seen.generation += 1);
    }
    world.ticks(2);
    assert_eq!(world.row(&key).hand, HandState::Failed);
    assert_eq!(world.events("hand.failed").len(), 1);
    assert!(world.taken.is_empty());
}

/// Scenario: no span says which template it comes from.
/// Guarantees: REVISION_UNKNOWN, Wait; nothing is done whatever fails.
#[test]
fn an_unbound_rollout_is_left_alone() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.change(&key, |seen| {
        seen.current = "0000".to_owned();
        seen.templates[0].hash = "0000".to_owned();
        seen.templates[0].names = vec!["0000".to_owned()];
    });
    fail(&mut world);
    world.ticks(8);
    let row = world.row(&key);
    assert_eq!(
        (row.verdict, row.code),
        (Verdict::Wait, Code::RevisionUnknown)
    );
    assert!(row.reason.contains("0000"), "{}", row.reason);
    assert!(world.taken.is_empty());
}

/// Scenario: a sender marks only the candidates' spans as errors, on 50 rollouts in flight.
/// Guarantees: exactly 3 actions, then disarmed, one page; armed again, 3 more.
#[test]
fn fifty_halts_at_once_are_three_actions_and_a_page() {
    let names: Vec<String> = (0..50).map(|number| format!("shop-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new();
    world.apply(definitions(&names, Level::Act, false));
    for name in &names {
        let seen = workload(WorkloadKind::ArgoRollout, name);
        world.objects.insert(seen.object.clone(), seen);
    }
    world.watch();
    for second in 0..50 {
        world.serve(&names, second >= 15, 2);
    }
    assert_eq!(world.events("gate.halt").len(), 50);
    assert_eq!(world.taken.len(), 3);
    assert_eq!(world.events("hand.disarmed").len(), 1);
    assert!(world.snapshot.hand.disarmed.is_some());
    world.steer(true);
    world.ticks(8);
    assert_eq!(world.taken.len(), 6);
    assert_eq!(world.events("hand.disarmed").len(), 2);
}

/// Scenario: a person disarms, the candidate fails, the process is killed, a person arms.
/// Guarantees: nothing until then, the kill forgets nothing.
#[test]
fn disarmed_stays_disarmed_over_a_restart() {
    let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, false);
    world.steer(false);
    world.ticks(2);
    fail(&mut world);
    world.kill();
    world.ticks(8);
    assert!(world.taken.is_empty());
    assert_eq!(world.row(&key).hand, HandState::Blocked);
    world.steer(true);
    world.ticks(2);
    assert_eq!(world.taken.len(), 1);
}

/// Scenario: the rollout is complete when its revision is halted.
/// Guarantees: nothing that would not help is done, and that is said; with leave to go back it is undone.
#[test]
fn what_is_promoted_can_only_be_undone() {
    for undo in [false, true] {
        let (mut world, key) = failing(WorkloadKind::ArgoRollout, Level::Act, undo);
        world.serve(CHECKOUT, true, 0);
        world.change(&key, |seen| {
            seen.phase = Phase::Stable;
            seen.stable = BAD.to_owned();
        });
        let kind = if undo { 1 } else { 0 };
        fail(&mut world);
        world.ticks(4);
        assert_eq!(world.taken.len(), kind);
        if !undo {
            assert_eq!(world.row(&key).hand, HandState::Powerless);
        }
    }
}

/// Scenario: a bad release had replaced the old template when it was halted; it is undone, and the old template comes back
/// beside it.
/// Guarantees: the way back is no rollout: the old template is not put on trial against the one that it ends.
#[test]
fn the_way_back_is_not_judged() {
    let (mut world, key) = failing(WorkloadKind::Deployment, Level::Act, true);
    fail(&mut world);
    assert_eq!(world.taken.len(), 1);
    world.change(&key, |seen| {
        seen.current = GOOD.to_owned();
        seen.stable = BAD.to_owned();
        seen.phase = Phase::Progressing;
        seen.generation += 1;
        seen.templates.reverse();
    });
    for _ in 0..20 {
        world.serve(CHECKOUT, true, 2);
    }
    let started = world.snapshot.events.iter();
    let started: Vec<&str> = started
        .filter(|event| event.kind == "rollout.started")
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(started.len(), 1, "{started:?}");
    assert!(started[0].contains(BAD), "{started:?}");
    assert_eq!(world.taken.len(), 1);
    assert_ne!(world.row(&key).verdict, Verdict::Halt);
}
