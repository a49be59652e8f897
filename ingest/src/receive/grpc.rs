//! OTLP over gRPC: unary calls, answered by hand on HTTP/2 (`docs/decisions/0003-own-grpc-unary-path.md`).
//!
//! A call is one length-prefixed message in and one out; the status stands in the trailers, or, when there is no
//! message, in the headers ("trailers-only"). Source: gRPC over HTTP/2, `doc/PROTOCOL-HTTP2.md`; OTLP 1.11 OTLP/gRPC.

use super::admission::Reservation;
use super::body::{Collector, next_chunk};
use super::compression::Encoding;
use super::pipeline::{Pipeline, Receipt};
use super::refusal::{Refusal, code};
use super::reply::Reply;
use super::{Protocol, wire};
use crate::otlp::Format;
use bytes::Bytes;
use engine::items::Signal;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request speaks gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type
        .and_then(|value| value.split_at_checked(GRPC.len()))
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(GRPC.as_bytes())
                && matches!(rest.first(), None | Some(b'+' | b';'))
        })
}

/// Answers one call. Never fails: every fault is a status.
pub(crate) async fn answer(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
) -> Response<Reply> {
    match call(pipeline, request).await {
        Ok(receipt) => success(&receipt),
        Err(refusal) => {
            pipeline.stats.count_refused(&refusal);
            failure(&refusal)
        }
    }
}

async fn call(pipeline: &Arc<Pipeline>, request: Request<Incoming>) -> Result<Receipt, Refusal> {
    let (head, mut body) = request.into_parts();
    pipeline.authorize(&head.headers)?;
    let signal = signal_of(head.uri.path())?;
    if head.method != Method::POST {
        return Err(Refusal::MethodNotAllowed);
    }
    let named = head.headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes);
    let encoding = Encoding::parse(named).ok_or(Refusal::UnsupportedEncoding)?;
    let mut hold = Reservation::new(&pipeline.budget);
    let limit = pipeline.config.request_bytes_max;
    let wait = pipeline.config.body_timeout;
    let (encoding, message) = timeout(wait, read_message(&mut body, encoding, limit, &mut hold))
        .await
        .map_err(|_| body_timeout(wait))??;
    pipeline
        .accept(
            (Protocol::Grpc, signal, Format::Protobuf),
            encoding,
            message,
            hold,
        )
        .await
}

/// Reads the one message of a unary call. Its length is checked before anything is allocated for it.
async fn read_message(
    body: &mut Incoming,
    encoding: Encoding,
    limit: usize,
    hold: &mut Reservation,
) -> Result<(Encoding, Bytes), Refusal> {
    let mut collector = Collector::new(limit.saturating_add(PREFIX_BYTES), 0);
    let mut announced: Option<(Encoding, usize)> = None;
    while let Some(chunk) = next_chunk(body).await? {
        collector.push(chunk, hold)?;
        if announced.is_none()
            && let Some(prefix) = collector.prefix()
        {
            let (encoding, length) = read_prefix(prefix, encoding, limit)?;
            collector.expect(PREFIX_BYTES + length);
            collector.reserve(hold)?;
            announced = Some((encoding, length));
        }
        if announced.is_some_and(|(_, length)| collector.len() > PREFIX_BYTES + length) {
            return Err(Refusal::NotOneMessage);
        }
    }
    let received = collector.len();
    match announced {
        Some((encoding, length)) if received == PREFIX_BYTES + length => {
            Ok((encoding, collector.finish().slice(PREFIX_BYTES..)))
        }
        None if received == 0 => Err(Refusal::NotOneMessage),
        _ => Err(Refusal::BadFraming {
            message: format!("the stream ended after {received} bytes, inside a message"),
        }),
    }
}

fn read_prefix(
    prefix: [u8; PREFIX_BYTES],
    encoding: Encoding,
    limit: usize,
) -> Result<(Encoding, usize), Refusal> {
    let [flag, length @ ..] = prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(Refusal::TooLarge { limit });
    }
    match (flag, encoding) {
        (0, _) => Ok((Encoding::Identity, length)),
        (1, Encoding::Identity) => Err(Refusal::CompressedWithoutEncoding),
        (1, encoding) => Ok((encoding, length)),
        _ => Err(Refusal::BadFraming {
            message: format!("expected compressed flag 0 or 1, got `{flag}`"),
        }),
    }
}

/// The signal of the service that a call is for.
fn signal_of(path: &str) -> Result<Signal, Refusal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Ok(Signal::Traces),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Ok(Signal::Metrics),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Ok(Signal::Logs),
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export" => {
            Err(Refusal::Profiles)
        }
        _ => Err(Refusal::UnknownMethod),
    }
}

fn success(receipt: &Receipt) -> Response<Reply> {
    let message = wire::export_response(receipt.rejected, &receipt.message);
    let mut frame = Vec::with_capacity(PREFIX_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code::OK)));
    respond(Reply::with_trailers(frame, trailers))
}

fn failure(refusal: &Refusal) -> Response<Reply> {
    let code = refusal.row().code;
    let text = refusal.to_string();
    let message = wire::cut(&text, wire::STATUS_MESSAGE_BYTES_MAX);
    let details = refusal.details();
    let mut response = respond(Reply::default());
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    insert_text(headers, GRPC_MESSAGE, &wire::percent_encode(message));
    if details != wire::Details::default() {
        let encoded = wire::base64(&wire::status(code, message, &details));
        insert_text(headers, GRPC_DETAILS, &encoded);
    }
    if matches!(refusal, Refusal::UnsupportedEncoding) {
        insert_text(headers, GRPC_ACCEPT_ENCODING, Encoding::ACCEPTED);
    }
    response
}

fn respond(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Only ever given text that is printable ASCII; anything else would be left out rather than break the answer.
fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// The refusal for a body that took longer than `wait`.
pub(crate) fn body_timeout(wait: Duration) -> Refusal {
    Refusal::BodyTimeout {
        secs: wait.as_secs(),
    }
}
