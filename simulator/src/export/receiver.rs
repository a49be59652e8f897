//! A small in-process receiver for tests: real sockets, counts what the official types decode, follows a script.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What to answer to one export.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Count it, refusing this many spans.
    Accept(u64),
    /// HTTP status, with `Retry-After` seconds.
    Http(u16, Option<u64>),
    /// gRPC status, with RetryInfo.
    Grpc(tonic::Code, Option<Duration>),
}

/// What arrived.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) encodings: Vec<String>,
    pub(crate) tokens: HashSet<String>,
    pub(crate) spans: u64,
    pub(crate) ids: HashSet<(Vec<u8>, Vec<u8>)>,
    /// Server spans and failed ones, by service and version.
    pub(crate) servers: BTreeMap<(String, String), (u64, u64)>,
    pub(crate) events: Vec<Value>,
    script: VecDeque<Answer>,
}

/// The receiver: OTLP over gRPC and HTTP, `/v1/events`, and a gate that judges by what it counted.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) base: String,
    seen: Arc<Mutex<Seen>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Receiver {
    /// Listens on a free port; answers by `script`, then accepts everything.
    pub(crate) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::new(Mutex::new(Seen {
                script: script.into_iter().collect(),
                ..Seen::default()
            })),
        };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let receiver = receiver.clone();
                        async move { Ok::<_, Infallible>(receiver.serve(request).await) }
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    let served = server.serve_connection(TokioIo::new(stream), service).await;
                    drop(served);
                });
            }
        });
        receiver
    }

    pub(crate) fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap())
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        match head.uri.path() {
            "/v1/events" => {
                self.with(|seen| seen.events.push(serde_json::from_slice(&body).unwrap()));
                http_answer(StatusCode::ACCEPTED, Bytes::new())
            }
            "/v1/gate" => {
                let answer = self.judge(head.uri.query().unwrap());
                http_answer(StatusCode::OK, answer.to_string().into())
            }
            "/v1/traces" => self.export(&head.headers, "content-encoding", &body),
            path => {
                assert!(path.ends_with("TraceService/Export"), "{path}");
                assert_eq!(head.headers["te"], "trailers");
                let length = u32::from_be_bytes(body[1..5].try_into().unwrap());
                assert_eq!(length as usize, body.len() - 5);
                assert_eq!(body[0] == 1, head.headers.contains_key("grpc-encoding"));
                self.export(&head.headers, "grpc-encoding", &body[5..])
            }
        }
    }

    fn export(&self, headers: &HeaderMap, encoding: &str, body: &[u8]) -> Response<Body> {
        let text = |key: &str| {
            headers
                .get(key)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        };
        let encoding = text(encoding);
        let mut plain = body.to_vec();
        if encoding == "gzip" {
            plain.clear();
            flate2::read::GzDecoder::new(body)
                .read_to_end(&mut plain)
                .unwrap();
        }
        let request = ExportTraceServiceRequest::decode(plain.as_slice()).unwrap();
        let is_grpc = text("content-type") == "application/grpc";
        self.with(|seen| {
            seen.arrivals.push(Instant::now());
            seen.encodings.push(encoding);
            seen.tokens.insert(text("authorization"));
            let answer = seen.script.pop_front().unwrap_or(Answer::Accept(0));
            if let Answer::Accept(rejected) = answer {
                seen.count(&request);
                seen.spans -= rejected;
            }
            respond(&answer, is_grpc)
        })
    }

    /// Halts whoever fails a tenth of ten requests or more, lets pass after a hundred good ones.
    fn judge(&self, query: &str) -> Value {
        let get = |key: &str| {
            let part = query.split('&').find_map(|part| part.strip_prefix(key));
            part.unwrap().to_owned()
        };
        if get("phase=") == "admit" {
            return json!({"verdict": "proceed", "code": "ADMITTED"});
        }
        let key = (get("service="), get("candidate="));
        let (total, failed) = self.with(|seen| seen.servers.get(&key).copied().unwrap_or_default());
        match (total, failed) {
            (10.., failed) if failed * 10 >= total => {
                json!({"verdict": "halt", "code": "REGRESSION_ERRORS"})
            }
            (100.., _) => json!({"verdict": "proceed", "code": "EVIDENCE"}),
            _ => json!({"verdict": "wait", "code": "LOW_TRAFFIC"}),
        }
    }
}

impl Seen {
    fn count(&mut self, request: &ExportTraceServiceRequest) {
        for group in &request.resource_spans {
            let attributes = &group.resource.as_ref().unwrap().attributes;
            let text = |key: &str| {
                let found = attributes.iter().find(|pair| pair.key == key);
                match found.and_then(|pair| pair.value.clone()?.value) {
                    Some(Any::StringValue(text)) => text,
                    _ => String::new(),
                }
            };
            let key = (text("service.name"), text("service.version"));
            for span in &group.scope_spans[0].spans {
                self.spans += 1;
                self.ids
                    .insert((span.trace_id.clone(), span.span_id.clone()));
                if span.kind == 2 {
                    let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
                    let counts = self.servers.entry(key.clone()).or_default();
                    counts.0 += 1;
                    counts.1 += u64::from(failed);
                }
            }
        }
    }
}

fn http_answer(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn respond(answer: &Answer, is_grpc: bool) -> Response<Body> {
    let (mut message, mut trailers) = (Vec::new(), HeaderMap::new());
    match answer {
        Answer::Accept(rejected) => {
            let partial = (*rejected > 0).then(|| ExportTracePartialSuccess {
                rejected_spans: *rejected as i64,
                error_message: "some were odd".to_owned(),
            });
            let response = ExportTraceServiceResponse {
                partial_success: partial,
            };
            response.encode(&mut message).unwrap();
            trailers.insert("grpc-status", "0".parse().unwrap());
        }
        Answer::Http(code, after) => {
            let status = StatusCode::from_u16(*code).unwrap();
            let mut response = http_answer(status, Bytes::from_static(b"no"));
            if let Some(after) = after {
                response
                    .headers_mut()
                    .insert("retry-after", (*after).into());
            }
            return response;
        }
        Answer::Grpc(code, after) => {
            use tonic_types::{ErrorDetails, StatusExt};
            let details = match after {
                Some(after) => ErrorDetails::with_retry_info(Some(*after)),
                None => ErrorDetails::new(),
            };
            let status = tonic::Status::with_error_details(*code, "no", details);
            status.add_header(&mut trailers).unwrap();
        }
    }
    if !is_grpc {
        return http_answer(StatusCode::OK, message.into());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend_from_slice(&message);
    let body = Full::new(Bytes::from(framed)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed_unsync());
    response
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    response
}
