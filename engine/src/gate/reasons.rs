//! Why: the reasons, counterfactual and notes of an answer, in words with the numbers behind them.

use crate::doctor::FAN_OUT_LINE;
use crate::gate::answer::{Arm, Code, Evidence, Need};
use crate::gate::candidate::Candidate;
use crate::gate::facts::ServiceFacts;
use crate::gate::judge::{Case, Silence};
use crate::gate::strata::{CLOSE_SECS, Cell};
use crate::gate::words::{amount, count, duration, failures, list, millis, percent};
use crate::latency::{LATENCY_EDGES, edge_nanos, first_bucket_over, first_bucket_over_margin};
use crate::slo::Maturity;
use crate::snapshot::ServiceRow;
use crate::source::Sampling;
use crate::stats::rollout::Finding;
use crate::time::NANOS_PER_SEC;

/// What is known about a candidate, ready to be said.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) service: String,
    pub(crate) candidate: String,
    pub(crate) baselines: Vec<String>,
    pub(crate) maturity: Maturity,
    pub(crate) finding: Finding,
    pub(crate) evidence: Evidence,
    /// The last minute tested.
    pub(crate) recent_candidate: Arm,
    pub(crate) recent_baseline: Arm,
    /// Candidate's requests in the last minute, and a second.
    pub(crate) units_minute: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) silence: Silence,
    pub(crate) skew_nanos: Option<i64>,
    /// Least lag of the arms, when everything is late, ns.
    pub(crate) late_nanos: Option<i64>,
    pub(crate) sampling: Sampling,
    pub(crate) behind_secs: Option<u64>,
    pub(crate) awaits_step: bool,
    /// Newest reported weight, 1/100 of a percent.
    pub(crate) weight: Option<u32>,
    pub(crate) pass_requests: u64,
    pub(crate) halt_requests: Option<u64>,
    pub(crate) budget_rate: f64,
    pub(crate) worst_edge_nanos: u64,
    /// Units slower than the worst edge (with the margin) and than the edge: candidate, baseline.
    pub(crate) slower: (Arm, Arm),
    pub(crate) page_alert: Option<String>,
    /// The incident around the service, in a line.
    pub(crate) incident: Option<String>,
    /// Seconds until a prototype proceeds by policy.
    pub(crate) patience_secs: u64,
    pub(crate) known_good_secs: Option<u64>,
}

impl Told {
    fn incident(&self) -> &str {
        self.incident.as_deref().unwrap_or("it is over")
    }

    fn baseline(&self) -> String {
        if self.baselines.is_empty() {
            "the others".to_owned()
        } else {
            list(&self.baselines, 4)
        }
    }

    /// Both arms in the same seconds.
    fn side_by_side(&self) -> String {
        let evidence = &self.evidence;
        let candidate = failures(&self.candidate, &evidence.candidate);
        if evidence.candidate.units == 0 {
            return format!("nothing of {} has been tested yet", self.candidate);
        }
        if evidence.baseline.units == 0 {
            return format!("{candidate}; no other revision served in the same seconds");
        }
        format!(
            "{candidate}, {} in the same seconds",
            failures(&self.baseline(), &evidence.baseline)
        )
    }

    /// The last minute, when it says something else than the whole.
    fn lately(&self) -> Option<String> {
        let (recent, all) = (&self.recent_candidate, &self.evidence.candidate);
        if recent.units == 0 || recent.units == all.units {
            return None;
        }
        Some(format!(
            "in the last minute tested, {}{}",
            failures(&self.candidate, recent),
            if self.recent_baseline.units == 0 {
                String::new()
            } else {
                format!(", {}", failures(&self.baseline(), &self.recent_baseline))
            }
        ))
    }

    fn traffic(&self) -> String {
        match self.rate {
            Some(rate) if self.units_minute > 0 => {
                format!("{} gets {} a second", self.candidate, amount(rate))
            }
            Some(rate) => format!(
                "{} got no request in the last minute, {} an hour before",
                self.candidate,
                amount(rate * 3_600.0)
            ),
            None => format!("{} has not got a single request yet", self.candidate),
        }
    }

    fn evidence_against(&self) -> Vec<String> {
        let mut reasons = match self.finding {
            Finding::HaltErrors => vec![
                self.side_by_side(),
                format!(
                    "that is {} the failure rate of {} and above the {} the budget allows; chance explains it in less than {} of rollouts",
                    times(&self.evidence),
                    self.baseline(),
                    percent(self.budget_rate),
                    percent(self.evidence.alpha)
                ),
            ],
            Finding::HaltLatency => {
                let (candidate, baseline) = &self.slower;
                let edge = self.worst_edge_nanos;
                vec![
                    format!(
                        "{} took longer than {} in {} of {} requests ({}), {} longer than {} in {} of {} ({}) in the same seconds",
                        self.candidate,
                        millis(edge / 10 * 11),
                        count(candidate.failed),
                        count(candidate.units),
                        percent(candidate.failed_ratio().unwrap_or(0.0)),
                        self.baseline(),
                        millis(edge),
                        count(baseline.failed),
                        count(baseline.units),
                        percent(baseline.failed_ratio().unwrap_or(0.0)),
                    ),
                    self.side_by_side(),
                ]
            }
            _ => {
                let failed = self.evidence.candidate.failed_ratio().unwrap_or(0.0);
                let alone = if self.evidence.baseline.units == 0 {
                    String::new()
                } else {
                    format!(", {} not", self.baseline())
                };
                vec![
                    self.side_by_side(),
                    format!(
                        "{} burns the budget by itself: it may fail {}, it fails {} times that{alone}",
                        self.candidate,
                        percent(self.budget_rate),
                        amount(failed / self.budget_rate),
                    ),
                ]
            }
        };
        reasons.extend(self.lately());
        reasons
    }

    /// `about 412 more requests of v2, 3 min at today's rate`.
    fn needed(&self, need: Need) -> String {
        let noun = if need.requests == 1 {
            "request"
        } else {
            "requests"
        };
        let requests = format!(
            "about {} more {noun} of {}",
            count(need.requests),
            self.candidate
        );
        match need.seconds {
            Some(seconds) => format!("{requests}, {} at today's rate", duration(seconds)),
            None => format!("{requests}; there is no traffic to say how long that takes"),
        }
    }

    /// Requests until a halt, when the candidate fails more than is tolerated.
    fn halts_after(&self) -> Option<u64> {
        let failed = self.evidence.candidate.failed;
        self.halt_requests.filter(|_| failed > self.tolerable())
    }

    /// Failures the candidate could have had without being halted, roughly.
    fn tolerable(&self) -> u64 {
        let evidence = &self.evidence;
        let baseline = evidence.baseline.failed_ratio().unwrap_or(0.0);
        let odds = evidence.tolerated_ratio * baseline / (1.0 - baseline).max(1e-9);
        let rate = (odds / (1.0 + odds)).max(self.budget_rate);
        libm::ceil(rate * evidence.candidate.units as f64) as u64
    }
}

/// Why, most important first.
pub(crate) fn reasons(code: Code, told: &Told, need: Need) -> Vec<String> {
    let candidate = &told.candidate;
    match code {
        Code::RegressionErrors | Code::RegressionLatency | Code::AbsoluteSloBreach => {
            told.evidence_against()
        }
        Code::Advisory => {
            let mut reasons = told.evidence_against();
            reasons.push(format!(
                "{} is a prototype: this is advice, it is not blocked by its own evidence",
                told.service
            ));
            reasons
        }
        Code::Evidence => {
            let mut reasons = vec![told.side_by_side()];
            reasons.push(if told.evidence.baseline.units == 0 {
                format!("that is within the {} its budget allows", percent(told.budget_rate))
            } else {
                format!(
                    "enough to exclude that {candidate} is worse than tolerated (false pass in less than {})",
                    percent(told.evidence.beta)
                )
            });
            reasons.extend(told.lately());
            reasons
        }
        Code::ProceedByPolicy => vec![
            format!(
                "{} is a prototype: after 2 min it proceeds without evidence; nothing was proven",
                told.service
            ),
            told.side_by_side(),
        ],
        Code::ClockSkew => {
            let skew = told.skew_nanos.unwrap_or(0);
            let (behind, secs) = (skew > 0, skew.unsigned_abs() as f64 / 1e9);
            vec![
                format!(
                    "the clock of {candidate} is {} s {} that of {}: seconds cannot be compared, the strata of this time are not tested",
                    amount(secs),
                    if behind { "behind" } else { "ahead of" },
                    told.baseline()
                ),
                "at most 2 s are accepted; look at NTP on the hosts of both revisions".to_owned(),
            ]
        }
        Code::Stale => stale(told),
        Code::LateInput => {
            let lag = told.late_nanos.unwrap_or(0).unsigned_abs() / NANOS_PER_SEC;
            vec![
                format!(
                    "for a minute no span of {candidate} or {} came earlier than {} after it had ended: seconds close after {CLOSE_SECS} s, nothing can be tested",
                    told.baseline(),
                    duration(lag)
                ),
                format!("that is what tail sampling or batching on the way does; {FAN_OUT_LINE}"),
                told.side_by_side(),
            ]
        }
        Code::TailSampled => vec![
            format!(
                "the spans of {} were chosen by a tail sampler: their failure rates are not those of the traffic, and only its own budget speaks about {candidate}",
                told.service
            ),
            FAN_OUT_LINE.to_owned(),
            told.side_by_side(),
        ],
        Code::NoTraffic => vec![
            format!(
                "{candidate} got no request in the last minute, while {} has traffic",
                told.baseline()
            ),
            match told.weight {
                Some(weight) if weight > 0 => format!(
                    "its controller reported a weight of {}: is it reachable, does it export spans?",
                    percent(f64::from(weight) / 10_000.0)
                ),
                _ => "was it given any traffic?".to_owned(),
            },
            format!("needs {}", told.needed(need)),
        ],
        Code::CascadeCause => vec![
            format!("incident: {}", told.incident()),
            format!(
                "{candidate} is behind it: in the same seconds it does worse than {}, or calls what fails more than its share",
                told.baseline()
            ),
            told.side_by_side(),
        ],
        Code::NeighborBurning => vec![
            format!("incident next to {}: {}", told.service, told.incident()),
            format!(
                "nothing says that {candidate} is behind it: {}",
                told.side_by_side()
            ),
        ],
        Code::CascadeVictim if told.incident.is_some() => vec![
            format!(
                "{} suffers from another one: {}",
                told.service,
                told.incident()
            ),
            told.side_by_side(),
        ],
        Code::CascadeVictim => {
            let mut reasons = vec![
                format!(
                    "{candidate} and {} fail alike in the same seconds: this is not the fault of {candidate}",
                    told.baseline()
                ),
                told.side_by_side(),
            ];
            reasons.extend(told.lately());
            reasons.push(if told.pass_requests == 0 {
                "its own evidence is enough once the incident is over".to_owned()
            } else {
                format!("after the incident it needs {}", told.needed(need))
            });
            reasons
        }
        Code::AlertFiring => vec![
            format!(
                "an alert of {} pages: {}",
                told.service,
                told.page_alert.as_deref().unwrap_or("its budget burns")
            ),
            format!(
                "nothing says that {candidate} is the cause: {}",
                told.side_by_side()
            ),
        ],
        Code::NoBaseline => vec![
            format!(
                "no other revision serves beside {candidate}: only its own budget can judge it"
            ),
            told.side_by_side(),
            format!("needs {}", told.needed(need)),
        ],
        _ => {
            let mut reasons = vec![
                format!("not enough requests yet: {}", told.side_by_side()),
                format!("needs {}", told.needed(need)),
                told.traffic(),
            ];
            if told.awaits_step {
                reasons.push(
                    "the weight was changed: evidence from before does not count for it".to_owned(),
                );
            }
            reasons
        }
    }
}

fn stale(told: &Told) -> Vec<String> {
    let evidence = &told.evidence;
    let first = match (told.silence, told.behind_secs) {
        (Silence::Both, _) => format!(
            "no request of {} was reported in the last minute",
            told.service
        ),
        (_, Some(secs)) => format!(
            "the newest span of {} ended {} ago: its telemetry is behind",
            told.candidate,
            duration(secs)
        ),
        _ => format!(
            "{} of the requests of {} were reported too late to be compared, {} of those of {}",
            percent(evidence.late_candidate),
            told.candidate,
            percent(evidence.late_baseline),
            told.baseline()
        ),
    };
    vec![
        first,
        "look at the exporters and the Collector of both revisions".to_owned(),
        told.side_by_side(),
    ]
}

/// What would have to be different.
pub(crate) fn counterfactual(code: Code, told: &Told, need: Need) -> String {
    let candidate = &told.candidate;
    match code {
        Code::RegressionErrors | Code::AbsoluteSloBreach => format!(
            "would not have halted if {candidate} had failed at most about {} of its {} requests",
            count(told.tolerable()),
            count(told.evidence.candidate.units)
        ),
        Code::RegressionLatency => format!(
            "would not have halted if {candidate} had been slower than {} as seldom as {} slower than {}",
            millis(told.worst_edge_nanos / 10 * 11),
            told.baseline(),
            millis(told.worst_edge_nanos)
        ),
        Code::Advisory => format!(
            "would halt if {} were growth or mission-critical",
            told.service
        ),
        Code::ProceedByPolicy => {
            format!(
                "would wait for evidence if {} were growth or mission-critical",
                told.service
            )
        }
        Code::ClockSkew => "would test again a minute after the clocks agree".to_owned(),
        Code::LateInput => "would test once spans come within 10 s of their end".to_owned(),
        Code::TailSampled => {
            format!("would go on with all spans of {candidate}, or with another revision beside it")
        }
        Code::Stale => "would test again a minute after both arms report in time".to_owned(),
        Code::AlertFiring => format!(
            "would go on once the alert is resolved; would halt if {candidate} failed more than {}",
            told.baseline()
        ),
        Code::CascadeCause => format!(
            "would not have halted if {candidate} had done in these seconds what {} did",
            told.baseline()
        ),
        Code::NeighborBurning => format!(
            "would go on once the incident is over; would halt if {candidate} failed or called more than {}",
            told.baseline()
        ),
        Code::CascadeVictim => format!(
            "would halt if {candidate} went on failing after {} recovered",
            told.baseline()
        ),
        Code::LowTraffic | Code::NoBaseline | Code::NoTraffic => match told.halts_after() {
            Some(requests) => format!(
                "would halt after about {} more requests if {candidate} went on failing as it does",
                count(requests.max(1))
            ),
            None => format!(
                "would proceed if {candidate} served {} more requests as well as {}",
                count(need.requests),
                if told.baselines.is_empty() {
                    "its budget allows".to_owned()
                } else {
                    told.baseline()
                }
            ),
        },
        _ => String::new(),
    }
}

/// Reasons and counterfactual of `admit`.
pub(crate) fn admission(
    code: Code,
    facts: &ServiceFacts,
    maturity: Maturity,
) -> (Vec<String>, String) {
    let budget = &facts.budget;
    let left = match budget.remaining {
        None => format!(
            "no event of `{}` was seen yet: its budget is untouched",
            budget.slo
        ),
        Some(left) if left < 0.0 => {
            format!(
                "the budget of `{}` is overspent by {}",
                budget.slo,
                percent(-left)
            )
        }
        Some(left) => format!(
            "{} of the budget of `{}` is left",
            percent(left),
            budget.slo
        ),
    };
    let page = budget
        .page_alert
        .as_ref()
        .map(|alert| format!("an alert pages: {alert}"));
    let mut reasons = match code {
        Code::AlertFiring => page.clone().into_iter().chain([left]).collect(),
        Code::CascadeVictim | Code::NeighborBurning => {
            let incident = facts.incident.as_ref();
            let incident = incident.map(|incident| format!("incident: {}", incident.title));
            incident.into_iter().chain([left]).chain(page).collect()
        }
        _ => [left].into_iter().chain(page).collect::<Vec<String>>(),
    };
    let counterfactual = match code {
        Code::BudgetExhausted => {
            reasons.push("only fixes and rollbacks should go out now".to_owned());
            "would admit once old failures leave the budget's period; a known-good revision is admitted at once"
        }
        Code::AlertFiring => {
            "would admit once the alert is resolved; a known-good revision is admitted at once"
        }
        Code::CascadeVictim | Code::NeighborBurning => {
            "would admit once the incident is over; a known-good revision is admitted at once"
        }
        _ if maturity == Maturity::Prototype => "a prototype is always admitted",
        _ => "would wait if the budget were spent or an alert paged",
    };
    (reasons, counterfactual.to_owned())
}

/// The note of a latched Halt.
pub(crate) const LATCHED: &str = "LATCHED: this revision stays halted until a person clears it with a reason (event `latch.cleared`); \
     numbers and time are those of the moment it was halted";

/// Notes that qualify an answer.
pub(crate) fn notes(case: &Case<'_>, candidate: Option<&Candidate>) -> Vec<String> {
    let mut notes = Vec::new();
    if case.facts.budget.is_implicit {
        notes.push(
            "IMPLICIT_SLO: no file defines an SLO for this service; measured against the implicit one".to_owned(),
        );
    }
    notes.extend(arrival_notes(&case.facts.row));
    let Some(candidate) = candidate else {
        return notes;
    };
    if candidate.is_assumed && !candidate.baseline.is_empty() {
        notes.push(
            "BASELINE_ASSUMED: the baseline is what was live when the candidate appeared; nothing of it is known good yet".to_owned(),
        );
    }
    for gap in case.gaps.iter().filter(|gap| gap.to >= candidate.since) {
        notes.push(format!(
            "GAP: {} of counts are missing since the candidate appeared",
            duration(gap.to.since(gap.from).div_ceil(NANOS_PER_SEC))
        ));
    }
    if candidate.set_aside > 0 {
        notes.push(format!(
            "SET_ASIDE: {} were not tested: an arm's clock or exporter was off, or counts were missing",
            duration(candidate.set_aside)
        ));
    }
    if candidate.restarts > 0 {
        notes.push(format!(
            "ALPHA_SPENT: test {} of this revision; each one may halt it falsely with probability {}",
            candidate.restarts + 1,
            candidate.test.policy().alpha
        ));
    }
    notes
}

/// What the way of the telemetry does to the answer.
fn arrival_notes(row: &ServiceRow) -> Vec<String> {
    let mut notes = Vec::new();
    let late = row.revisions.iter().find_map(|revision| {
        let spans = revision.spans().filter(|row| row.is_late)?;
        Some((revision.revision.label(), spans.lag_nanos?))
    });
    if let Some((revision, lag)) = late {
        notes.push(format!(
            "LATE_INPUT: spans of {revision} come {} after their end and later; {FAN_OUT_LINE}",
            duration(lag.unsigned_abs() / NANOS_PER_SEC)
        ));
    }
    match row.sampling() {
        Sampling::Tail => notes.push(format!(
            "TAIL_SAMPLED: spans were chosen by a tail sampler: budget and failure rates are those of the sample; {FAN_OUT_LINE}"
        )),
        Sampling::Head => notes.push(
            "SAMPLED: spans were sampled at their start: ratios hold, counts are those of the sample".to_owned(),
        ),
        Sampling::None => {}
    }
    notes
}

/// Units above the latency edge with the most evidence: candidate above 1.1 T, baseline above T.
pub(crate) fn slower(candidate: &Candidate) -> (Arm, Arm) {
    let edge = candidate.test.worst_edge_nanos();
    let index = (0..LATENCY_EDGES)
        .find(|j| edge_nanos(*j) == edge)
        .unwrap_or(0);
    let above = |cell: &Cell, first: u8| {
        let count = |from: u8| -> u64 {
            let counts = cell.latency.iter().filter(|(bucket, _)| *bucket >= from);
            counts.map(|(_, count)| (*count).max(0) as u64).sum()
        };
        Arm {
            units: count(0),
            failed: count(first),
        }
    };
    (
        above(&candidate.totals.candidate, first_bucket_over_margin(index)),
        above(&candidate.totals.baseline, first_bucket_over(index)),
    )
}

fn times(evidence: &Evidence) -> String {
    let candidate = evidence.candidate.failed_ratio().unwrap_or(0.0);
    match evidence.baseline.failed_ratio() {
        Some(baseline) if baseline > 0.0 => format!("{} times", amount(candidate / baseline)),
        _ => "infinitely many times".to_owned(),
    }
}
