//! Objects as a real API server and a real Argo Rollouts 1.9 show them, shortened.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use serde_json::json;

fn replica_set(kind: &str, hash: &str, number: u64, pods: u64) -> Value {
    let (label, annotation) = match kind {
        "Deployment" => ("pod-template-hash", "deployment.kubernetes.io/revision"),
        _ => ("rollouts-pod-template-hash", "rollout.argoproj.io/revision"),
    };
    json!({
        "metadata": {
            "name": format!("checkout-{hash}"),
            "labels": {label: hash},
            "annotations": {annotation: number.to_string()},
            "ownerReferences": [{"kind": kind, "uid": "u-1", "controller": true}],
        },
        "spec": {
            "replicas": pods,
            "template": {"spec": {"containers": [{"image": format!("registry:5000/shop/checkout:1.{number}@sha256:{number}")}]}},
        },
        "status": {"replicas": pods},
    })
}

#[test]
fn a_replica_set_says_what_its_spans_may_be_called() {
    let set = set(&replica_set("Deployment", "7f9c", 2, 1)).unwrap();
    assert_eq!(set.owner, "u-1");
    assert_eq!(
        set.template.names,
        ["7f9c", "checkout-7f9c", "sha256:2", "1.2"]
    );
    assert_eq!(super::set(&json!({"metadata": {"name": "alone"}})), None);
}

#[test]
fn a_deployment_is_under_way_while_older_pods_are_there() {
    let object = |generation: u64, observed: u64| {
        json!({
            "metadata": {
                "name": "checkout", "namespace": "shop", "uid": "u-1", "generation": generation,
                "annotations": {"deployment.kubernetes.io/revision": "2", "tidegate.dev/level": "avdise", "tidegate.dev/undo": "true"},
            },
            "spec": {"template": {"metadata": {"labels": {"app.kubernetes.io/name": "checkout"}}, "spec": {"containers": [{"name": "main"}]}}},
            "status": {"observedGeneration": observed},
        })
    };
    let sets: Vec<SetSeen> = [("5d5f", 1, 1), ("7f9c", 2, 2)]
        .iter()
        .map(|(hash, number, pods)| set(&replica_set("Deployment", hash, *number, *pods)).unwrap())
        .collect();
    let kind = WorkloadKind::Deployment;
    let seen = workload(kind, &object(3, 3), sets.iter().collect(), "").unwrap();
    assert_eq!(
        (seen.current.as_str(), seen.stable.as_str()),
        ("7f9c", "5d5f")
    );
    assert_eq!(seen.phase, Phase::Progressing);
    assert_eq!(seen.service.names, ["checkout", "main"]);
    assert!(!seen.service.is_namespace_told);
    assert_eq!((seen.level, seen.undo), (Some(Level::Observe), Some(true)));
    let behind = workload(kind, &object(4, 3), sets.iter().collect(), "").unwrap();
    assert_eq!(behind.phase, Phase::Unknown);
    let alone = workload(kind, &object(3, 3), vec![&sets[1]], "").unwrap();
    assert_eq!(
        (alone.phase, alone.stable.as_str()),
        (Phase::Stable, "7f9c")
    );
}

#[test]
fn a_rollout_says_step_weight_and_that_it_was_aborted() {
    let object = |status: Value| {
        json!({
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "u-1", "generation": 5},
            "spec": {
                "strategy": {"canary": {"steps": [{"setWeight": 20}, {"analysis": {}}, {"setWeight": 60}, {"analysis": {}}]}},
                "template": {"metadata": {"annotations": {"resource.opentelemetry.io/service.name": "cart", "resource.opentelemetry.io/service.namespace": "shop"}}},
            },
            "status": status,
        })
    };
    let kind = WorkloadKind::ArgoRollout;
    let see = |status: Value| workload(kind, &object(status), Vec::new(), "production").unwrap();
    let seen = see(
        json!({"observedGeneration": "5", "currentPodHash": "b", "stableRS": "a", "currentStepIndex": 1}),
    );
    assert_eq!(
        (seen.phase, seen.step, seen.steps),
        (Phase::Progressing, Some(1), 4)
    );
    assert_eq!(seen.weight, Some(2_000));
    assert_eq!(seen.service.names, ["cart"]);
    assert!(seen.service.is_namespace_told);
    assert_eq!(seen.service.environment, "production");
    let seen = see(
        json!({"observedGeneration": "5", "currentPodHash": "b", "stableRS": "a", "abort": true, "currentStepIndex": 0}),
    );
    assert_eq!(seen.phase, Phase::Aborted);
    let seen = see(json!({"observedGeneration": "5", "currentPodHash": "b", "stableRS": "b"}));
    assert_eq!(seen.phase, Phase::Stable);
    let seen = see(json!({"observedGeneration": "4", "currentPodHash": "b", "stableRS": "b"}));
    assert_eq!(seen.phase, Phase::Unknown);
}
