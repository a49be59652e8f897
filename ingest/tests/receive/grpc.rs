//! What is particular to gRPC: prefix, encodings, services, trailers, many calls on one connection.

use crate::support::{Grpc, Http, Server, TRACES, framed, gzip, request, zstd};
use engine::items::Signal;
use ingest::receive::{Encoding, Protocol, ReceiveConfig, Token};

#[tokio::test]
async fn spans_are_acknowledged_once_they_are_handed_on() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let bodies = [
        ("identity", Encoding::Identity, request(5, 0)),
        ("gzip", Encoding::Gzip, gzip(&request(5, 0))),
        ("zstd", Encoding::Zstd, zstd(&request(5, 0))),
    ];
    for (name, encoding, body) in bodies {
        let answer = client.export(name, &body).await;
        assert_eq!(answer.response().partial_success, None);
        let accepted = server
            .accepted
            .try_recv()
            .expect("handed on before the answer");
        assert_eq!(accepted.request.protocol, Protocol::Grpc);
        assert_eq!(accepted.request.encoding, encoding);
        assert_eq!(&accepted.request.body[..], &body[..]);
        assert_eq!(accepted.decoded.items_accepted(), 5);
        assert!(accepted.hold.bytes() > body.len());
    }
    assert_eq!(server.stats.accepted_items(Signal::Traces), 15);
    assert_eq!(server.stats.accepted_requests(Protocol::Grpc), 3);
}

#[tokio::test]
async fn bad_spans_are_counted_and_the_good_ones_of_the_same_request_are_kept() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let answer = client.export("identity", &request(3, 2)).await;
    let partial = answer
        .response()
        .partial_success
        .expect("a partial success");
    assert_eq!(partial.rejected_spans, 2);
    assert!(
        partial.error_message.contains("trace"),
        "{}",
        partial.error_message
    );
    assert_eq!(server.take_spans(), 3);
    assert_eq!(
        (
            server.stats.accepted_items(Signal::Traces),
            server.stats.rejected_items(Signal::Traces)
        ),
        (3, 2)
    );
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    assert_eq!(
        client
            .export("identity", &[])
            .await
            .response()
            .partial_success,
        None
    );
    assert_eq!(
        client
            .export("identity", &[0x0a, 0])
            .await
            .response()
            .partial_success,
        None
    );
    assert_eq!(server.take_spans(), 0);
}

/// Scenario: 100 calls at once on one connection, call i with i bad spans.
/// Guarantees: all answered, and no answer reaches another call.
#[tokio::test]
async fn a_hundred_concurrent_calls_are_never_mixed() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let calls: Vec<_> = (0..100)
        .map(|bad| {
            let client = client.clone();
            tokio::spawn(
                async move { client.export("identity", &request(1, bad)).await.rejected() },
            )
        })
        .collect();
    for (bad, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.expect("no panic"), bad as i64);
    }
    assert_eq!(server.take_spans(), 100);
}

#[tokio::test]
async fn a_large_message_in_many_frames_arrives_whole() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let body = request(100_000, 0);
    assert!(body.len() > 4 << 20);
    assert_eq!(client.export("identity", &body).await.code, 0);
    assert_eq!(client.export("gzip", &gzip(&body)).await.code, 0);
    assert_eq!(server.take_spans(), 200_000);
}

/// Cases 5, 6, 30 and 31, and messages that are none or two.
#[tokio::test]
async fn broken_framing_is_a_permanent_status() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let good = request(1, 0);
    let huge = [&[0, 255, 255, 255, 255][..], &good].concat();
    let two = [framed(0, &good), framed(0, &good)].concat();
    let cut = framed(0, &good)[..20].to_vec();
    let cases = [
        (
            "30 compressed flag without encoding",
            framed(1, &gzip(&good)),
            13,
            "compressed_without_encoding",
        ),
        ("31 length 2^32-1", huge, 8, "too_large"),
        ("flag 2", framed(2, &good), 3, "bad_framing"),
        ("stream ends inside the message", cut, 3, "bad_framing"),
        (
            "stream ends inside the prefix",
            vec![0, 0],
            3,
            "bad_framing",
        ),
        ("no message", Vec::new(), 12, "not_one_message"),
        ("two messages", two, 12, "not_one_message"),
    ];
    for (name, body, code, label) in cases {
        let before = server.refused(label);
        let answer = client.raw(TRACES, &[], body).await;
        assert_eq!(answer.code, code, "{name}: {answer:?}");
        assert_eq!(answer.status.retry_secs(), None, "{name}");
        assert_eq!(server.refused(label), before + 1, "{name}");
    }
    assert_eq!(client.export("identity", &good).await.code, 0);
    assert_eq!(server.take_spans(), 1);
    assert_eq!(server.stats.in_flight_bytes(), 0);
}

#[tokio::test]
async fn what_is_not_received_says_so() {
    let server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let answer = client.export("snappy", &request(1, 0)).await;
    assert_eq!(answer.code, 12);
    assert_eq!(
        answer.headers["grpc-accept-encoding"],
        "identity, gzip, zstd"
    );
    for (path, word) in [
        (
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
            "profiles",
        ),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            "method",
        ),
        ("/grpc.health.v1.Health/Check", "method"),
    ] {
        let answer = client.raw(path, &[], framed(0, &[])).await;
        assert_eq!(answer.code, 12, "{path}");
        assert!(answer.message.contains(word), "{path}: {}", answer.message);
    }
}

#[tokio::test]
async fn the_limit_holds_before_and_after_decompression() {
    let body = request(10, 0);
    let config = ReceiveConfig {
        request_bytes_max: body.len(),
        ..ReceiveConfig::default()
    };
    let mut server = Server::start(config, 16).await;
    let client = Grpc::connect(server.address).await;
    assert_eq!(client.export("identity", &body).await.code, 0);
    assert_eq!(client.export("gzip", &gzip(&body)).await.code, 0);
    let longer = request(11, 0);
    for (encoding, body) in [
        ("identity", longer.clone()),
        ("gzip", gzip(&longer)),
        ("zstd", zstd(&longer)),
    ] {
        let answer = client.export(encoding, &body).await;
        assert_eq!(
            (answer.code, answer.status.retry_secs()),
            (8, None),
            "{encoding}"
        );
    }
    assert_eq!(server.take_spans(), 20);
}

#[tokio::test]
async fn a_token_is_asked_for_when_one_is_set() {
    let config = ReceiveConfig {
        token: Some(Token::new("s3cret")),
        ..ReceiveConfig::default()
    };
    let mut server = Server::start(config, 16).await;
    let client = Grpc::connect(server.address).await;
    let body = framed(0, &request(1, 0));
    assert_eq!(client.raw(TRACES, &[], body.clone()).await.code, 16);
    let wrong = [("authorization", "Bearer s3cre")];
    assert_eq!(client.raw(TRACES, &wrong, body.clone()).await.code, 16);
    let right = [("authorization", "Bearer s3cret")];
    assert_eq!(client.raw(TRACES, &right, body).await.code, 0);
    let mut http = Http::connect(server.address).await;
    let answer = http.post(&[], &request(1, 0)).await;
    assert_eq!((answer.status, answer.rpc_status().code), (401, 16));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert_eq!(http.post(&right, &request(1, 0)).await.status, 200);
    assert_eq!(server.take_spans(), 2);
}
