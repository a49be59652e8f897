//! `ask`: the answer to one question, read from a published snapshot. Pure; used by HTTP and by the CLI alike.

use crate::gate::answer::{Answer, Code, Evidence, Need, Phase, ServiceGate, Verdict};
use crate::gate::words;
use crate::identity::{RevisionId, ServiceKey};
use crate::registry::is_revision_unknown;
use crate::slo::Maturity;
use crate::snapshot::{RevisionRow, ServiceRow, Snapshot};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How long a caller may rely on an answer, ns.
pub const VALID_NANOS: u64 = 5 * NANOS_PER_SEC;

/// One gate question. Empty text means "not said".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Question {
    /// Service name.
    pub service: String,
    /// Namespace; empty matches any single service of that name.
    pub namespace: String,
    /// Environment; empty matches any single service of that name.
    pub environment: String,
    /// Candidate: any attribute value of a revision; empty = the one candidate there is.
    pub candidate: String,
    /// Baseline the caller believes in; empty = whatever it is tested against.
    pub baseline: String,
    /// Admit or advance.
    pub phase: Phase,
}

/// Answers `question` from `snapshot`. O(services + revisions).
pub fn ask(snapshot: &Snapshot, question: &Question) -> Answer {
    let mut answer = if snapshot.is_recovering {
        recovering(question)
    } else {
        match find_service(snapshot, question) {
            Ok(row) => ask_service(snapshot, row, question),
            Err(answer) => *answer,
        }
    };
    answer.phase = question.phase;
    answer.as_of = snapshot.as_of;
    answer.valid_until = snapshot.as_of.plus(VALID_NANOS);
    answer
}

fn recovering(question: &Question) -> Answer {
    let mut answer = blank(asked_key(question), Verdict::Unknown, Code::Recovering);
    answer.candidate.clone_from(&question.candidate);
    answer.reasons = vec![
        "the engine is loading its checkpoint: latches and counts are not known yet".to_owned(),
    ];
    answer.counterfactual = "ask again in a few seconds".to_owned();
    answer
}

fn find_service<'a>(
    snapshot: &'a Snapshot,
    question: &Question,
) -> Result<&'a Arc<ServiceRow>, Box<Answer>> {
    let matches = |key: &ServiceKey| {
        key.name == question.service
            && (question.namespace.is_empty() || key.namespace == question.namespace)
            && (question.environment.is_empty() || key.environment == question.environment)
    };
    let found: Vec<&Arc<ServiceRow>> = snapshot
        .services
        .values()
        .filter(|row| matches(&row.key))
        .collect();
    if let [row] = found.as_slice() {
        return Ok(row);
    }
    let mut answer = blank(asked_key(question), Verdict::Unknown, Code::UnknownService);
    answer.candidate.clone_from(&question.candidate);
    if found.is_empty() {
        let known: Vec<String> = snapshot
            .services
            .values()
            .map(|row| words::service(&row.key))
            .collect();
        answer.reasons = vec![
            format!(
                "no span and no file names a service `{}`",
                words::service(&answer.service)
            ),
            if known.is_empty() {
                "no service was seen yet".to_owned()
            } else {
                format!("services seen: {}", words::list(&known, 10))
            },
        ];
        answer.counterfactual =
            "would answer once its spans arrive with this `service.name`, namespace and environment"
                .to_owned();
    } else {
        let choices: Vec<String> = found.iter().map(|row| words::service(&row.key)).collect();
        answer.reasons = vec![format!(
            "{} services are called `{}`: {}",
            found.len(),
            question.service,
            words::list(&choices, 10)
        )];
        answer.counterfactual =
            "would answer if the question named the namespace and the environment".to_owned();
    }
    Err(Box::new(answer))
}

fn ask_service(snapshot: &Snapshot, row: &ServiceRow, question: &Question) -> Answer {
    let gate = snapshot.gates.get(&row.id);
    if question.phase == Phase::Admit {
        return gate.map_or_else(|| unseen(row), |gate| admit(row, gate, question));
    }
    let Some(gate) = gate.filter(|_| !row.revisions.is_empty()) else {
        return unseen(row);
    };
    match find_candidate(row, gate, question) {
        Ok(answer) => check_baseline(row, answer, question),
        Err(answer) => *answer,
    }
}

/// Admission needs no candidate; but one that is named and known to be good passes, and one that is halted does not.
fn admit(row: &ServiceRow, gate: &ServiceGate, question: &Question) -> Answer {
    if !question.candidate.is_empty()
        && let Ok(answer) = find_candidate(row, gate, question)
        && (answer.verdict == Verdict::Halt || answer.code == Code::KnownGoodRollback)
    {
        return answer;
    }
    let mut answer = gate.admit.clone();
    answer.candidate.clone_from(&question.candidate);
    answer
}

/// A file names the service, but nothing was ever received from it.
fn unseen(row: &ServiceRow) -> Answer {
    let mut answer = for_row(row, Verdict::Unknown, Code::UnknownService);
    answer.reasons = vec![format!(
        "a file defines `{}`, but no span of it was ever seen",
        words::service(&row.key)
    )];
    answer.counterfactual = "would answer once its spans arrive".to_owned();
    answer
}

fn find_candidate(
    row: &ServiceRow,
    gate: &ServiceGate,
    question: &Question,
) -> Result<Answer, Box<Answer>> {
    if row
        .revisions
        .iter()
        .all(|revision| is_revision_unknown(&revision.revision))
    {
        return Err(Box::new(revision_untold(row, question)));
    }
    if question.candidate.is_empty() {
        return match gate.candidates.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Box::new(no_candidate(row, gate, None))),
            several => Err(ambiguous(
                row,
                question,
                &format!(
                    "{} candidates are on trial and the question names none",
                    several.len()
                ),
            )),
        };
    }
    let named: Vec<&RevisionRow> = row
        .revisions
        .iter()
        .filter(|revision| revision.revision.matches(&question.candidate))
        .collect();
    let live: Vec<&RevisionRow> = named.iter().filter(|row| row.is_live).copied().collect();
    let chosen = if live.is_empty() { &named } else { &live };
    match chosen.as_slice() {
        [one] => Ok(answer_of(row, gate, one)),
        [] => Err(ambiguous(
            row,
            question,
            &format!("no revision is called `{}`", question.candidate),
        )),
        several => Err(ambiguous(
            row,
            question,
            &format!(
                "{} revisions are called `{}`",
                several.len(),
                question.candidate
            ),
        )),
    }
}

fn answer_of(row: &ServiceRow, gate: &ServiceGate, revision: &RevisionRow) -> Answer {
    let id = revision.revision.id;
    let tracked = gate
        .candidates
        .iter()
        .find(|answer| answer.candidate_id == Some(id));
    if let Some(answer) = tracked {
        return answer.clone();
    }
    if revision.is_known_good {
        let mut answer = for_row(row, Verdict::Proceed, Code::KnownGoodRollback);
        name_candidate(&mut answer, revision);
        answer.reasons = vec![format!(
            "{} is known good: it served well before, so going back to it passes every freeze",
            answer.candidate
        )];
        return answer;
    }
    no_candidate(row, gate, Some(revision))
}

fn no_candidate(row: &ServiceRow, gate: &ServiceGate, asked: Option<&RevisionRow>) -> Answer {
    let mut answer = for_row(row, Verdict::Wait, Code::NoCandidate);
    answer.baseline = names_of(row, &gate.baseline);
    let serving = live_names(row);
    answer.reasons = vec![match asked {
        Some(revision) => {
            name_candidate(&mut answer, revision);
            words::why_no_trial(&answer.candidate, revision)
        }
        None if serving.is_empty() => "no revision serves at the moment".to_owned(),
        None => format!(
            "no revision is on trial: {} was there first and is what the next one is compared with",
            words::list(&serving, 8)
        ),
    }];
    answer.counterfactual =
        "would test a revision as soon as it is seen later than the ones that serve now".to_owned();
    answer
}

fn revision_untold(row: &ServiceRow, question: &Question) -> Answer {
    let mut answer = for_row(row, Verdict::Unknown, Code::RevisionUnknown);
    answer.candidate.clone_from(&question.candidate);
    answer.reasons = words::revision_unknown(&row.key.name);
    answer.counterfactual = "would test the next revision if its spans named it".to_owned();
    answer
}

fn ambiguous(row: &ServiceRow, question: &Question, problem: &str) -> Box<Answer> {
    let mut answer = for_row(row, Verdict::Unknown, Code::RevisionUnknown);
    answer.candidate.clone_from(&question.candidate);
    answer.reasons = vec![problem.to_owned()];
    for revision in row.revisions.iter().filter(|row| row.is_live) {
        answer.reasons.push(format!(
            "live: {}",
            words::revision_with_attributes(&revision.revision)
        ));
    }
    answer.counterfactual =
        "would answer if `candidate` named exactly one revision by any of its attributes"
            .to_owned();
    Box::new(answer)
}

/// A caller who names a baseline must hear when the test compares with something else.
fn check_baseline(row: &ServiceRow, answer: Answer, question: &Question) -> Answer {
    if question.baseline.is_empty() || matches!(answer.verdict, Verdict::Halt | Verdict::Unknown) {
        return answer;
    }
    let is_tested = |name: &String| {
        row.revisions.iter().any(|revision| {
            revision.revision.label() == *name && revision.revision.matches(&question.baseline)
        })
    };
    if !answer.baseline.is_empty() && answer.baseline.iter().all(is_tested)
        || answer.code == Code::KnownGoodRollback
    {
        return answer;
    }
    let tested = if answer.baseline.is_empty() {
        "no other revision".to_owned()
    } else {
        words::list(&answer.baseline, 8)
    };
    let reason = format!(
        "you named `{}` as the baseline, but {} is tested against {tested}",
        question.baseline, answer.candidate
    );
    let mut reasons = vec![reason];
    reasons.extend(answer.reasons);
    Answer {
        verdict: Verdict::Wait,
        code: Code::BaselineNotTested,
        reasons,
        counterfactual: format!(
            "would answer if the question left the baseline out, or if `rollout.started` had named `{}`",
            question.baseline
        ),
        decision_id: 0,
        ..answer
    }
}

fn live_names(row: &ServiceRow) -> Vec<String> {
    row.revisions
        .iter()
        .filter(|revision| revision.is_live)
        .map(|revision| revision.revision.label())
        .collect()
}

/// The names of `ids` in the order given.
pub(crate) fn names_of(row: &ServiceRow, ids: &[RevisionId]) -> Vec<String> {
    ids.iter()
        .filter_map(|id| row.revisions.iter().find(|row| row.revision.id == *id))
        .map(|row| row.revision.label())
        .collect()
}

fn name_candidate(answer: &mut Answer, revision: &RevisionRow) {
    answer.candidate = revision.revision.label();
    answer.candidate_id = Some(revision.revision.id);
}

fn asked_key(question: &Question) -> ServiceKey {
    ServiceKey {
        tenant: String::new(),
        environment: question.environment.clone(),
        namespace: question.namespace.clone(),
        name: question.service.clone(),
    }
}

fn for_row(row: &ServiceRow, verdict: Verdict, code: Code) -> Answer {
    Answer {
        maturity: row.policy.maturity,
        ..blank(row.key.clone(), verdict, code)
    }
}

/// An answer without numbers.
pub(crate) fn blank(service: ServiceKey, verdict: Verdict, code: Code) -> Answer {
    Answer {
        verdict,
        code,
        service,
        candidate: String::new(),
        candidate_id: None,
        baseline: Vec::new(),
        phase: Phase::Advance,
        reasons: Vec::new(),
        notes: Vec::new(),
        counterfactual: String::new(),
        need: Need::default(),
        evidence: Evidence::default(),
        decision_id: 0,
        as_of: Timestamp::EPOCH,
        valid_until: Timestamp::EPOCH,
        maturity: Maturity::default(),
    }
}
