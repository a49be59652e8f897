//! From transitions to effects: what people are told, in words, and where it goes.

use super::{Decider, OUTBOX_MAX};
use crate::gate::GateTransition;
use crate::gate::answer::Verdict;
use crate::hash::blake3_128;
use crate::input::{Effect, EffectKind, Notification, Subject};
use crate::slo::Severity;
use crate::slo_machine::{AlertChange, AlertTransition};
use std::sync::Arc;

impl Decider {
    /// An alert fired, escalated or resolved.
    pub(super) fn alert_changed(
        &mut self,
        transition: &AlertTransition,
        effects: &mut Vec<Effect>,
    ) {
        let row = &transition.row;
        let (event, verb) = match transition.change {
            AlertChange::Fired => ("alert.firing", "burns its error budget"),
            AlertChange::Escalated => ("alert.escalated", "burns its error budget faster"),
            AlertChange::Resolved => ("alert.resolved", "no longer burns its error budget"),
        };
        self.event(
            event,
            &row.service.name,
            format!("{}: {}", row.slo, row.text),
        );
        let notification = Notification {
            event: event.to_owned(),
            severity: row.severity,
            title: format!(
                "{} {verb} ({}, {})",
                row.service.name,
                row.slo,
                row.severity.name()
            ),
            text: row.text.clone(),
            at: self.now,
            subject: Subject::Alert(Arc::clone(row)),
        };
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
        let (event, title) = if decision.latched {
            (
                "gate.halt",
                format!(
                    "HALT {} {}: {}",
                    answer.service.name,
                    answer.candidate,
                    answer.code.name()
                ),
            )
        } else if decision.cleared_reason.is_empty() {
            return;
        } else {
            let title = format!(
                "halt of {} {} cleared: {}",
                answer.service.name, answer.candidate, decision.cleared_reason
            );
            ("gate.latch_cleared", title)
        };
        let mut lines = answer.reasons.clone();
        if !answer.counterfactual.is_empty() {
            lines.push(answer.counterfactual.clone());
        }
        let notification = Notification {
            event: event.to_owned(),
            severity: Severity::Page,
            title,
            text: lines.join("\n"),
            at: self.now,
            subject: Subject::Decision(Arc::clone(decision)),
        };
        self.notify(&decision.id.to_le_bytes(), &[], notification, effects);
    }

    /// Plans one effect per endpoint and keeps it in the outbox until it is reported done.
    fn notify(
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
            self.outbox.pop_first();
            self.event(
                "webhook.dropped",
                "",
                format!("more than {OUTBOX_MAX} undelivered notifications: one was given up"),
            );
        }
    }

    /// The webhooks that `targets` name; all configured ones when there are none or nothing they name exists.
    fn endpoints_of(&self, targets: &[String]) -> Vec<String> {
        let configured = &self.definitions.endpoints;
        let named = |target: &String| {
            let endpoint = self.definitions.targets.get(target).unwrap_or(target);
            configured.contains(endpoint).then(|| endpoint.clone())
        };
        let mut chosen: Vec<String> = targets.iter().filter_map(named).collect();
        chosen.sort();
        chosen.dedup();
        if chosen.is_empty() {
            configured.clone()
        } else {
            chosen
        }
    }
}
