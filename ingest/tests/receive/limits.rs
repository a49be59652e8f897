//! What happens at each bound: queue, memory, connections, time, shutdown.

use crate::support::{Grpc, Http, Server, request};
use engine::items::Signal;
use ingest::receive::{ConfigError, Encoding, ReceiveConfig, Receiver};
use std::time::Duration;

/// Scenario: the engine takes nothing; the queue holds one request.
/// Guarantees: the second is refused with a delay, and is welcome once the engine has caught up.
#[tokio::test]
async fn a_full_queue_is_a_retryable_answer() {
    let mut server = Server::start(ReceiveConfig::default(), 1).await;
    let grpc = Grpc::connect(server.address).await;
    let mut http = Http::connect(server.address).await;
    assert_eq!(grpc.export("identity", &request(1, 0)).await.code, 0);
    let answer = grpc.export("identity", &request(1, 0)).await;
    assert_eq!((answer.code, answer.status.code), (14, 14));
    assert_eq!(answer.status.retry_secs(), Some(1));
    let answer = http.post(&[], &request(1, 0)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.rpc_status().retry_secs(), Some(1));
    assert_eq!(server.take_spans(), 1);
    assert_eq!(http.post(&[], &request(1, 0)).await.status, 200);
    assert_eq!(server.refused("overloaded"), 2);
    assert_eq!(server.stats.accepted_items(Signal::Traces), 2);
}

/// Scenario: the engine holds on to requests until their memory is spent.
/// Guarantees: memory is charged until the engine lets go; refusal comes before the body is read.
#[tokio::test]
async fn spent_memory_is_a_retryable_answer() {
    let config = ReceiveConfig {
        request_bytes_max: 10_000,
        in_flight_bytes_max: 30_000,
        ..ReceiveConfig::default()
    };
    let mut server = Server::start(config, 1024).await;
    let mut client = Http::connect(server.address).await;
    let body = request(100, 0);
    let mut held = Vec::new();
    let refused = loop {
        let answer = client.post(&[], &body).await;
        if answer.status != 200 {
            break answer;
        }
        held.push(server.accepted.try_recv().expect("handed on"));
        assert!(held.len() < 30, "memory is not charged");
    };
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert!(!held.is_empty());
    held.clear();
    assert_eq!(server.stats.in_flight_bytes(), 0);
    assert_eq!(client.post(&[], &body).await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let config = ReceiveConfig {
        connections_max: 1,
        ..ReceiveConfig::default()
    };
    let mut server = Server::start(config, 16).await;
    let mut first = Http::connect(server.address).await;
    assert_eq!(first.post(&[], &request(1, 0)).await.status, 200);
    assert!(Http::connect(server.address).await.is_closed().await);
    assert_eq!(server.stats.connections_refused(), 1);
    assert_eq!(first.post(&[], &request(1, 0)).await.status, 200);
    assert_eq!(server.take_spans(), 2);
}

/// Cases 18 and 19: half a head, half an HTTP/2 preface, or nothing at all; and a connection that has nothing more to say.
#[tokio::test]
async fn silent_connections_are_closed() {
    let config = ReceiveConfig {
        header_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(100),
        ..ReceiveConfig::default()
    };
    let server = Server::start(config, 16).await;
    for opening in [
        "",
        "POST /v1/traces HTT",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Http::connect(server.address).await;
        client.send(opening).await;
        // What a server says unasked (HTTP/2 settings) may come first; the end must come.
        client.is_closed().await;
    }
    let mut client = Http::connect(server.address).await;
    assert_eq!(client.post(&[], &request(1, 0)).await.status, 200);
    assert!(client.is_closed().await);
}

/// Scenario: shutdown while a body is on its way.
/// Guarantees: the request is answered, then the connection ends and the sink is released.
#[tokio::test]
async fn shutdown_answers_what_is_in_progress() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    let body = request(2, 0);
    client
        .send(format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    assert_eq!(client.answer().await.status, 100);
    server.shutdown.cancel();
    client.send(&body).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_closed().await);
    (&mut server.task).await.expect("ends without panic");
    let accepted = server.accepted.recv().await.expect("handed on");
    assert_eq!(accepted.request.encoding, Encoding::Identity);
    assert!(
        server.accepted.recv().await.is_none(),
        "the sink is released"
    );
}

/// Scenario: the engine has gone.
/// Guarantees: nothing is acknowledged; the client is told to come back.
#[tokio::test]
async fn without_an_engine_nothing_is_acknowledged() {
    let mut server = Server::default().await;
    server.accepted.close();
    let client = Grpc::connect(server.address).await;
    let answer = client.export("identity", &request(1, 0)).await;
    assert_eq!((answer.code, answer.status.retry_secs()), (14, Some(1)));
    assert_eq!(server.refused("shutting_down"), 1);
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused() {
    let (sink, _accepted) = tokio::sync::mpsc::channel(1);
    let config = ReceiveConfig {
        in_flight_bytes_max: 64 << 20,
        ..ReceiveConfig::default()
    };
    let refused = Receiver::new(config, engine::hash::HashSeed(1, 2), sink, || {
        engine::time::Timestamp::EPOCH
    });
    let error = refused.err().expect("refused");
    assert!(matches!(error, ConfigError::InFlightTooSmall { .. }));
    assert!(error.to_string().contains("in_flight_bytes_max"));
}
