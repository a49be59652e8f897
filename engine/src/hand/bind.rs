//! Binding: which revision of which service a workload's newest template is in telemetry, and what the gate is told of it.

use super::{Hand, Phase, Told, Workload};
use crate::gate::GateMachine;
use crate::hand::seen::TemplateSeen;
use crate::identity::{RevisionId, RevisionSource, ServiceId};
use crate::input::RolloutChange;
use crate::registry::Registry;
use std::collections::BTreeMap;

/// Something the gate is told of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) service: ServiceId,
    pub(crate) revision: RevisionId,
    /// The hash, for the event list.
    pub(crate) hash: String,
    /// The object, for the event list.
    pub(crate) object: String,
    pub(crate) change: RolloutChange,
}

impl Hand {
    /// Binds what is not bound, and says what the gate must hear. O(workloads); O(services) more when one is unbound.
    pub(crate) fn bind(&mut self, registry: &Registry, gate: &GateMachine) -> Vec<Report> {
        let mut by_name: Option<BTreeMap<&str, Vec<ServiceId>>> = None;
        let mut reports = Vec::new();
        for workload in self.workloads.values_mut() {
            let is_held = |(service, revision): (ServiceId, RevisionId)| {
                let state = registry.services().get(&service);
                state.is_some_and(|state| state.revisions.contains_key(&revision))
            };
            if !workload.bound.is_some_and(is_held) {
                let services = by_name.get_or_insert_with(|| names(registry));
                workload.bind(registry, services);
            }
            workload.tell(registry, gate, &mut reports);
        }
        reports
    }
}

fn names(registry: &Registry) -> BTreeMap<&str, Vec<ServiceId>> {
    let mut names: BTreeMap<&str, Vec<ServiceId>> = BTreeMap::new();
    for (id, state) in registry.services() {
        names.entry(&state.key.name).or_default().push(*id);
    }
    names
}

impl Workload {
    fn bind(&mut self, registry: &Registry, services: &BTreeMap<&str, Vec<ServiceId>>) {
        let before = (self.bound, std::mem::take(&mut self.unbound));
        match self.find(registry, services) {
            Ok(bound) => self.bound = Some(bound),
            Err(why) => {
                self.bound = None;
                self.unbound = why;
            }
        }
        self.is_dirty |= before != (self.bound, self.unbound.clone());
    }

    fn find(
        &self,
        registry: &Registry,
        services: &BTreeMap<&str, Vec<ServiceId>>,
    ) -> Result<(ServiceId, RevisionId), String> {
        let Some(template) = self.seen.template(&self.seen.current) else {
            return Err("the controller has not made the newest template's pods yet".to_owned());
        };
        let mut nearest = None;
        for name in &self.seen.service.names {
            let Some(service) = self.the_service(registry, services.get(name.as_str())) else {
                continue;
            };
            nearest.get_or_insert(service);
            if let Some((revision, name)) = named(registry, service, template) {
                return self.distinct(name).map(|()| (service, revision));
            }
        }
        Err(match nearest {
            None => format!(
                "no span of a service called {} was seen",
                self.seen.service.names.join(" or ")
            ),
            Some(_) => format!(
                "no span says that it comes from {} (pod template hash {})",
                template.replica_set, template.hash
            ),
        })
    }

    /// A config-only rollout has the same version in both templates: then the version tells nothing apart.
    fn distinct(&self, name: &str) -> Result<(), String> {
        let others = self.seen.templates.iter();
        let mut others = others.filter(|one| one.hash != self.seen.current);
        match others.find(|other| other.names.iter().any(|one| one == name)) {
            Some(twin) => Err(format!(
                "spans do not tell {} from {}: both are called {name}",
                self.seen.current, twin.hash
            )),
            None => Ok(()),
        }
    }

    /// The one service meant: `staging` never stands for `production`.
    fn the_service(&self, registry: &Registry, ids: Option<&Vec<ServiceId>>) -> Option<ServiceId> {
        let wanted = &self.seen.service;
        let fits = |id: &&ServiceId| {
            let state = registry.services().get(id);
            state.is_some_and(|state| {
                wanted.environment.is_empty() || state.key.environment == wanted.environment
            })
        };
        let all: Vec<ServiceId> = ids?.iter().filter(fits).copied().collect();
        let in_namespace: Vec<ServiceId> = all
            .iter()
            .filter(|id| {
                let state = registry.services().get(id);
                state.is_some_and(|state| state.key.namespace == wanted.namespace)
            })
            .copied()
            .collect();
        match (in_namespace.as_slice(), all.as_slice()) {
            ([only], _) => Some(*only),
            ([], [only]) if !wanted.is_namespace_told => Some(*only),
            _ => None,
        }
    }

    /// Tells the gate what changed since it was told last.
    fn tell(&mut self, registry: &Registry, gate: &GateMachine, reports: &mut Vec<Report>) {
        let Some((service, revision)) = self.bound else {
            return;
        };
        if self.seen.phase == Phase::Unknown {
            return;
        }
        let is_new = self.told.revision != Some(revision);
        if !is_new && !self.is_dirty {
            return;
        }
        if is_new {
            self.told = Told {
                revision: Some(revision),
                ..Told::default()
            };
        }
        let mut changes = Vec::new();
        let is_on_trial = self.seen.current != self.seen.stable
            && self.seen.phase != Phase::Stable
            && !self.is_way_back(registry, gate, service, revision);
        if is_on_trial && !self.told.is_started && self.seen.phase.is_under_way() {
            self.told.is_started = true;
            self.told.is_finished = false;
            let baseline = self.baseline_name(registry, service);
            changes.push(RolloutChange::Started { baseline });
        }
        if let Some(basis_points) = self.seen.weight
            && is_on_trial
            && self.told.weight != Some(basis_points)
        {
            self.told.weight = Some(basis_points);
            changes.push(RolloutChange::Weight { basis_points });
        }
        if self.told.is_started && self.told.is_held != self.seen.is_held {
            self.told.is_held = self.seen.is_held;
            changes.push(if self.seen.is_held {
                RolloutChange::Paused
            } else {
                RolloutChange::Resumed
            });
        }
        changes.extend(self.ending());
        let (hash, object) = (self.seen.current.clone(), self.seen.object.to_string());
        reports.extend(changes.into_iter().map(|change| Report {
            service,
            revision,
            hash: hash.clone(),
            object: object.clone(),
            change,
        }));
    }

    /// Whether the newest template is an older revision that takes the place of a halted one: that is no rollout to be judged,
    /// least of all by what it is to end.
    fn is_way_back(
        &self,
        registry: &Registry,
        gate: &GateMachine,
        service: ServiceId,
        revision: RevisionId,
    ) -> bool {
        let replaced = self.seen.template(&self.seen.stable);
        let replaced = replaced.and_then(|one| named(registry, service, one));
        let first_seen = |id: RevisionId| {
            let state = registry.services().get(&service)?.revisions.get(&id)?;
            Some(state.first_seen)
        };
        replaced.is_some_and(|(id, _)| {
            gate.is_latched(service, id) && first_seen(revision) < first_seen(id)
        })
    }

    /// A rollout that ended. A Deployment that is complete was promoted by nobody: it becomes known good by serving well.
    fn ending(&mut self) -> Option<RolloutChange> {
        let promoted = self.seen.phase == Phase::Stable
            && self.seen.object.kind == super::WorkloadKind::ArgoRollout;
        let aborted = self.seen.phase == Phase::Aborted;
        if !self.told.is_started || !(promoted || aborted) {
            return None;
        }
        self.told.is_started = false;
        self.told.is_finished = true;
        Some(RolloutChange::Finished { promoted })
    }

    /// What telemetry calls the stable template; empty leaves the baseline to the gate.
    fn baseline_name(&self, registry: &Registry, service: ServiceId) -> String {
        let Some(stable) = self.seen.template(&self.seen.stable) else {
            return String::new();
        };
        named(registry, service, stable).map_or_else(String::new, |(_, name)| name.to_owned())
    }

    /// The older template that is worth going back to: the newest one that `is_good` in telemetry.
    pub(super) fn refuge(
        &self,
        registry: &Registry,
        is_good: impl Fn(RevisionId) -> bool,
    ) -> Option<&TemplateSeen> {
        let (service, _) = self.bound?;
        let current = self.seen.template(&self.seen.current)?.number;
        let older = self.seen.templates.iter();
        let mut older: Vec<&TemplateSeen> = older
            .filter(|one| one.number < current && one.hash != self.seen.current)
            .collect();
        older.sort_by_key(|one| std::cmp::Reverse(one.number));
        let is_good =
            |one: &&TemplateSeen| named(registry, service, one).is_some_and(|(id, _)| is_good(id));
        older.into_iter().find(is_good)
    }
}

/// The one revision that telemetry calls by the most precise name that it knows of `template`, and that name.
///
/// A revision that says its pod template hash or ReplicaSet is bound by those alone: another template may have the same
/// version.
fn named<'a>(
    registry: &Registry,
    service: ServiceId,
    template: &'a TemplateSeen,
) -> Option<(RevisionId, &'a str)> {
    let state = registry.services().get(&service)?;
    for name in &template.names {
        let is_precise = *name == template.hash || *name == template.replica_set;
        let mut fitting = state.revisions.values().filter(|state| {
            let revision = &state.revision;
            let says_template = revision.attributes.iter().any(|(source, _)| {
                matches!(
                    source,
                    RevisionSource::PodTemplateHash | RevisionSource::ReplicaSet
                )
            });
            revision.matches(name) && (is_precise || !says_template)
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => {}
            (Some(only), None) => return Some((only.revision.id, name)),
            (Some(_), Some(_)) => return None,
        }
    }
    None
}
