//! Webhooks never wait for each other, whatever one of them does.

use alerts::Endpoint;
use engine::identity::ServiceKey;
use engine::input::{Effect, EffectKind, Input, Notification, Subject};
use engine::slo::{Severity, SloId};
use engine::snapshot::{AlertRow, AlertState};
use engine::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages for the endpoint that never answers: more than any queue that was bounded by a thousand.
const BACKLOG: u128 = 5_000;

fn endpoint(name: &str, listener: &TcpListener) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        url: format!("http://{}/", listener.local_addr().unwrap()),
        secret: None,
        events: Vec::new(),
    }
}

fn effect(id: u128, endpoint: &str) -> Effect {
    let row = AlertRow {
        id: 1,
        slo_id: SloId(1),
        slo: "answers".to_owned(),
        service: ServiceKey::default(),
        team: String::new(),
        state: AlertState::Firing,
        severity: Severity::Page,
        tier: "fast".to_owned(),
        since: Timestamp::EPOCH,
        fired_at: None,
        resolved_at: None,
        as_of: Timestamp::EPOCH,
        text: String::new(),
        long_burn: 1.0,
        short_burn: 1.0,
        budget_remaining: 1.0,
    };
    let notification = Notification {
        event: "alert.firing".to_owned(),
        severity: Severity::Page,
        title: "it burns".to_owned(),
        text: String::new(),
        at: Timestamp::EPOCH,
        subject: Subject::Alert(Arc::new(row)),
    };
    Effect {
        id,
        generation: 1,
        kind: EffectKind::Notify {
            endpoint: endpoint.to_owned(),
            notification: Arc::new(notification),
        },
    }
}

/// Scenario: thousands of messages wait for an endpoint that takes calls and never answers; then there is one for another.
/// Guarantees: the other one has it at once.
#[tokio::test]
async fn a_full_endpoint_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoints = vec![endpoint("silent", &silent), endpoint("good", &good)];
    // What is not accepted stays in the backlog of the listener: a call without an answer.
    let (effects, waiting) = mpsc::channel(16);
    let (done, mut outcomes) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let now = || Timestamp::from_secs(1_800_000_000);
    let outbox = tokio::spawn(alerts::outbox::run(
        endpoints,
        waiting,
        done,
        now,
        stop.clone(),
    ));
    let told = async {
        for id in 0..BACKLOG {
            effects.send(effect(id, "silent")).await.unwrap();
        }
        effects.send(effect(BACKLOG, "good")).await.unwrap();
        let (mut call, _) = good.accept().await.unwrap();
        let mut request = [0; 4_096];
        let read = call.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"POST / HTTP/1.1"));
        let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
        call.write_all(answer).await.unwrap();
        outcomes.recv().await
    };
    let patience = Duration::from_secs(30);
    let first = tokio::time::timeout(patience, told).await.unwrap().unwrap();
    let Input::EffectDone(first) = first else {
        panic!("{first:?}");
    };
    assert_eq!((first.id, first.delivered), (BACKLOG, true), "{first:?}");
    stop.cancel();
    outbox.await.unwrap().unwrap();
}
