//! The watched directory: parse, validate, swap; a bad file keeps the old state and says so.

use crate::server::{Server, tidegate};
use serde_json::Value;

const GOOD: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: {name: answers}
spec:
  service: shop
  indicator:
    metadata: {name: answers}
    spec:
      ratioMetric:
        bad: {metricSource: {type: tidegate-spans, spec: {failed: default}}}
        total: {metricSource: {type: tidegate-spans, spec: {}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.99}]
";

/// Scenario: a good file, then a bad one, then a good one again, then a reload on request.
/// Guarantees: the SLO stays while the bad file is there, and status, pages and metrics name the mistake.
#[test]
fn a_bad_file_keeps_the_old_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    std::fs::write(&file, GOOD).unwrap();
    let server = Server::start(&["--definitions", folder.path().to_str().unwrap()]);
    server.wait("/v1/slos?service=shop", |slos| slos[0]["name"] == "answers");
    std::fs::write(&file, GOOD.replace("0.99", "99.9")).unwrap();
    let error = |status: &Value| {
        let problems = status["problems"].as_array().cloned().unwrap_or_default();
        problems
            .into_iter()
            .find(|problem| problem["severity"] == "error")
    };
    let status = server.wait("/v1/status", |status| error(status).is_some());
    let problem = error(&status).unwrap();
    let place = problem["place"].as_str().unwrap();
    let (_, position) = place.split_once("shop.yaml:").unwrap();
    let (line, column) = position.split_once(':').unwrap();
    let target = GOOD
        .lines()
        .nth(line.parse::<usize>().unwrap() - 1)
        .unwrap();
    let column = column.parse::<usize>().unwrap() - 1;
    assert!(target[column..].starts_with("0.99"), "{place}: {target}");
    assert!(
        problem["message"].as_str().unwrap().contains("99.9"),
        "{problem}"
    );
    assert_eq!(server.get("/v1/slos?service=shop")[0]["target"], 0.99);
    assert!(server.ask("/").1.contains("shop.yaml:"));
    let (_, stdout, _) = tidegate(&["status", "--server", &server.api]);
    assert!(stdout.contains(place), "{stdout}");
    assert!(
        server
            .ask("/metrics")
            .1
            .contains("tidegate_definitions_last_load_successful{} 0.0")
    );
    std::fs::write(&file, GOOD.replace("0.99", "0.995")).unwrap();
    server.wait("/v1/slos?service=shop", |slos| slos[0]["target"] == 0.995);
    let (_, metrics) = server.ask("/metrics");
    assert!(metrics.contains("tidegate_definitions_last_load_successful{} 1.0"));
    let before = server.get("/v1/status")["definitions_generation"]
        .as_u64()
        .unwrap();
    assert_eq!(server.post("/-/reload"), 202);
    server.wait("/v1/status", |status| {
        status["definitions_generation"].as_u64() > Some(before)
    });
    let printed = server.printed.lock().unwrap().join("\n");
    assert!(printed.contains("shop.yaml:"), "{printed}");
    assert!(
        !printed.contains('\u{1b}'),
        "colors without a terminal: {printed}"
    );
}
