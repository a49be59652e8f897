//! The hand's commands, and the analysis template of `deploy/argo` against a real server.

use crate::server::{Server, tidegate};
use serde_json::Value;

fn template() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/argo/analysis-template.yaml"
    );
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Scenario: the shipped analysis template; its address with arguments filled in, asked of a server that watches nothing.
/// Guarantees: an outage neither aborts nor promotes by its settings; the server understands the question and waits.
#[test]
fn the_argo_template_asks_what_the_server_answers() {
    let template = template();
    let metric = &template["spec"]["metrics"][0];
    for (setting, value) in [
        ("consecutiveErrorLimit", 100_000),
        ("inconclusiveLimit", 100_000),
        ("count", 100_000),
        ("consecutiveSuccessLimit", 1),
        ("failureLimit", 0),
    ] {
        assert_eq!(metric[setting], value, "{setting}");
    }
    assert_eq!(
        (&metric["interval"], &metric["initialDelay"]),
        (&"5s".into(), &"15s".into())
    );
    let web = &metric["provider"]["web"];
    let names: Vec<&str> = template["spec"]["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|arg| arg["name"].as_str())
        .collect();
    let url = web["url"].as_str().unwrap();
    let server = Server::start(&[]);
    let _ = server.wait("/v1/status", |status| status["state"] == "ready");
    let mut path = url.replace("{{args.tidegate}}", "");
    for (name, value) in [
        ("namespace", "shop"),
        ("rollout", "checkout"),
        ("hash", "7f9c"),
        ("step", "1"),
    ] {
        assert!(names.contains(&name));
        path = path.replace(&format!("{{{{args.{name}}}}}"), value);
    }
    assert!(!path.contains("{{"), "{path}");
    let (status, body) = server.ask(&path);
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(web["jsonPath"], "{$.gate}");
    assert_eq!(body["gate"]["verdict"], "wait");
    assert_eq!(body["gate"]["code"], "NOT_WATCHED");
}

/// Scenario: somebody disarms; the process is killed at once; somebody arms.
/// Guarantees: it is still disarmed after the kill, with the reason; a reason is asked for; every place says the same.
#[test]
fn disarming_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut server = Server::start(&["--data-dir", data]);
    let (code, _, _) = tidegate(&["disarm", "--server", &server.api]);
    assert_eq!(code, 2, "a reason is asked for");
    let told = ["--reason", "storm", "--author", "me", "--server"];
    let (code, _, stderr) = tidegate(&[&["disarm"][..], &told, &[&server.api]].concat());
    assert_eq!(code, 0, "{stderr}");
    let _ = server.wait("/v1/rollouts", |body| body["hand"]["disarmed"] == true);
    server.kill();
    let server = Server::start(&["--data-dir", data]);
    let _ = server.wait("/v1/rollouts", |body| body["hand"]["disarmed"] == true);
    let (_, stdout, _) = tidegate(&["rollouts", "--server", &server.api]);
    assert!(stdout.contains("disarmed: storm (me)"), "{stdout}");
    let (_, page) = server.ask("/rollouts");
    assert!(page.contains("disarmed: storm (me)"), "{page}");
    let (code, _, stderr) = tidegate(&[&["arm"][..], &told, &[&server.api]].concat());
    assert_eq!(code, 0, "{stderr}");
    let _ = server.wait("/v1/rollouts", |body| body["hand"]["disarmed"] == false);
    let events = server.get("/v1/events").to_string();
    assert!(
        events.contains("hand.disarmed") && events.contains("hand.armed"),
        "{events}"
    );
}

/// Every document of a manifest of `deploy/kubernetes`.
fn manifest(name: &str) -> Vec<Value> {
    let path = format!("{}/deploy/kubernetes/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n");
    documents
        .map(|one| serde_saphyr::from_str(one).unwrap())
        .collect()
}

/// Scenario: the roles of `deploy/kubernetes`, level by level.
/// Guarantees: each level has what the one below has; only `act` may patch, and only what it patches; none may write else.
#[test]
fn a_level_needs_no_more_than_its_role() {
    let roles = manifest("rbac.yaml");
    let granted = |level: &str| {
        let name = format!("tidegate-{level}");
        let role = roles
            .iter()
            .find(|role| role["metadata"]["name"] == name.as_str())
            .unwrap();
        let mut all = std::collections::BTreeSet::new();
        for rule in role["rules"].as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                for verb in rule["verbs"].as_array().unwrap() {
                    let _ = all.insert(format!(
                        "{} {}",
                        verb.as_str().unwrap(),
                        resource.as_str().unwrap()
                    ));
                }
            }
        }
        all
    };
    let [observe, advise, gate, act] = ["observe", "advise", "gate", "act"].map(granted);
    assert!(observe.is_subset(&advise) && advise == gate && gate.is_subset(&act));
    let writes = |of: &std::collections::BTreeSet<String>| -> Vec<String> {
        let reads = ["get ", "list ", "watch "];
        of.iter()
            .filter(|one| !reads.iter().any(|verb| one.starts_with(verb)))
            .cloned()
            .collect()
    };
    assert!(writes(&observe).is_empty());
    assert_eq!(writes(&gate), ["create events"]);
    assert_eq!(
        writes(&act),
        [
            "create events",
            "patch deployments",
            "patch rollouts",
            "patch rollouts/status"
        ]
    );
}

/// Scenario: the manifest's environment beside the settings that there are.
/// Guarantees: the program takes every one of them.
#[test]
fn the_manifest_speaks_of_real_settings() {
    let documents = manifest("tidegate.yaml");
    let deployment = documents
        .iter()
        .find(|one| one["kind"] == "Deployment")
        .unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let mut known = std::collections::BTreeMap::new();
    for variable in container["env"].as_array().unwrap() {
        let _ = known.insert(
            variable["name"].as_str().unwrap(),
            variable["value"].as_str().unwrap(),
        );
    }
    assert_eq!(known["TIDEGATE_KUBERNETES_MAX_LEVEL"], "observe");
    // Without the cluster around it; what is checked is that the settings are read.
    let _ = known.insert("TIDEGATE_KUBERNETES_WATCH", "false");
    let environment: Vec<(&str, &str)> = known.into_iter().collect();
    let server = Server::start_with(&[], &environment);
    let _ = server.wait("/v1/status", |status| status["state"] == "ready");
}
