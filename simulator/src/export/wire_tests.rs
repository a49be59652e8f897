//! Exporters against real sockets: every wire, every kind of answer.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::receiver::{Answer, Receiver};
use super::*;
use crate::payload::{Payload, PayloadKind};
use crate::topology::Wire;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const WIRES: [Wire; 4] = [Wire::Grpc, Wire::GrpcGzip, Wire::Http, Wire::HttpGzip];

async fn export(wire: Wire, script: Vec<Answer>, requests: usize) -> (Receiver, Counts) {
    let receiver = Receiver::start(script).await;
    let connection = Connection::new(&receiver.base, wire, Some("secret")).unwrap();
    let counters = Arc::new(Counters::default());
    let exporter = Exporter::start(connection, counters.clone(), 1, CancellationToken::new());
    let mut payload = Payload::new(PayloadKind::Rich, 50, 1);
    for _ in 0..requests {
        exporter.offer(payload.next_request(1_700_000_000_000_000_000), 50);
    }
    exporter.close().await;
    (receiver, counters.read())
}

#[tokio::test]
async fn every_wire_delivers_every_span() {
    for wire in WIRES {
        let (receiver, counts) = export(wire, Vec::new(), 10).await;
        let expected = Counts {
            sent: 500,
            acked: 500,
            ..Counts::default()
        };
        assert_eq!(counts, expected, "{wire:?}");
        receiver.with(|seen| {
            assert_eq!((seen.spans, seen.ids.len()), (500, 500));
            assert!(
                seen.encodings
                    .iter()
                    .all(|encoding| (encoding == "gzip") == wire.is_gzip())
            );
            assert!(seen.tokens.iter().all(|token| token == "Bearer secret"));
        });
    }
}

#[tokio::test]
async fn partial_success_is_counted() {
    for wire in WIRES {
        let (_, counts) = export(wire, vec![Answer::Accept(7)], 2).await;
        assert_eq!(
            (counts.acked, counts.rejected, counts.failed),
            (93, 7, 0),
            "{wire:?}"
        );
    }
}

/// Scenario: the receiver asks for a second of patience once.
/// Guarantees: the same request comes again, not earlier than asked, and is counted once.
#[tokio::test]
async fn retry_after_is_honored() {
    let second = Duration::from_secs(1);
    let exhausted = Answer::Grpc(tonic::Code::ResourceExhausted, Some(second));
    let cases = [
        (Wire::Http, Answer::Http(429, Some(1))),
        (Wire::HttpGzip, Answer::Http(503, Some(1))),
        (Wire::Grpc, exhausted),
    ];
    for (wire, answer) in cases {
        let (receiver, counts) = export(wire, vec![answer], 1).await;
        assert_eq!(
            (counts.acked, counts.retried, counts.failed),
            (50, 1, 0),
            "{wire:?}"
        );
        receiver.with(|seen| {
            assert_eq!(seen.ids.len(), 50);
            assert!(seen.arrivals[1] - seen.arrivals[0] >= second, "{wire:?}");
        });
    }
}

#[tokio::test]
async fn permanent_refusals_are_not_repeated() {
    let cases = [
        (Wire::Http, Answer::Http(400, None)),
        (Wire::Http, Answer::Http(413, None)),
        (Wire::Http, Answer::Http(500, None)),
        (Wire::Grpc, Answer::Grpc(tonic::Code::InvalidArgument, None)),
        (
            Wire::Grpc,
            Answer::Grpc(tonic::Code::ResourceExhausted, None),
        ),
    ];
    for (wire, answer) in cases {
        let (receiver, counts) = export(wire, vec![answer.clone()], 2).await;
        assert_eq!(
            (counts.acked, counts.retried, counts.failed),
            (50, 0, 50),
            "{answer:?}"
        );
        assert_eq!(receiver.with(|seen| seen.arrivals.len()), 2);
    }
}

#[tokio::test]
async fn unavailable_is_repeated() {
    let unavailable = Answer::Grpc(tonic::Code::Unavailable, None);
    let (_, counts) = export(Wire::Grpc, vec![unavailable], 1).await;
    assert_eq!((counts.acked, counts.retried), (50, 1));
}

#[tokio::test]
async fn a_cancelled_exporter_gives_up_what_waits() {
    let nobody = Connection::new("http://127.0.0.1:9", Wire::Http, None).unwrap();
    let (counters, cancel) = (Arc::new(Counters::default()), CancellationToken::new());
    let exporter = Exporter::start(nobody, counters.clone(), 1, cancel.clone());
    let mut payload = Payload::new(PayloadKind::Minimal, 10, 1);
    (0..REQUESTS_MAX).for_each(|_| exporter.offer(payload.next_request(1), 10));
    cancel.cancel();
    exporter.close().await;
    let counts = counters.read();
    assert_eq!((counts.sent, counts.failed), (160, 160));
}

#[tokio::test]
async fn bad_addresses_and_tokens_are_told_apart() {
    let address = Connection::new("http://a b", Wire::Grpc, None).unwrap_err();
    assert_eq!(
        address.to_string().split(", got").next().unwrap(),
        "address: expected `http://host:port`"
    );
    let token = Connection::new("http://a", Wire::Grpc, Some("a\nb")).unwrap_err();
    assert!(matches!(token, Error::Token(_)));
}
