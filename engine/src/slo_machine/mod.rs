//! Every SLO at work: definitions and counts in; budgets, burn rates, alert transitions and rows out.
//!
//! A pure machine owned by the Decider. [`SloMachine::apply`] counts, [`SloMachine::tick`] slides every window to
//! logical `now` and moves alerts. Its serialized form is its whole state; rows are derived and rebuilt at the first tick.
//!
//! **Definitions.** State is keyed by [`SloId`] (service and name). Counts stay when the SLI is the same, whatever
//! else changed (a longer period starts with what was kept). A changed SLI measures something else: counts start anew and
//! a firing alert ends. A removed SLO takes its state with it. A service whose SLOs no file defines has the implicit one.
//!
//! **Cost.** Per tick: O(SLOs that have events or whose finest live bucket ended) plus at most [`ROWS_PER_TICK`] rebuilt
//! rows and [`HISTORIES_PER_TICK`] charts, first come first served. So up to that many busy SLOs are published fresh at
//! every tick; beyond it rows may be a few ticks old. Alerts are always evaluated at every tick and their rows never wait.
//!
//! **Limits.** [`FUTURE_MAX`] deltas after `now` (beyond: dropped, counted); slices as in [`slices`]; 1,000 resolved
//! alerts for 24 h and 1,000 gaps (the oldest leave).

mod alerting;
mod coverage;
mod doubts;
mod queue;
mod row;
pub mod slices;
mod slot;
#[cfg(test)]
mod tests;

pub use crate::alert::{AlertChange, AlertTransition};

use crate::budget::Budget;
use crate::delta::{DoubtDelta, InstrumentDelta, SliDelta};
use crate::identity::{RevisionId, ServiceId, ServiceKey};
use crate::input::Gap;
use crate::items::Signal;
use crate::slo::{Definitions, Slo, SloId};
use crate::snapshot::{AlertRow, SloRow, TypeMismatch};
use crate::time::{NANOS_PER_SEC, Timestamp};
use coverage::Coverage;
use queue::Queue;
use serde::{Deserialize, Serialize};
use slot::Slot;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Rows rebuilt per tick, those of alert changes not counted.
pub const ROWS_PER_TICK: usize = 125;
/// Charts rebuilt per tick.
pub const HISTORIES_PER_TICK: usize = 25;
/// Deltas kept whose second is after `now`; folders hold future spans back, so there are hardly any.
pub const FUTURE_MAX: usize = 65_536;
/// Resolved alerts and gaps kept.
const LISTED_MAX: usize = 1_000;

/// What the machine must be told at a tick.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SloFacts {
    /// Event time up to which the live resources of a service have reported. A service that is not here has no live
    /// resource: its windows are incomplete, so its alerts may fire and never resolve.
    pub watermarks: BTreeMap<(ServiceId, Signal), Timestamp>,
    /// Owning team by service.
    pub teams: BTreeMap<ServiceId, String>,
    /// What a person calls a revision.
    pub revision_names: BTreeMap<RevisionId, String>,
}

/// Counts that could not be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SloLosses {
    /// Deltas of SLOs that are not (or no longer) defined.
    pub unknown_slo: u64,
    /// Deltas dropped at [`FUTURE_MAX`].
    pub future: u64,
}

/// State of all SLOs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SloMachine {
    slots: Vec<Slot>,
    index: BTreeMap<SloId, usize>,
    /// Services that were seen, and those whose SLOs a file defines.
    seen: BTreeMap<ServiceId, ServiceKey>,
    defined: BTreeSet<ServiceId>,
    /// Deltas by a second that has not come yet.
    future: BTreeMap<u64, Vec<SliDelta>>,
    future_len: usize,
    slices: u32,
    gaps: VecDeque<Gap>,
    resolved: VecDeque<Arc<AlertRow>>,
    /// Transitions between ticks (withdrawn SLOs), told at the next one.
    unsent: Vec<AlertTransition>,
    losses: SloLosses,
    /// Second from which a slot must be visited though nothing arrives, by slot.
    #[serde(skip)]
    due: Vec<u64>,
    #[serde(skip)]
    rows_due: Queue,
    #[serde(skip)]
    histories_due: Queue,
    #[serde(skip)]
    listed: Option<Vec<Arc<AlertRow>>>,
}

impl SloMachine {
    /// Takes new definitions (see the module's rule). O(SLOs).
    pub fn set_definitions(&mut self, now: Timestamp, definitions: &Definitions) {
        let mut old: BTreeMap<SloId, Slot> = std::mem::take(&mut self.slots)
            .into_iter()
            .map(|slot| (slot.slo.id, slot))
            .collect();
        self.index.clear();
        self.defined = definitions
            .slos
            .values()
            .map(|slo| slo.service_id)
            .collect();
        let implicit = self
            .seen
            .iter()
            .filter(|(id, _)| !self.defined.contains(id));
        let implicit: Vec<Slo> = implicit.map(|(_, key)| Slo::implicit(key)).collect();
        for slo in definitions.slos.values().chain(&implicit) {
            let known = old.remove(&slo.id);
            let slot = self.renewed(now, known, slo);
            self.push(slot);
        }
        for mut gone in old.into_values() {
            self.withdraw(now, &mut gone);
        }
        self.slices = self.slots.iter().map(|slot| slot.slices.len()).sum();
        self.due.clear();
        self.listed = None;
        self.rows_due = Queue::default();
        self.histories_due = Queue::default();
        for at in 0..self.slots.len() {
            self.rows_due.push(at);
            self.histories_due.push(at);
        }
    }

    fn renewed(&mut self, now: Timestamp, known: Option<Slot>, slo: &Slo) -> Slot {
        match known {
            Some(mut slot) if slot.slo.sli == slo.sli => {
                slot.redefine(slo, now);
                slot
            }
            Some(mut slot) => {
                self.withdraw(now, &mut slot);
                Slot::new(slo.clone(), now)
            }
            None => Slot::new(slo.clone(), now),
        }
    }

    fn withdraw(&mut self, now: Timestamp, slot: &mut Slot) {
        if let Some(transition) = slot.withdraw(now) {
            self.note_resolved(&transition);
            self.unsent.push(transition);
        }
    }

    fn push(&mut self, slot: Slot) {
        self.index.insert(slot.slo.id, self.slots.len());
        self.slots.push(slot);
    }

    /// Tells that spans of `service` were seen: it has the implicit SLO as long as no file defines one.
    pub fn ensure_implicit(&mut self, now: Timestamp, service: &ServiceKey) {
        let id = service.id();
        if self.seen.contains_key(&id) {
            return;
        }
        self.seen.insert(id, service.clone());
        let slo = Slo::implicit(service);
        if !self.defined.contains(&id) && !self.index.contains_key(&slo.id) {
            self.push(Slot::new(slo, now));
        }
    }

    /// Tells that counts of a time were lost: windows that overlap it are incomplete.
    pub fn gap(&mut self, gap: Gap) {
        self.gaps.push_back(gap);
        if self.gaps.len() > LISTED_MAX {
            self.gaps.pop_front();
        }
    }

    /// Counts `deltas` (best grouped by SLO, as in a [`crate::delta::Delta`]); entries may be negative.
    /// O(log SLOs) per group and O(levels + windows) per entry.
    pub fn apply(&mut self, now: Timestamp, deltas: &[SliDelta]) {
        let second = now.secs();
        self.ripen(second);
        for group in deltas.chunk_by(|left, right| left.slo == right.slo) {
            if group.iter().all(|delta| delta.second <= second) {
                self.count(second, group);
            } else {
                let (later, ripe): (Vec<SliDelta>, Vec<SliDelta>) =
                    group.iter().partition(|delta| delta.second > second);
                self.count(second, &ripe);
                self.defer(later);
            }
        }
    }

    /// Counts what beside good and bad events is said of SLOs: which of them are in doubt, and what types arrive.
    /// Returns the SLOs whose type mismatch began or ended.
    pub fn note(
        &mut self,
        now: Timestamp,
        doubts: &[DoubtDelta],
        types: &[InstrumentDelta],
    ) -> Vec<(Arc<Slo>, Option<TypeMismatch>)> {
        for group in doubts.chunk_by(|left, right| left.slo == right.slo) {
            if let Some(&at) = group.first().and_then(|first| self.index.get(&first.slo)) {
                self.slots[at].count_doubts(now.secs(), group);
                self.rows_due.push(at);
            }
        }
        let mut changed = Vec::new();
        for seen in types {
            let Some(&at) = self.index.get(&seen.slo) else {
                continue;
            };
            let slot = &mut self.slots[at];
            let before = slot.mismatch;
            slot.see_types(now, seen);
            if slot.mismatch != before {
                self.rows_due.push(at);
            }
            if slot.mismatch.is_some() != before.is_some() {
                changed.push((Arc::clone(&slot.slo), slot.mismatch));
            }
        }
        changed
    }

    fn defer(&mut self, deltas: Vec<SliDelta>) {
        for delta in deltas {
            if self.future_len >= FUTURE_MAX {
                self.losses.future += 1;
            } else {
                self.future_len += 1;
                self.future.entry(delta.second).or_default().push(delta);
            }
        }
    }

    /// Counts what was ahead of time and no longer is.
    fn ripen(&mut self, second: u64) {
        while let Some(entry) = self.future.first_entry()
            && *entry.key() <= second
        {
            let deltas = entry.remove();
            self.future_len -= deltas.len();
            for group in deltas.chunk_by(|left, right| left.slo == right.slo) {
                self.count(second, group);
            }
        }
    }

    fn count(&mut self, second: u64, group: &[SliDelta]) {
        let Some(first) = group.first() else { return };
        let Some(&at) = self.index.get(&first.slo) else {
            self.losses.unknown_slo += group.len() as u64;
            return;
        };
        self.slots[at].count(second, group, &mut self.slices);
        if let Some(due) = self.due.get_mut(at) {
            *due = 0;
        }
        self.rows_due.push(at);
        self.histories_due.push(at);
    }

    /// Slides every window to `now`, moves the alerts, refreshes rows. Transitions come in SLO order.
    pub fn tick(&mut self, now: Timestamp, facts: &SloFacts) -> Vec<AlertTransition> {
        let second = now.secs();
        self.ripen(second);
        self.due.resize(self.slots.len(), 0);
        let mut transitions = Vec::new();
        let mut urgent = Vec::new();
        let gaps = self.gaps.make_contiguous();
        let coverage = Coverage {
            now,
            watermarks: &facts.watermarks,
            gaps,
        };
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if self.due[at] > second {
                continue;
            }
            let visit = slot.visit(&coverage, facts, &mut self.slices);
            self.due[at] = slot.next_due(second);
            let is_restored = slot.row().is_none();
            if visit.alert || is_restored {
                urgent.push(at);
            } else if visit.row {
                self.rows_due.push(at);
            }
            if visit.history || is_restored {
                self.histories_due.push(at);
            }
            transitions.extend(visit.transition);
        }
        for transition in &transitions {
            self.note_resolved(transition);
        }
        self.refresh(now, &urgent);
        transitions.append(&mut self.unsent);
        transitions.sort_by_key(|transition| transition.row.slo_id);
        transitions
    }

    fn refresh(&mut self, now: Timestamp, urgent: &[usize]) {
        for _ in 0..HISTORIES_PER_TICK {
            let Some(at) = self.histories_due.pop() else {
                break;
            };
            self.slots[at].refresh_history(now, &mut self.slices);
        }
        for at in urgent {
            self.slots[*at].refresh_row(now, &mut self.slices);
        }
        for _ in 0..ROWS_PER_TICK {
            let Some(at) = self.rows_due.pop() else { break };
            self.slots[at].refresh_row(now, &mut self.slices);
        }
        let is_old = |row: &Arc<AlertRow>| {
            let resolved_at = row.resolved_at.unwrap_or_default();
            now.since(resolved_at) > crate::alert::RESOLVED_LISTED_SECS * NANOS_PER_SEC
        };
        let mut has_changed = !urgent.is_empty() || self.listed.is_none();
        while self.resolved.front().is_some_and(is_old) {
            self.resolved.pop_front();
            has_changed = true;
        }
        if has_changed {
            let active = self.slots.iter().filter_map(Slot::active_alert);
            let mut listed: Vec<Arc<AlertRow>> = active.chain(&self.resolved).cloned().collect();
            listed.sort_by_key(|row| (Reverse(row.as_of), row.id));
            self.listed = Some(listed);
        }
    }

    fn note_resolved(&mut self, transition: &AlertTransition) {
        if transition.change == AlertChange::Resolved {
            self.resolved.push_back(Arc::clone(&transition.row));
            if self.resolved.len() > LISTED_MAX {
                self.resolved.pop_front();
            }
        }
    }

    /// The published rows by SLO; unchanged ones are the same `Arc` as before. Empty between the loading of a
    /// checkpoint and the first tick. O(SLOs).
    pub fn rows(&self) -> BTreeMap<SloId, Arc<SloRow>> {
        let row = |(id, at): (&SloId, &usize)| Some((*id, Arc::clone(self.slots[*at].row()?)));
        self.index.iter().filter_map(row).collect()
    }

    /// Every SLO with its service, in id order: without touching a row.
    pub fn services(&self) -> impl Iterator<Item = (SloId, ServiceId)> {
        self.index
            .iter()
            .map(|(id, at)| (*id, self.slots[*at].slo.service_id))
    }

    /// The alert of one SLO while it is pending or firing.
    pub fn active_alert(&self, slo: SloId) -> Option<&Arc<AlertRow>> {
        self.slots[*self.index.get(&slo)?].active_alert()
    }

    /// The published row of one SLO.
    pub fn row(&self, slo: SloId) -> Option<&Arc<SloRow>> {
        self.slots[*self.index.get(&slo)?].row()
    }

    /// The budget of one SLO as counted up to the last [`Self::apply`] or [`Self::tick`]: exact, never a stale row.
    pub fn budget(&self, slo: SloId) -> Option<Budget> {
        Some(self.slots[*self.index.get(&slo)?].budget())
    }

    /// Alerts that are pending or firing, and those resolved in the last 24 h; newest transition first.
    pub fn alerts(&self) -> Vec<Arc<AlertRow>> {
        self.listed.clone().unwrap_or_default()
    }

    /// Counts that could not be counted.
    pub const fn losses(&self) -> SloLosses {
        self.losses
    }

    /// Revision slices held.
    pub const fn slice_count(&self) -> u32 {
        self.slices
    }

    /// Bytes of all SLOs' counts, slices left out.
    pub fn byte_size(&self) -> usize {
        self.slots.iter().map(Slot::byte_size).sum()
    }
}
