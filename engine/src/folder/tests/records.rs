//! Log records: what selects them, what makes them bad, and what becomes of copies, late, future and excluded ones.

use super::*;
use crate::log_rows::{LogRow, batch as records};
use crate::slo::{AttributeMatch, Ratio, Side};
use std::collections::BTreeSet;

const ACCEPTED: Counter = Counter::Items(Signal::Logs, Fate::Accepted);

fn rule(key: &str, any_of: &[&str]) -> AttributeMatch {
    AttributeMatch {
        key: key.to_owned(),
        any_of: any_of.iter().map(|text| (*text).to_owned()).collect(),
        negated: false,
    }
}

/// An SLO of `checkout` over the records that `selector` holds for; those that `part` holds for too are on `side`.
fn slo(name: &str, selector: Vec<AttributeMatch>, part: Vec<AttributeMatch>, side: Side) -> Slo {
    let mut slo = Slo::implicit(&sender("v1").identity.service);
    slo.implicit = false;
    slo.id = Slo::id_of(slo.service_id, name);
    slo.target = Ratio::from_ppb(990_000_000);
    slo.sli = Sli::Records {
        selector,
        part,
        side,
    };
    slo
}

fn folder(slos: &[Slo]) -> Folder {
    let definitions = Definitions {
        slos: slos.iter().map(|slo| (slo.id, slo.clone())).collect(),
        ..Definitions::default()
    };
    let mut folder = whole();
    folder.set_definitions(Arc::new(definitions));
    folder
}

fn record(key: u64, time: Timestamp) -> LogRow {
    LogRow::new(&sender("v1"), key, time.0)
}

/// (good, bad) of one SLO after `rows` came at [`NOW`].
fn counted(slo: &Slo, rows: &[LogRow]) -> (i64, i64) {
    let mut folder = folder(std::slice::from_ref(slo));
    folder.fold_records(&records(SEED, NOW, rows));
    sums(&folder.flush(NOW).sli)
}

#[test]
fn every_field_of_a_record_selects() {
    let rows = [
        record(1, NOW)
            .saying("payment refused")
            .of_severity(17, "ERROR"),
        record(2, NOW)
            .saying("payment taken")
            .of_severity(9, "INFO"),
        record(3, NOW).with("http.response.status_code", 503),
        LogRow {
            event_name: "checkout.done".to_owned(),
            ..record(4, NOW)
        },
    ];
    for (part, bad) in [
        (rule("body", &["*refused*"]), 1),
        (rule("body", &["*"]), 2),
        (rule("severity_text", &["ERROR", "FATAL"]), 1),
        (rule("severity_text", &["*"]), 2),
        (rule("severity_number", &["17", "18"]), 1),
        (rule("severity_number", &["0"]), 2),
        (rule("event_name", &["checkout.*"]), 1),
        (rule("event_name", &["*"]), 1),
        (rule("http.response.status_code", &["5*"]), 1),
        (rule("resource.service.version", &["v1"]), 4),
        (rule("name", &["*"]), 0),
    ] {
        let slo = slo("records", vec![], vec![part.clone()], Side::Bad);
        assert_eq!(counted(&slo, &rows), (4 - bad, bad), "{part:?}");
    }
}

#[test]
fn a_part_names_either_side_and_unselected_records_are_no_events() {
    let rows: Vec<LogRow> = (0..10)
        .map(|index| {
            let code = if index < 3 { 503 } else { 200 };
            let path = if index % 2 == 0 { "/cart" } else { "/other" };
            record(index, NOW).with("code", code).with("path", path)
        })
        .collect();
    let cart = || vec![rule("path", &["/cart"])];
    let bad = slo("bad", cart(), vec![rule("code", &["5*"])], Side::Bad);
    assert_eq!(counted(&bad, &rows), (3, 2));
    let good = slo(
        "good",
        cart(),
        vec![rule("code", &["2*", "3*"])],
        Side::Good,
    );
    assert_eq!(counted(&good, &rows), (3, 2));
}

#[test]
fn copies_excluded_late_and_future_records_are_told_apart() {
    let slo = slo("all", vec![], vec![rule("code", &["5*"])], Side::Bad);
    let mut folder = folder(std::slice::from_ref(&slo));
    let soon = NOW.plus(90 * NANOS_PER_SEC);
    let branch = resource(&[
        ("service.name", "checkout"),
        ("tidegate.revision.kind", "branch"),
    ]);
    let rows = [
        record(1, NOW),
        record(1, NOW),
        record(2, NOW).with("url.path", "/healthz"),
        record(3, NOW.minus(700 * NANOS_PER_SEC)).with("code", 500),
        LogRow {
            anomalies: anomaly::FUTURE,
            ..record(4, soon).of_severity(18, "")
        },
        LogRow::new(&branch, 5, NOW.0),
    ];
    folder.fold_records(&records(SEED, NOW, &rows));
    folder.fold_records(&records(SEED, NOW, &rows[..1]));
    let delta = folder.flush(NOW);
    assert_eq!(sums(&delta.sli), (1, 1));
    let fate = |fate| counter(&delta, Counter::Items(Signal::Logs, fate));
    assert_eq!(counter(&delta, ACCEPTED), 7);
    assert_eq!(fate(Fate::Duplicate), 2);
    assert_eq!(fate(Fate::Excluded), 1);
    assert_eq!(fate(Fate::Late), 1);
    assert_eq!(fate(Fate::Future), 1);
    assert_eq!(fate(Fate::OutsideBudget), 1);
    assert!(delta.units.is_empty());
    assert_eq!(delta.resources.len(), 2);
    assert!(delta.resources.iter().all(|row| row.signal == Signal::Logs));
    assert!(folder.flush(soon.minus(1)).sli.is_empty());
    let ripe = folder.flush(soon);
    assert_eq!((sums(&ripe.sli), ripe.sli[0].second), ((1, 0), soon.secs()));
    assert_eq!(ripe.log_errors[0].key.second, soon.secs());
}

#[test]
fn records_without_an_slo_are_accepted_and_no_implicit_slo_counts_them() {
    let mut folder = whole();
    folder.fold_records(&records(SEED, NOW, &[record(1, NOW), record(1, NOW)]));
    let delta = folder.flush(NOW);
    assert_eq!(counter(&delta, ACCEPTED), 2);
    assert!(delta.sli.is_empty());
    assert_eq!(delta.resources[0].items, 2);
}

/// Scenario: records of two revisions, shuffled, repeated, cut anywhere, through 1, 2, 7 and 64 folders.
/// Guarantees: the same SLI counts and the same errors by place, by revision and second.
#[test]
fn neither_order_nor_copies_nor_cuts_nor_folders_matter() {
    let slo = slo("all", vec![], vec![rule("code", &["5*"])], Side::Bad);
    let rows: Vec<LogRow> = (1..400u64)
        .map(|key| {
            let time = NOW.minus(key % 60 * NANOS_PER_SEC).0;
            let version = if key % 3 == 0 { "v2" } else { "v1" };
            let code = if key % 7 == 0 { 500 } else { 200 };
            let row = LogRow::new(&sender(version), key, time).with("code", code);
            match key % 5 {
                0 => row.of_severity(17, "ERROR").saying("card refused"),
                1 => row.of_severity(0, "Fatal").saying("no memory"),
                _ => row.of_severity(9, "INFO"),
            }
        })
        .collect();
    let mut twice = [rows.clone(), rows.clone()].concat();
    twice.sort_by_key(|row| row.key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let run = |rows: &[LogRow], cut: usize, folders: u8| {
        let mut all = Delta::default();
        for number in 0..folders {
            let owned = (number..64).step_by(usize::from(folders));
            let mut folder = Folder::new(SEED, owned, FolderLimits::default());
            folder.set_definitions(Arc::new(Definitions {
                slos: [(slo.id, slo.clone())].into(),
                ..Definitions::default()
            }));
            for chunk in rows.chunks(cut) {
                folder.fold_records(&records(SEED, NOW, chunk));
            }
            all.merge(folder.flush(NOW));
        }
        (all.sli, all.log_errors)
    };
    let once = run(&rows, 1_000, 1);
    assert_eq!(sums(&once.0), (342, 57));
    let errors: i64 = once.1.iter().map(|row| row.records).sum();
    assert_eq!(errors, 159);
    let places: BTreeSet<u64> = once.1.iter().map(|row| row.key.place).collect();
    assert_eq!(places.len(), 2);
    for (cut, folders) in [(1_000, 1), (3, 1), (17, 2), (100, 7), (1_000, 64)] {
        assert_eq!(
            run(&twice, cut, folders),
            once,
            "cut {cut}, {folders} folders"
        );
    }
}
