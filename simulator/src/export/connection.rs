//! One OTLP client connection: frames a request, sends it, reads the answer as an exporter must.
//!
//! gRPC is spoken here directly over HTTP/2 (five bytes before the message, status in the trailers): a unary call
//! needs no more, the bytes are already encoded, and the load generator pays for nothing it does not use.
//! Sources: OTLP 1.11 "Failures" of both transports; gRPC PROTOCOL-HTTP2.md.

use crate::encode::{PartialSuccess, partial_success};
use crate::topology::Wire;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::io::Write;
use std::time::Duration;
use tonic_types::StatusExt;

/// Longest wait for an answer; the exporters' default.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Method path of the trace service.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What can be wrong before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an `http://host:port` address.
    #[error("address: expected `http://host:port`, got `{address}`")]
    Address {
        /// As given.
        address: String,
        /// Why.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The token holds bytes that no header may hold.
    #[error("token: expected visible ASCII characters only")]
    Token(#[source] http::header::InvalidHeaderValue),
}

/// How an export went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Counted, except what the partial success says.
    Accepted(PartialSuccess),
    /// Not counted; the same request may be sent again, not before `after` if that is known.
    Retry {
        /// `Retry-After` or `RetryInfo`.
        after: Option<Duration>,
        /// Status and message.
        detail: String,
    },
    /// Not counted and never will be.
    Failed {
        /// Status and message.
        detail: String,
    },
}

/// A connection (gRPC) or a pool of them (HTTP/1.1) to one receiver. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
    wire: Wire,
    headers: HeaderMap,
}

/// An `http://host:port` with a path behind it.
///
/// # Errors
/// [`Error::Address`].
pub(crate) fn join(base: &str, path: &str) -> Result<Uri, Error> {
    let address = format!("{}{path}", base.trim_end_matches('/'));
    address
        .parse()
        .map_err(|source| Error::Address { address, source })
}

/// `authorization: Bearer ...`, when there is a token.
///
/// # Errors
/// [`Error::Token`].
pub(crate) fn authorization(token: Option<&str>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(Error::Token)?;
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

impl Wire {
    /// Whether it is gRPC.
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::GrpcGzip)
    }

    /// Whether requests are compressed.
    pub const fn is_gzip(self) -> bool {
        matches!(self, Self::GrpcGzip | Self::HttpGzip)
    }
}

impl Connection {
    /// Prepares a connection to the receiver at `base`; it is made with the first request.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(base: &str, wire: Wire, token: Option<&str>) -> Result<Self, Error> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(wire.is_grpc())
            .build(connector);
        let mut headers = authorization(token)?;
        if wire.is_grpc() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        } else {
            let protobuf = HeaderValue::from_static("application/x-protobuf");
            headers.insert(header::CONTENT_TYPE, protobuf);
        }
        if wire.is_gzip() {
            let name = if wire.is_grpc() {
                "grpc-encoding"
            } else {
                "content-encoding"
            };
            headers.insert(name, HeaderValue::from_static("gzip"));
        }
        let path = if wire.is_grpc() {
            GRPC_PATH
        } else {
            "/v1/traces"
        };
        Ok(Self {
            client,
            uri: join(base, path)?,
            wire,
            headers,
        })
    }

    /// The body of a request: compressed and prefixed as the wire wants it.
    pub fn frame(&self, request: &[u8]) -> Bytes {
        let prefix = if self.wire.is_grpc() { 5 } else { 0 };
        let mut body = vec![0; prefix];
        if self.wire.is_gzip() {
            body = gzip(body, request);
        } else {
            body.extend_from_slice(request);
        }
        if self.wire.is_grpc() {
            let length = (body.len() - prefix) as u32;
            body[0] = u8::from(self.wire.is_gzip());
            body[1..5].copy_from_slice(&length.to_be_bytes());
        }
        body.into()
    }

    /// Sends a framed body and waits for the answer, at most [`TIMEOUT`].
    pub async fn send(&self, body: Bytes) -> Reply {
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(body))
            .unwrap_or_default();
        request.headers_mut().extend(self.headers.clone());
        let answer = tokio::time::timeout(TIMEOUT, self.answer(request)).await;
        match answer {
            Ok(Ok(reply)) => reply,
            Ok(Err(detail)) => retry(None, detail),
            Err(_) => retry(None, format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let response = self.client.request(request).await.map_err(chain)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        let head = Response::from_parts(head, ());
        Ok(if self.wire.is_grpc() {
            read_grpc(&head, body)
        } else {
            read_http(&head, &body.to_bytes())
        })
    }
}

/// Reads a whole answer of at most 1 MiB.
pub(crate) async fn read_body(body: Incoming) -> Result<Bytes, String> {
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    Ok(collected.map_err(|error| error.to_string())?.to_bytes())
}

/// An error with its causes in one line.
pub(crate) fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn gzip(prefix: Vec<u8>, request: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(prefix, Compression::fast());
    // Writing into memory cannot fail; if it ever did, the receiver would refuse the torn body.
    match encoder.write_all(request).and_then(|()| encoder.finish()) {
        Ok(body) => body,
        Err(_) => vec![0; 5],
    }
}

fn retry(after: Option<Duration>, detail: String) -> Reply {
    Reply::Retry { after, detail }
}

fn accepted(body: &[u8]) -> Reply {
    match partial_success(body) {
        Some(partial) => Reply::Accepted(partial),
        None => Reply::Failed {
            detail: "expected an ExportTraceServiceResponse, got something else".to_owned(),
        },
    }
}

fn read_http(head: &Response<()>, body: &[u8]) -> Reply {
    let status = head.status();
    if status == StatusCode::OK {
        return accepted(body);
    }
    let detail = format!(
        "{status} {}",
        String::from_utf8_lossy(&body[..body.len().min(200)])
    );
    // OTLP: exactly these four may be retried.
    if matches!(status.as_u16(), 429 | 502 | 503 | 504) {
        let after = head.headers().get(header::RETRY_AFTER);
        let seconds = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        return retry(seconds.map(Duration::from_secs), detail);
    }
    Reply::Failed { detail }
}

fn read_grpc(head: &Response<()>, body: Collected<Bytes>) -> Reply {
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = tonic::Status::from_header_map(&trailers)
        .or_else(|| tonic::Status::from_header_map(head.headers()));
    let Some(status) = status else {
        let detail = format!("{} without a grpc-status", head.status());
        return retry(None, detail);
    };
    let detail = format!("{:?} {}", status.code(), status.message());
    let after = status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay);
    match status.code() {
        tonic::Code::Ok => accepted(body.to_bytes().get(5..).unwrap_or_default()),
        // Too large is RESOURCE_EXHAUSTED too: only a RetryInfo makes it worth another try.
        tonic::Code::ResourceExhausted if after.is_none() => Reply::Failed { detail },
        tonic::Code::Cancelled
        | tonic::Code::DeadlineExceeded
        | tonic::Code::ResourceExhausted
        | tonic::Code::Aborted
        | tonic::Code::OutOfRange
        | tonic::Code::Unavailable
        | tonic::Code::DataLoss => retry(after, detail),
        _ => Reply::Failed { detail },
    }
}
