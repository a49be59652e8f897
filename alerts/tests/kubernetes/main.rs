//! The watch and the executor against a small API server: what is seen, what is done, and everything that goes wrong.

mod server;

use alerts::kubernetes::{Hand, Settings};
use engine::hand::{
    Action, ActionKind, ClusterEvent, ClusterReport, Level, ObjectKey, Phase, Readiness, Refusal,
    WorkloadKind, WorkloadSeen,
};
use engine::input::{Effect, EffectDone, EffectKind, Input};
use engine::time::Timestamp;
use serde_json::{Value, json};
use server::{Api, Fault};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const ROLLOUT: &str = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/checkout";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

struct Rig {
    folder: TempDir,
    api: Api,
    effects: mpsc::Sender<Effect>,
    inputs: mpsc::Receiver<Input>,
    running: JoinHandle<()>,
}

fn clock() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn replica_set(owner: &str, uid: &str, hash: &str, number: u64) -> (String, Value) {
    let (label, annotation) = match owner {
        "Deployment" => ("pod-template-hash", "deployment.kubernetes.io/revision"),
        _ => ("rollouts-pod-template-hash", "rollout.argoproj.io/revision"),
    };
    let name = format!("{uid}-{hash}");
    let object = json!({
        "metadata": {
            "name": name, "namespace": "shop", "labels": {label: hash}, "annotations": {annotation: number.to_string()},
            "ownerReferences": [{"apiVersion": "v1", "kind": owner, "name": uid, "uid": uid, "controller": true}],
        },
        "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "x", label: hash}}, "spec": {"containers": [{"name": "main", "image": format!("x:{hash}")}]}}},
        "status": {"replicas": 1},
    });
    (
        format!("/apis/apps/v1/namespaces/shop/replicasets/{name}"),
        object,
    )
}

/// A Rollout and a Deployment, both under way from `a` to `b`.
fn fill(api: &Api) {
    for (owner, uid) in [("Rollout", "u-r"), ("Deployment", "u-d")] {
        for (hash, number) in [("a", 1), ("b", 2)] {
            let (path, object) = replica_set(owner, uid, hash, number);
            api.put(&path, object);
        }
    }
    api.put(
        ROLLOUT,
        json!({
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "u-r", "generation": 3},
            "spec": {"strategy": {"canary": {"steps": [{"setWeight": 20}, {"analysis": {}}]}}},
            "status": {"observedGeneration": "3", "currentPodHash": "b", "stableRS": "a", "currentStepIndex": 1},
        }),
    );
    api.put(
        DEPLOYMENT,
        json!({
            "metadata": {"name": "cart", "namespace": "shop", "uid": "u-d", "generation": 5, "annotations": {"deployment.kubernetes.io/revision": "2"}},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x:b"}]}}},
            "status": {"observedGeneration": 5},
        }),
    );
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api = Api::start(folder.path()).await;
        fill(&api);
        let (effects, inputs, running) = begin(&api, &folder, true).await;
        Self {
            folder,
            api,
            effects,
            inputs,
            running,
        }
    }

    /// kill -9, and a new process with the same data directory.
    async fn restart(&mut self) {
        self.running.abort();
        let (effects, inputs, running) = begin(&self.api, &self.folder, true).await;
        (self.effects, self.inputs, self.running) = (effects, inputs, running);
    }

    /// The next input that `wanted` wants.
    async fn next<T>(&mut self, wanted: impl Fn(Input) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(self.inputs.recv().await.expect("it runs")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .expect("in time")
    }

    async fn seen(&mut self, wanted: impl Fn(&WorkloadSeen) -> bool) -> WorkloadSeen {
        self.next(|input| match input {
            Input::Cluster(ClusterReport::Seen(seen)) if wanted(&seen) => Some(*seen),
            _ => None,
        })
        .await
    }

    async fn readiness(&mut self) -> Readiness {
        self.next(|input| match input {
            Input::Cluster(ClusterReport::Readiness(readiness)) => Some(readiness),
            _ => None,
        })
        .await
    }

    async fn send(&self, id: u128, action: &Action) {
        let effect = Effect {
            id,
            generation: 1,
            kind: EffectKind::Act(Arc::new(action.clone())),
        };
        self.effects.send(effect).await.unwrap();
    }

    async fn done(&mut self, id: u128) -> EffectDone {
        self.next(|input| match input {
            Input::EffectDone(done) if done.id == id => Some(done),
            _ => None,
        })
        .await
    }

    async fn execute(&mut self, id: u128, action: &Action) -> EffectDone {
        self.send(id, action).await;
        self.done(id).await
    }

    fn taken(&self) -> usize {
        self.api.store().taken.len()
    }

    /// Waits until the API server was asked something that `is_it`.
    async fn asked(&self, is_it: impl Fn(&str) -> bool) {
        let asked = async {
            while !self.api.store().asked.iter().any(|one| is_it(one)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("in time");
    }
}

async fn begin(
    api: &Api,
    folder: &TempDir,
    is_logged: bool,
) -> (mpsc::Sender<Effect>, mpsc::Receiver<Input>, JoinHandle<()>) {
    let hand = Hand::new(Settings {
        kubeconfig: Some(api.kubeconfig.clone()),
        max_level: Level::Act,
        actions_log: is_logged.then(|| folder.path().join("actions.log")),
        ..Settings::default()
    });
    let hand = hand.await.unwrap();
    let (effects_in, effects) = mpsc::channel(64);
    let (inputs_in, inputs) = mpsc::channel(1_024);
    let stop = CancellationToken::new();
    let running = tokio::spawn(hand.run(effects, inputs_in, clock, stop));
    (effects_in, inputs, running)
}

fn abort() -> Action {
    Action {
        kind: ActionKind::Abort { unpause: false },
        object: ObjectKey {
            kind: WorkloadKind::ArgoRollout,
            namespace: "shop".to_owned(),
            name: "checkout".to_owned(),
        },
        uid: "u-r".to_owned(),
        hash: "b".to_owned(),
        generation: 3,
        decision: 1,
        reason: "REGRESSION_ERRORS: b failed".to_owned(),
    }
}

fn of_deployment(kind: ActionKind) -> Action {
    Action {
        kind,
        object: ObjectKey {
            kind: WorkloadKind::Deployment,
            namespace: "shop".to_owned(),
            name: "cart".to_owned(),
        },
        uid: "u-d".to_owned(),
        generation: 5,
        ..abort()
    }
}

/// Scenario: a cluster with both kinds; its watches are cut, and come back after a compaction (410 Gone).
/// Guarantees: what is there is seen with its templates; what changed meanwhile is seen after that; the list says what is all.
#[tokio::test]
async fn what_is_there_is_seen_over_cuts_and_410() {
    let mut rig = Rig::start().await;
    let seen = rig
        .seen(|seen| seen.object.kind == WorkloadKind::ArgoRollout)
        .await;
    assert_eq!(
        (seen.current.as_str(), seen.stable.as_str(), seen.step),
        ("b", "a", Some(1))
    );
    assert_eq!(seen.templates.len(), 2);
    assert_eq!(seen.phase, Phase::Progressing);
    for cut in 1..4 {
        rig.api.compact_and_cut();
        let mut object = rig.api.store().objects[ROLLOUT].clone();
        object["status"]["currentStepIndex"] = (cut + 1).into();
        rig.api.put(ROLLOUT, object);
        let seen = rig.seen(|seen| seen.step == Some(cut + 1)).await;
        assert_eq!(seen.object.name, "checkout");
    }
}

/// Scenario: Argo Rollouts is not installed.
/// Guarantees: the list of Rollouts is complete and empty, and Deployments are watched.
#[tokio::test]
async fn without_argo_there_are_no_rollouts() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::start(folder.path()).await;
    api.store().has_argo = false;
    let (effects, inputs, running) = begin(&api, &folder, true).await;
    let mut rig = Rig {
        folder,
        api,
        effects,
        inputs,
        running,
    };
    let listed = |kind: WorkloadKind| {
        move |input| match input {
            Input::Cluster(ClusterReport::Listed { kind: of, objects }) if of == kind => {
                Some(objects)
            }
            _ => None,
        }
    };
    let none = rig.next(listed(WorkloadKind::ArgoRollout)).await;
    assert!(none.is_empty());
}

/// Scenario: each action once, then the same effect again.
/// Guarantees: exactly the patch that was planned; the second time the log's outcome is told and nothing is sent.
#[tokio::test]
async fn an_action_is_done_once() {
    let undo = ActionKind::Undo {
        replica_set: "u-d-a".to_owned(),
        hash: "a".to_owned(),
    };
    for (action, changed) in [
        (abort(), ("/status/abort", json!(true))),
        (
            of_deployment(ActionKind::Pause),
            ("/spec/paused", json!(true)),
        ),
        (
            of_deployment(undo),
            ("/spec/template/spec/containers/0/image", json!("x:a")),
        ),
    ] {
        let mut rig = Rig::start().await;
        let done = rig.execute(1, &action).await;
        assert!(done.delivered, "{done:?}");
        let path = if action.object.kind == WorkloadKind::ArgoRollout {
            ROLLOUT
        } else {
            DEPLOYMENT
        };
        assert_eq!(
            rig.api.store().objects[path].pointer(changed.0),
            Some(&changed.1)
        );
        assert_eq!(rig.taken(), 1);
        rig.restart().await;
        let asked = rig.api.store().taken.len();
        assert_eq!(rig.execute(1, &action).await, done);
        assert_eq!(rig.taken(), asked);
        let log = std::fs::read_to_string(rig.folder.path().join("actions.log")).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
    }
}

/// Scenario: the API server answers 409, 410, 429, 500 and 503, says nothing, or breaks off after it has done what was asked.
/// Guarantees: it is done in the end, once.
#[tokio::test]
async fn trouble_is_waited_out_and_nothing_is_done_twice() {
    for fault in [
        Fault::Status(409, None),
        Fault::Status(410, None),
        Fault::Status(429, Some(1)),
        Fault::Status(500, None),
        Fault::Status(503, None),
        Fault::Hang,
        Fault::DoneAndCut,
    ] {
        let mut rig = Rig::start().await;
        rig.api.store().patch_faults.push_back(fault.clone());
        let done = rig.execute(1, &abort()).await;
        assert!(done.delivered, "{fault:?}: {done:?}");
        assert_eq!(rig.taken(), 1, "{fault:?}");
    }
}

/// Scenario: the object has another template, another spec, another uid, is no more; the permission is taken away.
/// Guarantees: nothing is changed, one attempt, and the reason that the plan needs.
#[tokio::test]
async fn what_does_not_fit_is_refused_at_once() {
    let mut rig = Rig::start().await;
    let other = |change: fn(&mut Action), mut action: Action| {
        change(&mut action);
        action
    };
    let pause = || of_deployment(ActionKind::Pause);
    let cases = [
        (
            other(|one| one.hash = "c".to_owned(), abort()),
            Refusal::Moved,
        ),
        (other(|one| one.generation = 4, pause()), Refusal::Moved),
        (
            other(|one| one.uid = "u-x".to_owned(), pause()),
            Refusal::Gone,
        ),
        (
            other(|one| one.object.name = "none".to_owned(), pause()),
            Refusal::Gone,
        ),
    ];
    for (id, (action, refusal)) in cases.into_iter().enumerate() {
        let done = rig.execute(id as u128, &action).await;
        assert_eq!(
            (done.refusal, done.attempts),
            (Some(refusal), 1),
            "{done:?}"
        );
    }
    rig.api.store().is_permitted = false;
    assert_eq!(
        rig.execute(11, &abort()).await.refusal,
        Some(Refusal::Forbidden)
    );
    assert_eq!(rig.taken(), 0);
}

/// Scenario: the process dies after the intent and before the patch, after the patch and before its answer, and after the
/// answer; the engine's checkpoint offers the effect again.
/// Guarantees: it has happened, once.
#[tokio::test]
async fn a_death_at_any_step_of_an_action_changes_nothing() {
    for fault in [Fault::Hang, Fault::DoneAndCut] {
        let mut rig = Rig::start().await;
        if fault == Fault::DoneAndCut {
            // The look of the next attempt hangs: it dies between patch and outcome.
            rig.api.store().patch_faults.push_back(fault.clone());
        } else {
            rig.api.store().patch_faults.push_back(Fault::Hang);
        }
        rig.send(1, &abort()).await;
        rig.asked(|one| one.starts_with("PATCH") && one.ends_with("rollouts/checkout/status"))
            .await;
        rig.restart().await;
        let done = rig.execute(1, &abort()).await;
        assert!(done.delivered, "{fault:?}: {done:?}");
        assert_eq!(rig.taken(), 1, "{fault:?}");
    }
    let mut rig = Rig::start().await;
    assert!(rig.execute(1, &abort()).await.delivered);
    // A person retries while the process is down.
    let mut object = rig.api.store().objects[ROLLOUT].clone();
    object["status"]["abort"] = false.into();
    rig.api.put(ROLLOUT, object);
    rig.restart().await;
    assert!(rig.execute(1, &abort()).await.delivered);
    assert_eq!(rig.taken(), 1);
    assert_eq!(rig.api.store().objects[ROLLOUT]["status"]["abort"], false);
}

/// Scenario: everything is permitted; a permission is missing; there is no data directory.
/// Guarantees: armed; not armed, and why.
#[tokio::test]
async fn it_is_armed_only_when_a_halt_would_be_taken() {
    let mut rig = Rig::start().await;
    let ready = rig.readiness().await;
    assert!(ready.is_armed, "{ready:?}");
    assert_eq!(rig.taken(), 0, "a dry run changes nothing");
    rig.api.store().is_permitted = false;
    rig.restart().await;
    let ready = rig.readiness().await;
    assert!(
        !ready.is_armed && ready.why.contains("deployments.apps"),
        "{ready:?}"
    );
    rig.api.store().is_permitted = true;
    let (_effects, inputs, running) = begin(&rig.api, &rig.folder, false).await;
    rig.running.abort();
    (rig.inputs, rig.running) = (inputs, running);
    let ready = rig.readiness().await;
    assert!(
        !ready.is_armed && ready.why.contains("data_dir"),
        "{ready:?}"
    );
}

/// Scenario: an Event is told twice.
/// Guarantees: it is there once, with the words.
#[tokio::test]
async fn an_event_is_told_once() {
    let mut rig = Rig::start().await;
    for _ in 0..2 {
        let event = ClusterEvent {
            object: abort().object,
            uid: "u-r".to_owned(),
            reason: "TidegateHalted".to_owned(),
            text: "é".repeat(2_000),
            is_warning: true,
            at: clock(),
        };
        let effect = Effect {
            id: 5,
            generation: 1,
            kind: EffectKind::Tell(Arc::new(event)),
        };
        rig.effects.send(effect).await.unwrap();
        assert!(rig.done(5).await.delivered);
    }
    let store = rig.api.store();
    assert_eq!(store.events.len(), 1);
    let event = store.events.values().next().unwrap();
    assert!(event["note"].as_str().unwrap().len() <= 1_024);
    assert_eq!(event["regarding"]["name"], "checkout");
}
