//! A small cluster: workloads as objects, an API server that takes actions, fails or hangs, and a Tidegate on top that may
//! die at any moment.

use engine::decider::Decider;
use engine::folder::FolderLimits;
use engine::hand::{
    Action, ActionKind, ClusterReport, Level, ObjectKey, Phase, Readiness, Refusal, RolloutRow,
    ServiceSeen, Steering, TemplateSeen, WorkloadKind, WorkloadSeen,
};
use engine::hash::HashSeed;
use engine::identity::ServiceKey;
use engine::input::{DefinitionsLoaded, Effect, EffectDone, EffectKind, Gap, Input, Notification};
use engine::items::Resource;
use engine::machine::{Engine, EngineConfig};
use engine::slo::{Definitions, Maturity, ServicePolicy};
use engine::snapshot::Snapshot;
use engine::span::{kind, status};
use engine::span_rows::{SpanRow, batch, resource};
use engine::time::{NANOS_PER_MILLI, NANOS_PER_SEC, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SEED: HashSeed = HashSeed(11, 13);
pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const GOOD: &str = "5d5f";
pub(crate) const BAD: &str = "7f9c";

fn config() -> EngineConfig {
    EngineConfig {
        seed: SEED,
        folders: 1,
        limits: FolderLimits {
            keys_per_shard: 4_096,
            units_per_shard: 4_096,
            ..FolderLimits::default()
        },
        store_bytes: 1 << 20,
    }
}

/// Files in which every service of `names` has this level.
pub(crate) fn definitions(names: &[&str], level: Level, undo: bool) -> Input {
    let policy = |name: &&str| {
        let service = ServiceKey {
            name: (*name).to_owned(),
            ..ServiceKey::default()
        };
        let policy = ServicePolicy {
            service: service.clone(),
            maturity: Maturity::Growth,
            team: String::new(),
            level,
            undo,
            implicit: false,
        };
        (service.id(), policy)
    };
    let definitions = Definitions {
        endpoints: vec!["ops".to_owned()],
        services: names.iter().map(policy).collect(),
        ..Definitions::default()
    };
    Input::Definitions(DefinitionsLoaded {
        definitions: Some(Arc::new(definitions)),
        problems: Vec::new(),
    })
}

fn template(service: &str, hash: &str, number: u64) -> TemplateSeen {
    let replica_set = format!("{service}-{hash}");
    TemplateSeen {
        hash: hash.to_owned(),
        names: vec![hash.to_owned(), replica_set.clone()],
        replica_set,
        number,
    }
}

/// A rollout of [`BAD`] over [`GOOD`] in its second step.
pub(crate) fn workload(kind: WorkloadKind, service: &str) -> WorkloadSeen {
    let is_argo = kind == WorkloadKind::ArgoRollout;
    WorkloadSeen {
        object: ObjectKey {
            kind,
            namespace: "default".to_owned(),
            name: service.to_owned(),
        },
        uid: format!("uid-{service}"),
        generation: 7,
        service: ServiceSeen {
            names: vec![service.to_owned()],
            namespace: "default".to_owned(),
            is_namespace_told: false,
            environment: String::new(),
        },
        level: None,
        undo: None,
        phase: Phase::Progressing,
        is_held: false,
        current: BAD.to_owned(),
        stable: GOOD.to_owned(),
        step: is_argo.then_some(1),
        steps: if is_argo { 4 } else { 0 },
        weight: is_argo.then_some(1_000),
        templates: vec![template(service, BAD, 2), template(service, GOOD, 1)],
    }
}

/// What the API server does with the next actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// Takes them.
    Takes,
    /// Takes them, and Tidegate dies before it hears of it.
    TakesAndDies,
    /// Answers that the object has changed.
    Conflicts,
    /// Answers 403.
    Forbids,
    /// Answers 500 until the executor gives up.
    Fails,
}

pub(crate) struct World {
    engine: Engine,
    now: Timestamp,
    pub(crate) api: Api,
    pub(crate) is_armed: bool,
    pub(crate) max_level: Level,
    pub(crate) objects: BTreeMap<ObjectKey, WorkloadSeen>,
    /// What the API server took, in order.
    pub(crate) taken: Vec<Action>,
    /// Ids that an executor reported, as its log on disk has them.
    executed: BTreeMap<u128, EffectDone>,
    /// Ids that were handed to an executor since the last start.
    offered: BTreeSet<u128>,
    pub(crate) notifications: Vec<Arc<Notification>>,
    pub(crate) told: Vec<String>,
    pub(crate) snapshot: Snapshot,
    resources: BTreeMap<(String, String), Arc<Resource>>,
    /// What a kill -9 goes back to.
    checkpoint: Vec<u8>,
    fence: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::from(Decider::default(), Timestamp::from_secs(START))
    }

    fn from(decider: Decider, now: Timestamp) -> Self {
        let checkpoint = postcard::to_stdvec(&decider).unwrap();
        Self {
            engine: Engine::new(&config(), decider),
            now,
            api: Api::Takes,
            is_armed: true,
            max_level: Level::Act,
            objects: BTreeMap::new(),
            taken: Vec::new(),
            executed: BTreeMap::new(),
            offered: BTreeSet::new(),
            notifications: Vec::new(),
            told: Vec::new(),
            snapshot: Snapshot::default(),
            resources: BTreeMap::new(),
            checkpoint,
            fence: 0,
        }
    }

    /// A world that goes on from a state.
    pub(crate) fn resume(state: &[u8], now: Timestamp) -> Self {
        Self::from(postcard::from_bytes(state).unwrap(), now)
    }

    pub(crate) fn state(&self) -> (Vec<u8>, Timestamp) {
        (
            postcard::to_stdvec(self.engine.decider()).unwrap(),
            self.now,
        )
    }

    pub(crate) fn apply(&mut self, input: Input) {
        self.engine.apply(self.now, input, &mut Vec::new());
    }

    fn resource(&mut self, service: &str, hash: &str) -> Arc<Resource> {
        let key = (service.to_owned(), hash.to_owned());
        let make = || {
            resource(&[
                ("service.name", service),
                ("k8s.pod.label.pod-template-hash", hash),
            ])
        };
        Arc::clone(self.resources.entry(key).or_insert_with(make))
    }

    /// One second of `rate` requests of each arm of `services`; every `fails_every`th of the candidate fails (0: none).
    pub(crate) fn serve(&mut self, services: &[&str], with_candidate: bool, fails_every: u64) {
        let second = self.now.secs();
        let mut rows = Vec::new();
        for service in services {
            let good = self.resource(service, GOOD);
            rows.extend(second_of(&good, second, 60, 60));
            if with_candidate {
                let bad = self.resource(service, BAD);
                rows.extend(second_of(&bad, second, 20, fails_every));
            }
        }
        self.now = Timestamp::from_secs(second + 1);
        if !rows.is_empty() {
            self.engine
                .fold(Arc::new(batch(SEED, self.now, &rows).into()));
        }
        self.tick();
    }

    /// The watch begins (again): everything there is, then that this was all, and what a dry run says.
    pub(crate) fn watch(&mut self) {
        let all: Vec<WorkloadSeen> = self.objects.values().cloned().collect();
        for seen in all {
            self.apply(Input::Cluster(ClusterReport::Seen(Box::new(seen))));
        }
        for kind in [WorkloadKind::Deployment, WorkloadKind::ArgoRollout] {
            let objects = self.objects.keys().filter(|key| key.kind == kind);
            let objects = objects.cloned().collect();
            self.apply(Input::Cluster(ClusterReport::Listed { kind, objects }));
        }
        self.dry_run();
    }

    pub(crate) fn dry_run(&mut self) {
        let readiness = Readiness {
            max_level: self.max_level,
            is_armed: self.is_armed,
            why: if self.is_armed {
                String::new()
            } else {
                "patch of rollouts/status is not permitted".to_owned()
            },
        };
        self.apply(Input::Cluster(ClusterReport::Readiness(readiness)));
    }

    /// An object changes, and the watch says so.
    pub(crate) fn change(&mut self, key: &ObjectKey, change: impl FnOnce(&mut WorkloadSeen)) {
        if let Some(object) = self.objects.get_mut(key) {
            change(object);
        }
        self.observe(key);
    }

    pub(crate) fn observe(&mut self, key: &ObjectKey) {
        if let Some(object) = self.objects.get(key) {
            let seen = Box::new(object.clone());
            self.apply(Input::Cluster(ClusterReport::Seen(seen)));
        }
    }

    pub(crate) fn steer(&mut self, arm: bool) {
        let id = format!("{}-{arm}", self.now.0);
        self.now = self.now.plus(1);
        self.apply(Input::Steer(Steering {
            id,
            arm,
            reason: "because".to_owned(),
            author: "me".to_owned(),
        }));
    }

    /// A quarter of a second passes; executors do what there is to do.
    pub(crate) fn tick(&mut self) {
        self.now = self.now.plus(250 * NANOS_PER_MILLI);
        self.snapshot = self.engine.tick(self.now, &mut Vec::new());
        let fence = self.engine.decider().hand_fence();
        if fence != self.fence {
            // As the shell does: on disk before anybody acts on it.
            self.fence = fence;
            self.checkpoint = postcard::to_stdvec(self.engine.decider()).unwrap();
        }
        self.execute();
    }

    pub(crate) fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
        }
    }

    fn execute(&mut self) {
        let pending: Vec<Effect> = self
            .engine
            .decider()
            .pending_effects()
            .filter(|effect| !self.offered.contains(&effect.id))
            .cloned()
            .collect();
        for effect in pending {
            self.offered.insert(effect.id);
            let done = match &effect.kind {
                EffectKind::Notify { notification, .. } => {
                    self.notifications.push(Arc::clone(notification));
                    done(effect.id, None)
                }
                EffectKind::Tell(event) => {
                    self.told.push(format!("{}: {}", event.reason, event.text));
                    done(effect.id, None)
                }
                EffectKind::Act(action) => match self.act(effect.id, action) {
                    Some(done) => done,
                    None => return self.kill(),
                },
            };
            self.apply(Input::EffectDone(done));
        }
    }

    /// What an executor does: its log first. `None`: it died.
    fn act(&mut self, id: u128, action: &Action) -> Option<EffectDone> {
        if let Some(known) = self.executed.get(&id) {
            return Some(known.clone());
        }
        let refusal = match self.api {
            Api::Takes | Api::TakesAndDies => self.take(action),
            Api::Conflicts => Some(Refusal::Moved),
            Api::Forbids => {
                self.is_armed = false;
                Some(Refusal::Forbidden)
            }
            Api::Fails => Some(Refusal::Failed),
        };
        if self.api == Api::TakesAndDies {
            self.api = Api::Takes;
            return None;
        }
        let done = done(id, refusal);
        self.executed.insert(id, done.clone());
        Some(done)
    }

    fn take(&mut self, action: &Action) -> Option<Refusal> {
        let Some(object) = self.objects.get_mut(&action.object) else {
            return Some(Refusal::Gone);
        };
        let is_spec = !matches!(action.kind, ActionKind::Abort { .. });
        let is_done = match &action.kind {
            ActionKind::Abort { .. } => object.phase == Phase::Aborted,
            ActionKind::Pause => object.is_held,
            ActionKind::Undo { hash, .. } => object.current == *hash,
        };
        if object.uid == action.uid && is_done {
            return None;
        }
        if object.uid != action.uid
            || object.current != action.hash
            || is_spec && object.generation != action.generation
        {
            return Some(Refusal::Moved);
        }
        match &action.kind {
            ActionKind::Abort { .. } => object.phase = Phase::Aborted,
            ActionKind::Pause => {
                object.is_held = true;
                object.phase = Phase::Paused;
                object.generation += 1;
            }
            ActionKind::Undo { hash, .. } => {
                object.is_held = false;
                object.current.clone_from(hash);
                object.stable.clone_from(hash);
                object.phase = Phase::Stable;
                object.generation += 1;
            }
        }
        self.taken.push(action.clone());
        None
    }

    /// kill -9 and a new process: the last checkpoint, the executor's log on disk, a new watch.
    pub(crate) fn kill(&mut self) {
        let restored: Decider = postcard::from_bytes(&self.checkpoint).unwrap();
        let gap = Gap {
            from: restored.now(),
            to: self.now,
        };
        self.engine = Engine::new(&config(), restored);
        self.fence = self.engine.decider().hand_fence();
        self.offered.clear();
        self.apply(Input::Gap(gap));
        self.watch();
    }

    pub(crate) fn row(&self, key: &ObjectKey) -> Arc<RolloutRow> {
        let row = self.snapshot.rollouts.iter().find(|row| row.object == *key);
        Arc::clone(row.expect("a row"))
    }

    pub(crate) fn events(&self, name: &str) -> Vec<&Notification> {
        let all = self.notifications.iter().map(AsRef::as_ref);
        all.filter(|one| one.event == name).collect()
    }
}

fn done(id: u128, refusal: Option<Refusal>) -> EffectDone {
    EffectDone {
        id,
        delivered: refusal.is_none(),
        attempts: 1,
        detail: refusal.map_or_else(|| "200".to_owned(), |one| format!("{one:?}")),
        refusal,
    }
}

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
