//! From transitions to effects: what people are told, in words, and where it goes.

use super::{Decider, OUTBOX_MAX};
use crate::gate::GateTransition;
use crate::gate::answer::Verdict;
use crate::hash::blake3_128;
use crate::input::{Effect, EffectKind, Notification, Subject};
use crate::slo::Severity;
use crate::slo_machine::{AlertChange, AlertTransition};
use crate::snapshot::{AlertRow, Decision};
use crate::standing::decision_text;
use crate::time::Timestamp;
use std::sync::Arc;

impl Decider {
    /// An alert fired, escalated or resolved.
    pub(super) fn alert_changed(
        &mut self,
        transition: &AlertTransition,
        effects: &mut Vec<Effect>,
    ) {
        self.stand_alert(transition);
        let is_child = self.is_child(transition);
        let notification = of_alert(transition.change, &transition.row, self.now);
        let row = &transition.row;
        self.event(
            &notification.event,
            &row.service.name,
            format!("{}: {}", row.slo, row.text),
        );
        // One failure is told once: its incident lists the alert.
        if is_child {
            return;
        }
        let event = notification.event.clone();
        let cause = [
            &row.id.to_le_bytes()[..],
            event.as_bytes(),
            &self.now.0.to_le_bytes()[..],
        ]
        .concat();
        self.notify(&cause, &transition.targets, notification, effects);
    }

    /// A gate decision was recorded; people hear of latched Halts and cleared latches.
    pub(super) fn decided(&mut self, transition: &GateTransition, effects: &mut Vec<Effect>) {
        let decision = &transition.decision;
        self.stand_halt(transition);
        let answer = &decision.answer;
        let reason = answer.reasons.first().map_or("", String::as_str);
        let kind = match answer.verdict {
            Verdict::Proceed => "gate.proceed",
            Verdict::Wait => "gate.wait",
            Verdict::Halt => "gate.halt",
            Verdict::Unknown => "gate.unknown",
        };
        let text = format!(
            "{}: {} ({}) {reason}",
            answer.candidate,
            answer.verdict.name(),
            answer.code.name()
        );
        self.event(kind, &answer.service.name, text);
        if decision.latched || !decision.cleared_reason.is_empty() {
            let notification = of_latch(decision, self.now);
            self.notify(&decision.id.to_le_bytes(), &[], notification, effects);
        }
    }

    /// Plans one effect per endpoint and keeps it in the outbox until it is reported done.
    pub(super) fn notify(
        &mut self,
        cause: &[u8],
        targets: &[String],
        notification: Notification,
        effects: &mut Vec<Effect>,
    ) {
        let notification = Arc::new(notification);
        for endpoint in self.endpoints_of(targets) {
            let effect = Effect {
                id: blake3_128("effect", &[cause, endpoint.as_bytes()]),
                generation: self.generation,
                kind: EffectKind::Notify {
                    endpoint,
                    notification: Arc::clone(&notification),
                },
            };
            self.outbox.insert(effect.id, effect.clone());
            effects.push(effect);
        }
        while self.outbox.len() > OUTBOX_MAX {
            // An action is never given up for a message.
            let is_message = |effect: &Effect| !matches!(effect.kind, EffectKind::Act(_));
            let first = self.outbox.iter().find(|(_, effect)| is_message(effect));
            let Some(first) = first.map(|(id, _)| *id) else {
                return;
            };
            self.outbox.remove(&first);
            self.event(
                "webhook.dropped",
                "",
                format!("more than {OUTBOX_MAX} undelivered notifications: one was given up"),
            );
        }
    }

    /// The webhooks that `targets` name, or all.
    fn endpoints_of(&self, targets: &[String]) -> Vec<String> {
        let mut chosen = self.chosen(targets);
        chosen.retain(|name| self.definitions.endpoints.contains(name));
        chosen
    }

    /// The Alertmanagers that `targets` name, or all.
    pub(super) fn alertmanagers_of(&self, targets: &[String]) -> Vec<String> {
        let mut chosen = self.chosen(targets);
        chosen.retain(|name| self.definitions.alertmanagers.contains(name));
        chosen
    }

    /// The configured endpoints that `targets` name; all when there are none or nothing they name exists.
    fn chosen(&self, targets: &[String]) -> Vec<String> {
        let (webhooks, alertmanagers) =
            (&self.definitions.endpoints, &self.definitions.alertmanagers);
        let named = |target: &String| {
            let endpoint = self.definitions.targets.get(target).unwrap_or(target);
            let is_configured = webhooks.contains(endpoint) || alertmanagers.contains(endpoint);
            is_configured.then(|| endpoint.clone())
        };
        let mut chosen: Vec<String> = targets.iter().filter_map(named).collect();
        chosen.sort();
        chosen.dedup();
        if chosen.is_empty() {
            [webhooks.as_slice(), alertmanagers].concat()
        } else {
            chosen
        }
    }
}

/// What people are told of a change of an alert.
pub fn of_alert(change: AlertChange, row: &Arc<AlertRow>, at: Timestamp) -> Notification {
    let (event, verb) = match change {
        AlertChange::Fired => ("alert.firing", "burns its error budget"),
        AlertChange::Escalated => ("alert.escalated", "burns its error budget faster"),
        AlertChange::Resolved => ("alert.resolved", "no longer burns its error budget"),
    };
    Notification {
        event: event.to_owned(),
        severity: row.severity,
        title: format!(
            "{} {verb} ({}, {})",
            row.service.name,
            row.slo,
            row.severity.name()
        ),
        text: row.text.clone(),
        at,
        subject: Subject::Alert(Arc::clone(row)),
    }
}

/// What people are told of a Halt that was latched, or cleared.
pub fn of_latch(decision: &Arc<Decision>, at: Timestamp) -> Notification {
    let answer = &decision.answer;
    let (service, candidate) = (&answer.service.name, &answer.candidate);
    let (event, title) = if decision.latched {
        let code = answer.code.name();
        ("gate.halt", format!("HALT {service} {candidate}: {code}"))
    } else {
        let reason = &decision.cleared_reason;
        (
            "gate.latch_cleared",
            format!("halt of {service} {candidate} cleared: {reason}"),
        )
    };
    Notification {
        event: event.to_owned(),
        severity: Severity::Page,
        title,
        text: decision_text(decision),
        at,
        subject: Subject::Decision(Arc::clone(decision)),
    }
}
