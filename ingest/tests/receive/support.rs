//! A receiver on a free port, and requests to send.

pub(crate) use crate::wire::*;

use engine::hash::HashSeed;
use engine::time::Timestamp;
use http::Method;
use ingest::receive::{Accepted, ReceiveConfig, ReceiveStats, Receiver};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const NOW_SECS: u64 = 1_800_000_000;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stats: Arc<ReceiveStats>,
    pub(crate) accepted: mpsc::Receiver<Accepted>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    _stop: DropGuard,
}

impl Server {
    pub(crate) async fn start(config: ReceiveConfig, queue: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let (sink, accepted) = mpsc::channel(queue);
        let clock = || Timestamp::from_secs(NOW_SECS);
        let receiver =
            Receiver::new(config, HashSeed(1, 2), sink, clock).expect("settings that work");
        let shutdown = CancellationToken::new();
        Self {
            address,
            stats: receiver.stats(),
            accepted,
            task: tokio::spawn(receiver.serve(vec![listener], shutdown.clone())),
            _stop: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    pub(crate) async fn default() -> Self {
        Self::start(ReceiveConfig::default(), 1024).await
    }

    /// Takes everything handed on so far; the number of spans in it.
    pub(crate) fn take_spans(&mut self) -> usize {
        let mut spans = 0;
        while let Ok(accepted) = self.accepted.try_recv() {
            spans += accepted
                .decoded
                .batches
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        spans
    }

    pub(crate) fn refused(&self, label: &str) -> u64 {
        let mut reasons = self.stats.refused();
        reasons
            .find(|(reason, _)| *reason == label)
            .expect("a known reason")
            .1
    }
}

impl Grpc {
    /// Sends one message, compressed as `encoding` says.
    pub(crate) async fn export(&self, encoding: &str, message: &[u8]) -> GrpcAnswer {
        if encoding == "identity" {
            self.raw(TRACES, &[], framed(0, message)).await
        } else {
            let headers = [("grpc-encoding", encoding)];
            self.raw(TRACES, &headers, framed(1, message)).await
        }
    }
}

impl Http {
    pub(crate) async fn post(&mut self, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
        self.request(
            Method::POST,
            "/v1/traces",
            "application/x-protobuf",
            headers,
            body,
        )
        .await
    }
}

/// A request with `good` spans and `bad` ones (their trace id is all zero).
pub(crate) fn request(good: usize, bad: usize) -> Vec<u8> {
    let end = NOW_SECS * 1_000_000_000;
    let span = |index: usize, trace: u8| Span {
        trace_id: vec![trace; 16],
        span_id: (index as u64 + 1).to_be_bytes().to_vec(),
        name: format!("span {index}"),
        start_time_unix_nano: end - 1000,
        end_time_unix_nano: end,
        ..Span::default()
    };
    let spans = (0..good)
        .map(|index| span(index, 7))
        .chain((0..bad).map(|index| span(index, 0)));
    let scope_spans = ScopeSpans {
        spans: spans.collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
    .encode_to_vec()
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 1).expect("compresses")
}

/// A length-delimited protobuf field.
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// `content` as the body of a request's only span.
pub(crate) fn in_span(content: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, content)))
}
