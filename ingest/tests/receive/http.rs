//! What is particular to HTTP: targets, methods, types, lengths, keep-alive, continue.

use crate::support::{Http, Server, gzip, request};
use http::Method;
use ingest::receive::{Protocol, ReceiveConfig};
use std::time::Duration;

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn keep_alive_and_pipelined_requests_are_all_answered() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    for _ in 0..3 {
        let answer = client.post(&[], &request(2, 0)).await;
        assert_eq!(answer.response().partial_success, None);
        assert!(answer.body.is_empty());
    }
    let one = |bad: usize| {
        let body = request(1, bad);
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    };
    client.send([one(1), one(2), one(3)].concat()).await;
    for bad in 1..=3 {
        let partial = client.answer().await.response().partial_success;
        assert_eq!(partial.expect("a partial success").rejected_spans, bad);
    }
    assert_eq!(server.take_spans(), 9);
    assert_eq!(server.stats.accepted_requests(Protocol::Http), 6);
    assert_eq!(server.stats.connections(), 1);
}

#[tokio::test]
async fn content_type_ignores_case_and_parameters() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    for content_type in [
        "Application/X-Protobuf",
        "application/x-protobuf ; charset=utf-8",
    ] {
        let body = request(1, 0);
        let answer = client
            .request(Method::POST, "/v1/traces", content_type, &[], &body)
            .await;
        assert_eq!(answer.header("content-type"), Some(PROTOBUF));
        assert_eq!(answer.status, 200);
    }
    let answer = client
        .post(&[("content-encoding", "GZIP")], &gzip(&request(1, 0)))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.take_spans(), 3);
}

/// Cases 27, 28, 29: wrong target, method, type; every answer has a `Status` body in the encoding of the request.
#[tokio::test]
async fn wrong_requests_get_a_status_body_and_the_connection_goes_on() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    let absolute = format!("http://{}/v1/traces", server.address);
    let cases = [
        (Method::POST, "//v1/traces", PROTOBUF, 404, 5),
        (Method::POST, "/v1/%74races", PROTOBUF, 404, 5),
        (Method::POST, absolute.as_str(), PROTOBUF, 404, 5),
        (Method::POST, "/v1/traces/", PROTOBUF, 404, 5),
        (Method::POST, "/", PROTOBUF, 404, 5),
        (Method::POST, "/v1development/profiles", PROTOBUF, 404, 12),
        (Method::GET, "/v1/metrics", PROTOBUF, 405, 12),
        (Method::PUT, "/v1/logs", PROTOBUF, 405, 12),
        (Method::PUT, "/v1/traces", PROTOBUF, 405, 12),
        (Method::GET, "/v1/traces", PROTOBUF, 405, 12),
        (Method::POST, "/v1/traces", "application/json", 400, 3),
        (Method::POST, "/v1/traces", "text/plain", 415, 3),
        (Method::POST, "/v1/traces", "application/protobuf", 415, 3),
    ];
    for (method, target, content_type, status, code) in cases {
        let body = request(1, 0);
        let answer = client
            .request(method.clone(), target, content_type, &[], &body)
            .await;
        assert_eq!(answer.status, status, "{method} {target} {content_type}");
        if content_type == PROTOBUF {
            assert_eq!(answer.rpc_status().code, code, "{method} {target}");
        } else {
            assert_eq!(answer.json()["code"], code, "{content_type}");
        }
        let allow = (status == 405).then_some("POST");
        assert_eq!(answer.header("allow"), allow);
        assert_eq!(
            client.post(&[], &request(1, 0)).await.status,
            200,
            "{method} {target}"
        );
        assert_eq!(server.take_spans(), 1, "{method} {target}");
    }
    for encoding in ["br", "deflate", "gzip, gzip"] {
        let answer = client.post(&[("content-encoding", encoding)], b"x").await;
        assert_eq!((answer.status, answer.rpc_status().code), (415, 12));
        assert_eq!(
            answer.header("accept-encoding"),
            Some("identity, gzip, zstd")
        );
    }
}

/// Cases 16 and 31: an announced length over the limit is refused before the body is read; a body that ends early is
/// not counted.
#[tokio::test]
async fn lengths_that_lie_or_exceed_are_refused() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n";
    client
        .send(format!("{head}content-length: 67108865\r\n\r\n"))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.rpc_status().code), (413, 8));
    assert!(client.is_closed().await);

    let mut client = Http::connect(server.address).await;
    client
        .send(format!("{head}content-length: 1000\r\n\r\n"))
        .await;
    client.send(request(1, 0)).await;
    client.finish_sending().await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.rpc_status().code), (400, 3));
    assert!(client.is_closed().await);

    let mut client = Http::connect(server.address).await;
    client
        .send(format!(
            "{head}content-length: 5\r\ncontent-length: 6\r\n\r\n"
        ))
        .await;
    assert_eq!(client.answer().await.status, 400);
    assert!(client.is_closed().await);
    assert_eq!(server.take_spans(), 0);
    assert_eq!(server.stats.in_flight_bytes(), 0);
}

/// Statement 38: chunked bodies are received; over the limit they are refused on the way.
#[tokio::test]
async fn chunked_bodies_are_received_up_to_the_limit() {
    let config = ReceiveConfig {
        request_bytes_max: 1000,
        ..ReceiveConfig::default()
    };
    let mut server = Server::start(config, 16).await;
    let mut client = Http::connect(server.address).await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = request(3, 0);
    client.send(head).await;
    for piece in body.chunks(10) {
        client
            .send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
            .await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.take_spans(), 3);
    client.send(head).await;
    client
        .send(format!("3e9\r\n{}\r\n", "x".repeat(1001)))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.rpc_status().code), (413, 8));
}

/// Case 26: a request with both framings is refused and never followed by another one on the same connection (RFC 9112,
/// 6.3), so nothing can be smuggled behind it; not even when it comes before the answer to the one before.
#[tokio::test]
async fn two_framings_end_the_connection() {
    let server = Server::default().await;
    for order in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
    ] {
        let mut client = Http::connect(server.address).await;
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{order}\r\n\r\n"
        );
        client
            .send(format!(
                "{head}0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.rpc_status().code),
            (400, 3),
            "{order}"
        );
        assert_eq!(answer.header("connection"), Some("close"), "{order}");
        assert!(client.is_closed().await);

        let mut client = Http::connect(server.address).await;
        let good = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
        client
            .send(format!("\r\n{good}{head}0\r\n\r\n{smuggled}"))
            .await;
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(client.answer().await.header("connection"), Some("close"));
        assert!(client.is_closed().await);

        let mut client = Http::connect(server.address).await;
        client.send(good).await;
        assert_eq!(client.answer().await.status, 200);
        client.send(format!("\r\n{head}0\r\n\r\n{smuggled}")).await;
        assert_eq!(client.answer().await.status, 400, "{order}");
        assert!(client.is_closed().await);
    }
    assert_eq!(
        server.refused("not_found"),
        0,
        "the smuggled request was seen"
    );
    assert_eq!(server.refused("bad_framing"), 4);
}

/// Statement 39: the body is asked for only when the head is acceptable.
#[tokio::test]
async fn continue_is_sent_only_when_the_body_is_wanted() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    let body = request(1, 0);
    let head = |content_type: &str, length: usize| {
        format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    client.send(head(PROTOBUF, body.len())).await;
    assert_eq!(client.answer().await.status, 100);
    client.send(&body).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.take_spans(), 1);
    client.send(head("text/plain", 5)).await;
    assert_eq!(client.answer().await.status, 415);
    assert!(client.is_closed().await);
    let mut client = Http::connect(server.address).await;
    client.send(head(PROTOBUF, (64 << 20) + 1)).await;
    assert_eq!(client.answer().await.status, 413);
}

/// Case 17: a body that never ends is given up with 408.
#[tokio::test]
async fn a_body_that_never_ends_times_out() {
    let config = ReceiveConfig {
        body_timeout: Duration::from_millis(50),
        ..ReceiveConfig::default()
    };
    let server = Server::start(config, 16).await;
    let mut client = Http::connect(server.address).await;
    client.send("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.rpc_status().code), (408, 4));
    assert!(client.is_closed().await);
    assert_eq!(server.stats.in_flight_bytes(), 0);
}
