//! Keeps what stands: begun by transitions, ended by the state itself, so that nothing hangs and nothing ends early.

use super::Decider;
use crate::cascade::row::IncidentRow;
use crate::gate::GateTransition;
use crate::input::Subject;
use crate::slo::SloId;
use crate::slo_machine::{AlertChange, AlertTransition};
use crate::snapshot::{AlertRow, AlertState};
use crate::standing::{Standing, Standings};
use std::sync::Arc;

/// What becomes of a row.
enum Fate {
    /// It ends, with these words.
    Ends(String),
    /// It goes on with the words of this newer row.
    Says(Arc<AlertRow>),
    /// It ends as eased; the lower severity of this row stands instead.
    Eases(Arc<AlertRow>),
    /// It goes on with the words of this newer incident.
    Tells(Arc<IncidentRow>),
}

impl Decider {
    /// An alert that fired or escalated begins to stand at its severity. Its end is found by [`Self::stand`].
    pub(super) fn stand_alert(&mut self, transition: &AlertTransition) {
        if transition.change != AlertChange::Resolved {
            let row = &transition.row;
            self.begin(Standing::of_alert(row, row.severity, &transition.targets));
        }
    }

    /// A Halt that was latched begins to stand. Its end is found by [`Self::stand`].
    pub(super) fn stand_halt(&mut self, transition: &GateTransition) {
        let decision = &transition.decision;
        if decision.latched {
            let team = self.definitions.policy_of(&decision.answer.service).team;
            let standing = Standing::of_halt(decision, &team);
            // Without a revision its end could not be found; a latch always has one.
            if standing.halted().is_some() {
                self.begin(standing);
            }
        } else if !decision.cleared_reason.is_empty() {
            let about = (transition.service, transition.revision);
            let row = self.standings.holding();
            let cleared: Vec<u128> = row
                .filter(|(_, row)| row.halted() == Some(about))
                .map(|(id, _)| id)
                .collect();
            let text = format!("cleared: {}", decision.cleared_reason);
            for id in cleared {
                Arc::make_mut(&mut self.standings).end(id, self.now, &text);
            }
        }
    }

    fn begin(&mut self, mut standing: Standing) {
        standing.endpoints = self.alertmanagers_of(&standing.targets);
        Arc::make_mut(&mut self.standings).begin(standing);
    }

    /// Compares what stands with alerts and latches. O(rows); nothing is copied while nothing changes.
    pub(super) fn stand(&mut self) {
        let fates: Vec<(u128, Arc<Standing>, Fate)> = self
            .standings
            .holding()
            .filter_map(|(id, row)| Some((id, Arc::clone(row), self.fate(row)?)))
            .collect();
        for (id, was, fate) in fates {
            let standings = Arc::make_mut(&mut self.standings);
            match fate {
                Fate::Ends(text) => standings.end(id, self.now, &text),
                Fate::Says(row) => {
                    let now = Standing::of_alert(&row, was.severity, &was.targets);
                    // The team is part of the identity: it stays what it was.
                    standings.begin(Standing {
                        team: was.team.clone(),
                        ..now
                    });
                }
                Fate::Tells(row) => standings.begin(Standing::of_incident(&row)),
                Fate::Eases(row) => {
                    standings.end(id, self.now, &row.text);
                    // What was a ticket before stands already, and says the new words by itself.
                    let stands = |other: &Standing| {
                        other.slo() == Some(row.slo_id) && other.severity == row.severity
                    };
                    if !standings.holding().any(|(_, other)| stands(other)) {
                        let lower = Standing::of_alert(&row, row.severity, &was.targets);
                        standings.begin(Standing {
                            team: was.team.clone(),
                            endpoints: was.endpoints.clone(),
                            ..lower
                        });
                    }
                }
            }
        }
        self.stand_hand();
        let forgotten = self.standings.forgotten(self.now);
        for id in forgotten {
            Arc::make_mut(&mut self.standings).forget(id);
        }
    }

    /// That the hand needs looking at stands while it does.
    fn stand_hand(&mut self) {
        let is_of_hand = |row: &Standing| matches!(row.subject, Subject::Hand(_));
        let known = self.standings.holding().find(|(_, row)| is_of_hand(row));
        let known = known.map(|(id, row)| (id, Arc::clone(row)));
        match (self.hand.trouble(), known) {
            (Some((title, text)), known) => {
                if known.is_none_or(|(_, row)| (&row.title, &row.text) != (&title, &text)) {
                    let row = Arc::new(self.hand.row());
                    self.begin(Standing::of_hand(&row, &title, &text, self.now));
                }
            }
            (None, Some((id, _))) => {
                Arc::make_mut(&mut self.standings).end(id, self.now, "");
            }
            (None, None) => {}
        }
    }

    /// `None`: it stands as it did.
    fn fate(&self, standing: &Standing) -> Option<Fate> {
        if let Some((service, revision)) = standing.halted() {
            let is_latched = self.gate.is_latched(service, revision);
            return (!is_latched).then(|| Fate::Ends(String::new()));
        }
        if let Some(id) = standing.incident() {
            return self.fate_of_incident(standing, id);
        }
        let slo = standing.slo()?;
        let Some(row) = self.slos.active_alert(slo) else {
            return Some(Fate::Ends(self.last_words(slo)));
        };
        match (row.state, row.severity) {
            (AlertState::Firing, severity) if severity < standing.severity => {
                Some(Fate::Eases(Arc::clone(row)))
            }
            (AlertState::Firing, _) => {
                let Subject::Alert(known) = &standing.subject else {
                    return None;
                };
                (!Arc::ptr_eq(known, row)).then(|| Fate::Says(Arc::clone(row)))
            }
            _ => Some(Fate::Ends(self.last_words(slo))),
        }
    }

    fn fate_of_incident(&self, standing: &Standing, id: u128) -> Option<Fate> {
        let Some(row) = self.incidents.iter().find(|row| row.id == id) else {
            return Some(Fate::Ends(String::new()));
        };
        if !row.is_open() {
            return Some(Fate::Ends(row.text.clone()));
        }
        (standing.text != row.text).then(|| Fate::Tells(Arc::clone(row)))
    }

    /// An incident that people are told of begins to stand. Its end is found by [`Self::stand`].
    pub(super) fn stand_incident(&mut self, row: &Arc<IncidentRow>) {
        self.begin(Standing::of_incident(row));
    }

    /// What the alert of `slo` said when it resolved.
    fn last_words(&self, slo: SloId) -> String {
        let resolved = |row: &Arc<AlertRow>| {
            (row.slo_id == slo && row.state == AlertState::Resolved).then(|| row.text.clone())
        };
        self.slos
            .alerts()
            .iter()
            .find_map(resolved)
            .unwrap_or_default()
    }

    /// New definitions: what stands is shown to the endpoints they name, too.
    pub(super) fn redirect_standing(&mut self) {
        let more: Vec<(u128, Vec<String>)> = self
            .standings
            .holding()
            .map(|(id, row)| (id, self.missing(row)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect();
        for (id, endpoints) in more {
            Arc::make_mut(&mut self.standings).add_endpoints(id, &endpoints);
        }
    }

    fn missing(&self, row: &Standing) -> Vec<String> {
        let mut wanted = self.alertmanagers_of(&row.targets);
        wanted.retain(|name| !row.endpoints.contains(name));
        wanted
    }

    /// Everything that stands, for executors that show it.
    pub const fn standings(&self) -> &Arc<Standings> {
        &self.standings
    }
}
