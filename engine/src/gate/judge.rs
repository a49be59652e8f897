//! The verdict on one candidate: evidence against it first, then what forbids looking, then evidence for it.
//!
//! Order (DESIGN 10): a latched Halt; a Halt that the test finds now; telemetry that cannot be compared (clocks, lateness,
//! silence); a shared incident; a page; evidence for it; not enough yet. A prototype is never blocked by its own
//! evidence: what would halt it is advice.

use crate::gate::answer::{Answer, Arm, Code, Evidence, Need, Verdict};
use crate::gate::ask::{VALID_NANOS, blank, names_of};
use crate::gate::candidate::{Arms, Candidate, LATE_DIFFERENCE_MAX};
use crate::gate::facts::ServiceFacts;
use crate::gate::reasons::{self, Told};
use crate::gate::service::{ServiceState, arms};
use crate::gate::words;
use crate::identity::RevisionId;
use crate::input::Gap;
use crate::slo::Maturity;
use crate::snapshot::{RevisionRow, ServiceRow};
use crate::source::{Sampling, SourceRow};
use crate::stats::rollout::Finding;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Telemetry older than this is stale.
pub const STALE_NANOS: u64 = 30 * NANOS_PER_SEC;
/// A prototype without data proceeds by policy after this long.
pub const PROTOTYPE_PATIENCE_NANOS: u64 = 120 * NANOS_PER_SEC;
/// Silence of a minute is remarkable when this many requests were due in it.
const REMARKABLE_UNITS: f64 = 5.0;

/// Everything a verdict is drawn from.
pub(crate) struct Case<'a> {
    pub(crate) now: Timestamp,
    pub(crate) id: RevisionId,
    pub(crate) state: &'a ServiceState,
    pub(crate) facts: &'a ServiceFacts,
    pub(crate) gaps: &'a [Gap],
}

/// The answer to `admit`: nothing but the budget and the alerts.
pub(crate) fn admit(case: &Case<'_>) -> Answer {
    let budget = &case.facts.budget;
    let maturity = case.facts.row.policy.maturity;
    let is_blocking = maturity != Maturity::Prototype;
    let (verdict, code) = if budget.is_exhausted && is_blocking {
        (Verdict::Wait, Code::BudgetExhausted)
    } else if is_blocking && let Some(code) = incident_code(case.facts) {
        (Verdict::Wait, code)
    } else if budget.page_alert.is_some() && is_blocking {
        (Verdict::Wait, Code::AlertFiring)
    } else {
        (Verdict::Proceed, Code::Admitted)
    };
    let mut answer = blank(case.facts.row.key.clone(), verdict, code);
    answer.phase = crate::gate::answer::Phase::Admit;
    answer.maturity = maturity;
    answer.baseline = names_of(&case.facts.row, &case.state.default_baseline(case.facts));
    answer.evidence.budget_remaining = budget.remaining;
    answer.evidence.slo.clone_from(&budget.slo);
    (answer.reasons, answer.counterfactual) = reasons::admission(code, case.facts, maturity);
    answer.notes = reasons::notes(case, None);
    stamp(&mut answer, case.now);
    answer
}

/// The answer to `advance` for one candidate. `None` when it is not tracked.
pub(crate) fn advance(case: &Case<'_>) -> Option<Answer> {
    let candidate = case.state.candidates.get(&case.id)?;
    if case.facts.row.policy.maturity != Maturity::Prototype
        && let Some(latch) = case.state.latches.get(&case.id)
    {
        let mut answer = latch.answer.clone();
        answer.notes.retain(|note| !note.starts_with("LATCHED"));
        answer.notes.insert(0, reasons::LATCHED.to_owned());
        stamp(&mut answer, case.now);
        return Some(answer);
    }
    let arms = arms(&case.state.flows, case.id, &candidate.baseline);
    let rates = Rates::of(case.now, &arms);
    let told = told(case, candidate, &arms, &rates);
    let (verdict, code) = verdict(case, candidate, &told);
    let mut answer = blank(case.facts.row.key.clone(), verdict, code);
    answer.maturity = told.maturity;
    answer.candidate_id = Some(case.id);
    answer.candidate.clone_from(&told.candidate);
    answer.baseline.clone_from(&told.baselines);
    answer.evidence = told.evidence.clone();
    if verdict == Verdict::Wait {
        answer.need = need(code, &told);
    }
    answer.reasons = reasons::reasons(code, &told, answer.need);
    answer.counterfactual = reasons::counterfactual(code, &told, answer.need);
    answer.notes = reasons::notes(case, Some(candidate));
    stamp(&mut answer, case.now);
    Some(answer)
}

fn stamp(answer: &mut Answer, now: Timestamp) {
    answer.as_of = now;
    answer.valid_until = now.plus(VALID_NANOS);
}

fn verdict(case: &Case<'_>, candidate: &Candidate, told: &Told) -> (Verdict, Code) {
    let against = match told.finding {
        Finding::HaltErrors => Some(Code::RegressionErrors),
        Finding::HaltLatency => Some(Code::RegressionLatency),
        Finding::HaltAbsolute if told.sampling != Sampling::Tail => Some(Code::AbsoluteSloBreach),
        Finding::HaltAbsolute | Finding::BothBurn | Finding::Pass | Finding::NotYet => None,
    };
    let is_prototype = told.maturity == Maturity::Prototype;
    let incident = case.facts.incident.as_ref();
    if against.is_none() && incident.is_some_and(|incident| incident.causes.contains(&case.id)) {
        // Not even a prototype may hurt others.
        return (Verdict::Halt, Code::CascadeCause);
    }
    if let Some(code) = against {
        return if is_prototype {
            (Verdict::Proceed, Code::Advisory)
        } else {
            (Verdict::Halt, code)
        };
    }
    if told.finding == Finding::Pass && is_prototype {
        return (Verdict::Proceed, Code::Evidence);
    }
    let waiting = waiting_code(case, told);
    let has_waited = case.now.since(candidate.since) >= PROTOTYPE_PATIENCE_NANOS;
    match waiting {
        _ if is_prototype && has_waited => (Verdict::Proceed, Code::ProceedByPolicy),
        Some(code) => (Verdict::Wait, code),
        None if told.finding == Finding::Pass => (Verdict::Proceed, Code::Evidence),
        None if told.baselines.is_empty() => (Verdict::Wait, Code::NoBaseline),
        None => (Verdict::Wait, Code::LowTraffic),
    }
}

/// What forbids a verdict whatever the test says, most fundamental first.
fn waiting_code(case: &Case<'_>, told: &Told) -> Option<Code> {
    if told.late_nanos.is_some() {
        return Some(Code::LateInput);
    }
    if told.skew_nanos.is_some() {
        return Some(Code::ClockSkew);
    }
    if told.silence == Silence::Both || told.behind_secs.is_some() {
        return Some(Code::Stale);
    }
    if told.silence == Silence::Candidate {
        return Some(Code::NoTraffic);
    }
    let evidence = &told.evidence;
    if (evidence.late_candidate - evidence.late_baseline).abs() > LATE_DIFFERENCE_MAX {
        return Some(Code::Stale);
    }
    if told.finding == Finding::BothBurn {
        return Some(Code::CascadeVictim);
    }
    let is_blocking = told.maturity != Maturity::Prototype;
    if is_blocking && let Some(code) = incident_code(case.facts) {
        return Some(code);
    }
    if case.facts.budget.page_alert.is_some() && is_blocking {
        return Some(Code::AlertFiring);
    }
    let is_absolute = match told.finding {
        Finding::HaltAbsolute => true,
        Finding::Pass => evidence.baseline.units == 0,
        _ => false,
    };
    (told.sampling == Sampling::Tail && is_absolute).then_some(Code::TailSampled)
}

/// What an incident around the service forbids.
fn incident_code(facts: &ServiceFacts) -> Option<Code> {
    let incident = facts.incident.as_ref()?;
    Some(if incident.is_victim {
        Code::CascadeVictim
    } else {
        Code::NeighborBurning
    })
}

/// How the arms' spans arrive: the least lag when all that send are late, ns, and the worst sampling.
fn arrival(
    row: &ServiceRow,
    candidate: RevisionId,
    baseline: &[RevisionId],
) -> (Option<i64>, Sampling) {
    let revisions = row.revisions.iter();
    let arms =
        revisions.filter(|row| row.revision.id == candidate || baseline.contains(&row.revision.id));
    let sources: Vec<&SourceRow> = arms.filter_map(RevisionRow::spans).collect();
    let sending = sources.iter().filter(|row| row.items_last_minute > 0);
    let (are_late, lag) = sending.fold((true, None), |(are_late, least), row| {
        let lag = [least, row.lag_nanos].into_iter().flatten().min();
        (are_late && row.is_late, lag)
    });
    let sampling = sources.iter().map(|row| row.sampling).max();
    (lag.filter(|_| are_late), sampling.unwrap_or_default())
}

/// Who has gone silent although requests were due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    Nobody,
    Candidate,
    Both,
}

/// Requests a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Candidate's units of the last minute, and a second.
    pub(crate) minute: u64,
    pub(crate) candidate: Option<f64>,
    pub(crate) silence: Silence,
}

impl Rates {
    fn of(now: Timestamp, arms: &Arms<'_>) -> Self {
        let (minute, baseline_minute) = arms.units_last_minute(now);
        let observed = arms.candidate.map_or(1, |flow| flow.observed_secs(now));
        let long_run = |units: i64, first: Option<Timestamp>| {
            let secs = now.since(first?) / NANOS_PER_SEC;
            (units > 0).then(|| units as f64 / secs.max(1) as f64)
        };
        let lifetime = arms
            .candidate
            .and_then(|flow| long_run(flow.units, flow.first));
        let baseline: Vec<f64> = arms
            .baseline
            .iter()
            .filter_map(|flow| long_run(flow.units, flow.first))
            .collect();
        let candidate = if minute > 0 {
            Some(minute as f64 / observed as f64)
        } else {
            lifetime
        };
        // An arm never heard of is remarkable as soon as the other one has traffic.
        let is_remarkable =
            |rate: Option<f64>| rate.is_none_or(|rate| rate * 60.0 >= REMARKABLE_UNITS);
        let silence = if minute > 0 || !is_remarkable(lifetime) {
            Silence::Nobody
        } else if baseline_minute > 0 {
            Silence::Candidate
        } else if is_remarkable(baseline.iter().copied().reduce(|a, b| a + b)) {
            Silence::Both
        } else {
            Silence::Nobody
        };
        Self {
            minute,
            candidate,
            silence,
        }
    }
}

fn told(case: &Case<'_>, candidate: &Candidate, arms: &Arms<'_>, rates: &Rates) -> Told {
    let row = &case.facts.row;
    let name = names_of(row, &[case.id]).pop();
    let policy = candidate.test.policy();
    let totals = candidate.test.total();
    let (minute, baseline_minute) = arms.units_last_minute(case.now);
    let all = minute + baseline_minute;
    let baseline_budget = &case.facts.budget;
    let evidence = Evidence {
        candidate: totals.candidate,
        baseline: totals.baseline,
        strata: totals.strata,
        closed_until: Timestamp::from_secs(candidate.cursor.unwrap_or(0)),
        processes: candidate.test.processes(),
        tolerated_ratio: policy.w0,
        alpha: policy.alpha,
        beta: policy.beta,
        late_candidate: candidate.late_candidate.share(case.now),
        late_baseline: candidate.late_baseline.share(case.now),
        clock_skew_secs: arms
            .skew(case.now)
            .map_or(0.0, |nanos| nanos as f64 / NANOS_PER_SEC as f64),
        weight: if all == 0 {
            0.0
        } else {
            minute as f64 / all as f64
        },
        budget_remaining: baseline_budget.remaining,
        slo: baseline_budget.slo.clone(),
    };
    let behind = |end_max: Timestamp| {
        let behind = case.now.since(end_max);
        (behind > STALE_NANOS).then_some(behind / NANOS_PER_SEC)
    };
    let (late_nanos, sampling) = arrival(row, case.id, &candidate.baseline);
    let recent = candidate.recent();
    let forecast = candidate.test.need();
    Told {
        service: words::service(&row.key),
        candidate: name.unwrap_or_else(|| "the announced revision".to_owned()),
        baselines: names_of(row, &candidate.baseline),
        maturity: row.policy.maturity,
        finding: candidate.finding(),
        recent_candidate: arm(recent[0], recent[1]),
        recent_baseline: arm(recent[2], recent[3]),
        units_minute: rates.minute,
        rate: rates.candidate,
        silence: rates.silence,
        skew_nanos: arms.harmful_skew(case.now),
        late_nanos,
        sampling,
        // Spans that arrive but tell of long ago: the pipeline is behind. Idle arms are silent, not behind.
        behind_secs: arms
            .candidate
            .filter(|_| rates.minute > 0 && rates.candidate.is_some_and(|rate| rate >= 1.0))
            .and_then(|flow| behind(flow.end_max)),
        awaits_step: candidate.awaits_step(),
        weight: candidate.weights.current(),
        pass_requests: forecast.pass,
        halt_requests: forecast.halt,
        budget_rate: policy.budget_rate,
        worst_edge_nanos: candidate.test.worst_edge_nanos(),
        slower: reasons::slower(candidate),
        page_alert: case.facts.budget.page_alert.clone(),
        incident: case
            .facts
            .incident
            .as_ref()
            .map(|incident| incident.title.clone()),
        patience_secs: PROTOTYPE_PATIENCE_NANOS
            .saturating_sub(case.now.since(candidate.since))
            .div_ceil(NANOS_PER_SEC),
        known_good_secs: case
            .state
            .known_good_in(case.now, case.id, row.policy.maturity),
        evidence,
    }
}

const fn arm(units: u64, failed: u64) -> Arm {
    Arm { units, failed }
}

/// How many more requests and seconds a Wait needs.
fn need(code: Code, told: &Told) -> Need {
    let minute = Some(60);
    match code {
        Code::ClockSkew
        | Code::LateInput
        | Code::TailSampled
        | Code::AlertFiring
        | Code::NeighborBurning => Need {
            requests: 0,
            seconds: minute.filter(|_| code == Code::ClockSkew),
        },
        _ => {
            let requests = told.pass_requests.max(1);
            let by_rate = told
                .rate
                .filter(|rate| *rate > 0.0)
                .map(|rate| libm::ceil(requests as f64 / rate) as u64);
            // Whatever comes first: the test, the policy's patience, or the bake time of a revision that serves alone.
            let patience = (told.maturity == Maturity::Prototype).then_some(told.patience_secs);
            let seconds = [by_rate, patience, told.known_good_secs]
                .into_iter()
                .flatten()
                .min();
            Need { requests, seconds }
        }
    }
}
