//! The plan: from latched Halts to actions, words and pages.

use super::{
    ACTIONS_MAX, ACTIONS_WINDOW_NANOS, Hand, REPLANS_MAX, Readiness, Trial, Workload, words,
};
use crate::gate::GateMachine;
use crate::gate::answer::{Answer, Code, Verdict};
use crate::hand::action::{Action, ActionKind, ClusterEvent, Refusal};
use crate::hand::row::{HandState, RolloutRow};
use crate::hand::seen::{Disarmed, Level, ObjectKey, Phase, WorkloadKind};
use crate::identity::{RevisionId, ServiceId, ServiceKey};
use crate::input::EffectDone;
use crate::registry::Registry;
use crate::slo::{Definitions, Maturity, ServicePolicy, Severity};
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::sync::Arc;

/// What the hand knows at a Tick.
#[derive(Debug, Clone, Copy)]
pub struct HandFacts<'a> {
    /// Who exists.
    pub registry: &'a Registry,
    /// What is halted.
    pub gate: &'a GateMachine,
    /// What teams said.
    pub definitions: &'a Definitions,
}

/// Something to be done or said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// Do this.
    Act {
        /// Effect id.
        id: u128,
        /// The action.
        action: Action,
    },
    /// Say this in the cluster.
    Tell(ClusterEvent),
    /// Tell people of a workload.
    Notify {
        /// `rollout.acted` or `hand.failed`.
        event: &'static str,
        /// One line.
        title: String,
        /// The words.
        text: String,
        /// The workload.
        row: Arc<RolloutRow>,
    },
    /// Tell people of the hand itself.
    Report {
        /// `hand.disarmed`, `hand.armed` or `hand.not_armed`.
        event: &'static str,
        /// Page, or ticket when a person did it.
        severity: Severity,
        /// One line.
        title: String,
        /// The words.
        text: String,
    },
    /// A line of the event list.
    Log {
        /// Kind of event.
        kind: &'static str,
        /// Service.
        service: String,
        /// Words.
        text: String,
    },
}

/// What could be done about a halted template.
enum Want {
    /// It is halted already.
    Halted,
    /// Nothing, for this reason.
    Nothing(&'static str),
    Do(ActionKind),
}

/// The gate's view of a workload's newest template.
struct Judged {
    service: Option<ServiceKey>,
    policy: Option<ServicePolicy>,
    revision_name: String,
    verdict: Verdict,
    code: Code,
    decision: u128,
    reason: String,
}

impl Hand {
    /// Logical time passes: considers every workload. O(workloads) look-ups; rows are made anew once a second or when
    /// something changed.
    pub fn plan(&mut self, now: Timestamp, facts: HandFacts<'_>) -> Vec<Planned> {
        let mut out = Vec::new();
        let horizon = now.0.saturating_sub(ACTIONS_WINDOW_NANOS);
        self.actions.retain(|at| at.0 >= horizon);
        let objects: Vec<ObjectKey> = self.workloads.keys().cloned().collect();
        for (index, object) in objects.iter().enumerate() {
            let Some(workload) = self.workloads.get(object) else {
                continue;
            };
            // Every workload has its own moment in each second.
            let phase = index as u64 * (NANOS_PER_SEC / 16);
            let is_due = now.plus(phase).secs() != self.planned.plus(phase).secs();
            let decision = workload
                .halted(facts)
                .map_or(0, |answer| answer.decision_id);
            let known = workload.trial.as_ref().map_or(0, |trial| trial.decision);
            let is_open = workload.trial.as_ref().is_some_and(Trial::is_open);
            if is_due || workload.is_dirty || decision != known || is_open {
                self.consider(now, object, facts, &mut out);
            }
        }
        self.planned = now;
        out
    }

    fn consider(
        &mut self,
        now: Timestamp,
        object: &ObjectKey,
        facts: HandFacts<'_>,
        out: &mut Vec<Planned>,
    ) {
        let Some(mut workload) = self.workloads.remove(object) else {
            return;
        };
        workload.is_dirty = false;
        let judged = workload.judge(facts);
        let level = self.level(&workload, judged.policy.as_ref());
        let acted = self.pursue(now, &mut workload, &judged, level, facts, out);
        let row = Arc::new(workload.row(&judged, level));
        let row = match self.rows.get(object) {
            Some(known) if **known == *row => Arc::clone(known),
            _ => row,
        };
        if let Some(trial) = &mut workload.trial
            && trial.said != trial.state
        {
            let said = std::mem::replace(&mut trial.said, trial.state);
            self.fence += 1;
            announce(now, said, &workload, &row, out);
        }
        out.extend(acted);
        self.rows.insert(object.clone(), row);
        self.workloads.insert(object.clone(), workload);
    }

    /// What the service's file allows, what the server allows, what the object allows: the least.
    fn level(&self, workload: &Workload, policy: Option<&ServicePolicy>) -> Level {
        let told = policy.map(|policy| policy.level).unwrap_or_default();
        let most = self.readiness.as_ref().map(|one| one.max_level);
        let own = workload.seen.level.unwrap_or(Level::Act);
        told.min(most.unwrap_or_default()).min(own)
    }

    /// Brings the workload's trial up to date; returns the action to be taken, if any.
    fn pursue(
        &mut self,
        now: Timestamp,
        workload: &mut Workload,
        judged: &Judged,
        level: Level,
        facts: HandFacts<'_>,
        out: &mut Vec<Planned>,
    ) -> Option<Planned> {
        if judged.verdict != Verdict::Halt || judged.decision == 0 {
            workload.trial = None;
            return None;
        }
        if workload.seen.phase == Phase::Unknown {
            return None;
        }
        let want = workload.want(judged.policy.as_ref(), facts);
        let is_same = |trial: &Trial| trial.decision == judged.decision;
        if !workload.trial.as_ref().is_some_and(is_same) {
            let trial = Trial::new(now, judged.decision, workload.seen.generation);
            workload.trial = Some(trial);
        }
        let version = workload.version;
        let is_halted = workload.is_halted();
        let trial = workload.trial.as_mut()?;
        trial.follow(now, is_halted);
        if !trial.is_open() {
            return None;
        }
        let kind = match want {
            Want::Halted => {
                let text = words::already(&workload.seen);
                trial.enter(now, HandState::Halted, text);
                return None;
            }
            Want::Nothing(why) => {
                trial.enter(now, HandState::Powerless, why.to_owned());
                return None;
            }
            Want::Do(kind) => kind,
        };
        if level < Level::Act {
            trial.enter(now, HandState::Advising, words::would(&kind, level));
            return None;
        }
        // The object had changed: a plan from the same observation would be refused again.
        if trial.moved > 0 && version <= trial.version {
            return None;
        }
        if trial.moved >= REPLANS_MAX {
            trial.enter(now, HandState::Failed, words::kept_moving(&kind));
            return None;
        }
        if let Some(why) = self.blocked(now, trial.attempt == 0, out) {
            let text = format!("would {} it, but {why}", kind.verb());
            let trial = workload.trial.as_mut()?;
            trial.enter(now, HandState::Blocked, text);
            return None;
        }
        let action = Action {
            kind: kind.clone(),
            object: workload.seen.object.clone(),
            uid: workload.seen.uid.clone(),
            hash: workload.seen.current.clone(),
            generation: workload.seen.generation,
            decision: judged.decision,
            reason: format!("{}: {}", judged.code.name(), judged.reason),
        };
        let trial = workload.trial.as_mut()?;
        trial.effect = action.id(trial.onset, trial.attempt);
        trial.attempt += 1;
        trial.version = version;
        trial.enter(now, HandState::Acting, words::acting(&kind));
        trial.kind = Some(kind);
        if trial.attempt == 1 {
            self.actions.push_back(now);
        }
        self.fence += 1;
        Some(Planned::Act {
            id: trial.effect,
            action,
        })
    }

    /// Why nothing may be done now. Wanting more than may be done in a while disarms.
    fn blocked(
        &mut self,
        now: Timestamp,
        is_first: bool,
        out: &mut Vec<Planned>,
    ) -> Option<String> {
        if let Some(disarmed) = &self.disarmed {
            return Some(format!("the hand is disarmed: {}", disarmed.why));
        }
        let Some(readiness) = &self.readiness else {
            return Some("the dry run has not been made yet".to_owned());
        };
        if self.synced.len() < 2 {
            return Some("the watch has not seen everything yet".to_owned());
        }
        if !readiness.is_armed {
            let why = format!("the hand is not armed: {}", readiness.why);
            if !self.is_unarmed_paged {
                self.is_unarmed_paged = true;
                self.fence += 1;
                let title = "a rollout is to be halted and Tidegate is not armed";
                Self::report(
                    "hand.not_armed",
                    Severity::Page,
                    title.to_owned(),
                    why.clone(),
                    out,
                );
            }
            return Some(why);
        }
        if is_first && self.actions.len() >= ACTIONS_MAX {
            let why = words::too_many();
            self.disarmed = Some(Disarmed {
                at: now,
                why: why.clone(),
                is_automatic: true,
            });
            self.fence += 1;
            self.touch();
            Self::report(
                "hand.disarmed",
                Severity::Page,
                "Tidegate disarmed itself".to_owned(),
                why.clone(),
                out,
            );
            return Some(format!("the hand is disarmed: {why}"));
        }
        None
    }

    fn report(
        event: &'static str,
        severity: Severity,
        title: String,
        text: String,
        out: &mut Vec<Planned>,
    ) {
        out.push(Planned::Log {
            kind: event,
            service: String::new(),
            text: text.clone(),
        });
        out.push(Planned::Report {
            event,
            severity,
            title,
            text,
        });
    }

    /// A person steered: what is said of it.
    pub fn steered(&self, text: &str) -> Vec<Planned> {
        let mut out = Vec::new();
        let (event, title) = match &self.disarmed {
            Some(_) => ("hand.disarmed", "Tidegate was disarmed"),
            None => ("hand.armed", "Tidegate was armed"),
        };
        Self::report(
            event,
            Severity::Ticket,
            title.to_owned(),
            text.to_owned(),
            &mut out,
        );
        out
    }

    /// An action was executed, or not. The next plan says so.
    pub fn done(&mut self, now: Timestamp, done: &EffectDone, action: &Action) {
        self.fence += 1;
        if done.refusal == Some(Refusal::Forbidden) {
            self.forbidden(&done.detail);
        }
        let Some(workload) = self.workloads.get_mut(&action.object) else {
            return;
        };
        workload.is_dirty = true;
        let Some(trial) = &mut workload.trial else {
            return;
        };
        if trial.effect != done.id || trial.state != HandState::Acting {
            return;
        }
        let verb = action.kind.verb();
        match done.refusal {
            None if done.delivered => {
                trial.enter(
                    now,
                    HandState::Done,
                    words::done(&action.kind, &action.hash),
                );
            }
            Some(Refusal::Moved) => {
                trial.moved += 1;
                trial.enter(
                    now,
                    HandState::Watching,
                    format!("{verb} is planned anew: the object had changed"),
                );
            }
            Some(Refusal::Forbidden) => {
                // Nothing was done: it does not count.
                self.actions.pop_back();
                trial.enter(
                    now,
                    HandState::Blocked,
                    format!("{verb} was refused: {}", done.detail),
                );
            }
            Some(Refusal::Gone) => {
                trial.enter(
                    now,
                    HandState::Powerless,
                    "the object is no more".to_owned(),
                );
            }
            Some(Refusal::Failed) | None => {
                trial.enter(
                    now,
                    HandState::Failed,
                    format!("{verb} failed: {}", done.detail),
                );
            }
        }
    }

    fn forbidden(&mut self, detail: &str) {
        let max_level = self.readiness.as_ref().map(|one| one.max_level);
        self.readiness = Some(Readiness {
            max_level: max_level.unwrap_or_default(),
            is_armed: false,
            why: detail.to_owned(),
        });
        self.touch();
    }

    /// Why people must look at the hand itself, in words; `None` while they need not.
    pub fn trouble(&self) -> Option<(String, String)> {
        if let Some(disarmed) = &self.disarmed
            && disarmed.is_automatic
        {
            return Some(("Tidegate disarmed itself".to_owned(), disarmed.why.clone()));
        }
        let readiness = self.readiness.as_ref()?;
        (self.is_unarmed_paged && !readiness.is_armed).then(|| {
            let title = "a rollout is to be halted and Tidegate is not armed";
            (title.to_owned(), readiness.why.clone())
        })
    }
}

impl Trial {
    /// What is seen of the object: that the action took hold, or that a person let it go on.
    fn follow(&mut self, now: Timestamp, is_halted: bool) {
        match self.state {
            HandState::Done if is_halted => {
                let text = self.words.clone();
                self.enter(now, HandState::Halted, text);
            }
            HandState::Halted if !is_halted => {
                self.enter(now, HandState::Resumed, words::resumed());
            }
            _ => {}
        }
    }
}

impl Workload {
    /// The latched Halt of the newest template.
    fn halted<'a>(&self, facts: HandFacts<'a>) -> Option<&'a Answer> {
        let (service, revision) = self.bound?;
        let answer = facts.gate.halt(service, revision)?;
        // A prototype is never blocked by its own evidence.
        let maturity = facts.definitions.policy_of(&answer.service).maturity;
        (maturity != Maturity::Prototype).then_some(answer)
    }

    fn judge(&self, facts: HandFacts<'_>) -> Judged {
        let blank = |code: Code, reason: String| Judged {
            service: None,
            policy: None,
            revision_name: String::new(),
            verdict: Verdict::Wait,
            code,
            decision: 0,
            reason,
        };
        let Some((service, revision)) = self.bound else {
            return blank(Code::RevisionUnknown, self.unbound.clone());
        };
        let Some(state) = facts.registry.services().get(&service) else {
            return blank(Code::UnknownService, self.unbound.clone());
        };
        let name = state.revisions.get(&revision);
        let known = Judged {
            service: Some(state.key.clone()),
            policy: Some(facts.definitions.policy_of(&state.key)),
            revision_name: name.map_or_else(String::new, |state| state.revision.label()),
            ..blank(Code::NoCandidate, String::new())
        };
        if let Some(halt) = self.halted(facts) {
            return known.with(halt);
        }
        if let Some(answer) = facts.gate.answer(service, revision) {
            return known.with(answer);
        }
        if facts.gate.is_known_good(service, revision) {
            return Judged {
                verdict: Verdict::Proceed,
                code: Code::KnownGoodRollback,
                reason: "it is known good".to_owned(),
                ..known
            };
        }
        Judged {
            reason: "it is not on trial".to_owned(),
            ..known
        }
    }

    /// Whether the object is seen halted.
    fn is_halted(&self) -> bool {
        let seen = &self.seen;
        match seen.object.kind {
            WorkloadKind::Deployment => seen.is_held,
            WorkloadKind::ArgoRollout => {
                seen.phase == Phase::Aborted || seen.stable.is_empty() && seen.is_held
            }
        }
    }

    fn want(&self, policy: Option<&ServicePolicy>, facts: HandFacts<'_>) -> Want {
        let seen = &self.seen;
        let may_undo = seen
            .undo
            .unwrap_or(policy.is_some_and(|policy| policy.undo));
        let is_whole = seen.phase == Phase::Stable;
        let is_argo = seen.object.kind == WorkloadKind::ArgoRollout;
        if may_undo && (is_whole || !is_argo) {
            return self.undo(facts).map_or_else(
                || {
                    if is_whole {
                        Want::Nothing(
                            "no older template of it is known good: nothing to go back to",
                        )
                    } else if self.is_halted() {
                        Want::Halted
                    } else {
                        Want::Do(ActionKind::Pause)
                    }
                },
                Want::Do,
            );
        }
        if is_whole {
            return Want::Nothing(
                "it has replaced the old template already: only going back would help, which needs the annotation \
                 `tidegate.dev/undo`",
            );
        }
        if self.is_halted() {
            return Want::Halted;
        }
        Want::Do(if is_argo && !seen.stable.is_empty() {
            ActionKind::Abort {
                unpause: seen.is_held,
            }
        } else {
            ActionKind::Pause
        })
    }

    /// Back to the newest older template that is known good, or that the halted one was compared with.
    fn undo(&self, facts: HandFacts<'_>) -> Option<ActionKind> {
        let (service, revision) = self.bound?;
        let compared = facts.gate.baseline(service, revision);
        let is_good = |id: RevisionId| {
            !facts.gate.is_latched(service, id)
                && (facts.gate.is_known_good(service, id) || compared.contains(&id))
        };
        let refuge = self.refuge(facts.registry, is_good)?;
        Some(ActionKind::Undo {
            replica_set: refuge.replica_set.clone(),
            hash: refuge.hash.clone(),
        })
    }

    fn row(&self, judged: &Judged, level: Level) -> RolloutRow {
        let seen = &self.seen;
        let trial = self.trial.as_ref();
        RolloutRow {
            object: seen.object.clone(),
            service: judged.service.clone(),
            service_name: seen.service.names.first().cloned().unwrap_or_default(),
            candidate: seen.current.clone(),
            stable: seen.stable.clone(),
            revision: self.bound.map(|(_, revision)| revision),
            revision_name: judged.revision_name.clone(),
            phase: seen.phase,
            step: seen.step,
            steps: seen.steps,
            weight: seen.weight,
            step_since: self.step_since,
            level,
            verdict: judged.verdict,
            code: judged.code,
            decision_id: judged.decision,
            reason: judged.reason.clone(),
            hand: trial.map_or(HandState::Watching, |trial| trial.state),
            words: trial.map_or_else(|| self.note.clone(), |trial| trial.words.clone()),
            hand_since: trial.map_or(Timestamp::EPOCH, |trial| trial.since),
        }
    }
}

impl Judged {
    fn with(self, answer: &Answer) -> Self {
        Self {
            verdict: answer.verdict,
            code: answer.code,
            decision: answer.decision_id,
            reason: answer.reasons.first().cloned().unwrap_or_default(),
            ..self
        }
    }
}

/// What is said when the state of a trial changes: the event list, the cluster from level advise up, people.
fn announce(
    now: Timestamp,
    said: HandState,
    workload: &Workload,
    row: &Arc<RolloutRow>,
    out: &mut Vec<Planned>,
) {
    let state = row.hand;
    let service = row.service.as_ref().map(|key| key.name.clone());
    let text = words::line(row);
    out.push(Planned::Log {
        kind: words::event(state),
        service: service.unwrap_or_else(|| row.service_name.clone()),
        text: text.clone(),
    });
    // That an action is on its way is no news yet: how it ended is.
    let is_news = !matches!(state, HandState::Watching | HandState::Acting)
        && (said, state) != (HandState::Done, HandState::Halted);
    if row.level >= Level::Advise && is_news {
        out.push(Planned::Tell(ClusterEvent {
            object: row.object.clone(),
            uid: workload.seen.uid.clone(),
            reason: words::reason(state).to_owned(),
            text: text.clone(),
            is_warning: true,
            at: now,
        }));
    }
    let event = match state {
        HandState::Done => "rollout.acted",
        HandState::Failed => "hand.failed",
        _ => return,
    };
    out.push(Planned::Notify {
        event,
        title: words::title(row),
        text,
        row: Arc::clone(row),
    });
}

impl Hand {
    /// The binding of `object`: which revision of which service its newest template is.
    pub fn binding(&self, object: &ObjectKey) -> Option<(ServiceId, RevisionId)> {
        self.workloads.get(object)?.bound
    }
}
