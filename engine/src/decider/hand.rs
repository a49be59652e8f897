//! The hand inside the Decider: what the watch saw is told to the gate, what the hand plans becomes effects.

use super::{Decider, told};
use crate::hand::{HandFacts, Planned, Steering};
use crate::hash::blake3_128;
use crate::input::{Effect, EffectKind, Notification, RolloutChange, RolloutEvent, Subject};
use crate::slo::Severity;
use std::sync::Arc;

impl Decider {
    /// Workloads are bound to revisions, and the gate hears how their rollouts go.
    pub(super) fn bind_rollouts(&mut self) {
        for report in self.hand.bind(&self.registry, &self.gate) {
            let Some(key) = self.registry.services().get(&report.service) else {
                continue;
            };
            let key = key.key.clone();
            let (kind, text) = told(&report.hash, &report.change);
            self.event(kind, &key.name, format!("{} {text}", report.object));
            let event = RolloutEvent {
                id: String::new(),
                service: key.name,
                namespace: key.namespace,
                environment: key.environment,
                candidate: report.hash,
                time: self.now,
                change: report.change,
            };
            if matches!(event.change, RolloutChange::Finished { promoted: true }) {
                // A complete rollout is not a good one yet: it becomes known good by serving well, and can be halted until then.
                continue;
            }
            self.gate
                .rollout(self.now, report.service, &event, Some(report.revision));
        }
    }

    /// What is halted is acted upon.
    pub(super) fn plan_rollouts(&mut self, effects: &mut Vec<Effect>) {
        let facts = HandFacts {
            registry: &self.registry,
            gate: &self.gate,
            definitions: &self.definitions,
        };
        for planned in self.hand.plan(self.now, facts) {
            self.planned(planned, effects);
        }
    }

    /// A person disarms or arms.
    pub(super) fn steer(&mut self, steering: &Steering, effects: &mut Vec<Effect>) {
        if self.is_repeated(&steering.id) || !self.hand.steer(self.now, steering) {
            return;
        }
        let text = if steering.author.is_empty() {
            steering.reason.clone()
        } else {
            format!("{} ({})", steering.reason, steering.author)
        };
        for planned in self.hand.steered(&text) {
            self.planned(planned, effects);
        }
    }

    fn planned(&mut self, planned: Planned, effects: &mut Vec<Effect>) {
        match planned {
            Planned::Act { id, action } => {
                self.send(id, EffectKind::Act(Arc::new(action)), effects);
            }
            Planned::Tell(event) => {
                let parts = [
                    event.uid.as_bytes(),
                    event.reason.as_bytes(),
                    event.text.as_bytes(),
                    &self.now.0.to_le_bytes(),
                ];
                let id = blake3_128("cluster-event", &parts);
                self.send(id, EffectKind::Tell(Arc::new(event)), effects);
            }
            Planned::Notify {
                event,
                title,
                text,
                row,
            } => {
                let cause = [
                    event.as_bytes(),
                    row.object.to_string().as_bytes(),
                    &self.now.0.to_le_bytes(),
                ]
                .concat();
                let subject = Subject::Rollout(row);
                self.say(
                    &cause,
                    event,
                    Severity::Page,
                    (title, text),
                    subject,
                    effects,
                );
            }
            Planned::Report {
                event,
                severity,
                title,
                text,
            } => {
                let cause = [event.as_bytes(), &self.now.0.to_le_bytes()].concat();
                let subject = Subject::Hand(Arc::new(self.hand.row()));
                self.say(&cause, event, severity, (title, text), subject, effects);
            }
            Planned::Log {
                kind,
                service,
                text,
            } => self.event(kind, &service, text),
        }
    }

    fn say(
        &mut self,
        cause: &[u8],
        event: &str,
        severity: Severity,
        (title, text): (String, String),
        subject: Subject,
        effects: &mut Vec<Effect>,
    ) {
        let notification = Notification {
            event: event.to_owned(),
            severity,
            title,
            text,
            at: self.now,
            subject,
        };
        self.notify(cause, &[], notification, effects);
    }

    /// Plans one effect and keeps it in the outbox until it is reported done.
    fn send(&mut self, id: u128, kind: EffectKind, effects: &mut Vec<Effect>) {
        let effect = Effect {
            id,
            generation: self.generation,
            kind,
        };
        self.outbox.insert(id, effect.clone());
        effects.push(effect);
    }

    /// Counts up whenever the hand decided something that must be durable before anybody acts on it.
    pub const fn hand_fence(&self) -> u64 {
        self.hand.fence()
    }
}
