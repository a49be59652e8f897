//! Execution: the log first, then the object as it is, then the patches of the plan.

use super::api::{Answer, Cluster};
use super::journal::Journal;
use super::patch::{is_done, patches, path};
use engine::hand::{Action, ActionKind, ClusterEvent, Refusal, WorkloadKind};
use engine::input::{Effect, EffectDone, EffectKind, Input};
use engine::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Most actions and Events at a time.
pub const ACTIONS_AT_ONCE: usize = 8;
/// An action that the API server did not take for so long is given up: what it speaks of may be long over.
pub const GIVE_UP: Duration = Duration::from_secs(600);
/// First and longest wait between two attempts.
const WAITS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// Longest wait that an API server may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Attempts to tell an Event.
const TELLINGS: u32 = 3;

/// Carries out what is planned.
#[derive(Clone)]
pub(super) struct Executor {
    cluster: Arc<Cluster>,
    journal: Option<Arc<Mutex<Journal>>>,
    inputs: mpsc::Sender<Input>,
    clock: fn() -> Timestamp,
}

/// How one attempt ended.
enum Attempt {
    Done(String),
    Refused(Refusal, String),
    /// No answer, or one that says: later.
    Again(Option<Duration>, String),
}

impl Executor {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        journal: Option<Journal>,
        inputs: mpsc::Sender<Input>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            cluster,
            journal: journal.map(|journal| Arc::new(Mutex::new(journal))),
            inputs,
            clock,
        }
    }

    /// Runs until `effects` closes.
    pub(super) async fn run(self, mut effects: mpsc::Receiver<Effect>) {
        let slots = Arc::new(Semaphore::new(ACTIONS_AT_ONCE));
        let mut running = JoinSet::new();
        while let Some(effect) = effects.recv().await {
            while running.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            let executor = self.clone();
            running.spawn(async move {
                let done = match &effect.kind {
                    EffectKind::Act(action) => executor.act(effect.id, action).await,
                    EffectKind::Tell(event) => executor.tell(effect.id, event).await,
                    EffectKind::Notify { .. } => return,
                };
                // The engine is gone only at shutdown; the effect is then still in its checkpoint.
                drop(executor.inputs.send(Input::EffectDone(done)).await);
                drop(slot);
            });
        }
    }

    async fn act(&self, id: u128, action: &Action) -> EffectDone {
        let Some(journal) = &self.journal else {
            let why = "no data directory: an action cannot be written down first";
            return outcome(id, 0, Attempt::Refused(Refusal::Forbidden, why.to_owned()));
        };
        {
            let mut journal = journal.lock().await;
            if let Some(known) = journal.outcome(id) {
                return known.clone();
            }
            if let Err(error) = journal.begin((self.clock)(), id, action) {
                let why = format!("actions.log cannot be written: {error}");
                return outcome(id, 0, Attempt::Refused(Refusal::Failed, why));
            }
        }
        let done = self.persist(id, action).await;
        tracing::info!(object = %action.object, action = action.kind.verb(), delivered = done.delivered, "{}", done.detail);
        if let Err(error) = journal.lock().await.end((self.clock)(), &done) {
            tracing::error!("actions.log cannot be written: {error}");
        }
        done
    }

    /// Tries until it is done, refused or given up.
    async fn persist(&self, id: u128, action: &Action) -> EffectDone {
        let deadline = Instant::now() + GIVE_UP;
        let [mut wait, longest] = WAITS;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(action).await {
                Attempt::Again(asked, why) => {
                    if Instant::now() >= deadline {
                        return outcome(id, attempts, Attempt::Refused(Refusal::Failed, why));
                    }
                    tracing::warn!(object = %action.object, attempts, "{} not taken, will be tried again: {why}", action.kind.verb());
                    tokio::time::sleep(asked.unwrap_or(wait).min(WAIT_MAX)).await;
                    wait = (wait * 2).min(longest);
                }
                end => return outcome(id, attempts, end),
            }
        }
    }

    /// Looks first: an attempt before may have been taken without an answer.
    async fn attempt(&self, action: &Action) -> Attempt {
        let object = match self.cluster.get(&path(&action.object)).await {
            Ok(answer) if answer.is_success() => answer.body,
            Ok(answer) => return refused(&answer),
            Err(why) => return Attempt::Again(None, why),
        };
        if object["metadata"]["uid"] != action.uid {
            let why = "another object has this name now".to_owned();
            return Attempt::Refused(Refusal::Gone, why);
        }
        if is_done(action, &object) {
            return Attempt::Done(format!("{} already", action.kind.past()));
        }
        let template = match &action.kind {
            ActionKind::Undo { replica_set, hash } => {
                match self.template(action, replica_set, hash).await {
                    Ok(template) => template,
                    Err(end) => return end,
                }
            }
            _ => Value::Null,
        };
        let mut said = String::new();
        for patch in patches(action, &template) {
            match self.cluster.patch(&patch.path, &patch.body).await {
                Ok(answer) if answer.is_success() => said = format!("status {}", answer.status),
                Ok(answer) => return refused(&answer),
                Err(why) => return Attempt::Again(None, why),
            }
        }
        Attempt::Done(said)
    }

    /// The pod template that an undo goes back to.
    async fn template(&self, action: &Action, name: &str, hash: &str) -> Result<Value, Attempt> {
        let namespace = &action.object.namespace;
        let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets/{name}");
        let set = match self.cluster.get(&path).await {
            Ok(answer) if answer.is_success() => answer.body,
            Ok(answer) => return Err(refused(&answer)),
            Err(why) => return Err(Attempt::Again(None, why)),
        };
        let seen = super::seen::set(&set);
        if seen.is_none_or(|seen| seen.owner != action.uid || seen.template.hash != hash) {
            let why = format!("{name} no longer holds the template {hash}");
            return Err(Attempt::Refused(Refusal::Moved, why));
        }
        Ok(set["spec"]["template"].clone())
    }

    async fn tell(&self, id: u128, event: &ClusterEvent) -> EffectDone {
        let path = format!(
            "/apis/events.k8s.io/v1/namespaces/{}/events",
            event.object.namespace
        );
        let body = event_body(id, event);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let end = match self.cluster.post(&path, &body).await {
                Ok(answer) if answer.is_success() => Attempt::Done("told".to_owned()),
                // It was told before, under the same name.
                Ok(answer) if answer.status == 409 => Attempt::Done("told already".to_owned()),
                Ok(answer) => refused(&answer),
                Err(why) => Attempt::Again(None, why),
            };
            match end {
                Attempt::Again(asked, _) if attempts < TELLINGS => {
                    tokio::time::sleep(asked.unwrap_or(WAITS[1]).min(WAIT_MAX)).await;
                }
                Attempt::Again(_, why) => {
                    return outcome(id, attempts, Attempt::Refused(Refusal::Failed, why));
                }
                end => return outcome(id, attempts, end),
            }
        }
    }
}

/// What an answer that is no success means.
fn refused(answer: &Answer) -> Attempt {
    let words = answer.words();
    match answer.status {
        404 => Attempt::Refused(Refusal::Gone, words),
        // A test in the patch failed.
        422 => Attempt::Refused(Refusal::Moved, words),
        401 | 403 => Attempt::Refused(Refusal::Forbidden, words),
        // 409: somebody else wrote at the same time, perhaps only the status: the patch itself tests what must not have changed.
        // 410 speaks of a version, not of the object.
        408..=410 | 429 | 500..=599 => Attempt::Again(answer.retry_after, words),
        _ => Attempt::Refused(Refusal::Failed, words),
    }
}

fn outcome(id: u128, attempts: u32, end: Attempt) -> EffectDone {
    let (refusal, detail) = match end {
        Attempt::Done(detail) => (None, detail),
        Attempt::Refused(refusal, detail) => (Some(refusal), detail),
        Attempt::Again(_, detail) => (Some(Refusal::Failed), detail),
    };
    EffectDone {
        id,
        delivered: refusal.is_none(),
        attempts,
        detail,
        refusal,
    }
}

/// Longest `note` that the API server takes, bytes.
const NOTE_BYTES_MAX: usize = 1_024;

/// An `events.k8s.io/v1` Event. Its name is its id: told twice, it is there once.
fn event_body(id: u128, event: &ClusterEvent) -> Value {
    let object = &event.object;
    let version = match object.kind {
        WorkloadKind::Deployment => "apps/v1",
        WorkloadKind::ArgoRollout => "argoproj.io/v1alpha1",
    };
    let micros = i64::try_from(event.at.0 / 1_000).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros);
    let at = at.map(|at| format!("{at:.6}")).unwrap_or_default();
    let note = engine::inert::inert(&event.text);
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("tidegate-{id:032x}"), "namespace": object.namespace},
        "eventTime": at,
        "reportingController": "tidegate.dev/tidegate",
        "reportingInstance": "tidegate",
        "action": event.reason,
        "reason": event.reason,
        "note": &note[..note.floor_char_boundary(NOTE_BYTES_MAX)],
        "type": if event.is_warning { "Warning" } else { "Normal" },
        "regarding": {
            "apiVersion": version, "kind": object.kind.name(), "namespace": object.namespace, "name": object.name, "uid": event.uid,
        },
    })
}
