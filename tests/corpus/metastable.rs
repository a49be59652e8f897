//! A retry storm through a real Envoy (`rca/envoy-metastable`): every span counted, failures judged as they were.

use super::recording;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two more SLOs of the sidecar and the server: attempts (CLIENT spans) instead of entry spans.
const ATTEMPTS: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: {name: attempts}
spec:
  service: svc-a-sidecar
  indicator:
    metadata: {name: attempts}
    spec:
      ratioMetric:
        bad: {metricSource: {type: tidegate-spans, spec: {kind: client, failed: default}}}
        total: {metricSource: {type: tidegate-spans, spec: {kind: client}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: entry}
spec:
  service: svc-a-sidecar
  indicator:
    metadata: {name: entry}
    spec:
      ratioMetric:
        bad: {metricSource: {type: tidegate-spans, spec: {kind: server, failed: default}}}
        total: {metricSource: {type: tidegate-spans, spec: {kind: server}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
";

struct Replay {
    spans: u64,
    digest: String,
    /// (service, SLO) to (events, failed).
    counts: BTreeMap<(String, String), (u64, u64)>,
}

fn replay(log: &Path, definitions: &Path, folders: &str) -> Replay {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args([
            "replay",
            "-o",
            "json",
            "--folders",
            folders,
            "--definitions",
        ])
        .arg(definitions)
        .arg(log)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let counts = body["budgets"].as_array().unwrap().iter().map(|budget| {
        let counts = &budget["counts"];
        let events = (
            counts["total"].as_u64().unwrap(),
            counts["bad"].as_u64().unwrap(),
        );
        ((text(&budget["service"]), text(&budget["slo"])), events)
    });
    Replay {
        spans: body["spans"].as_u64().unwrap(),
        digest: text(&body["digest"]),
        counts: counts.collect(),
    }
}

fn check(file: &str, spans: u64, front: (u64, u64), server: (u64, u64), failed_attempts: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (log, definitions) = (folder.path().join("log"), folder.path().join("slos"));
    std::fs::create_dir(&definitions).unwrap();
    std::fs::write(definitions.join("sidecar.yaml"), ATTEMPTS).unwrap();
    let recording: PathBuf = super::corpus().join("rca/envoy-metastable").join(file);
    recording::write_log(recording::read(&recording), &log);
    let run = replay(&log, &definitions, "1");
    assert_eq!(run.spans, spans);
    let of = |service: &str, slo: &str| run.counts[&(service.to_owned(), slo.to_owned())];
    let implicit = "implicit-availability";
    assert_eq!(of("edge-gateway", implicit), front);
    assert_eq!(of("svc-a", implicit), front);
    assert_eq!(of("svc-a-sidecar", "entry"), front);
    assert_eq!(of("svc-b", implicit), server);
    assert_eq!(of("svc-a-sidecar", "attempts").1, failed_attempts);
    for folders in ["1", "7"] {
        assert_eq!(
            replay(&log, &definitions, folders).digest,
            run.digest,
            "{folders} folders"
        );
    }
}

/// Scenario: retries without a budget turn 3 s of slowness into a lasting outage; svc-b never sends an error.
/// Guarantees: the counts that were taken from the recording independently; one digest for any number of folders.
#[test]
fn unbounded_retries() {
    check(
        "run1_retries_unbounded.otlp.bin.gz",
        80_770,
        (8_019, 5_203),
        (17_047, 0),
        20_812,
    );
}

/// Scenario: the same with a retry budget, which heals.
/// Guarantees: as above.
#[test]
fn a_retry_budget() {
    check(
        "run2_retry_budget10.otlp.bin.gz",
        56_327,
        (8_019, 1_254),
        (8_116, 0),
        1_351,
    );
}
