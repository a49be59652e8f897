//! A rollout controller as any deployer would write one: it asks the gate, moves weights, reports what it does.
//!
//! A pure machine: [`Controller::step`] gets the time and the answer to its last question and returns what to do.
//! It never judges by itself: Proceed moves on, Halt takes all traffic away, anything else waits, however long
//! (DESIGN 10: while the engine is down controllers wait). After `patience` it only says that it is paused.

mod event;
#[cfg(test)]
mod tests;

pub use event::{EventKind, rollout_event};

use serde_json::Value;

/// The gate's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// Not yet.
    Wait,
    /// This revision is bad.
    Halt,
    /// It cannot tell, or nobody answered.
    Unknown,
}

/// What the gate answered.
#[derive(Debug, Clone, PartialEq)]
pub struct GateReply {
    /// The verdict.
    pub verdict: Verdict,
    /// The code, such as `REGRESSION_ERRORS`; `UNREACHABLE` when nobody answered.
    pub code: String,
    /// The whole body as it came, for showing; `Null` when there is none.
    pub body: Value,
}

impl GateReply {
    /// Reads the body of `GET /v1/gate`. A body without a known verdict is Unknown.
    pub fn from_body(body: Value) -> Self {
        let verdict = match body["verdict"].as_str() {
            Some("proceed") => Verdict::Proceed,
            Some("wait") => Verdict::Wait,
            Some("halt") => Verdict::Halt,
            _ => Verdict::Unknown,
        };
        Self {
            verdict,
            code: body["code"].as_str().unwrap_or("UNREADABLE").to_owned(),
            body,
        }
    }

    /// The answer when there is none.
    pub fn unreachable() -> Self {
        Self {
            verdict: Verdict::Unknown,
            code: "UNREACHABLE".to_owned(),
            body: Value::Null,
        }
    }
}

/// Which question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// May the rollout begin?
    Admit,
    /// May it take its next step?
    Advance,
}

impl Phase {
    /// The word in the query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Advance => "advance",
        }
    }
}

/// Whose rollout it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Its environment.
    pub environment: String,
    /// The candidate: any attribute of the revision.
    pub candidate: String,
    /// The baseline; empty leaves it to the gate.
    pub baseline: String,
}

/// One question to the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// About whom.
    pub subject: Subject,
    /// What.
    pub phase: Phase,
}

impl Question {
    /// Path and query of the request. Empty parts are left out; others are percent-encoded.
    pub fn path_and_query(&self) -> String {
        let subject = &self.subject;
        let parts = [
            ("service", subject.service.as_str()),
            ("namespace", &subject.namespace),
            ("environment", &subject.environment),
            ("candidate", &subject.candidate),
            ("baseline", &subject.baseline),
            ("phase", self.phase.name()),
        ];
        let query: Vec<String> = parts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={}", percent_encoded(value)))
            .collect();
        format!("/v1/gate?{}", query.join("&"))
    }
}

fn percent_encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// How to roll out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whose rollout.
    pub subject: Subject,
    /// When to begin, Unix ns.
    pub start_at: u64,
    /// Weights in 1/100 of a percent, one a step; after the last comes promotion.
    pub weights: Vec<u32>,
    /// Shortest stay at a weight, ns: an answer given earlier speaks of the weight before.
    pub dwell_nanos: u64,
    /// Time between two questions, ns.
    pub poll_nanos: u64,
    /// After this long without Proceed at one weight the rollout is reported paused, ns.
    pub patience_nanos: u64,
}

/// Something to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Post this CloudEvent to `/v1/events`.
    Post(Value),
    /// Start the candidate's pods.
    Deploy,
    /// Give the candidate this share of the traffic, 1/100 of a percent.
    SetWeight(u32),
    /// Ask the gate; the answer goes into the next step.
    Ask(Question),
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    Planned,
    /// Asking whether it may begin.
    Admitting,
    /// At the weight of this step.
    Running(usize),
    /// Still at the weight of this step, but reported as paused.
    Paused(usize),
    /// All traffic is the candidate's.
    Promoted,
    /// Halted: no traffic is the candidate's.
    Aborted,
}

impl Stage {
    /// Whether nothing will happen any more.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Promoted | Self::Aborted)
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Controller {
    plan: Plan,
    stage: Stage,
    entered: u64,
    next_poll: u64,
    is_asking: bool,
    events: u64,
    last: Option<GateReply>,
}

impl Controller {
    /// A rollout that has not begun.
    pub fn new(plan: Plan) -> Self {
        Self {
            stage: Stage::Planned,
            entered: plan.start_at,
            next_poll: plan.start_at,
            is_asking: false,
            events: 0,
            last: None,
            plan,
        }
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The last answer it got.
    pub fn last_reply(&self) -> Option<&GateReply> {
        self.last.as_ref()
    }

    /// Whether a question is open: it asks no second one.
    pub fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// One step at `now` (Unix ns, never going back) with the answer to the last question, if it came.
    pub fn step(&mut self, now: u64, reply: Option<GateReply>) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.stage.is_finished() {
            return actions;
        }
        if let Some(reply) = reply {
            self.is_asking = false;
            self.next_poll = now + self.plan.poll_nanos;
            self.hear(now, reply.verdict, &mut actions);
            self.last = Some(reply);
        }
        if self.stage == Stage::Planned && now >= self.plan.start_at {
            self.enter(now, Stage::Admitting);
        }
        self.pause_if_stuck(now, &mut actions);
        self.ask_if_due(now, &mut actions);
        actions
    }

    fn hear(&mut self, now: u64, verdict: Verdict, actions: &mut Vec<Action>) {
        match (self.stage, verdict) {
            (Stage::Admitting, Verdict::Proceed) => {
                self.post(now, EventKind::Started, actions);
                actions.push(Action::Deploy);
                self.take_step(now, 0, actions);
            }
            (Stage::Admitting | Stage::Running(_) | Stage::Paused(_), Verdict::Halt) => {
                actions.push(Action::SetWeight(0));
                self.post(now, EventKind::Weight(0), actions);
                self.post(now, EventKind::Finished { promoted: false }, actions);
                self.enter(now, Stage::Aborted);
            }
            (Stage::Running(step), Verdict::Proceed) if self.has_dwelt(now) => {
                self.take_step(now, step + 1, actions);
            }
            (Stage::Paused(step), Verdict::Proceed) => {
                self.post(now, EventKind::Resumed, actions);
                self.take_step(now, step + 1, actions);
            }
            _ => {}
        }
    }

    fn has_dwelt(&self, now: u64) -> bool {
        now >= self.entered + self.plan.dwell_nanos
    }

    /// Goes to the weight of `step`, or promotes after the last one.
    fn take_step(&mut self, now: u64, step: usize, actions: &mut Vec<Action>) {
        let next = self.plan.weights.get(step).copied();
        let weight = next.unwrap_or(crate::shop::WHOLE);
        self.post(now, EventKind::Weight(weight), actions);
        actions.push(Action::SetWeight(weight));
        if next.is_some() {
            self.enter(now, Stage::Running(step));
            self.next_poll = now + self.plan.poll_nanos;
        } else {
            self.post(now, EventKind::Finished { promoted: true }, actions);
            self.enter(now, Stage::Promoted);
        }
    }

    fn pause_if_stuck(&mut self, now: u64, actions: &mut Vec<Action>) {
        if let Stage::Running(step) = self.stage
            && now >= self.entered + self.plan.patience_nanos
        {
            self.post(now, EventKind::Paused, actions);
            self.stage = Stage::Paused(step);
        }
    }

    fn ask_if_due(&mut self, now: u64, actions: &mut Vec<Action>) {
        let phase = match self.stage {
            Stage::Admitting => Phase::Admit,
            Stage::Running(_) | Stage::Paused(_) => Phase::Advance,
            Stage::Planned | Stage::Promoted | Stage::Aborted => return,
        };
        if self.is_asking || now < self.next_poll {
            return;
        }
        self.is_asking = true;
        actions.push(Action::Ask(Question {
            subject: self.plan.subject.clone(),
            phase,
        }));
    }

    fn enter(&mut self, now: u64, stage: Stage) {
        self.stage = stage;
        self.entered = now;
    }

    fn post(&mut self, now: u64, kind: EventKind, actions: &mut Vec<Action>) {
        self.events += 1;
        let event = rollout_event(
            &self.plan.subject,
            kind,
            now,
            self.plan.start_at,
            self.events,
        );
        actions.push(Action::Post(event));
    }
}
