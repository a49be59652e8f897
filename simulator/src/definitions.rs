//! The SLO file that belongs to a story: OpenSLO v1 for the service that gets the bad release.
//!
//! The service with the good release is left without a file, so that the demo also shows an implicit SLO.

use crate::scenario::Scenario;

/// The text of an OpenSLO file: one service, its availability (99.5 %) and its latency (99 %), both over 30 days.
pub fn slo_file(scenario: &Scenario) -> String {
    let topology = &scenario.topology;
    let service = topology.services[scenario.bad.service].name;
    let (namespace, environment) = (topology.namespace, topology.environment);
    let seconds = scenario.latency_threshold_nanos(scenario.bad.service) as f64 / 1e9;
    let millis = seconds * 1e3;
    format!(
        "\
apiVersion: openslo/v1
kind: Service
metadata:
  name: {service}
  displayName: {service}
  labels:
    team: {service}-team
  annotations:
    tidegate.dev/namespace: {namespace}
    tidegate.dev/environment: {environment}
    tidegate.dev/maturity: growth
spec:
  description: Part of the simulated shop.
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {service}-availability
  displayName: {service} answers
spec:
  service: {service}
  budgetingMethod: Occurrences
  timeWindow:
    - duration: 30d
      isRolling: true
  indicator:
    metadata:
      name: {service}-availability
    spec:
      ratioMetric:
        total:
          metricSource:
            type: tidegate-spans
            spec:
              kind: server
        bad:
          metricSource:
            type: tidegate-spans
            spec:
              kind: server
              failed: default
  objectives:
    - displayName: answers without failing
      target: 0.995
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {service}-latency
  displayName: {service} answers within {millis} ms
spec:
  service: {service}
  budgetingMethod: Occurrences
  timeWindow:
    - duration: 30d
      isRolling: true
  indicator:
    metadata:
      name: {service}-latency
    spec:
      thresholdMetric:
        metricSource:
          type: tidegate-spans
          spec:
            kind: server
  objectives:
    - displayName: within {millis} ms
      op: lte
      value: {seconds}
      target: 0.99
"
    )
}
