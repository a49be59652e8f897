//! OTLP over HTTP: `POST /v1/traces`, `/v1/metrics` or `/v1/logs` with a protobuf or JSON body, over HTTP/1.1 or
//! HTTP/2.
//!
//! Every answer from 400 up has a `google.rpc.Status` body in the request's own encoding, JSON when that is unknown.
//! Source: OTLP 1.11, OTLP/HTTP; RFC 9110 (405 Allow, 415 Accept-Encoding, 100-continue).

use super::admission::Reservation;
use super::body::{self, Collector, next_chunk};
use super::compression::Encoding;
use super::framing::TwoFramings;
use super::grpc::body_timeout;
use super::pipeline::{Pipeline, Receipt};
use super::refusal::Refusal;
use super::reply::Reply;
use super::{HttpPaths, Protocol, RETRY_AFTER_SECS, wire};
use crate::otlp::Format;
use bytes::Bytes;
use engine::items::Signal;
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use tokio::time::timeout;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Answers one request. Never fails: every fault is a status.
pub(crate) async fn answer(
    pipeline: &Arc<Pipeline>,
    request: Request<Incoming>,
) -> Response<Reply> {
    let (head, mut body) = request.into_parts();
    match post(pipeline, &head, &mut body).await {
        Ok(receipt) => success(&receipt),
        Err(refusal) => {
            pipeline.stats.count_refused(&refusal);
            let format = media_type(&head.headers).unwrap_or(Format::Json);
            let close = !leave_usable(&head, &mut body, &refusal).await;
            failure(&refusal, format, close && head.version < Version::HTTP_2)
        }
    }
}

async fn post(
    pipeline: &Arc<Pipeline>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Receipt, Refusal> {
    pipeline.authorize(&head.headers)?;
    if head.extensions.get::<TwoFramings>().is_some() {
        let message = "both content-length and transfer-encoding";
        return Err(Refusal::BadFraming {
            message: message.to_owned(),
        });
    }
    let signal = signal_of(&pipeline.config.paths, head)?;
    let format = media_type(&head.headers).ok_or(Refusal::UnsupportedMediaType)?;
    let encoding = content_encoding(&head.headers)?;
    let mut hold = Reservation::new(&pipeline.budget);
    let wait = pipeline.config.body_timeout;
    let bytes = timeout(wait, read_body(pipeline, body, &mut hold))
        .await
        .map_err(|_| body_timeout(wait))??;
    pipeline
        .accept((Protocol::Http, signal, format), encoding, bytes, hold)
        .await
}

/// The signal of the exact path and nothing else: no absolute form, no doubled slash, no percent-encoding (they are not the same
/// resource to every proxy on the way).
fn signal_of(paths: &HttpPaths, head: &Parts) -> Result<Signal, Refusal> {
    if head.version < Version::HTTP_2 && head.uri.authority().is_some() {
        return Err(Refusal::NotFound);
    }
    let path = head.uri.path();
    match (paths.signal(path), &head.method) {
        (Some(signal), &Method::POST) => Ok(signal),
        (Some(_), _) => Err(Refusal::MethodNotAllowed),
        (None, _) if path == "/v1development/profiles" => Err(Refusal::Profiles),
        (None, _) => Err(Refusal::NotFound),
    }
}

fn media_type(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|byte| *byte == b';').next()?.trim_ascii();
    if essence.eq_ignore_ascii_case(PROTOBUF.as_bytes()) {
        Some(Format::Protobuf)
    } else if essence.eq_ignore_ascii_case(JSON.as_bytes()) {
        Some(Format::Json)
    } else {
        None
    }
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = Encoding::parse(values.next().map(HeaderValue::as_bytes));
    match (encoding, values.next()) {
        (Some(encoding), None) => Ok(encoding),
        _ => Err(Refusal::UnsupportedEncoding),
    }
}

/// Reads the body. What the client announces is judged before the first byte is asked for (and so before a
/// `100 Continue` is sent).
async fn read_body(
    pipeline: &Pipeline,
    body: &mut Incoming,
    hold: &mut Reservation,
) -> Result<Bytes, Refusal> {
    let limit = pipeline.config.request_bytes_max;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Refusal::TooLarge { limit });
    }
    if !pipeline.budget.has_room_for(announced) {
        return Err(Refusal::Overloaded);
    }
    let mut collector = Collector::new(limit, announced);
    collector.reserve(hold)?;
    while let Some(chunk) = next_chunk(body).await? {
        collector.push(chunk, hold)?;
    }
    Ok(collector.finish())
}

/// Whether the connection can go on after a refusal: the rest of the body is taken off it when that is cheap.
///
/// HTTP/2 needs none of this (the stream is reset), and a client that waits for `100 Continue` has sent nothing.
async fn leave_usable(head: &Parts, incoming: &mut Incoming, refusal: &Refusal) -> bool {
    let waits = head.headers.contains_key(header::EXPECT);
    let hopeless = matches!(
        refusal,
        Refusal::TooLarge { .. } | Refusal::BodyTimeout { .. } | Refusal::BadFraming { .. }
    );
    if head.version < Version::HTTP_2 && !waits && !hopeless {
        body::drain(incoming).await;
    }
    incoming.is_end_stream()
}

fn success(receipt: &Receipt) -> Response<Reply> {
    let (rejected, message) = (receipt.rejected, &receipt.message);
    let (media_type, body) = match receipt.format {
        Format::Protobuf => (PROTOBUF, wire::export_response(rejected, message)),
        Format::Json => {
            let body = wire::export_response_json(receipt.signal, rejected, message);
            (JSON, body)
        }
    };
    let mut response = Response::new(Reply::data(body));
    insert(&mut response, header::CONTENT_TYPE, media_type);
    response
}

fn failure(refusal: &Refusal, format: Format, close: bool) -> Response<Reply> {
    let row = refusal.row();
    let text = refusal.to_string();
    let message = wire::cut(&text, wire::STATUS_MESSAGE_BYTES_MAX);
    let details = refusal.details();
    let (media_type, body) = match format {
        Format::Protobuf => (PROTOBUF, wire::status(row.code, message, &details)),
        Format::Json => (JSON, wire::status_json(row.code, message, &details)),
    };
    let mut response = Response::new(Reply::data(body));
    *response.status_mut() = row.http;
    insert(&mut response, header::CONTENT_TYPE, media_type);
    if details.retry_secs.is_some() {
        let seconds = HeaderValue::from(RETRY_AFTER_SECS);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    match row.http {
        StatusCode::METHOD_NOT_ALLOWED => insert(&mut response, header::ALLOW, "POST"),
        StatusCode::UNAUTHORIZED => insert(&mut response, header::WWW_AUTHENTICATE, "Bearer"),
        _ => {}
    }
    if matches!(refusal, Refusal::UnsupportedEncoding) {
        insert(&mut response, header::ACCEPT_ENCODING, Encoding::ACCEPTED);
    }
    if close {
        insert(&mut response, header::CONNECTION, "close");
    }
    response
}

fn insert(response: &mut Response<Reply>, name: HeaderName, value: &'static str) {
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
}
