//! What stands: conditions that hold now or ended lately, for receivers that must hear of them again and again.
//!
//! A webhook is told of a change once ([`crate::input::Effect`]). An Alertmanager keeps no alerts over its own restart and
//! ends by itself whatever it is not told of again: it has to be shown the whole state, repeatedly. So the Decider keeps
//! that state here, and executors show it as it is (`docs/decisions/0015-alertmanagers-are-shown-what-stands.md`).
//!
//! **One row is one identity** at the receiver: nothing in it that makes up that identity (what it is about, severity,
//! team) changes while it stands. An SLO's alert has one row per severity it reached: a ticket that becomes a page goes on
//! standing, and the page joins it. Both are true, neither ends before its condition does, and a receiver can mute the one
//! by the other. When only the ticket remains, the page ends.

use crate::cascade::row::IncidentRow;
use crate::hand::HandRow;
use crate::hash::blake3_128;
use crate::identity::{RevisionId, ServiceId};
use crate::input::Subject;
use crate::slo::{Severity, SloId};
use crate::snapshot::{AlertRow, Decision};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a row that ended stays: a receiver that was away for less hears of its end.
pub const ENDED_KEPT_SECS: u64 = 24 * 3_600;
/// Most rows that ended; beyond it the one that ended first leaves. What holds is bounded by SLOs and latches.
pub const ENDED_MAX: usize = 1_000;

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Names of the Alertmanagers that are shown it. Once named, one stays until the end: it must hear of that.
    pub endpoints: Vec<String>,
    /// Targets of the policies that made it; empty = every configured endpoint.
    pub targets: Vec<String>,
    /// Page or ticket.
    pub severity: Severity,
    /// Owning team when it began; empty when unknown.
    pub team: String,
    /// One line.
    pub title: String,
    /// The words: burn, budget, evidence, what to do; why it ended, when it did.
    pub text: String,
    /// When it began at this severity, logical time.
    pub began: Timestamp,
    /// When it ended; `None` while it holds.
    pub ended: Option<Timestamp>,
    /// The facts.
    pub subject: Subject,
}

impl Standing {
    /// An SLO's alert that fires, at `severity`: its own or a lower one that it went through.
    pub fn of_alert(row: &Arc<AlertRow>, severity: Severity, targets: &[String]) -> Self {
        Self {
            endpoints: Vec::new(),
            targets: targets.to_vec(),
            severity,
            team: row.team.clone(),
            title: alert_title(row, severity),
            text: row.text.clone(),
            began: row.as_of,
            ended: None,
            subject: Subject::Alert(Arc::clone(row)),
        }
    }

    /// A Halt that is latched.
    pub fn of_halt(decision: &Arc<Decision>, team: &str) -> Self {
        let answer = &decision.answer;
        Self {
            endpoints: Vec::new(),
            targets: Vec::new(),
            severity: Severity::Page,
            team: team.to_owned(),
            title: format!(
                "HALT {} {}: {}",
                answer.service.name,
                answer.candidate,
                answer.code.name()
            ),
            text: decision_text(decision),
            began: answer.as_of,
            ended: None,
            subject: Subject::Decision(Arc::clone(decision)),
        }
    }

    /// That the hand needs looking at: it disarmed itself, or is not armed when it is needed.
    pub fn of_hand(row: &Arc<HandRow>, title: &str, text: &str, now: Timestamp) -> Self {
        Self {
            endpoints: Vec::new(),
            targets: Vec::new(),
            severity: Severity::Page,
            team: String::new(),
            title: title.to_owned(),
            text: text.to_owned(),
            began: now,
            ended: None,
            subject: Subject::Hand(Arc::clone(row)),
        }
    }

    /// An incident that reaches others.
    pub fn of_incident(row: &Arc<IncidentRow>) -> Self {
        Self {
            endpoints: Vec::new(),
            targets: Vec::new(),
            // It must not change while the incident stands.
            severity: Severity::Page,
            team: String::new(),
            title: row.title.clone(),
            text: row.text.clone(),
            began: row.opened_at,
            ended: None,
            subject: Subject::Incident(Arc::clone(row)),
        }
    }

    /// Stable id: two rows are the same condition to a receiver exactly when it is equal.
    pub fn id(&self) -> u128 {
        let severity = self.severity.name().as_bytes();
        let (kind, about, revision) = match &self.subject {
            Subject::Alert(row) => ("alert", row.slo_id.0, String::new()),
            Subject::Decision(decision) => {
                let answer = &decision.answer;
                ("halt", answer.service.id().0, answer.candidate.clone())
            }
            Subject::Rollout(row) => ("rollout", 0, row.object.to_string()),
            Subject::Hand(_) => ("hand", 0, String::new()),
            Subject::Incident(row) => ("incident", row.id, String::new()),
        };
        let parts = [
            kind.as_bytes(),
            &about.to_le_bytes(),
            revision.as_bytes(),
            severity,
            self.team.as_bytes(),
        ];
        blake3_128("standing", &parts)
    }

    /// The SLO whose alert this is.
    pub fn slo(&self) -> Option<SloId> {
        match &self.subject {
            Subject::Alert(row) => Some(row.slo_id),
            Subject::Decision(_)
            | Subject::Incident(_)
            | Subject::Rollout(_)
            | Subject::Hand(_) => None,
        }
    }

    /// The incident that this is.
    pub fn incident(&self) -> Option<u128> {
        match &self.subject {
            Subject::Incident(row) => Some(row.id),
            Subject::Alert(_) | Subject::Decision(_) | Subject::Rollout(_) | Subject::Hand(_) => {
                None
            }
        }
    }

    /// The service and revision whose Halt this is.
    pub fn halted(&self) -> Option<(ServiceId, RevisionId)> {
        match &self.subject {
            Subject::Alert(_) | Subject::Incident(_) | Subject::Rollout(_) | Subject::Hand(_) => {
                None
            }
            Subject::Decision(decision) => {
                let answer = &decision.answer;
                Some((answer.service.id(), answer.candidate_id?))
            }
        }
    }
}

/// "checkout burns its error budget (availability, page)".
fn alert_title(row: &AlertRow, severity: Severity) -> String {
    format!(
        "{} burns its error budget ({}, {})",
        row.service.name,
        row.slo,
        severity.name()
    )
}

/// Reasons and counterfactual, a line each.
pub(crate) fn decision_text(decision: &Decision) -> String {
    let answer = &decision.answer;
    let mut lines = answer.reasons.clone();
    if !answer.counterfactual.is_empty() {
        lines.push(answer.counterfactual.clone());
    }
    lines.join("\n")
}

/// Everything that stands, by id. Rows that did not change are shared with earlier views.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standings {
    rows: BTreeMap<u128, Arc<Standing>>,
}

impl Standings {
    /// Rows that hold and rows that ended, in id order.
    pub fn rows(&self) -> impl Iterator<Item = (u128, &Arc<Standing>)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// Rows that hold.
    pub fn holding(&self) -> impl Iterator<Item = (u128, &Arc<Standing>)> {
        self.rows().filter(|(_, row)| row.ended.is_none())
    }

    /// Begins `standing`; one that holds already keeps its beginning and its endpoints, and takes the new words.
    pub fn begin(&mut self, standing: Standing) {
        let id = standing.id();
        let row = match self.rows.get(&id) {
            Some(known) if known.ended.is_none() => Standing {
                endpoints: union(&known.endpoints, &standing.endpoints),
                began: known.began,
                ..standing
            },
            _ => standing,
        };
        self.rows.insert(id, Arc::new(row));
    }

    /// Ends row `id` at `now`; `text` says why, an empty one leaves the words as they are.
    pub fn end(&mut self, id: u128, now: Timestamp, text: &str) {
        self.change(id, |row| {
            row.ended = Some(now.max(row.began));
            if !text.is_empty() {
                text.clone_into(&mut row.text);
            }
        });
    }

    /// Shows row `id` to these endpoints, too.
    pub fn add_endpoints(&mut self, id: u128, endpoints: &[String]) {
        self.change(id, |row| row.endpoints = union(&row.endpoints, endpoints));
    }

    fn change(&mut self, id: u128, change: impl FnOnce(&mut Standing)) {
        if let Some(row) = self.rows.get_mut(&id) {
            change(Arc::make_mut(row));
        }
    }

    /// Ids of the ended rows that are kept no longer.
    pub fn forgotten(&self, now: Timestamp) -> Vec<u128> {
        let ended = |(id, row): (u128, &Arc<Standing>)| Some((row.ended?, id));
        let mut all: Vec<(Timestamp, u128)> = self.rows().filter_map(ended).collect();
        all.sort_unstable();
        let surplus = all.len().saturating_sub(ENDED_MAX);
        let is_old = |at: Timestamp| now.since(at) > ENDED_KEPT_SECS * NANOS_PER_SEC;
        let forgotten = all.into_iter().enumerate();
        forgotten
            .filter(|(place, (at, _))| *place < surplus || is_old(*at))
            .map(|(_, (_, id))| id)
            .collect()
    }

    /// Forgets row `id`.
    pub fn forget(&mut self, id: u128) {
        self.rows.remove(&id);
    }
}

fn union(left: &[String], right: &[String]) -> Vec<String> {
    let mut all = [left, right].concat();
    all.sort();
    all.dedup();
    all
}
