//! The watch: Deployments, Argo Rollouts and the ReplicaSets of both, as observations of workloads.
//!
//! `kube`'s watcher lists again after 410 Gone, and starts anew after any other end, with growing waits. What is known is
//! replaced by each list as a whole.

use super::api::{Cluster, WATCH_SECS};
use super::seen::{self, SetSeen};
use engine::hand::{ClusterReport, ObjectKey, WorkloadKind, WorkloadSeen};
use engine::input::Input;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Kinds of workloads watched.
pub(super) const KINDS: [WorkloadKind; 2] = [WorkloadKind::Deployment, WorkloadKind::ArgoRollout];

/// Path of the list of all workloads of a kind.
pub(super) fn list_path(cluster: &Cluster, kind: WorkloadKind) -> String {
    let (group, plural) = match kind {
        WorkloadKind::Deployment => ("apps/v1", "deployments"),
        WorkloadKind::ArgoRollout => ("argoproj.io/v1alpha1", "rollouts"),
    };
    match &cluster.namespace {
        Some(namespace) => format!("/apis/{group}/namespaces/{namespace}/{plural}"),
        None => format!("/apis/{group}/{plural}"),
    }
}

/// One kind watched, with the ReplicaSets that its objects may own.
pub(super) struct Watch {
    pub(super) cluster: Arc<Cluster>,
    pub(super) environment: String,
    pub(super) kind: WorkloadKind,
    pub(super) inputs: mpsc::Sender<Input>,
}

/// What is known of one kind.
#[derive(Default)]
struct Known {
    objects: BTreeMap<ObjectKey, Value>,
    /// By namespace and name.
    sets: BTreeMap<(String, String), SetSeen>,
    sent: BTreeMap<ObjectKey, WorkloadSeen>,
    /// The list that is being read.
    new_objects: BTreeSet<ObjectKey>,
    new_sets: BTreeSet<(String, String)>,
    has_objects: bool,
    has_sets: bool,
}

type Stream = BoxStream<'static, watcher::Result<Event<DynamicObject>>>;

/// The inputs closed: the program ends.
struct Closed;

impl Watch {
    /// Runs until the inputs close.
    pub(super) async fn run(self) {
        let mut objects = self.stream(self.kind.name(), self.cluster.selector.as_deref());
        // Labels of a workload are not those of its ReplicaSets.
        let mut sets = self.stream("ReplicaSet", None);
        let mut known = Known::default();
        loop {
            let told = tokio::select! {
                event = objects.next() => match event {
                    Some(Ok(event)) => self.object(&mut known, event).await,
                    Some(Err(error)) => self.failed(&mut known, &error).await,
                    None => return,
                },
                event = sets.next() => match event {
                    Some(Ok(event)) => self.set(&mut known, event).await,
                    Some(Err(error)) => {
                        tracing::warn!("the watch of ReplicaSets is interrupted: {error}");
                        Ok(())
                    }
                    None => return,
                },
            };
            if told.is_err() {
                return;
            }
        }
    }

    fn stream(&self, kind: &str, selector: Option<&str>) -> Stream {
        let (group, version, plural) = match kind {
            "Rollout" => ("argoproj.io", "v1alpha1", "rollouts"),
            "Deployment" => ("apps", "v1", "deployments"),
            _ => ("apps", "v1", "replicasets"),
        };
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{group}/{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let client = self.cluster.client.clone();
        let api: Api<DynamicObject> = match &self.cluster.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let mut config = watcher::Config::default().timeout(WATCH_SECS);
        if let Some(selector) = selector {
            config = config.labels(selector);
        }
        watcher(api, config).default_backoff().boxed()
    }

    async fn object(&self, known: &mut Known, event: Event<DynamicObject>) -> Result<(), Closed> {
        match event {
            Event::Init => known.new_objects.clear(),
            Event::InitApply(object) => {
                if let Some((key, value)) = self.read(object) {
                    known.new_objects.insert(key.clone());
                    known.objects.insert(key, value);
                }
            }
            Event::InitDone => {
                let all = std::mem::take(&mut known.new_objects);
                known.objects.retain(|key, _| all.contains(key));
                known.has_objects = true;
                self.list(known).await?;
            }
            Event::Apply(object) => {
                if let Some((key, value)) = self.read(object) {
                    known.objects.insert(key.clone(), value);
                    self.see(known, &key).await?;
                }
            }
            Event::Delete(object) => {
                if let Some((key, _)) = self.read(object) {
                    known.objects.remove(&key);
                    known.sent.remove(&key);
                    self.send(ClusterReport::Gone(key)).await?;
                }
            }
        }
        Ok(())
    }

    async fn set(&self, known: &mut Known, event: Event<DynamicObject>) -> Result<(), Closed> {
        match event {
            Event::Init => known.new_sets.clear(),
            Event::InitApply(object) => {
                let (name, value) = named(object);
                known.new_sets.insert(name.clone());
                keep(known, name, &value);
            }
            Event::InitDone => {
                let all = std::mem::take(&mut known.new_sets);
                known.sets.retain(|name, _| all.contains(name));
                known.has_sets = true;
                self.list(known).await?;
            }
            Event::Apply(object) => {
                let (name, value) = named(object);
                let owner = keep(known, name, &value);
                self.see_owner(known, owner).await?;
            }
            Event::Delete(object) => {
                let (name, _) = named(object);
                let owner = known.sets.remove(&name).map(|set| set.owner);
                self.see_owner(known, owner).await?;
            }
        }
        Ok(())
    }

    async fn see_owner(&self, known: &mut Known, owner: Option<String>) -> Result<(), Closed> {
        let Some(owner) = owner else { return Ok(()) };
        let is_owner = |object: &Value| object["metadata"]["uid"] == owner;
        let found = known.objects.iter().find(|(_, object)| is_owner(object));
        match found.map(|(key, _)| key.clone()) {
            Some(key) => self.see(known, &key).await,
            None => Ok(()),
        }
    }

    /// A list is complete: what there is, and that this is all.
    async fn list(&self, known: &mut Known) -> Result<(), Closed> {
        if !(known.has_objects && known.has_sets) {
            return Ok(());
        }
        let objects: Vec<ObjectKey> = known.objects.keys().cloned().collect();
        for key in &objects {
            self.see(known, key).await?;
        }
        known
            .sent
            .retain(|key, _| objects.binary_search(key).is_ok());
        let kind = self.kind;
        self.send(ClusterReport::Listed { kind, objects }).await
    }

    /// Tells what an object is now, if that is not what was told last.
    async fn see(&self, known: &mut Known, key: &ObjectKey) -> Result<(), Closed> {
        if !(known.has_objects && known.has_sets) {
            return Ok(());
        }
        let Some(object) = known.objects.get(key) else {
            return Ok(());
        };
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        let own = known.sets.values().filter(|set| set.owner == uid);
        let seen = seen::workload(self.kind, object, own.collect(), &self.environment);
        match seen {
            Some(seen) if known.sent.get(key) != Some(&seen) => {
                known.sent.insert(key.clone(), seen.clone());
                self.send(ClusterReport::Seen(Box::new(seen))).await
            }
            _ => Ok(()),
        }
    }

    /// A kind that the cluster does not have: there is none of it.
    async fn failed(&self, known: &mut Known, error: &watcher::Error) -> Result<(), Closed> {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
            watcher::Error::WatchError(status) => status.code,
            _ => 0,
        };
        let kind = self.kind;
        if status == 404 && !known.has_objects {
            known.has_objects = true;
            tracing::info!("the cluster has no {}s", kind.name());
            return self.list(known).await;
        }
        if status != 404 {
            tracing::warn!("the watch of {}s is interrupted: {error}", kind.name());
        }
        Ok(())
    }

    fn read(&self, object: DynamicObject) -> Option<(ObjectKey, Value)> {
        let ((namespace, name), value) = named(object);
        let key = ObjectKey {
            kind: self.kind,
            namespace,
            name,
        };
        (!key.name.is_empty()).then_some((key, value))
    }

    async fn send(&self, report: ClusterReport) -> Result<(), Closed> {
        let sent = self.inputs.send(Input::Cluster(report)).await;
        sent.map_err(|_| Closed)
    }
}

fn named(object: DynamicObject) -> ((String, String), Value) {
    let metadata = &object.metadata;
    let name = (
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    );
    (name, serde_json::to_value(object).unwrap_or_default())
}

/// Takes note of a ReplicaSet; returns the uid of its owner.
fn keep(known: &mut Known, name: (String, String), object: &Value) -> Option<String> {
    match seen::set(object) {
        Some(set) => {
            let owner = set.owner.clone();
            known.sets.insert(name, set);
            Some(owner)
        }
        None => known.sets.remove(&name).map(|set| set.owner),
    }
}
