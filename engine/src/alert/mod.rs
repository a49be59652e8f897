//! The alert of one SLO: one alert however many tiers burn, with escalation (inactive, pending, firing, resolved).
//!
//! Four tiers that alert alone send four messages for one outage. Here every tier only keeps a clock; the alert follows
//! the most serious tier whose clock is over its `for`. It *fires* once, *escalates* when a page tier joins a ticket,
//! eases silently when only the ticket remains, and *resolves* when no tier is left.
//!
//! What is unknown never ends anything: a tier stays as it is while its windows are incomplete or without events
//! ([`Reading::Open`]); an incomplete window may still start it. A published row is a record of its transition: late
//! data changes the SLO's numbers, never a row.
//!
//! | state | a tier is over its `for` | a tier burns, `for` runs | no tier burns, proven | open |
//! |---|---|---|---|---|
//! | inactive, resolved | firing | pending | - | - |
//! | pending | firing | - | inactive | - |
//! | firing | - (escalates, eases) | - | resolved | - |

#[cfg(test)]
mod tests;
pub(crate) mod words;

use crate::slo::{BurnTier, Severity};
use crate::snapshot::{AlertRow, AlertState};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a resolved alert stays listed, s.
pub const RESOLVED_LISTED_SECS: u64 = 24 * 3_600;

/// What one tier's condition is at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It holds.
    Burns,
    /// It does not, and the windows that say so are complete and hold events.
    Over,
    /// Nothing can be said, or the low-traffic guard keeps it from firing: whatever was, stays.
    Open,
}

/// What people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertChange {
    /// The alert fired.
    Fired,
    /// A page tier joined a firing ticket.
    Escalated,
    /// The condition ended, or the SLO was removed or now measures something else.
    Resolved,
}

/// A transition to tell people about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertTransition {
    /// What happened.
    pub change: AlertChange,
    /// The alert after it.
    pub row: Arc<AlertRow>,
    /// Targets of every tier that fires (that fired, when resolved); empty = every configured endpoint.
    pub targets: Vec<String>,
}

/// What [`Alert::step`] found: the new state and the tier that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing changed.
    Same,
    /// Pending because of this tier.
    Pending(usize),
    /// Pending no more, without having fired.
    Dropped,
    /// Fired.
    Fired(usize),
    /// More serious.
    Escalated(usize),
    /// Less serious.
    Eased(usize),
    /// Over.
    Resolved,
}

/// A tier's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Clock {
    tier: String,
    since: Option<Timestamp>,
    is_firing: bool,
}

/// The alert state of one SLO.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Alert {
    clocks: Vec<Clock>,
    /// Whether any clock runs.
    is_ticking: bool,
    /// Pending or firing occurrence.
    current: Option<Arc<AlertRow>>,
    /// Last resolved occurrence, while it is listed.
    resolved: Option<Arc<AlertRow>>,
    /// Budget remaining when the current occurrence fired.
    remaining_at_start: f64,
    /// Targets told about the current occurrence.
    told: Vec<String>,
}

impl Alert {
    /// The state of new `tiers`; clocks of tiers with the same name are kept.
    pub(crate) fn set_tiers(&mut self, tiers: &[BurnTier]) {
        let old = std::mem::take(&mut self.clocks);
        self.clocks = tiers
            .iter()
            .map(|tier| {
                let known = old.iter().find(|clock| clock.tier == tier.name);
                known.cloned().unwrap_or_else(|| Clock {
                    tier: tier.name.clone(),
                    ..Clock::default()
                })
            })
            .collect();
        self.note_ticking();
    }

    /// A clock runs, or something fired whose tier is gone and must be ended.
    fn note_ticking(&mut self) {
        let runs = |clock: &Clock| clock.since.is_some();
        self.is_ticking = self.current.is_some() || self.clocks.iter().any(runs);
    }

    /// Whether something is pending or firing.
    pub(crate) fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// Whether a tier is pending or firing.
    pub(crate) const fn is_ticking(&self) -> bool {
        self.is_ticking
    }

    /// Whether tier `at` is pending or firing.
    pub(crate) fn clock_runs(&self, at: usize) -> bool {
        self.clocks
            .get(at)
            .is_some_and(|clock| clock.since.is_some())
    }

    /// The occurrence to show: the current one, else the last resolved one while it is listed.
    pub(crate) fn shown(&self) -> Option<&Arc<AlertRow>> {
        self.current.as_ref().or(self.resolved.as_ref())
    }

    /// The current occurrence.
    pub(crate) const fn current(&self) -> Option<&Arc<AlertRow>> {
        self.current.as_ref()
    }

    /// Budget remaining when the current occurrence fired.
    pub(crate) const fn remaining_at_start(&self) -> f64 {
        self.remaining_at_start
    }

    /// When the resolved occurrence stops being shown.
    pub(crate) fn forgotten_at(&self) -> Option<Timestamp> {
        let resolved_at = self.resolved.as_ref()?.resolved_at?;
        Some(resolved_at.plus(RESOLVED_LISTED_SECS * NANOS_PER_SEC))
    }

    /// Forgets a resolved occurrence that was listed long enough; tells whether there was one.
    pub(crate) fn forget(&mut self, now: Timestamp) -> bool {
        let is_over = self.forgotten_at().is_some_and(|at| at < now);
        if is_over {
            self.resolved = None;
        }
        is_over
    }

    /// Moves the clocks by one tick; `readings` has one reading per tier, in order.
    pub(crate) fn step(
        &mut self,
        now: Timestamp,
        tiers: &[BurnTier],
        readings: &[Reading],
    ) -> Step {
        for ((clock, tier), reading) in self.clocks.iter_mut().zip(tiers).zip(readings) {
            match reading {
                Reading::Burns => {
                    let since = *clock.since.get_or_insert(now);
                    clock.is_firing |=
                        now.since(since) >= tier.for_secs.saturating_mul(NANOS_PER_SEC);
                }
                Reading::Over => (clock.since, clock.is_firing) = (None, false),
                Reading::Open => {}
            }
        }
        self.note_ticking();
        let deciding = self.deciding(tiers);
        match (self.firing(), deciding) {
            (None, Some(tier)) => Step::Fired(tier),
            (None, None) => self.step_pending(tiers),
            (Some(_), None) => Step::Resolved,
            (Some(old), Some(tier)) => match tiers[tier].severity.cmp(&old) {
                std::cmp::Ordering::Greater => Step::Escalated(tier),
                std::cmp::Ordering::Less => Step::Eased(tier),
                std::cmp::Ordering::Equal => Step::Same,
            },
        }
    }

    fn step_pending(&self, tiers: &[BurnTier]) -> Step {
        let waiting = |at: &usize| self.clocks[*at].since.is_some();
        let pending = (0..tiers.len().min(self.clocks.len()))
            .filter(waiting)
            .max_by_key(|at| rank(tiers, *at));
        match (&self.current, pending) {
            (None, Some(tier)) => Step::Pending(tier),
            (Some(_), None) => Step::Dropped,
            (None, None) | (Some(_), Some(_)) => Step::Same,
        }
    }

    fn firing(&self) -> Option<Severity> {
        let row = self.current.as_ref()?;
        (row.state == AlertState::Firing).then_some(row.severity)
    }

    /// The most serious firing tier; of several the fastest, then the first.
    fn deciding(&self, tiers: &[BurnTier]) -> Option<usize> {
        (0..tiers.len().min(self.clocks.len()))
            .filter(|at| self.clocks[*at].is_firing)
            .max_by_key(|at| rank(tiers, *at))
    }

    /// When the condition began: the current occurrence's start, else the earliest clock's.
    pub(crate) fn since(&self, now: Timestamp) -> Timestamp {
        let earliest = || self.clocks.iter().filter_map(|clock| clock.since).min();
        self.current
            .as_ref()
            .map(|row| row.since)
            .or_else(earliest)
            .unwrap_or(now)
    }

    /// Takes the row of a new state; `remaining` is the budget left.
    pub(crate) fn enter(&mut self, row: AlertRow) -> Arc<AlertRow> {
        let was_firing = self.firing().is_some();
        let row = Arc::new(row);
        match row.state {
            AlertState::Firing if !was_firing => self.remaining_at_start = row.budget_remaining,
            AlertState::Resolved => {
                self.current = None;
                self.resolved = Some(Arc::clone(&row));
                return row;
            }
            AlertState::Firing | AlertState::Pending | AlertState::Inactive => {}
        }
        self.current = Some(Arc::clone(&row));
        row
    }

    /// Ends a pending occurrence that never fired.
    pub(crate) fn drop_pending(&mut self) {
        self.current = None;
    }

    /// Whom to tell of a change: the targets of every tier that fires and, at the end, whoever was told before.
    /// One tier without named targets means everybody.
    pub(crate) fn targets(&mut self, tiers: &[BurnTier], change: AlertChange) -> Vec<String> {
        match change {
            AlertChange::Resolved => std::mem::take(&mut self.told),
            AlertChange::Fired | AlertChange::Escalated => {
                let firing: Vec<&BurnTier> = tiers
                    .iter()
                    .zip(&self.clocks)
                    .filter(|(_, clock)| clock.is_firing)
                    .map(|(tier, _)| tier)
                    .collect();
                let mut targets: Vec<String> = if firing.iter().any(|tier| tier.targets.is_empty())
                {
                    Vec::new()
                } else {
                    firing
                        .iter()
                        .flat_map(|tier| tier.targets.clone())
                        .collect()
                };
                targets.sort();
                targets.dedup();
                self.told.clone_from(&targets);
                targets
            }
        }
    }
}

/// Orders tiers: serious before light, fast before slow, first before later.
fn rank(tiers: &[BurnTier], at: usize) -> (Severity, u64, std::cmp::Reverse<usize>) {
    let tier = &tiers[at];
    (tier.severity, tier.factor_milli, std::cmp::Reverse(at))
}
