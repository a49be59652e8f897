//! Gate answers and recorded decisions.

use super::{hex, rfc3339};
use engine::gate::answer::{Answer, Arm, Evidence, Process};
use engine::snapshot::Decision;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Counts of one arm over the closed strata of the test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmBody {
    /// Units of assignment: requests after collapsing retries and traces.
    pub units: u64,
    /// Failed units.
    pub failed: u64,
    /// Failed share, 0..1; absent without units.
    pub failed_ratio: Option<f64>,
}

impl From<&Arm> for ArmBody {
    fn from(arm: &Arm) -> Self {
        Self {
            units: arm.units,
            failed: arm.failed,
            failed_ratio: arm.failed_ratio(),
        }
    }
}

/// One e-process: it has crossed when `log_e >= threshold` (natural logarithms).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessBody {
    /// Name.
    pub name: String,
    /// Log evidence.
    pub log_e: f64,
    /// ln(1 / its share of alpha or beta).
    pub threshold: f64,
    /// Whether it crossed.
    pub crossed: bool,
    /// What it is evidence of.
    pub meaning: String,
}

impl From<&Process> for ProcessBody {
    fn from(process: &Process) -> Self {
        Self {
            name: process.name.clone(),
            log_e: process.log_e,
            threshold: process.threshold,
            crossed: process.has_crossed(),
            meaning: process.meaning.clone(),
        }
    }
}

/// The numbers behind an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceBody {
    /// Candidate arm.
    pub candidate: ArmBody,
    /// Baseline arm.
    pub baseline: ArmBody,
    /// Strata with both arms closed so far.
    pub strata: u64,
    /// Event time up to which strata are closed.
    pub closed_until: String,
    /// Every process that can halt or pass.
    pub processes: Vec<ProcessBody>,
    /// Tolerated odds ratio.
    pub tolerated_ratio: f64,
    /// False-halt bound of the rollout.
    pub alpha: f64,
    /// False-pass bound; 0 when the policy has none.
    pub beta: f64,
    /// Late share of the candidate's units in the last minute.
    pub late_candidate: f64,
    /// Late share of the baseline's units in the last minute.
    pub late_baseline: f64,
    /// Difference of the arms' clocks, s.
    pub clock_skew_seconds: f64,
    /// Candidate's share of units in the last minute.
    pub weight: f64,
    /// Remaining budget of the worst SLO, signed; absent without events.
    pub budget_remaining: Option<f64>,
    /// That SLO.
    pub slo: String,
}

impl From<&Evidence> for EvidenceBody {
    fn from(evidence: &Evidence) -> Self {
        Self {
            candidate: (&evidence.candidate).into(),
            baseline: (&evidence.baseline).into(),
            strata: evidence.strata,
            closed_until: rfc3339(evidence.closed_until),
            processes: evidence.processes.iter().map(Into::into).collect(),
            tolerated_ratio: evidence.tolerated_ratio,
            alpha: evidence.alpha,
            beta: evidence.beta,
            late_candidate: evidence.late_candidate,
            late_baseline: evidence.late_baseline,
            clock_skew_seconds: evidence.clock_skew_secs,
            weight: evidence.weight,
            budget_remaining: evidence.budget_remaining,
            slo: evidence.slo.clone(),
        }
    }
}

/// How much more a Wait needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeedBody {
    /// More candidate requests; 0 when more would not help.
    pub requests: u64,
    /// Seconds at today's rate; absent without traffic.
    pub seconds: Option<u64>,
}

/// Answer of `GET /v1/gate`: 200 for every verdict, 503 while recovering.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GateBody {
    /// `proceed`, `wait`, `halt` or `unknown`.
    pub verdict: String,
    /// Machine-readable reason, SCREAMING_SNAKE_CASE.
    pub code: String,
    /// Service name.
    pub service: String,
    /// Namespace; empty when none.
    pub namespace: String,
    /// Environment; empty when none.
    pub environment: String,
    /// Candidate revision; empty when there is none.
    pub candidate: String,
    /// Baseline revisions.
    pub baseline: Vec<String>,
    /// `admit` or `advance`.
    pub phase: String,
    /// Reasons in words, most important first.
    pub reasons: Vec<String>,
    /// Qualifications such as IMPLICIT_SLO or BASELINE_ASSUMED.
    pub notes: Vec<String>,
    /// "would proceed if ..."; empty for a plain proceed.
    pub counterfactual: String,
    /// What a wait still needs.
    pub need: NeedBody,
    /// The numbers.
    pub evidence: EvidenceBody,
    /// Recorded decision; empty while none is recorded.
    pub decision_id: String,
    /// Logical time the answer speaks of.
    pub as_of: String,
    /// Until when it may be relied on.
    pub valid_until: String,
    /// `prototype`, `growth` or `mission-critical`.
    pub maturity: String,
}

impl From<&Answer> for GateBody {
    fn from(answer: &Answer) -> Self {
        Self {
            verdict: answer.verdict.name().to_owned(),
            code: answer.code.name().to_owned(),
            service: answer.service.name.clone(),
            namespace: answer.service.namespace.clone(),
            environment: answer.service.environment.clone(),
            candidate: answer.candidate.clone(),
            baseline: answer.baseline.clone(),
            phase: answer.phase.name().to_owned(),
            reasons: answer.reasons.clone(),
            notes: answer.notes.clone(),
            counterfactual: answer.counterfactual.clone(),
            need: NeedBody {
                requests: answer.need.requests,
                seconds: answer.need.seconds,
            },
            evidence: (&answer.evidence).into(),
            decision_id: if answer.decision_id == 0 {
                String::new()
            } else {
                hex(answer.decision_id)
            },
            as_of: rfc3339(answer.as_of),
            valid_until: rfc3339(answer.valid_until),
            maturity: answer.maturity.name().to_owned(),
        }
    }
}

/// A recorded decision: a link of the hash chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecisionBody {
    /// Id and hash of this link.
    pub id: String,
    /// Id of the link before.
    pub previous: String,
    /// Position in the chain, from 1.
    pub number: u64,
    /// True when it latched a Halt.
    pub latched: bool,
    /// Why a latch was cleared; empty otherwise.
    pub cleared_reason: String,
    /// The answer.
    pub answer: GateBody,
}

impl From<&Decision> for DecisionBody {
    fn from(decision: &Decision) -> Self {
        Self {
            id: hex(decision.id),
            previous: hex(decision.previous),
            number: decision.number,
            latched: decision.latched,
            cleared_reason: decision.cleared_reason.clone(),
            answer: (&decision.answer).into(),
        }
    }
}
