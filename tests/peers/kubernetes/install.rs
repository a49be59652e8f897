//! `deploy/kubernetes` applied to a real API server.

use crate::server::{Server, tidegate, until_within};
use crate::shop::Follower;
use crate::stack::{NAMESPACE, PATIENCE, Stack, file};
use std::os::unix::fs::symlink;
use std::process::Command;

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

/// The lines of README's section about clusters.
fn lines_of_readme() -> String {
    let readme = std::fs::read_to_string(file("README.md")).unwrap();
    let section = readme.split("### 5. In a cluster").nth(1).unwrap();
    let lines = section.split("```sh\n").nth(1).unwrap();
    lines.split("```").next().unwrap().to_owned()
}

/// Scenario: a newcomer with a cluster, a Deployment, the two programs and an empty folder does what README says.
/// Guarantees: it is five lines; the last one shows the rollout, and in a moment the verdict on it, at level observe; nothing in
/// the cluster is changed but by the newcomer.
#[test]
fn a_newcomers_five_lines_show_a_verdict() {
    let lines = lines_of_readme();
    assert_eq!(lines.lines().count(), 5, "{lines}");
    let stack = Stack::start("");
    stack.apply(WORKLOAD);
    let _ = stack.wait("deployment", "checkout", |one| {
        one["status"]["readyReplicas"] == 2
    });
    let folder = tempfile::tempdir().unwrap();
    let programs = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_tidegate"),
        programs.path().join("tidegate"),
    )
    .unwrap();
    symlink(stack.program("kubectl"), programs.path().join("kubectl")).unwrap();
    let _ = stack.kubectl(&[
        "config",
        "set-context",
        "--current",
        "--namespace",
        NAMESPACE,
    ]);
    let shop = Follower::open(
        &stack,
        "http://127.0.0.1:4318",
        100.0,
        &["checkout"],
        Vec::new(),
    );
    let output = Command::new("sh")
        .args(["-euc", &format!("{lines}\necho $! > pid")])
        .current_dir(folder.path())
        .env_clear()
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", programs.path().display()),
        )
        .env("HOME", folder.path())
        .env("KUBECONFIG", stack.config())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{said}");
    println!("{printed}");
    // Of the service that its spans speak of, not only of the object.
    let verdict = |words: &str| {
        let mut lines = words.lines();
        let line = lines.find(|line| line.contains("shop/checkout"))?;
        (!line.contains("REVISION_UNKNOWN")).then(|| line.to_owned())
    };
    let shown = until_within(
        PATIENCE,
        || verdict(&tidegate(&["rollouts"]).1),
        || format!("{:?}", tidegate(&["rollouts"])),
    );
    println!("{shown}");
    drop(shop);
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    let status = Command::new("kill").arg(pid.trim()).status();
    assert!(status.unwrap().success());
    let object = stack.get("deployment", "checkout");
    // As it was made, and with the newcomer's environment.
    assert_eq!(object["metadata"]["generation"], 2, "{object:#}");
}
