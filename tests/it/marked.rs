//! Revisions that are no release: the examples of `deploy/telepresence` and `deploy/branch`.

use crate::canary::{post, resource_spans};
use crate::server::Server;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Failing requests of the marked revision.
const FAILED: usize = 40;

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

/// The pairs of `OTEL_RESOURCE_ATTRIBUTES`.
fn attributes(text: &str) -> Vec<(&str, &str)> {
    text.trim()
        .split(',')
        .map(|pair| pair.split_once('=').unwrap())
        .collect()
}

/// What `marked.sh` sets when the intercepted environment is `intercepted`.
fn marked(intercepted: &str) -> String {
    let output = Command::new(deploy("telepresence/marked.sh"))
        .args(["printenv", "OTEL_RESOURCE_ATTRIBUTES"])
        .env("OTEL_RESOURCE_ATTRIBUTES", intercepted)
        .env("TIDEGATE_REVISION", "local-ada")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the containers of `deployment.yaml` set.
fn of_branch() -> String {
    let text = std::fs::read_to_string(deploy("branch/deployment.yaml")).unwrap();
    let deployment: Value = serde_saphyr::from_str(&text).unwrap();
    let template = &deployment["spec"]["template"];
    let annotation =
        &template["metadata"]["annotations"]["resource.opentelemetry.io/tidegate.revision.kind"];
    assert_eq!(annotation, "branch");
    let environment = template["spec"]["containers"][0]["env"].as_array().unwrap();
    let own = environment
        .iter()
        .find(|one| one["name"] == "OTEL_RESOURCE_ATTRIBUTES");
    own.unwrap()["value"].as_str().unwrap().to_owned()
}

/// Sends good requests of a release and failing ones of what is marked; only the release may count.
fn check(marked: &str, kind: &str, revision: &str) {
    let server = Server::start(&[]);
    let own = attributes(marked);
    let environment = own
        .iter()
        .find(|(key, _)| *key == "deployment.environment.name");
    let mut release = vec![("service.name", "checkout"), ("service.version", "1.4.2")];
    release.extend(environment);
    let mut other = vec![("service.name", "checkout")];
    other.extend(own.iter().filter(|(key, _)| *key != "service.name"));
    let spans = vec![
        resource_spans(&release, 100, false),
        resource_spans(&other, FAILED, true),
    ];
    assert_eq!(server.block_on(post(&server.http, spans)), 200);

    server.wait("/v1/status", |status| {
        status["counters"]["outside_budget"]["spans"] == FAILED
    });
    let budgets = server.get("/v1/budgets?service=checkout");
    assert_eq!(budgets[0]["counts"]["total"], 100, "{budgets:#}");
    assert_eq!(budgets[0]["counts"]["bad"], 0, "{budgets:#}");
    let services = server.get("/v1/services?service=checkout");
    let revisions = services[0]["revisions"].as_array().unwrap();
    let shown = revisions.iter().find(|one| one["label"] == revision);
    assert_eq!(shown.unwrap()["kind"], kind, "{services:#}");
}

/// Scenario: a local process joined by an intercept fails every request, in the environment of the pod that it replaces.
/// Guarantees: it is a revision of its own, marked, and costs no budget; the pod's other attributes are kept.
#[test]
fn an_intercept_costs_no_budget() {
    let pod = "service.version=1.4.2,k8s.pod.label.pod-template-hash=5d59d67564,k8s.pod.uid=1,\
               k8s.namespace.name=shop,container.image.tag=1.4.2";
    let set = marked(pod);
    assert_eq!(
        set.trim(),
        "k8s.namespace.name=shop,service.version=local-ada,tidegate.revision.kind=intercept"
    );
    check(&set, "intercept", "local-ada");
    let alone = marked("");
    assert_eq!(
        alone.trim(),
        "service.version=local-ada,tidegate.revision.kind=intercept"
    );
}

/// Scenario: a branch deployment fails every request.
/// Guarantees: it is a revision of the service, marked, and costs no budget.
#[test]
fn a_branch_costs_no_budget() {
    check(&of_branch(), "branch", "login-form-3f2c1d9");
}
