//! Definitions whose alerts fire and end within seconds: two SLOs of one service, pages over a minute.

use std::fmt::Write;
use std::path::Path;

/// Names of the SLOs.
pub(crate) const SLOS: [&str; 2] = ["answers", "answers-strictly"];

/// Writes the definitions of `service` into `folder`; alerts go to `target` alone.
pub(crate) fn definitions(folder: &Path, service: &str, target: &str) {
    let mut text = format!(
        "apiVersion: openslo/v1
kind: Service
metadata: {{name: {service}, labels: {{team: payments}}}}
spec: {{}}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {{name: people}}
spec: {{target: {target}}}
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {{name: burns, annotations: {{tidegate.dev/short-window: 5s}}}}
spec:
  alertWhenBreaching: true
  conditions:
    - kind: AlertCondition
      metadata: {{name: burns}}
      spec:
        severity: page
        condition: {{kind: burnrate, op: gt, threshold: 1.5, lookbackWindow: 1m, alertAfter: 0m}}
  notificationTargets: [{{targetRef: people}}]
"
    );
    for (slo, target) in SLOS.iter().zip(["0.95", "0.99"]) {
        write!(
            text,
            "---
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {slo}}}
spec:
  service: {service}
  indicator:
    metadata: {{name: {slo}}}
    spec:
      ratioMetric:
        bad: {{metricSource: {{type: tidegate-spans, spec: {{failed: default}}}}}}
        total: {{metricSource: {{type: tidegate-spans, spec: {{}}}}}}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: {target}}}]
  alertPolicies: [{{alertPolicyRef: burns}}]
"
        )
        .unwrap();
    }
    std::fs::write(folder.join(format!("{service}.yaml")), text).unwrap();
}
