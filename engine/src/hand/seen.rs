//! What a cluster says: workloads as the watch sees them, what may be done there, and what people steer.
//!
//! An observation is the whole of what matters of one object, never a difference: the same one twice is the same state, and
//! a watch that was away tells everything by telling what is there now.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most pod templates kept of one workload: those of the newest ReplicaSets.
pub const TEMPLATES_MAX: usize = 12;
/// Most names kept of one template or service.
pub const NAMES_MAX: usize = 8;

/// What Tidegate may do to the rollouts of a service. Each level needs no more permission than it uses.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Level {
    /// Watch and show.
    #[default]
    Observe,
    /// And say in Kubernetes Events what it would do.
    Advise,
    /// And answer controllers that ask.
    Gate,
    /// And halt by itself.
    Act,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Advise, Self::Gate, Self::Act];

    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Advise => "advise",
            Self::Gate => "gate",
            Self::Act => "act",
        }
    }

    /// The level called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Kinds of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `argoproj.io/v1alpha1` Rollout.
    ArgoRollout,
}

impl WorkloadKind {
    /// Kind as Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ArgoRollout => "Rollout",
        }
    }
}

/// One object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Kind.
    pub kind: WorkloadKind,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    /// `Rollout default/checkout`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// Where a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The status speaks of an older spec: nothing is known yet.
    Unknown,
    /// Its newest template serves alone.
    Stable,
    /// Pods of the newest template come.
    Progressing,
    /// It waits: for a person, a time or an analysis.
    Paused,
    /// Its controller gave the newest template up.
    Aborted,
}

impl Phase {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Stable => "stable",
            Self::Progressing => "progressing",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
        }
    }

    /// Whether old and new pods may serve side by side.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Progressing | Self::Paused)
    }
}

/// A pod template of a workload: what telemetry may call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSeen {
    /// Pod template hash.
    pub hash: String,
    /// Its ReplicaSet.
    pub replica_set: String,
    /// The workload's revision number: the higher, the newer.
    pub number: u64,
    /// What telemetry may call it, most precise first: hash, ReplicaSet, digest, tag, version. At most [`NAMES_MAX`].
    pub names: Vec<String>,
}

/// The services whose spans a workload may send.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// Possible values of `service.name`, in OpenTelemetry's order of precedence for Kubernetes. At most [`NAMES_MAX`].
    pub names: Vec<String>,
    /// `service.namespace`.
    pub namespace: String,
    /// Whether the object says that namespace; otherwise it is the Kubernetes namespace, and a service without one or
    /// with another one is meant too, if it is the only one of its name.
    pub is_namespace_told: bool,
    /// Environment; empty matches any single one.
    pub environment: String,
}

/// One workload, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadSeen {
    /// Which object.
    pub object: ObjectKey,
    /// Its uid: another object of the same name is another object.
    pub uid: String,
    /// `metadata.generation`: counts the changes of the spec.
    pub generation: u64,
    /// Whose spans it sends.
    pub service: ServiceSeen,
    /// The level its annotation asks for: it may only lower what the service's file says.
    pub level: Option<Level>,
    /// Whether its annotation allows (or forbids) going back to an older template.
    pub undo: Option<bool>,
    /// Where it stands.
    pub phase: Phase,
    /// `spec.paused`.
    pub is_held: bool,
    /// Hash of the newest template; empty while unknown.
    pub current: String,
    /// Hash of the template that serves without being on trial; empty when there is none.
    pub stable: String,
    /// Index of the step it is in, if it has steps.
    pub step: Option<u32>,
    /// Number of steps.
    pub steps: u32,
    /// Share of traffic of the newest template, 1/100 of a percent, if its controller says it.
    pub weight: Option<u32>,
    /// Its templates, newest first, at most [`TEMPLATES_MAX`].
    pub templates: Vec<TemplateSeen>,
}

impl WorkloadSeen {
    /// The template with `hash`.
    pub fn template(&self, hash: &str) -> Option<&TemplateSeen> {
        self.templates
            .iter()
            .find(|template| template.hash == hash && !hash.is_empty())
    }
}

/// What may be done in the cluster, as a dry run told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Highest level of any service.
    pub max_level: Level,
    /// Whether every action of that level would be taken.
    pub is_armed: bool,
    /// Why not; empty when armed.
    pub why: String,
}

/// What the watch reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterReport {
    /// A workload, as it is now.
    Seen(Box<WorkloadSeen>),
    /// A workload is no more.
    Gone(ObjectKey),
    /// These are all workloads of the kind; others are no more. The watch is complete from here on.
    Listed {
        /// Kind.
        kind: WorkloadKind,
        /// All of them.
        objects: Vec<ObjectKey>,
    },
    /// What may be done.
    Readiness(Readiness),
}

/// A person stops the hand, or lets it act again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// Id: the same one twice is the same decision.
    pub id: String,
    /// True arms, false disarms.
    pub arm: bool,
    /// Why; never empty.
    pub reason: String,
    /// Who, as sent; may be empty.
    pub author: String,
}

/// That nothing is done until somebody arms again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarmed {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: String,
    /// Whether Tidegate did it by itself: too many actions.
    pub is_automatic: bool,
}
