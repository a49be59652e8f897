//! What survives: latches and counts through kill -9, recordings through replay.

use crate::server::{Server, tidegate, until};
use serde_json::Value;
use simulator::live::{self, Length, Targets};
use simulator::scenario::Scenario;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Plays the demo's story against `server` until both rollouts are finished. Returns the spans acknowledged.
fn play(server: &Server) -> u64 {
    let targets = Targets {
        grpc: server.grpc.clone(),
        http: server.http.clone(),
        api: server.api.clone(),
        token: None,
    };
    let length = Length {
        limit: Duration::from_secs(100),
        stay: false,
    };
    let origin = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos() as u64;
    let cancel = CancellationToken::new();
    let mut watch = |_: f64, _: live::Moment| ();
    let story = live::run(
        Scenario::new(1),
        &targets,
        origin,
        length,
        cancel,
        &mut watch,
    );
    let end = server.block_on(story).unwrap();
    assert!(end.outcome.is_right(), "{:?}", end.outcome.bad);
    end.counts.acked
}

/// Scenario: a latched Halt, then kill -9 and a restart on the same data directory, again and again.
/// Guarantees: until the state is loaded the gate is unknown, never wrong; then the latch and the decisions are there,
/// the counts are at most 10 s old, and the gap is shown.
#[test]
fn a_latch_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let record = folder.path().join("recording");
    let mut server = Server::start(&["--data-dir", data, "--record", record.to_str().unwrap()]);
    let acknowledged = play(&server);
    let question = "/v1/gate?service=checkout&candidate=v2";
    let halted = server.wait(question, |answer| answer["verdict"] == "halt");
    let decisions = server.get("/v1/decisions?limit=1000");
    let accepted = server.get("/v1/status")["accepted"]["spans"]
        .as_u64()
        .unwrap();
    // The server goes on recording ticks: what is replayed stands still.
    let copy = folder.path().join("copy");
    std::fs::copy(&record, &copy).unwrap();
    replayed_equals(copy.to_str().unwrap(), &decisions);
    let rounds = if std::env::var_os("TIDEGATE_LONG").is_some() {
        20
    } else {
        4
    };
    for round in 1..=rounds {
        server.kill();
        server = Server::start(&["--data-dir", data]);
        let answer = until(
            || {
                let (status, body) = server.ask(question);
                let answer: Value = serde_json::from_str(&body).unwrap_or_default();
                assert!(status == 200 || status == 503, "{status}: {body}");
                assert!(
                    answer["verdict"] == "halt" || answer["verdict"] == "unknown",
                    "round {round}: {answer:#}"
                );
                (answer["verdict"] == "halt").then_some(answer)
            },
            || format!("round {round}: the latch is gone"),
        );
        assert_eq!(answer["decision_id"], halted["decision_id"]);
        let status = server.get("/v1/status");
        assert_eq!(
            status["gaps"].as_array().unwrap().len(),
            round,
            "{status:#}"
        );
        let kept = status["accepted"]["spans"].as_u64().unwrap();
        assert!(
            kept <= acknowledged && kept + 30_000 >= accepted,
            "{kept} of {accepted}, {acknowledged} acknowledged"
        );
        let decisions = server.get("/v1/decisions?limit=1000");
        let is_kept = |decision: &Value| {
            decision["id"] == halted["decision_id"] && decision["latched"] == true
        };
        assert!(
            decisions.as_array().unwrap().iter().any(is_kept),
            "{decisions:#}"
        );
    }
}

/// The recording gives the decisions that were made live, and the same bytes for any number of folders.
fn replayed_equals(recording: &str, live: &Value) {
    let replay = |folders: &str| -> Value {
        let (code, stdout, stderr) =
            tidegate(&["replay", recording, "-o", "json", "--folders", folders]);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let first = replay("1");
    assert_eq!(first["requests_with_other_columns"], 0);
    let ids = |decisions: &Value| -> Vec<String> {
        let all = decisions.as_array().unwrap().iter();
        all.map(|decision| decision["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut live = ids(live);
    live.reverse();
    assert_eq!(ids(&first["decisions"]), live);
    for folders in ["1", "2", "7", "64"] {
        assert_eq!(
            replay(folders)["digest"],
            first["digest"],
            "{folders} folders"
        );
    }
}
