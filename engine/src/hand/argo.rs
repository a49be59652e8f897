//! The question of an Argo analysis: may this rollout leave this step? (DESIGN 10, 18)
//!
//! Proceed only from evidence of this step; Wait while the watch has not seen the step. Argo asks with what it believes
//! itself (hash and step), so an answer about another template or step cannot be taken for one about this.

use crate::gate::answer::{Answer, Code, Verdict};
use crate::hand::row::RolloutRow;
use crate::hand::seen::{ObjectKey, WorkloadKind};
use crate::snapshot::Snapshot;

/// What Argo asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArgoQuestion {
    /// Kubernetes namespace of the Rollout.
    pub namespace: String,
    /// Its name.
    pub rollout: String,
    /// Its newest pod template hash.
    pub hash: String,
    /// Its `status.currentStepIndex`.
    pub step: Option<u32>,
}

/// The answer; small enough for an AnalysisRun's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgoAnswer {
    /// Proceed, Wait or Halt; never Unknown.
    pub verdict: Verdict,
    /// Its code.
    pub code: &'static str,
    /// Why, in one line.
    pub reason: String,
    /// The recorded decision; 0 when there is none.
    pub decision_id: u128,
}

fn wait(code: &'static str, reason: String) -> ArgoAnswer {
    ArgoAnswer {
        verdict: Verdict::Wait,
        code,
        reason,
        decision_id: 0,
    }
}

/// Answers `question` from `snapshot`; `None` while it is recovering. O(workloads).
pub fn ask_argo(snapshot: &Snapshot, question: &ArgoQuestion) -> Option<ArgoAnswer> {
    if snapshot.is_recovering {
        return None;
    }
    let key = ObjectKey {
        kind: WorkloadKind::ArgoRollout,
        namespace: question.namespace.clone(),
        name: question.rollout.clone(),
    };
    if !snapshot.hand.is_watching {
        return Some(wait(
            "NOT_WATCHED",
            "no cluster is watched: set `kubernetes.watch`".to_owned(),
        ));
    }
    let found = snapshot
        .rollouts
        .binary_search_by(|row| row.object.cmp(&key))
        .ok();
    Some(match found.and_then(|index| snapshot.rollouts.get(index)) {
        None => wait("STEP_UNSEEN", format!("{key} was not seen yet")),
        Some(row) => of_row(snapshot, row, question),
    })
}

fn of_row(snapshot: &Snapshot, row: &RolloutRow, question: &ArgoQuestion) -> ArgoAnswer {
    if !snapshot.hand.is_synced {
        return wait(
            "STEP_UNSEEN",
            "the watch has not seen everything since the start".to_owned(),
        );
    }
    if row.candidate != question.hash || question.hash.is_empty() {
        return wait(
            "STEP_UNSEEN",
            format!("asked about {}, seen {}", question.hash, row.candidate),
        );
    }
    if question.step.is_none() || row.step != question.step {
        let seen = row
            .step
            .map_or_else(|| "none".to_owned(), |step| step.to_string());
        let asked = question
            .step
            .map_or_else(|| "none".to_owned(), |step| step.to_string());
        return wait("STEP_UNSEEN", format!("asked in step {asked}, seen {seen}"));
    }
    // The gate's own answer is never older than the row.
    let answer = answer(snapshot, row);
    let (is, code) = answer.map_or((row.verdict, row.code), |one| (one.verdict, one.code));
    let (verdict, code) = verdict(snapshot, row, is, code);
    let reason = answer.and_then(|one| one.reasons.first());
    ArgoAnswer {
        verdict,
        code,
        reason: reason.unwrap_or(&row.reason).clone(),
        decision_id: answer.map_or(row.decision_id, |one| one.decision_id),
    }
}

fn verdict(
    snapshot: &Snapshot,
    row: &RolloutRow,
    is: Verdict,
    code: Code,
) -> (Verdict, &'static str) {
    match is {
        // Somebody, or too many halts at once, said that nothing is to be halted now.
        Verdict::Halt if snapshot.hand.disarmed.is_some() => (Verdict::Wait, "DISARMED"),
        Verdict::Halt => (Verdict::Halt, code.name()),
        Verdict::Proceed if is_of_step(snapshot, row, code) => (Verdict::Proceed, code.name()),
        Verdict::Proceed => (Verdict::Wait, "STEP_UNTESTED"),
        Verdict::Wait | Verdict::Unknown => (Verdict::Wait, code.name()),
    }
}

/// Whether what speaks for the candidate was seen in the step it is in.
fn is_of_step(snapshot: &Snapshot, row: &RolloutRow, code: Code) -> bool {
    // A known-good template, or a policy that asks for no evidence, needs none.
    code != Code::Evidence
        || answer(snapshot, row).is_some_and(|answer| answer.evidence.closed_until > row.step_since)
}

fn answer<'a>(snapshot: &'a Snapshot, row: &RolloutRow) -> Option<&'a Answer> {
    let service = row.service.as_ref()?.id();
    let candidates = snapshot.gates.get(&service)?.candidates.iter();
    let mut candidates = candidates.filter(|answer| answer.candidate_id == row.revision);
    candidates.next().filter(|_| row.revision.is_some())
}
