//! What files mean, and what their mistakes are called.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use engine::input::DefinitionsLoaded;

fn load(text: &str) -> DefinitionsLoaded {
    let source = Source {
        name: "a.yaml".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    load_sources(&[source], &LoadOptions::default())
}

const GOOD: &str = "\
apiVersion: openslo/v1
kind: Service
metadata:
  name: checkout
  labels: {team: shop}
  annotations:
    tidegate.dev/environment: production
    tidegate.dev/maturity: mission-critical
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: availability, displayName: Checkout works}
spec:
  service: checkout
  indicator:
    spec:
      ratioMetric:
        total: {metricSource: {type: tidegate-spans, spec: {kind: server}}}
        bad: {metricSource: {type: tidegate-spans, spec: {failed: default}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{target: 0.999}]
";

#[test]
fn good_file() {
    let loaded = load(GOOD);
    assert_eq!(show::problems_text(&loaded.problems), "");
    let definitions = loaded.definitions.unwrap();
    assert_eq!(definitions.slos.len(), 1);
}
