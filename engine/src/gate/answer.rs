//! The gate's answer: verdict, code, reasons, counterfactual, need and evidence (DESIGN 10, 18).

use crate::identity::{RevisionId, ServiceId, ServiceKey};
use crate::slo::Maturity;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What the gate says. Never "open" or "closed".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Evidence (or the team's policy) lets it go on.
    Proceed,
    /// Not yet, or not now; never "pass".
    Wait,
    /// This revision is bad.
    Halt,
    /// The engine cannot tell (recovering, revision not identified).
    Unknown,
}

impl Verdict {
    /// Lower-case word for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Wait => "wait",
            Self::Halt => "halt",
            Self::Unknown => "unknown",
        }
    }

    /// Exit code of `tidegate gate`: 0 proceed, 10 wait, 20 halt, 30 unknown.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Proceed => 0,
            Self::Wait => 10,
            Self::Halt => 20,
            Self::Unknown => 30,
        }
    }
}

/// The one machine-readable reason of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// Evidence for the candidate: its errors and latency are within the tolerated ratio or the budget.
    Evidence,
    /// `admit`: nothing forbids starting.
    Admitted,
    /// Prototype: own evidence against it is advice only.
    Advisory,
    /// Prototype without data for 2 min.
    ProceedByPolicy,
    /// A revision that already served well goes back in.
    KnownGoodRollback,
    /// Candidate fails more than the baseline at the same time.
    RegressionErrors,
    /// Candidate is slower than the baseline at the same time.
    RegressionLatency,
    /// Candidate burns the budget on its own, the baseline does not.
    AbsoluteSloBreach,
    /// This revision brings others down: it is worse than the others of its service in an incident that reaches beyond it,
    /// or calls what fails more than they do.
    CascadeCause,
    /// Both arms burn, or the service suffers from another one: not this revision's fault.
    CascadeVictim,
    /// An incident burns at a service that this one calls or is called by, or at this one, and nothing says that the
    /// candidate is behind it.
    NeighborBurning,
    /// Budget is spent; only fixes and rollbacks pass.
    BudgetExhausted,
    /// A page-severity burn alert of the service fires.
    AlertFiring,
    /// No candidate spans although the baseline has traffic.
    NoTraffic,
    /// Too few events so far; `need` says how many.
    LowTraffic,
    /// Telemetry is late or one arm's is.
    Stale,
    /// For a minute nothing came earlier than 10 s after it ended: batched, or tail-sampled on the way.
    LateInput,
    /// What speaks for or against the candidate are absolute numbers of tail-sampled spans.
    TailSampled,
    /// The arms' clocks differ by more than 2 s.
    ClockSkew,
    /// No span of this service was ever seen.
    UnknownService,
    /// Nothing tells the revision, or none or several match the name asked for.
    RevisionUnknown,
    /// Every live revision is a baseline: there is no candidate.
    NoCandidate,
    /// No other revision serves at the same time.
    NoBaseline,
    /// `--baseline` names a revision that is not what the candidate is tested against.
    BaselineNotTested,
    /// The engine is loading its checkpoint.
    Recovering,
}

impl Code {
    /// SCREAMING_SNAKE_CASE for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evidence => "EVIDENCE",
            Self::Admitted => "ADMITTED",
            Self::Advisory => "ADVISORY",
            Self::ProceedByPolicy => "PROCEED_BY_POLICY",
            Self::KnownGoodRollback => "KNOWN_GOOD_ROLLBACK",
            Self::RegressionErrors => "REGRESSION_ERRORS",
            Self::RegressionLatency => "REGRESSION_LATENCY",
            Self::AbsoluteSloBreach => "ABS_SLO_BREACH",
            Self::CascadeCause => "CASCADE_CAUSE",
            Self::NeighborBurning => "NEIGHBOUR_BURNING",
            Self::CascadeVictim => "CASCADE_VICTIM",
            Self::BudgetExhausted => "BUDGET_EXHAUSTED",
            Self::AlertFiring => "ALERT_FIRING",
            Self::NoTraffic => "NO_TRAFFIC",
            Self::LowTraffic => "LOW_TRAFFIC",
            Self::Stale => "STALE",
            Self::LateInput => "LATE_INPUT",
            Self::TailSampled => "TAIL_SAMPLED",
            Self::ClockSkew => "CLOCK_SKEW",
            Self::UnknownService => "UNKNOWN_SERVICE",
            Self::RevisionUnknown => "REVISION_UNKNOWN",
            Self::NoCandidate => "NO_CANDIDATE",
            Self::NoBaseline => "NO_BASELINE",
            Self::BaselineNotTested => "BASELINE_NOT_TESTED",
            Self::Recovering => "RECOVERING",
        }
    }
}

/// Which question is asked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Phase {
    /// Before any deployment: budget, alerts. Needs no candidate data.
    Admit,
    /// May the rollout take its next step?
    #[default]
    Advance,
}

impl Phase {
    /// Lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Advance => "advance",
        }
    }
}

/// Counts of one arm over the closed strata of the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Units of assignment (requests after collapsing retries and traces).
    pub units: u64,
    /// Failed units.
    pub failed: u64,
}

impl Arm {
    /// Failed share; `None` without units: silence is not health.
    pub fn failed_ratio(&self) -> Option<f64> {
        (self.units > 0).then(|| self.failed as f64 / self.units as f64)
    }
}

/// One e-process as shown: it has crossed when `log_e >= threshold` (natural logarithms).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// `errors_exact`, `errors_share`, `harm_floor`, `absolute`, `latency_share`, `pass_relative`, ...
    pub name: String,
    /// Current log e-value (largest so far for halting processes, current for passing ones), rounded down.
    pub log_e: f64,
    /// ln(1 / its share of alpha or beta).
    pub threshold: f64,
    /// What it is evidence of, in words.
    pub meaning: String,
}

impl Process {
    /// Whether it crossed.
    pub fn has_crossed(&self) -> bool {
        self.log_e >= self.threshold
    }
}

/// The numbers behind an answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Candidate arm.
    pub candidate: Arm,
    /// Baseline arm.
    pub baseline: Arm,
    /// Strata closed so far, with both arms present.
    pub strata: u64,
    /// Event time up to which strata are closed.
    pub closed_until: Timestamp,
    /// Every process that can halt or pass.
    pub processes: Vec<Process>,
    /// Tolerated odds ratio.
    pub tolerated_ratio: f64,
    /// False-halt bound of the rollout.
    pub alpha: f64,
    /// False-pass bound; 0 when the policy has none.
    pub beta: f64,
    /// Share of late units of either arm in the last minute.
    pub late_candidate: f64,
    /// The same for the baseline.
    pub late_baseline: f64,
    /// Difference of the arms' least (receive - end) over 60 s, s.
    pub clock_skew_secs: f64,
    /// Candidate's share of units in the last minute, 0..1.
    pub weight: f64,
    /// Budget remaining of the service's worst SLO, signed ratio; `None` without events.
    pub budget_remaining: Option<f64>,
    /// Name of that SLO.
    pub slo: String,
}

/// How much more evidence a Wait needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Need {
    /// More requests of the candidate; 0 when more requests would not help.
    pub requests: u64,
    /// Seconds that takes at today's rate; `None` when there is no traffic to extrapolate.
    pub seconds: Option<u64>,
}

/// The answer to one gate question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Verdict.
    pub verdict: Verdict,
    /// Its code.
    pub code: Code,
    /// Service asked about.
    pub service: ServiceKey,
    /// Candidate revision as a person names it; empty when there is none.
    pub candidate: String,
    /// Its id, when known.
    pub candidate_id: Option<RevisionId>,
    /// Baseline revisions as a person names them.
    pub baseline: Vec<String>,
    /// Phase asked.
    pub phase: Phase,
    /// Reasons, most important first, in words with numbers.
    pub reasons: Vec<String>,
    /// Notes that qualify the answer: IMPLICIT_SLO, BASELINE_ASSUMED, LATCHED, GAP,
    /// LATE_INPUT, SAMPLED, TAIL_SAMPLED.
    pub notes: Vec<String>,
    /// "would proceed if ..." (or "would halt if ..."); empty for a plain Proceed.
    pub counterfactual: String,
    /// What a Wait still needs.
    pub need: Need,
    /// The numbers.
    pub evidence: Evidence,
    /// Id of the recorded decision this answer is; 0 while none is recorded.
    pub decision_id: u128,
    /// Logical time the answer speaks of.
    pub as_of: Timestamp,
    /// Until when a caller may rely on it.
    pub valid_until: Timestamp,
    /// Trade-off in force.
    pub maturity: Maturity,
}

/// One row of the gate as published: all answers of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceGate {
    /// Service.
    pub service_id: ServiceId,
    /// Answer to `admit`.
    pub admit: Answer,
    /// Answers to `advance`, one per tracked candidate, newest first.
    pub candidates: Vec<Answer>,
    /// Live revisions, newest first, known-good and candidates alike.
    pub live: Vec<RevisionId>,
    /// Revisions that serve as the baseline.
    pub baseline: Vec<RevisionId>,
}
