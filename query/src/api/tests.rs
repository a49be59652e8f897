//! The API against snapshots built by hand.

use super::*;
use axum::body::Body;
use axum::http::Request as HttpRequest;
use engine::input::RolloutChange;
use tower::ServiceExt;

fn state(snapshot: Snapshot, token: Option<&str>) -> (ApiState, mpsc::Receiver<Input>) {
    let (control, inputs) = mpsc::channel(4);
    let (reload, _) = mpsc::channel(1);
    let state = ApiState {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        control,
        reload,
        receivers: Arc::new(Vec::new),
        sql: Sql::default(),
        token: token.map(Arc::from),
        endpoints: Arc::default(),
    };
    (state, inputs)
}

async fn get(state: &ApiState, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = HttpRequest::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(state, request.body(Body::empty()).unwrap()).await
}

async fn send(state: &ApiState, request: HttpRequest<Body>) -> (StatusCode, String) {
    let response = router(state.clone(), Router::new())
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_token_guards_everything_but_health() {
    let (state, _inputs) = state(Snapshot::default(), Some("s3cret"));
    for path in [
        "/v1/status",
        "/v1/gate?service=a",
        "/metrics",
        "/v1/openapi.json",
        "/v1/slos",
    ] {
        assert_eq!(
            get(&state, path, None).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            get(&state, path, Some("s3cre")).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            get(&state, path, Some("s3cret")).await.0,
            StatusCode::OK,
            "{path}"
        );
    }
    assert_eq!(get(&state, "/-/healthy", None).await.0, StatusCode::OK);
    assert_eq!(get(&state, "/-/ready", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn while_recovering_the_gate_is_unknown_with_503() {
    let (state, _inputs) = state(
        Snapshot {
            is_recovering: true,
            ..Snapshot::default()
        },
        None,
    );
    let (status, body) = get(&state, "/v1/gate?service=checkout", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        body.contains("\"verdict\":\"unknown\"") && body.contains("RECOVERING"),
        "{body}"
    );
    assert_eq!(
        get(&state, "/-/ready", None).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn wrong_questions_are_answered_with_what_is_wrong() {
    let (state, _inputs) = state(Snapshot::default(), None);
    let (status, body) = get(&state, "/v1/gate?service=a&phase=later", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body.contains("expected `admit` or `advance`, got `later`"),
        "{body}"
    );
    let (status, body) = get(&state, "/v1/nothing", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("/v1/openapi.json"), "{body}");
}

#[tokio::test]
async fn an_event_reaches_the_engine_and_a_full_queue_says_so() {
    let (state, mut inputs) = state(Snapshot::default(), None);
    let body = r#"{"specversion":"1.0","id":"1","source":"ci","type":"rollout.weight",
        "data":{"service":"checkout","candidate":"v2","weight_percent":12.5}}"#;
    let request = || {
        HttpRequest::post("/v1/events")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(send(&state, request()).await.0, StatusCode::ACCEPTED);
    let Input::Rollout(event) = inputs.recv().await.unwrap() else {
        panic!("not a rollout event")
    };
    assert_eq!(
        event.change,
        RolloutChange::Weight {
            basis_points: 1_250
        }
    );
    for _ in 0..4 {
        let _ = send(&state, request()).await;
    }
    assert_eq!(
        send(&state, request()).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[test]
fn events_name_the_field_that_is_wrong() {
    let event = CloudEvent {
        specversion: "1.0".to_owned(),
        id: "7".to_owned(),
        source: "test".to_owned(),
        kind: "latch.cleared".to_owned(),
        time: None,
        data: EventData {
            service: "a".to_owned(),
            candidate: "v2".to_owned(),
            ..EventData::default()
        },
    };
    let refused = |change: &dyn Fn(&mut CloudEvent)| {
        let mut event = event.clone();
        change(&mut event);
        event_input(event).unwrap_err()
    };
    assert!(refused(&|_| ()).starts_with("data.reason"));
    assert!(refused(&|event| event.specversion = "0.3".to_owned()).starts_with("specversion"));
    assert!(refused(&|event| event.id.clear()).starts_with("id"));
    assert!(
        refused(&|event| event.kind = "rollout.exploded".to_owned())
            .contains("got `rollout.exploded`")
    );
    assert!(
        refused(&|event| event.kind = "rollout.weight".to_owned())
            .starts_with("data.weight_percent")
    );
    assert!(
        refused(&|event| event.kind = "rollout.finished".to_owned()).starts_with("data.promoted")
    );
    assert!(refused(&|event| event.time = Some("yesterday".to_owned())).starts_with("time"));
}

#[test]
fn the_openapi_document_names_every_route() {
    let document = serde_json::to_value(openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "status",
        "services",
        "slos",
        "budgets",
        "burn-rates",
        "gate",
        "decisions",
        "alerts",
        "events",
    ] {
        assert!(
            paths.contains_key(&format!("/v1/{path}")),
            "{path} is missing"
        );
    }
    assert!(document["components"]["schemas"]["GateBody"]["properties"]["verdict"].is_object());
}

async fn ask_sql(state: &ApiState, body: &str, accept: &str) -> (StatusCode, String) {
    let request = HttpRequest::post("/v1/sql")
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(state, request).await
}

/// Scenario: a program built without SQL.
/// Guarantees: 501 with what to do about it.
#[cfg(not(feature = "sql"))]
#[tokio::test]
async fn without_sql_the_route_says_so() {
    let (state, _inputs) = state(Snapshot::default(), None);
    let (status, body) = ask_sql(&state, r#"{"query": "SELECT 1"}"#, "*/*").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(
        body.contains("SQL_NOT_BUILT") && body.contains("--features sql"),
        "{body}"
    );
}

/// Scenario: a statement, in each form that `Accept` may ask for; bodies that are none; a mistake.
/// Guarantees: the form asked for; problem details with code and position.
#[cfg(feature = "sql")]
#[tokio::test]
async fn sql_answers_in_the_form_asked_for() {
    let (state, _inputs) = state(Snapshot::default(), None);
    let ask = |body: &'static str, accept: &'static str| ask_sql(&state, body, accept);
    let select = r#"{"query": "SELECT 1 AS one, 'a' AS b", "max_rows": 10, "timeout_ms": 20000}"#;
    for accept in [
        "*/*",
        "application/json",
        "text/html, application/json;q=0.9",
    ] {
        let (status, body) = ask(select, accept).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(
            body,
            r#"{"columns":[{"name":"one","type":"bigint"},{"name":"b","type":"text"}],"rows":[[1,"a"]],"truncated":false,"as_of":""}"#
        );
    }
    assert_eq!(
        ask(select, "text/csv; charset=utf-8, */*").await.1,
        "one,b\r\n1,a\r\n"
    );
    for body in [
        "",
        "{}",
        r#"{"query": 1}"#,
        r#"{"query": "SELECT 1", "nonsense": 1}"#,
    ] {
        let (status, answer) = ask(body, "*/*").await;
        assert!(status.is_client_error(), "{body}: {status} {answer}");
    }
    let (status, body) = ask(r#"{"query": "SELECT\nnothing"}"#, "*/*").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], "SQL_INVALID");
    assert_eq!(
        problem["position"],
        serde_json::json!({"line": 2, "column": 1})
    );
    let (status, body) = ask(r#"{"query": "DROP TABLE spans"}"#, "*/*").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("SQL_NOT_ALLOWED"), "{body}");
}

/// A snapshot in which one Argo Rollout of `checkout` is in step 1 and halted, for a reason of any length.
fn halted(reason: &str) -> Snapshot {
    use engine::gate::answer::{Code, Verdict};
    use engine::hand::{HandRow, HandState, Level, ObjectKey, Phase, RolloutRow, WorkloadKind};
    let row = RolloutRow {
        object: ObjectKey {
            kind: WorkloadKind::ArgoRollout,
            namespace: "shop".to_owned(),
            name: "checkout".to_owned(),
        },
        service: None,
        service_name: "checkout".to_owned(),
        candidate: "7f9c".to_owned(),
        stable: "5d5f".to_owned(),
        revision: None,
        revision_name: String::new(),
        phase: Phase::Progressing,
        step: Some(1),
        steps: 4,
        weight: Some(1_000),
        step_since: engine::time::Timestamp::from_secs(1),
        level: Level::Gate,
        verdict: Verdict::Halt,
        code: Code::RegressionErrors,
        decision_id: 7,
        reason: reason.to_owned(),
        hand: HandState::Advising,
        words: "would abort it, but its level is gate".to_owned(),
        hand_since: engine::time::Timestamp::from_secs(2),
    };
    Snapshot {
        rollouts: Arc::new(vec![Arc::new(row)]),
        hand: Arc::new(HandRow {
            is_watching: true,
            is_synced: true,
            ..HandRow::default()
        }),
        ..Snapshot::default()
    }
}

#[tokio::test]
async fn argo_is_answered_in_less_than_a_kilobyte_whatever_the_reason() {
    let path = "/v1/gate/argo?namespace=shop&rollout=checkout&hash=7f9c&step=1";
    for reason in ["short".to_owned(), "\"\\\u{1}\u{202e}é".repeat(500)] {
        let (state, _inputs) = state(halted(&reason), None);
        let (status, body) = get(&state, path, None).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.len() <= 1_024, "{}", body.len());
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["gate"]["verdict"], "halt");
        assert_eq!(body["gate"]["code"], "REGRESSION_ERRORS");
        assert_eq!(body["gate"]["decision_id"], format!("{:032x}", 7));
    }
}

#[tokio::test]
async fn argo_waits_for_what_the_watch_has_not_seen() {
    let (state, _inputs) = state(halted(""), None);
    for (query, code) in [
        ("rollout=checkout&hash=7f9c&step=2", "STEP_UNSEEN"),
        ("rollout=checkout&hash=7f9c&step=", "STEP_UNSEEN"),
        ("rollout=checkout&hash=other&step=1", "STEP_UNSEEN"),
        ("rollout=other&hash=7f9c&step=1", "STEP_UNSEEN"),
    ] {
        let (status, body) = get(
            &state,
            &format!("/v1/gate/argo?namespace=shop&{query}"),
            None,
        )
        .await;
        assert_eq!(status, StatusCode::OK, "{query}");
        assert!(
            body.contains("\"verdict\":\"wait\"") && body.contains(code),
            "{query}: {body}"
        );
    }
    let (status, body) = get(
        &state,
        "/v1/gate/argo?namespace=shop&rollout=a&hash=b&step=x",
        None,
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
}

#[tokio::test]
async fn argo_is_never_answered_2xx_while_recovering() {
    let recovering = Snapshot {
        is_recovering: true,
        ..halted("")
    };
    let (state, _inputs) = state(recovering, None);
    let path = "/v1/gate/argo?namespace=shop&rollout=checkout&hash=7f9c&step=1";
    let (status, body) = get(&state, path, None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("\"verdict\":\"wait\""), "{body}");
}

#[tokio::test]
async fn rollouts_are_listed_with_what_the_hand_did() {
    let (state, _inputs) = state(halted("v2 failed"), None);
    let (_, body) = get(&state, "/v1/rollouts?service=checkout", None).await;
    let body: crate::wire::RolloutsBody = serde_json::from_str(&body).unwrap();
    let row = &body.rollouts[0];
    assert_eq!((row.kind.as_str(), row.step), ("Rollout", Some(1)));
    assert_eq!(row.weight_percent, Some(10.0));
    assert_eq!(row.hand, "advising");
    let (_, body) = get(&state, "/v1/rollouts?service=other", None).await;
    assert!(body.contains("\"rollouts\":[]"), "{body}");
}

#[tokio::test]
async fn the_hand_is_disarmed_with_a_reason_only() {
    let (state, mut inputs) = state(Snapshot::default(), None);
    let post = |reason: &str| {
        let event = serde_json::json!({
            "specversion": "1.0", "id": "1", "source": "me", "type": "hand.disarmed",
            "data": {"reason": reason, "author": "me"},
        });
        HttpRequest::post("/v1/events")
            .header("content-type", "application/json")
            .body(Body::from(event.to_string()))
            .unwrap()
    };
    let (status, body) = send(&state, post(" ")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    let (status, _) = send(&state, post("storm")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let Some(Input::Steer(steering)) = inputs.recv().await else {
        panic!("no steering");
    };
    assert_eq!((steering.arm, steering.reason.as_str()), (false, "storm"));
}
