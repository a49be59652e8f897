//! `deploy/kubernetes` applied to a real API server.

use crate::server::Server;
use crate::stack::{NAMESPACE, Stack};

/// A Deployment of two replicas.
const WORKLOAD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout}
spec:
  replicas: 2
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      nodeName: kwok-node-0
      containers: [{name: checkout, image: 'shop/checkout:v1'}]
";

/// What Tidegate may write at a level: verb, resource.
fn writes(level: &str) -> &'static [(&'static str, &'static str)] {
    const EVENTS: (&str, &str) = ("create", "events.events.k8s.io");
    match level {
        "observe" => &[],
        "act" => &[
            EVENTS,
            ("patch", "deployments.apps"),
            ("patch", "rollouts.argoproj.io"),
            ("patch", "rollouts.argoproj.io/status"),
        ],
        _ => &[EVENTS],
    }
}

/// Scenario: the manifests of `deploy/kubernetes` are applied; Tidegate runs with its service account at each level in turn.
/// Guarantees: the API server takes them all; each role suffices for its level (both kinds are watched; at `act` the dry run
/// says armed) and permits no write beyond.
#[test]
fn the_manifests_are_taken_and_each_role_suffices() {
    let stack = Stack::start("argo");
    stack.apply(WORKLOAD);
    let _ = stack.wait("deployment", "checkout", |one| {
        one["status"]["readyReplicas"] == 2
    });
    for level in ["observe", "advise", "gate", "act"] {
        stack.bind(level);
        let kubeconfig = stack.credentials(&stack.address);
        for (verb, resource) in writes("act") {
            let is_meant = writes(level).contains(&(*verb, *resource));
            assert_eq!(
                stack.can(verb, resource),
                is_meant,
                "{level}: {verb} {resource}"
            );
        }
        for (verb, resource) in [
            ("delete", "deployments.apps"),
            ("create", "deployments.apps"),
            ("update", "deployments.apps"),
            ("patch", "replicasets.apps"),
            ("get", "secrets"),
            ("list", "pods"),
            ("patch", "analysisruns.argoproj.io"),
        ] {
            assert!(!stack.can(verb, resource), "{level}: {verb} {resource}");
        }
        let data = tempfile::tempdir().unwrap();
        let server = Server::start_with(
            &["--data-dir", data.path().to_str().unwrap()],
            &[
                ("TIDEGATE_KUBERNETES_WATCH", "true"),
                ("TIDEGATE_KUBERNETES_MAX_LEVEL", level),
                (
                    "TIDEGATE_KUBERNETES_KUBECONFIG",
                    kubeconfig.to_str().unwrap(),
                ),
                ("TIDEGATE_KUBERNETES_NAMESPACE", NAMESPACE),
            ],
        );
        let body = server.wait("/v1/rollouts", |body| {
            body["hand"]["synced"] == true && body["rollouts"][0]["phase"] == "stable"
        });
        assert_eq!(body["rollouts"].as_array().unwrap().len(), 1, "{body:#}");
        assert_eq!(
            body["rollouts"][0]["reason"]
                .as_str()
                .unwrap()
                .split(' ')
                .next(),
            Some("no")
        );
        if level == "act" {
            let _ = server.wait("/v1/rollouts", |body| body["hand"]["armed"] == true);
        }
        let printed = server.printed.lock().unwrap().join("\n");
        assert!(
            !printed.contains("forbidden") && !printed.contains("interrupted"),
            "{printed}"
        );
    }
    assert!(stack.patches().is_empty(), "{:?}", stack.patches());
}
