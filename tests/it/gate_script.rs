//! The gate scripts of `deploy/ci` and `deploy/github-action` against a real server.

use crate::canary::{Traffic, post, resource_spans, wait_for_halt, wait_until_known};
use crate::server::Server;
use std::path::PathBuf;
use std::process::{Command, Output};

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

/// A script with the built program and this server.
fn script(path: &str, server: &str) -> Command {
    let mut command = Command::new(deploy(path));
    command
        .env("TIDEGATE_BINARY", env!("CARGO_BIN_EXE_tidegate"))
        .env("TIDEGATE_SERVER", server)
        .env("GATE_WAIT", "0");
    command
}

fn code(command: &mut Command) -> i32 {
    let output = command.output().unwrap();
    output.status.code().unwrap_or(-1)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Scenario: a pipeline asks before and after a rollout, about a revision that fails, about one it cannot judge yet;
/// once as the GitHub Action does.
/// Guarantees: the exit codes of the gate, and what the settings make of them; the evidence is printed, and in the
/// Action's summary, where it is inert.
#[test]
fn a_pipeline_goes_on_only_when_it_may() {
    let server = Server::start(&[]);
    let services = ["steady", "checkout"].map(str::to_owned);
    let traffic = Traffic::start(&server.http, &services);
    wait_until_known(&server, &services);
    traffic.release("checkout");
    wait_for_halt(&server, "checkout");

    let gate = || script("ci/gate.sh", &server.api);
    let halted = gate().args(["checkout", "v2"]).output().unwrap();
    assert_eq!(halted.status.code(), Some(20));
    assert!(text(&halted).contains("REGRESSION_ERRORS"), "{halted:?}");
    let admit = code(gate().env("GATE_PHASE", "admit").args(["steady", "v2"]));
    assert_eq!(admit, 0);
    let young = [("service.name", "steady"), ("service.version", "v2")];
    server.block_on(post(&server.http, vec![resource_spans(&young, 1, false)]));
    server.wait("/v1/gate?service=steady&candidate=v2", |answer| {
        answer["verdict"] == "wait"
    });
    let wait = || {
        let mut command = gate();
        command.args(["steady", "v2"]);
        command
    };
    assert_eq!(code(&mut wait()), 10);
    assert_eq!(code(wait().env("GATE_ON_WAIT", "pass")), 0);
    assert_eq!(code(&mut gate()), 2, "usage");

    let (code, outputs, summary) = step(&server.api);
    assert_eq!(code, 20);
    assert_eq!(outputs, "verdict=halt\ncode=20\n");
    assert!(summary.contains("\n    HALT checkout v2"), "{summary}");
}

/// Scenario: nobody answers, or the program is not installed.
/// Guarantees: 30, or 0 where the pipeline says so; never anything else.
#[test]
fn no_answer_is_not_a_pass() {
    let nobody = || {
        let mut command = script("ci/gate.sh", "http://127.0.0.1:9");
        command.args(["checkout", "v2"]);
        command
    };
    assert_eq!(code(&mut nobody()), 30);
    assert_eq!(
        code(nobody().env("TIDEGATE_BINARY", "/nowhere/tidegate")),
        30
    );
    assert_eq!(code(nobody().env("GATE_ON_UNKNOWN", "pass")), 0);
    let (code, outputs, _) = step("http://127.0.0.1:9");
    assert_eq!(code, 30);
    assert_eq!(outputs, "verdict=unknown\ncode=30\n");
}

/// The GitHub Action's step, as the runner starts it: exit code, outputs, summary.
fn step(server: &str) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (outputs, summary) = (folder.path().join("outputs"), folder.path().join("summary"));
    let code = code(
        script("github-action/gate.sh", server)
            .env("SERVICE", "checkout")
            .env("CANDIDATE", "v2")
            .env("GITHUB_OUTPUT", &outputs)
            .env("GITHUB_STEP_SUMMARY", &summary),
    );
    let read = |path| std::fs::read_to_string(path).unwrap();
    (code, read(outputs), read(summary))
}
