//! Who sent it: service and revision, read from a resource's attributes (DESIGN 1).
//!
//! Everything rests on this: every number is kept per service *and* per revision. The rule is a pure
//! function of the resource, so any thread may resolve and cache it.

use crate::hash::blake3_128;
use serde::{Deserialize, Serialize};

/// Stable 128-bit key of a service: BLAKE3-128 of (tenant, environment, namespace, name).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId(#[serde(with = "crate::hash::hex128")] pub u128);

/// Stable 128-bit key of a revision: BLAKE3-128 of (service, source attribute, value).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RevisionId(#[serde(with = "crate::hash::hex128")] pub u128);

impl RevisionId {
    /// The id of the revision of `service` that `source` calls `value`.
    pub fn of(service: ServiceId, source: RevisionSource, value: &str, kind: RevisionKind) -> Self {
        Self(blake3_128(
            "revision",
            &[
                &service.0.to_le_bytes(),
                &[source as u8],
                value.as_bytes(),
                &[kind as u8],
            ],
        ))
    }

    /// The id of the revision that a proxy's cluster names.
    pub fn of_cluster(service: ServiceId, cluster: &str) -> Self {
        let source = RevisionSource::EnvoyUpstreamCluster;
        Self::of(service, source, cluster, RevisionKind::Release)
    }
}

/// The name used when a resource has no `service.name`; never merged into a real service.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// The four parts that make a service one service. `staging` never halts `production`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ServiceKey {
    /// Tenant; empty until credentials carry one.
    pub tenant: String,
    /// `deployment.environment.name` (or the older `deployment.environment`); empty when absent.
    pub environment: String,
    /// `service.namespace`; empty when absent.
    pub namespace: String,
    /// `service.name`, or [`UNKNOWN_SERVICE`].
    pub name: String,
}

impl ServiceKey {
    /// The stable id of this service.
    pub fn id(&self) -> ServiceId {
        ServiceId(blake3_128(
            "service",
            &[
                self.tenant.as_bytes(),
                self.environment.as_bytes(),
                self.namespace.as_bytes(),
                self.name.as_bytes(),
            ],
        ))
    }
}

/// Which attribute told the revision, in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RevisionSource {
    /// `k8s.pod.label.pod-template-hash` and its spellings.
    PodTemplateHash,
    /// `k8s.replicaset.name`.
    ReplicaSet,
    /// `deployment.id`.
    DeploymentId,
    /// `container.image.repo_digests` or `container.image.id`.
    ImageDigest,
    /// `container.image.tags` or `container.image.tag`.
    ImageTag,
    /// `service.version`.
    ServiceVersion,
    /// An Envoy `upstream_cluster`: names the callee's revision, never the proxy's own.
    EnvoyUpstreamCluster,
    /// Nothing told it: the gate answers REVISION_UNKNOWN.
    Unknown,
}

impl RevisionSource {
    /// The attribute's usual name, as a person would paste it.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::PodTemplateHash => "k8s.pod.label.pod-template-hash",
            Self::ReplicaSet => "k8s.replicaset.name",
            Self::DeploymentId => "deployment.id",
            Self::ImageDigest => "container.image.repo_digests",
            Self::ImageTag => "container.image.tags",
            Self::ServiceVersion => "service.version",
            Self::EnvoyUpstreamCluster => "upstream_cluster",
            Self::Unknown => "unknown",
        }
    }
}

/// What kind of thing the revision is (`tidegate.revision.kind`).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum RevisionKind {
    /// An ordinary release: counted in the budget, tested by the gate.
    #[default]
    Release,
    /// A local process joined by an intercept (Telepresence): shown, outside the budget.
    Intercept,
    /// A branch deployment: shown, outside the budget.
    Branch,
}

/// A revision of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Stable id.
    pub id: RevisionId,
    /// Which attribute told it.
    pub source: RevisionSource,
    /// That attribute's value; empty for [`RevisionSource::Unknown`].
    pub value: String,
    /// Every revision attribute the resource had, so that `--candidate` may name any of them.
    pub attributes: Vec<(RevisionSource, String)>,
    /// Release, intercept or branch.
    pub kind: RevisionKind,
}

impl Revision {
    /// What a person calls this revision: its `service.version` when it has one, else what identifies it.
    pub fn label(&self) -> String {
        let version = self
            .attributes
            .iter()
            .find(|(source, _)| *source == RevisionSource::ServiceVersion);
        match version {
            // Two template hashes may carry one version (a config-only rollout): then both are said.
            Some((_, version)) if *version != self.value => format!("{version} ({})", self.value),
            Some((_, version)) => version.clone(),
            None if self.value.is_empty() => "unknown revision".to_owned(),
            None => self.value.clone(),
        }
    }

    /// Whether `wanted` names this revision by any of its attributes.
    pub fn matches(&self, wanted: &str) -> bool {
        self.attributes.iter().any(|(_, value)| value == wanted)
    }
}

/// What one resource turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The service's key.
    pub service: ServiceKey,
    /// The service's id (`service.id()`, kept to avoid hashing again).
    pub service_id: ServiceId,
    /// The revision.
    pub revision: Revision,
    /// `service.instance.id`, `k8s.pod.uid`, `k8s.pod.name` or `host.name`; empty when none is there.
    pub instance: String,
    /// `service.criticality`; empty when absent.
    pub criticality: String,
    /// `telemetry.sdk.language` and `telemetry.sdk.version` (else `telemetry.sdk.name`), such as `python 1.45.1`;
    /// empty when absent.
    pub sdk: String,
}

const REVISION_ATTRIBUTES: &[(&str, RevisionSource)] = &[
    (
        "k8s.pod.label.pod-template-hash",
        RevisionSource::PodTemplateHash,
    ),
    (
        "k8s.pod.labels.pod-template-hash",
        RevisionSource::PodTemplateHash,
    ),
    (
        "k8s.pod.label.rollouts-pod-template-hash",
        RevisionSource::PodTemplateHash,
    ),
    (
        "rollouts-pod-template-hash",
        RevisionSource::PodTemplateHash,
    ),
    ("pod-template-hash", RevisionSource::PodTemplateHash),
    ("k8s.replicaset.name", RevisionSource::ReplicaSet),
    ("deployment.id", RevisionSource::DeploymentId),
    ("container.image.repo_digests", RevisionSource::ImageDigest),
    ("container.image.id", RevisionSource::ImageDigest),
    ("container.image.tags", RevisionSource::ImageTag),
    ("container.image.tag", RevisionSource::ImageTag),
    ("service.version", RevisionSource::ServiceVersion),
];

const INSTANCE_ATTRIBUTES: &[&str] = &[
    "service.instance.id",
    "k8s.pod.uid",
    "k8s.pod.name",
    "host.name",
];

impl Identity {
    /// Resolves a resource. `attribute` returns the text form of a resource attribute
    /// (for a list, its first element); empty text counts as absent.
    pub fn resolve<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Self {
        let get = |key: &str| attribute(key).filter(|value| !value.is_empty());
        let first = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| get(key))
                .unwrap_or("")
                .to_owned()
        };
        let service = ServiceKey {
            tenant: String::new(),
            environment: first(&["deployment.environment.name", "deployment.environment"]),
            namespace: first(&["service.namespace"]),
            name: get("service.name").unwrap_or(UNKNOWN_SERVICE).to_owned(),
        };
        let service_id = service.id();
        let attributes: Vec<(RevisionSource, String)> = REVISION_ATTRIBUTES
            .iter()
            .filter_map(|(key, source)| get(key).map(|value| (*source, value.to_owned())))
            .collect();
        let (source, value) = attributes
            .first()
            .cloned()
            .unwrap_or((RevisionSource::Unknown, String::new()));
        let kind = match get("tidegate.revision.kind") {
            Some("intercept") => RevisionKind::Intercept,
            Some("branch") => RevisionKind::Branch,
            _ => RevisionKind::Release,
        };
        let id = RevisionId::of(service_id, source, &value, kind);
        Self {
            service,
            service_id,
            revision: Revision {
                id,
                source,
                value,
                attributes,
                kind,
            },
            instance: first(INSTANCE_ATTRIBUTES),
            criticality: first(&["service.criticality"]),
            sdk: sdk(get),
        }
    }
}

/// Longest part of an SDK's name kept, bytes.
const SDK_BYTES_MAX: usize = 32;

fn sdk<'a>(get: impl Fn(&str) -> Option<&'a str>) -> String {
    let part = |key: &str| get(key).map(|text| &text[..text.floor_char_boundary(SDK_BYTES_MAX)]);
    let language = part("telemetry.sdk.language").or_else(|| part("telemetry.sdk.name"));
    let words = [language, part("telemetry.sdk.version")].into_iter();
    words.flatten().collect::<Vec<_>>().join(" ")
}
