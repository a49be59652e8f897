//! Tidegate is away while three rollouts ask it.

use crate::stack::{Stack, file};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// The three ways of being away, by the name of the rollout that meets them.
const AWAY: [&str; 3] = ["refused", "hanging", "unready"];
/// The step that holds the analysis.
const STEP: u64 = 1;

/// So long Tidegate is away.
fn duration() -> Duration {
    let minutes = if std::env::var_os("TIDEGATE_LONG").is_some() {
        10
    } else {
        1
    };
    Duration::from_secs(minutes * 60)
}

/// A listener that answers every request with `answer`, or never, when that is empty. Its address.
fn listen(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(std::thread::Builder::new().spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !answer.is_empty() {
                let mut request = [0; 4096];
                drop(stream.read(&mut request));
                drop(stream.write_all(answer.as_bytes()));
                continue;
            }
            held.push(stream);
        }
    }));
    address
}

/// The shipped Rollout under another name; its analysis asks the template of the same name.
fn rollout(name: &str, tag: &str) -> String {
    let text = std::fs::read_to_string(file("deploy/argo/rollout.yaml")).unwrap();
    text.replace(":1.4.2", &format!(":{tag}"))
        .replace(
            "name: checkout\n  annotations",
            &format!("name: {name}\n  annotations"),
        )
        .replace("app: checkout", &format!("app: {name}"))
        .replace("templateName: tidegate", &format!("templateName: {name}"))
        .replace(
            "      containers:",
            "      nodeName: kwok-node-0\n      containers:",
        )
}

/// The shipped analysis template under another name, asking `address`.
fn template(name: &str, address: &str) -> String {
    let text = std::fs::read_to_string(file("deploy/argo/analysis-template.yaml")).unwrap();
    text.replace("http://tidegate.tidegate.svc.cluster.local:9470", address)
        .replacen("name: tidegate", &format!("name: {name}"), 1)
}

/// Scenario: three Rollouts with the shipped template are in their first analysis while Tidegate refuses connections, takes
/// them and says nothing, or answers 503, for a minute (ten in the long lane).
/// Guarantees: none leaves its step, none is aborted; each went on asking.
#[test]
fn while_tidegate_is_away_no_rollout_leaves_its_step() {
    let stack = Stack::start("argo");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let unready =
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    for (name, address) in AWAY.iter().zip([refused, listen(""), listen(unready)]) {
        stack.apply(&template(name, &address));
        stack.apply(&rollout(name, "good"));
    }
    for name in AWAY {
        let _ = stack.wait("rollout", name, |one| one["status"]["phase"] == "Healthy");
        stack.apply(&rollout(name, "better"));
    }
    let is_held = |one: &Value| {
        let status = &one["status"];
        status["currentStepIndex"] == STEP
            && status["abort"] != true
            && status["phase"] != "Degraded"
    };
    for name in AWAY {
        let _ = stack.wait("rollout", name, is_held);
    }
    let began = crate::shop::now();
    while u128::from(crate::shop::now() - began) < duration().as_nanos() {
        for name in AWAY {
            let object = stack.get("rollout", name);
            assert!(is_held(&object), "{name}: {:#}", object["status"]);
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let runs: Value =
        serde_json::from_str(&stack.kubectl(&["get", "analysisruns", "-n", "shop", "-o", "json"]))
            .unwrap();
    let runs = runs["items"].as_array().unwrap();
    assert_eq!(runs.len(), AWAY.len());
    for run in runs {
        let result = &run["status"]["metricResults"][0];
        println!(
            "{}: {} errors, {}",
            run["metadata"]["name"], result["error"], run["status"]["phase"]
        );
        assert_eq!(run["status"]["phase"], "Running");
        assert!(result["error"].as_u64() >= Some(3), "{run:#}");
    }
}
