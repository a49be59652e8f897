//! Which change is behind it. A change counts only if what changed is itself the culprit, with an excess of its own: blaming
//! the latest deploy hits an innocent one in 22 of 24 incidents of a public benchmark.

use super::incident::{Culprit, LikelyChange};
use crate::identity::{RevisionId, ServiceId};
use crate::registry::ServiceState;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Changes remembered; the oldest leave.
const CHANGES_MAX: usize = 1_000;
/// A change further back is no longer likely.
const BEFORE_NANOS: u64 = 2 * 3_600 * NANOS_PER_SEC;
/// Clocks and reports may be off by so much.
const AFTER_NANOS: u64 = 10 * NANOS_PER_SEC;
/// Revisions first seen so soon after their service are no change: the system began to be watched.
const COLD_START_NANOS: u64 = 60 * NANOS_PER_SEC;
/// Most changes named.
const NAMED_MAX: usize = 3;

/// A change that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `rollout.started`, `deploy`, `flag`, `config`, ...
    pub kind: String,
    /// What was changed, in words.
    pub text: String,
    /// Of which service.
    pub service: ServiceId,
    /// The revision it brought; `None`: it is of the service as a whole.
    pub revision: Option<RevisionId>,
    /// When.
    pub at: Timestamp,
}

/// The changes of late.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes(VecDeque<Change>);

impl Changes {
    /// Takes note of one.
    pub fn note(&mut self, change: Change) {
        self.0.push_back(change);
        if self.0.len() > CHANGES_MAX {
            self.0.pop_front();
        }
    }

    /// The changes that may be behind `culprit`, which failed from event second `onset` on: the latest first.
    pub fn behind(
        &self,
        culprit: &Culprit,
        onset: u64,
        service: Option<&ServiceState>,
    ) -> Vec<LikelyChange> {
        let Some(id) = culprit.node.service() else {
            return Vec::new();
        };
        let began = Timestamp::from_secs(onset);
        let is_timely =
            |at: Timestamp| at <= began.plus(AFTER_NANOS) && at >= began.minus(BEFORE_NANOS);
        // All revisions alike: none of them did it.
        let is_guilty = |revision: RevisionId| culprit.revision == Some(revision);
        let reported = self.0.iter().filter(|change| {
            change.service == id && change.revision.is_none_or(is_guilty) && is_timely(change.at)
        });
        let mut likely: Vec<LikelyChange> = reported
            .map(|change| LikelyChange {
                kind: change.kind.clone(),
                text: change.text.clone(),
                at: change.at,
                revision: change.revision,
            })
            .collect();
        for state in service
            .iter()
            .flat_map(|service| service.revisions.values())
        {
            let is_cold = service.is_some_and(|service| {
                state.first_seen.since(service.first_seen) < COLD_START_NANOS
            });
            let revision = state.revision.id;
            if is_guilty(revision) && !is_cold && is_timely(state.first_seen) {
                likely.push(LikelyChange {
                    kind: "revision".to_owned(),
                    text: format!("first item of revision {}", state.revision.label()),
                    at: state.first_seen,
                    revision: Some(revision),
                });
            }
        }
        likely.sort_by(|one, other| {
            (other.at, &one.kind, &one.text).cmp(&(one.at, &other.kind, &other.text))
        });
        likely.truncate(NAMED_MAX);
        likely
    }
}
