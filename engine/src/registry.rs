//! Which services, revisions and instances there are, learned from the resources that sent something.
//!
//! Limits: [`SERVICES_MAX`] services (later ones share the overflow service), [`REVISIONS_MAX`] revisions a service
//! (the one seen longest ago leaves), [`RESOURCES_MAX`] resources (later ones are counted without being tracked).

use crate::delta::ResourceDelta;
use crate::identity::{
    Identity, Revision, RevisionId, RevisionKind, RevisionSource, ServiceId, ServiceKey,
};
use crate::items::Signal;
use crate::snapshot::{REVISIONS_MAX, RevisionRow, SERVICES_MAX};
use crate::source::{SourceRow, SourceState};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::source::LIVE_NANOS;

/// Most resources (instances) tracked at once.
pub const RESOURCES_MAX: usize = 100_000;
/// Most SDKs (language and version) remembered per revision.
const SDKS_MAX: usize = 4;
/// A sender of metric points that was silent for this long is no longer live: exporters send every 60 s, and one export
/// may be missed.
pub const LIVE_METRICS_NANOS: u64 = 150 * NANOS_PER_SEC;
/// Name of the service that stands for those beyond [`SERVICES_MAX`].
pub const OVERFLOW_SERVICE: &str = "__overflow__";

/// What is known of one revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionState {
    /// Who it is.
    pub revision: Revision,
    /// Logical time of its first item.
    pub first_seen: Timestamp,
    /// Logical time of its last item.
    pub last_seen: Timestamp,
    /// How its telemetry arrives, by signal.
    sources: BTreeMap<Signal, SourceState>,
    /// SDKs that sent it.
    sdks: BTreeSet<String>,
}

impl RevisionState {
    fn row(&self, now: Timestamp, instances: u64, is_known_good: bool) -> RevisionRow {
        let sources: Vec<SourceRow> = self
            .sources
            .iter()
            .map(|(signal, source)| source.row(now, *signal))
            .collect();
        let spans = sources.iter().find(|row| row.signal == Signal::Traces);
        let lag = spans.and_then(|row| row.lag_nanos);
        RevisionRow {
            revision: self.revision.clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            spans_last_minute: spans.map_or(0, |row| row.items_last_minute),
            instances,
            is_live: now.since(self.last_seen) <= self.live_nanos(),
            is_known_good,
            lag_secs: lag.map_or(0.0, |nanos| nanos as f64 / NANOS_PER_SEC as f64),
            sdks: self.sdks.iter().cloned().collect(),
            sources,
        }
    }
}

impl RevisionState {
    /// How long it may be silent and still count as live.
    fn live_nanos(&self) -> u64 {
        let sends_only_points = self.sources.keys().all(|signal| *signal == Signal::Metrics);
        live_nanos(if sends_only_points {
            Signal::Metrics
        } else {
            Signal::Traces
        })
    }
}

/// How long a sender of a signal may be silent and still count as live, ns.
const fn live_nanos(signal: Signal) -> u64 {
    match signal {
        Signal::Metrics => LIVE_METRICS_NANOS,
        Signal::Traces | Signal::Logs => LIVE_NANOS,
    }
}

/// What is known of one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its key.
    pub key: ServiceKey,
    /// Logical time of its first span.
    pub first_seen: Timestamp,
    /// Logical time of its last span.
    pub last_seen: Timestamp,
    /// Latest event time of its spans.
    pub event_max: Timestamp,
    /// Revisions, by id.
    pub revisions: BTreeMap<RevisionId, RevisionState>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ResourceState {
    service: ServiceId,
    revision: RevisionId,
    last_seen: Timestamp,
    end_max: Timestamp,
}

/// Something seen for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// A service.
    Service(ServiceId),
    /// A revision of a known service.
    Revision(ServiceId, RevisionId),
}

/// All services, revisions and resources.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Registry {
    services: BTreeMap<ServiceId, ServiceState>,
    /// By resource hash and signal: each signal has its own exporter, and so its own watermark.
    resources: BTreeMap<(u128, Signal), ResourceState>,
}

impl Registry {
    /// Services by id.
    pub const fn services(&self) -> &BTreeMap<ServiceId, ServiceState> {
        &self.services
    }

    /// Number of tracked resources.
    pub fn resource_count(&self) -> u64 {
        let mut hashes: Vec<u128> = self.resources.keys().map(|(hash, _)| *hash).collect();
        hashes.dedup();
        hashes.len() as u64
    }

    /// Takes note of who sent something in the last tick. O(rows log services).
    pub fn apply(&mut self, now: Timestamp, rows: &[ResourceDelta]) -> Vec<Discovery> {
        let mut found = Vec::new();
        for row in rows {
            self.note(now, row, &mut found);
        }
        found
    }

    fn note(&mut self, now: Timestamp, row: &ResourceDelta, found: &mut Vec<Discovery>) {
        let overflow;
        let mut identity: &Identity = &row.identity;
        if !self.services.contains_key(&identity.service_id) && self.services.len() >= SERVICES_MAX
        {
            overflow = Identity::resolve(|key| (key == "service.name").then_some(OVERFLOW_SERVICE));
            identity = &overflow;
        }
        let id = identity.service_id;
        let service = self.services.entry(id).or_insert_with(|| {
            found.push(Discovery::Service(id));
            ServiceState {
                key: identity.service.clone(),
                first_seen: now,
                last_seen: now,
                event_max: Timestamp::EPOCH,
                revisions: BTreeMap::new(),
            }
        });
        service.last_seen = now;
        service.event_max = service.event_max.max(row.end_max);
        let revision = service
            .revisions
            .entry(identity.revision.id)
            .or_insert_with(|| {
                found.push(Discovery::Revision(id, identity.revision.id));
                RevisionState {
                    revision: identity.revision.clone(),
                    first_seen: now,
                    last_seen: now,
                    sources: BTreeMap::new(),
                    sdks: BTreeSet::new(),
                }
            });
        revision.last_seen = now;
        revision
            .sources
            .entry(row.signal)
            .or_default()
            .note(now, row);
        if !identity.sdk.is_empty() && revision.sdks.len() < SDKS_MAX {
            revision.sdks.insert(identity.sdk.clone());
        }
        merge_attributes(&mut revision.revision, &identity.revision);
        let key = (row.hash, row.signal);
        let known = self.resources.contains_key(&key);
        if known || self.resources.len() < RESOURCES_MAX {
            let resource = self.resources.entry(key).or_insert(ResourceState {
                service: id,
                revision: identity.revision.id,
                last_seen: now,
                end_max: row.end_max,
            });
            resource.last_seen = now;
            resource.end_max = resource.end_max.max(row.end_max);
        }
    }

    /// Forgets resources that are no longer live and revisions beyond [`REVISIONS_MAX`], those seen longest ago first.
    /// Returns the revisions that left.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(ServiceId, RevisionId)> {
        self.resources
            .retain(|(_, signal), resource| now.since(resource.last_seen) <= live_nanos(*signal));
        let mut gone = Vec::new();
        for (id, service) in &mut self.services {
            while service.revisions.len() > REVISIONS_MAX {
                let oldest = service
                    .revisions
                    .iter()
                    .min_by_key(|(id, state)| (state.last_seen, state.first_seen, **id))
                    .map(|(id, _)| *id);
                let Some(oldest) = oldest else { break };
                service.revisions.remove(&oldest);
                gone.push((*id, oldest));
            }
        }
        gone
    }

    /// The event time up to which a signal of a live service is complete: the least watermark of the live resources
    /// that send it; absent while none does.
    pub fn watermarks(&self) -> BTreeMap<(ServiceId, Signal), Timestamp> {
        let mut watermarks = BTreeMap::new();
        for ((_, signal), resource) in &self.resources {
            let entry = watermarks
                .entry((resource.service, *signal))
                .or_insert(resource.end_max);
            *entry = (*entry).min(resource.end_max);
        }
        watermarks
    }

    /// The services called `name` (and in `namespace` and `environment`, where those are not empty).
    pub fn find(&self, name: &str, namespace: &str, environment: &str) -> Vec<ServiceId> {
        self.services
            .iter()
            .filter(|(_, service)| {
                service.key.name == name
                    && (namespace.is_empty() || service.key.namespace == namespace)
                    && (environment.is_empty() || service.key.environment == environment)
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// The revisions of `service` that `wanted` names.
    pub fn revisions_named(&self, service: ServiceId, wanted: &str) -> Vec<RevisionId> {
        self.services.get(&service).map_or_else(Vec::new, |state| {
            let mut named = state
                .revisions
                .values()
                .filter(|state| state.revision.matches(wanted));
            named.by_ref().map(|state| state.revision.id).collect()
        })
    }

    /// The published rows of one service's revisions, newest first.
    pub fn revision_rows(
        &self,
        now: Timestamp,
        service: ServiceId,
        instances: &BTreeMap<(ServiceId, RevisionId), u64>,
        is_known_good: impl Fn(RevisionId) -> bool,
    ) -> Vec<RevisionRow> {
        let Some(state) = self.services.get(&service) else {
            return Vec::new();
        };
        let mut rows: Vec<RevisionRow> = state
            .revisions
            .values()
            .map(|state| {
                let id = state.revision.id;
                let instances = instances.get(&(service, id)).copied().unwrap_or(0);
                state.row(now, instances, is_known_good(id))
            })
            .collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.first_seen), row.revision.id));
        rows
    }

    /// Live resources per (service, revision).
    pub fn instances(&self) -> BTreeMap<(ServiceId, RevisionId), u64> {
        let mut instances = BTreeMap::new();
        let mut last = None;
        for ((hash, _), resource) in &self.resources {
            if last.replace(*hash) == Some(*hash) {
                continue;
            }
            *instances
                .entry((resource.service, resource.revision))
                .or_insert(0) += 1;
        }
        instances
    }
}

/// Instances of one revision may each carry other attributes (ReplicaSet here, digest there): keep them all,
/// so that `--candidate` may name any. Bounded: one value per source.
fn merge_attributes(known: &mut Revision, seen: &Revision) {
    for (source, value) in &seen.attributes {
        if !known
            .attributes
            .iter()
            .any(|(known_source, _)| known_source == source)
        {
            known.attributes.push((*source, value.clone()));
            known.attributes.sort();
        }
    }
}

/// Whether nothing tells a revision of this service apart: the gate then says REVISION_UNKNOWN.
pub fn is_revision_unknown(revision: &Revision) -> bool {
    revision.source == RevisionSource::Unknown && revision.kind == RevisionKind::Release
}
