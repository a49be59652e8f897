//! Real traces with known faults (`rca`): read, turned into what a Collector would have sent, and fed to the Folder.
//!
//! Everything that localises starts from [`Set::feed`]: Deltas on virtual time, as the Decider gets them. Nothing here
//! knows a label: [`Case`]s are for scoring.

mod crisp;
mod encode;
mod envoy;
mod feed;
mod identity;
mod nezha;
mod parquet;
mod rootcause;

pub(crate) use feed::Record;

use engine::time::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The folder of one data set.
fn folder(name: &str) -> PathBuf {
    super::corpus().join("rca").join(name)
}

/// One fault that was put in.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What it is called upstream.
    pub(crate) name: String,
    /// Its kind upstream.
    pub(crate) fault: String,
    /// Service at fault.
    pub(crate) service: String,
    /// Commit at fault; empty where there is none.
    pub(crate) commit: String,
    /// Services that suffered, where it is told.
    pub(crate) victims: Vec<String>,
    /// From when to when the fault lasted.
    pub(crate) from: Timestamp,
    /// Its end, exclusive.
    pub(crate) to: Timestamp,
}

/// A deployment or the turn of a flag.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// When.
    pub(crate) time: Timestamp,
    /// Whether a flag was turned; otherwise something was deployed.
    pub(crate) is_flag: bool,
    /// Of which service.
    pub(crate) service: String,
    /// Commit of a deployment, name of a flag.
    pub(crate) name: String,
}

/// A stretch of recorded telemetry and the faults in it.
#[derive(Debug)]
pub(crate) struct Set {
    /// Its name.
    pub(crate) name: String,
    /// Spans and log records.
    pub(crate) records: Vec<Record>,
    /// Faults, by time.
    pub(crate) cases: Vec<Case>,
    /// Changes, by time.
    pub(crate) changes: Vec<Change>,
}

/// Every set, one after the other: the two of Nezha, then one for each incident of RootCauseBench.
pub(crate) fn sets() -> impl Iterator<Item = Set> {
    let nezha = [nezha::boutique as fn() -> Set, nezha::train_ticket];
    nezha
        .into_iter()
        .map(|read| read())
        .chain(rootcause::incidents())
}

/// Scenario: every set, fed on virtual time.
/// Guarantees: every record is counted once, time only goes forward, every case names services that are heard; one Online
/// Boutique fault in six has no spans, as upstream; six culprits of RootCauseBench were deployed.
#[test]
fn every_set_can_be_fed() {
    use engine::delta::{Counter, Fate};
    use engine::items::Signal;
    let (mut cases, mut silent, mut changes, mut deployed) = (0, Vec::new(), 0, 0);
    for set in sets() {
        let mut accepted = 0;
        let mut before = Timestamp::EPOCH;
        for (now, delta) in set.feed() {
            assert!(now > before);
            before = now;
            for signal in [Signal::Traces, Signal::Logs] {
                let counter = Counter::Items(signal, Fate::Accepted);
                accepted += delta.counters.get(&counter).copied().unwrap_or(0);
            }
        }
        assert_eq!(accepted, set.records.len() as u64, "{}", set.name);
        let services: BTreeSet<&str> = set.records.iter().map(Record::service).collect();
        for case in &set.cases {
            let mut named = std::iter::once(&case.service).chain(&case.victims);
            assert!(named.all(|name| services.contains(&**name)), "{case:?}");
            let is_culprit = |change: &Change| !change.is_flag && change.name == case.commit;
            deployed += usize::from(set.changes.iter().any(is_culprit));
            let window = case.from..case.to;
            let times = set.records.iter().map(Record::time);
            let inside = times.filter(|time| window.contains(time)).count();
            println!(
                "{} {} at {}: {inside} records",
                set.name, case.fault, case.service
            );
            if inside == 0 {
                silent.push(case.name.clone());
            }
        }
        cases += set.cases.len();
        assert!(set.changes.is_sorted_by_key(|change| change.time));
        let strange = set
            .changes
            .iter()
            .filter(|change| !services.contains(&*change.service));
        println!(
            "{} changes of services that are never heard",
            strange.count()
        );
        changes += set.changes.len();
    }
    assert_eq!((cases, changes), (24 + 28 + 12, 60));
    assert_eq!(deployed, 6, "culprits among the deployments");
    assert_eq!(
        silent,
        [
            "2022-08-22T04:52:55",
            "2022-08-22T05:01:13",
            "2022-08-22T05:35:34",
            "2022-08-22T06:01:18"
        ]
    );
}
