//! A retry storm through a real Envoy: what each trace says, by second, without any learned baseline.

use super::feed::deltas;
use crate::recording;
use engine::delta::{Callee, Delta};
use engine::identity::{ServiceId, ServiceKey};
use engine::time::{NANOS_PER_SEC, Timestamp};
use serde_json::Value;
use std::ops::RangeInclusive;

/// Seconds since the recording began in which the trigger is gone and the storm goes on.
const SECONDS: RangeInclusive<u64> = 24..=37;

/// Everything that the Folder said of a run, and when the run began.
fn said(run: &str) -> (Delta, u64) {
    let folder = super::folder("envoy-metastable");
    let name = run.split('_').next().unwrap();
    let truth = std::fs::read_to_string(folder.join(format!("{name}_truth.json"))).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let began = (truth["t0_unix"].as_f64().unwrap() * NANOS_PER_SEC as f64) as u64;
    let requests = recording::read(&folder.join(format!("{run}.otlp.bin.gz")));
    let mut sums = Delta::default();
    for (_, delta) in deltas(recording::decode(&requests)) {
        sums.edges.extend(delta.edges);
        sums.blame.extend(delta.blame);
    }
    sums.normalize();
    (sums, Timestamp(began).secs())
}

fn service(name: &str) -> ServiceId {
    let key = ServiceKey {
        tenant: String::new(),
        environment: String::new(),
        namespace: String::new(),
        name: name.to_owned(),
    };
    key.id()
}

fn service_of(callee: &Callee) -> Option<ServiceId> {
    match callee {
        Callee::Service(party) => Some(party.service),
        Callee::Peer(_) => None,
    }
}

/// Attempts per logical call and the wasted share of answered attempts, over the seconds 24 to 37.
fn storm((sums, began): &(Delta, u64)) -> (f64, f64) {
    let (mut attempts, mut calls, mut paired, mut wasted) = (0, 0, 0, 0);
    for row in &sums.edges {
        let from = row.key.caller.map(|caller| caller.service);
        let is_retried = from == Some(service("svc-a-sidecar"))
            && service_of(&row.key.callee).is_none_or(|to| to == service("svc-b"));
        if is_retried && SECONDS.contains(&(row.second - began)) {
            attempts += row.requests.iter().sum::<i64>();
            calls += row.logical;
            paired += row.paired;
            wasted += row.wasted;
        }
    }
    (
        attempts as f64 / calls as f64,
        wasted as f64 / paired as f64,
    )
}

/// The share of the failed requests of the seconds 24 to 37 for which svc-b's lateness is blamed.
fn blamed_on_b((sums, began): &(Delta, u64)) -> f64 {
    let (mut all, mut on_b) = (0, 0);
    for row in &sums.blame {
        if row.key.fatal && SECONDS.contains(&(row.key.second - began)) {
            all += row.shares;
            let callee = row.key.callee.as_ref().and_then(service_of);
            if callee == Some(service("svc-b")) {
                on_b += row.shares;
            }
        }
    }
    on_b as f64 / all as f64
}

/// Scenario: retries without a budget, 1 s to 14 s after the trigger ended.
/// Guarantees: per-trace facts alone show the storm: four attempts a call, all work for nobody, and svc-b,
/// which never sends an error status, is blamed.
#[test]
fn unbounded_retries_show_in_every_trace() {
    let run = said("run1_retries_unbounded");
    let (attempts, wasted) = storm(&run);
    assert!(
        (3.9..=4.1).contains(&attempts),
        "{attempts} attempts a call"
    );
    assert!(wasted >= 0.99, "{wasted} wasted");
    let blamed = blamed_on_b(&run);
    assert!(blamed >= 0.99, "{blamed} blamed on svc-b");
}

/// Scenario: the same seconds with a retry budget of 10 %.
/// Guarantees: the budget shows.
#[test]
fn a_retry_budget_shows_in_every_trace() {
    let (attempts, _) = storm(&said("run2_retry_budget10"));
    assert!(
        (1.02..=1.09).contains(&attempts),
        "{attempts} attempts a call"
    );
}
