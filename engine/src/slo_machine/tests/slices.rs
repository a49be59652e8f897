//! Revision slices: they add up, show a canary at once, fold and expire.

use super::rig::{Rig, START, slo};
use crate::identity::RevisionId;
use crate::slo_machine::slices::{OLDER_REVISIONS, SLICE_WINDOWS, SLICES_PER_SLO};

/// Scenario: a canary with 1 % of the traffic fails completely.
/// Guarantees: its slice burns 1,000 within its first second while the fleet burns 10; slices add up to the SLO.
#[test]
fn a_canary_is_visible_at_once() {
    let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
    rig.fill(START, START + 3_600, 1_000);
    let onset = START + 3_600;
    rig.count_at(onset, onset, 1, 990, 0);
    rig.count_at(onset, onset, 2, 0, 10);
    rig.tick(onset);
    let row = rig.row(0);
    assert_eq!(row.slices[0].revision, RevisionId(2), "newest first");
    assert_eq!(row.slices[0].windows[0].burn, Some(1_000.0));
    assert!(row.windows[0].burn.expect("events") < 0.1);
    for (at, secs) in SLICE_WINDOWS.iter().enumerate() {
        let whole = row
            .windows
            .iter()
            .find(|window| window.window_secs == *secs)
            .expect("shown");
        let sum: u64 = row
            .slices
            .iter()
            .map(|slice| slice.windows[at].counts.total())
            .sum();
        assert_eq!(sum, whole.counts.total(), "{secs} s");
    }
}

/// Scenario: a baseline that goes on serving and twenty canaries after each other.
/// Guarantees: at most eight slices and the folded ones; nothing is lost; the baseline stays; what a folded revision
/// still sends stays folded.
#[test]
fn the_revision_silent_for_longest_is_folded() {
    let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
    let baseline = 1_000;
    for number in 1..=20u64 {
        let second = START + number * 60;
        rig.count_at(second, second, baseline, 100, 0);
        rig.count_at(second, second, u128::from(number), 5, 1);
    }
    let now = START + 1_300;
    rig.count_at(now, now, 1, 0, 7);
    rig.tick(now);
    let row = rig.row(0);
    assert_eq!(row.slices.len(), SLICES_PER_SLO + 1);
    assert!(
        row.slices
            .iter()
            .any(|slice| slice.revision == RevisionId(baseline))
    );
    assert!(
        !row.slices
            .iter()
            .any(|slice| slice.revision == RevisionId(1))
    );
    let older = row.slices.last().expect("folded");
    assert_eq!(older.revision, OLDER_REVISIONS);
    assert_eq!(
        older.windows[2].counts.bad,
        13 + 7,
        "thirteen canaries and what the first still sent"
    );
    let all: u64 = row
        .slices
        .iter()
        .map(|slice| slice.windows[2].counts.total())
        .sum();
    assert_eq!(all, 20 * 106 + 7);
    assert_eq!(rig.machine.slice_count(), 9);
}

/// Scenario: a revision stops.
/// Guarantees: its slice leaves 6 h after its last event, also when nothing else happens.
#[test]
fn slices_expire() {
    let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
    rig.count(START, 10, 1);
    rig.tick(START + 3_600 * 6 - 60);
    assert_eq!(rig.row(0).slices.len(), 1);
    rig.tick(START + 3_600 * 6 + 61);
    assert_eq!(rig.row(0).slices.len(), 0);
}
