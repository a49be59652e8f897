//! Deaths at any moment, outcomes of any kind, people at any time.

use crate::cluster::{Api, World};
use crate::rules::{fail, failing};
use engine::hand::{ActionKind, HandState, Level, ObjectKey, Phase, WorkloadKind};
use engine::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The moment before a Halt is latched: every story begins here, so that the Halt falls into it.
fn beginning(kind: WorkloadKind) -> &'static (Vec<u8>, Timestamp) {
    static STATES: [OnceLock<(Vec<u8>, Timestamp)>; 2] = [const { OnceLock::new() }; 2];
    STATES[kind as usize].get_or_init(|| {
        let (mut world, _) = failing(kind, Level::Act, false);
        world.max_level = Level::Observe;
        world.dry_run();
        fail(&mut world);
        world.ticks(2);
        assert!(world.taken.is_empty());
        world.state()
    })
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Tick,
    Kill,
    Observe,
    Api(Api),
    /// Something else of the object changes.
    Noise,
    DryRun(bool),
    Steer(bool),
    /// A person lets the rollout go on.
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Tick),
        3 => Just(Step::Kill),
        3 => Just(Step::Observe),
        1 => Just(Step::Api(Api::Takes)),
        2 => Just(Step::Api(Api::TakesAndDies)),
        1 => Just(Step::Api(Api::Conflicts)),
        1 => Just(Step::Api(Api::Forbids)),
        1 => Just(Step::Api(Api::Fails)),
        1 => Just(Step::Noise),
        1 => any::<bool>().prop_map(Step::DryRun),
        1 => any::<bool>().prop_map(Step::Steer),
        1 => Just(Step::Resume),
    ]
}

fn is_halted(world: &World, key: &ObjectKey) -> bool {
    let object = &world.objects[key];
    object.is_held || object.phase == Phase::Aborted
}

fn play(world: &mut World, key: &ObjectKey, step: Step, resumed: &mut Option<usize>) {
    match step {
        Step::Tick => world.tick(),
        Step::Kill => world.kill(),
        Step::Observe => world.observe(key),
        Step::Api(api) => world.api = api,
        Step::Noise => world.change(key, |seen| seen.generation += 1),
        Step::DryRun(is_armed) => {
            world.is_armed = is_armed;
            world.dry_run();
        }
        Step::Steer(arm) => world.steer(arm),
        Step::Resume => {
            // Only what the hand has seen halted can be let go on.
            if is_halted(world, key) && world.row(key).hand == HandState::Halted {
                world.change(key, |seen| {
                    (seen.is_held, seen.phase) = (false, Phase::Progressing);
                    seen.generation += 1;
                });
                world.tick();
                *resumed = Some(world.taken.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Scenario: a halted rollout; any order of ticks, kill -9, observations, answers of the API server, changes of the
    /// object, dry runs, and people who disarm, arm or resume.
    /// Guarantees: the effect happens at most once per decision; never again after a person let it go on; and when all is
    /// well in the end and nobody stood in the way, it has happened.
    #[test]
    fn the_effect_happens_once(
        is_argo in any::<bool>(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let kind = if is_argo { WorkloadKind::ArgoRollout } else { WorkloadKind::Deployment };
        let (state, now) = beginning(kind);
        let mut world = World::resume(state, *now);
        let seen = crate::cluster::workload(kind, "checkout");
        let key = seen.object.clone();
        world.objects.insert(key.clone(), seen);
        world.watch();
        world.tick();
        let mut resumed = None;
        let mut failures = 0;
        for step in steps {
            failures += usize::from(matches!(step, Step::Api(Api::Conflicts | Api::Fails)));
            play(&mut world, &key, step, &mut resumed);
            let mut per_decision = BTreeMap::new();
            for action in &world.taken {
                *per_decision.entry(action.decision).or_insert(0) += 1;
                let is_undo = matches!(action.kind, ActionKind::Undo { .. });
                prop_assert!(!is_undo);
            }
            prop_assert!(per_decision.values().all(|count| *count == 1), "{per_decision:?}");
            if let Some(count) = resumed {
                prop_assert_eq!(world.taken.len(), count, "acted against a person");
            }
        }
        world.api = Api::Takes;
        world.is_armed = true;
        world.dry_run();
        world.steer(true);
        world.observe(&key);
        world.ticks(6);
        world.observe(&key);
        world.ticks(6);
        let is_respected = resumed.is_some() || failures > 0;
        prop_assert!(is_respected || is_halted(&world, &key), "{:?}", world.row(&key));
    }
}
