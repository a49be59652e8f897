//! The receiver under test, and one way to send over all its transports.

use crate::payload::{Payload, SIGNALS, Signal};
use crate::server::{Server, until};
use crate::wire::{Grpc, GrpcAnswer, Http, HttpAnswer, Status, framed};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use std::net::SocketAddr;
use std::time::Duration;

/// Content types.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// Longest wait for the answers of one test.
const PATIENCE: Duration = Duration::from_secs(60);
/// gRPC codes that OTLP lists as retryable whatever comes with them.
const RETRYABLE_CODES: [u32; 6] = [1, 4, 10, 11, 14, 15];
const RESOURCE_EXHAUSTED: u32 = 8;
const RETRYABLE_STATUSES: [u16; 4] = [429, 502, 503, 504];

/// A receiver.
pub(crate) struct Target {
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The process, when it is Tidegate and was started by the test.
    pub(crate) server: Option<Server>,
}

/// How a request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Grpc,
    Protobuf,
    Json,
}

pub(crate) const WAYS: [Way; 3] = [Way::Grpc, Way::Protobuf, Way::Json];

/// What the sender learns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Success; `partial` is (rejected, message) when the response says anything.
    Accepted { partial: Option<(i64, String)> },
    /// Anything else.
    Refused {
        /// `google.rpc.Code`.
        code: u32,
        /// HTTP status; 0 over gRPC.
        status: u16,
        /// Whether OTLP lets a client send it again.
        is_retryable: bool,
        /// The message.
        message: String,
    },
}

impl Answer {
    /// The number of rejected items of an accepted request.
    pub(crate) fn rejected(&self) -> i64 {
        match self {
            Self::Accepted { partial } => partial.as_ref().map_or(0, |(rejected, _)| *rejected),
            refused => panic!("{refused:?}"),
        }
    }

    /// Whether everything was accepted and nothing was said.
    pub(crate) fn is_clean(&self) -> bool {
        match self {
            Self::Accepted { partial: None } => true,
            Self::Accepted {
                partial: Some((rejected, message)),
            } => *rejected == 0 && message.is_empty(),
            Self::Refused { .. } => false,
        }
    }

    /// The same, and `partial_success` is not there at all.
    pub(crate) fn has_no_partial_success(&self) -> bool {
        *self == Self::Accepted { partial: None }
    }

    /// Whether it is a permanent refusal with this gRPC code or HTTP status.
    pub(crate) fn is_refused_for_good(&self, grpc: u32, http: u16) -> bool {
        match self {
            Self::Accepted { .. } => false,
            Self::Refused {
                code,
                status,
                is_retryable,
                ..
            } => !is_retryable && (*status == http || (*status == 0 && *code == grpc)),
        }
    }

    fn of_grpc(answer: &GrpcAnswer) -> Self {
        if answer.code == 0 {
            let response = answer.response();
            return Self::Accepted {
                partial: partial(&response),
            };
        }
        let with_delay = answer.status.retry_secs().is_some();
        Self::Refused {
            code: answer.code,
            status: 0,
            is_retryable: RETRYABLE_CODES.contains(&answer.code)
                || (answer.code == RESOURCE_EXHAUSTED && with_delay),
            message: answer.message.clone(),
        }
    }

    fn of_http(answer: &HttpAnswer, way: Way) -> Self {
        if answer.status == 200 {
            let partial = match way {
                Way::Json => json_partial(&answer.json()),
                Way::Grpc | Way::Protobuf => partial(&answer.response()),
            };
            return Self::Accepted { partial };
        }
        let (code, message) = match way {
            Way::Json => {
                let body = answer.json();
                let code = body["code"].as_u64().unwrap_or(0) as u32;
                (code, body["message"].as_str().unwrap_or("").to_owned())
            }
            Way::Grpc | Way::Protobuf => {
                let Status { code, message, .. } = answer.rpc_status();
                (code as u32, message)
            }
        };
        Self::Refused {
            code,
            status: answer.status,
            is_retryable: RETRYABLE_STATUSES.contains(&answer.status),
            message,
        }
    }
}

/// All export responses have the same fields.
fn partial(response: &ExportTraceServiceResponse) -> Option<(i64, String)> {
    let partial = response.partial_success.as_ref()?;
    Some((partial.rejected_spans, partial.error_message.clone()))
}

fn json_partial(body: &serde_json::Value) -> Option<(i64, String)> {
    let partial = body.get("partialSuccess")?;
    let count = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"]
        .iter()
        .find_map(|name| partial.get(*name))
        .map_or(0, |count| match count.as_str() {
            Some(text) => text.parse().unwrap(),
            None => count.as_i64().unwrap(),
        });
    let message = partial["errorMessage"].as_str().unwrap_or("");
    Some((count, message.to_owned()))
}

impl Target {
    /// What the environment names, or a Tidegate of its own.
    fn find() -> Self {
        let given = |name| {
            let text = std::env::var(name).ok()?;
            Some(text.parse().expect("an address such as 127.0.0.1:4317"))
        };
        let (grpc, http) = ("TIDEGATE_CONFORMANCE_GRPC", "TIDEGATE_CONFORMANCE_HTTP");
        match (given(grpc), given(http)) {
            (Some(grpc), Some(http)) => Self {
                grpc,
                http,
                server: None,
            },
            _ => Self::tidegate(&[]),
        }
    }

    /// A Tidegate with these settings (environment variables).
    pub(crate) fn tidegate(settings: &[(&str, &str)]) -> Self {
        let server = Server::start_with(&[], settings);
        let address = |url: &str| url.trim_start_matches("http://").parse().unwrap();
        Self {
            grpc: address(&server.grpc),
            http: address(&server.http),
            server: Some(server),
        }
    }

    pub(crate) async fn grpc(&self) -> Grpc {
        Grpc::connect(self.grpc).await
    }

    pub(crate) async fn http(&self) -> Http {
        Http::connect(self.http).await
    }

    /// Sends one body on a connection of its own.
    pub(crate) async fn send(
        &self,
        (way, signal): (Way, Signal),
        encoding: &str,
        body: &[u8],
    ) -> Answer {
        let (path, content_type) = match way {
            Way::Grpc => {
                let headers = [("grpc-encoding", encoding)];
                let (flag, headers) = match encoding {
                    "identity" => (0, &headers[..0]),
                    _ => (1, &headers[..]),
                };
                let client = self.grpc().await;
                let answer = client.raw(signal.method(), headers, framed(flag, body));
                return Answer::of_grpc(&answer.await);
            }
            Way::Protobuf => (signal.path(), PROTOBUF),
            Way::Json => (signal.path(), JSON),
        };
        let headers = [("content-encoding", encoding)];
        let headers = match encoding {
            "identity" => &headers[..0],
            _ => &headers[..],
        };
        let mut client = self.http().await;
        let answer = client.request(::http::Method::POST, path, content_type, headers, body);
        Answer::of_http(&answer.await, way)
    }

    /// Whether the receiver is Tidegate. Others are not asked for what no specification says.
    pub(crate) fn is_tidegate(&self) -> bool {
        self.server.is_some()
    }

    /// Sends a payload plain.
    pub(crate) async fn export(&self, way: Way, payload: &Payload) -> Answer {
        let body = payload.body(way);
        self.send((way, payload.signal), "identity", body).await
    }

    /// Sends OTLP/JSON.
    pub(crate) async fn json(&self, signal: Signal, text: &str) -> Answer {
        self.send((Way::Json, signal), "identity", text.as_bytes())
            .await
    }

    /// Waits until the requests in progress hold exactly this many bytes.
    pub(crate) fn has_in_flight(&self, bytes: usize) {
        let server = self.server.as_ref().unwrap();
        let held = || {
            let (_, metrics) = server.ask("/metrics");
            let mut lines = metrics.lines();
            let line = lines.find(|line| line.starts_with("tidegate_receive_in_flight_bytes"))?;
            line.rsplit(' ').next()?.parse::<f64>().ok()
        };
        until(
            || (held() == Some(bytes as f64)).then_some(()),
            || format!("{:?} bytes are held, not {bytes}", held()),
        );
    }

    /// Fails unless this Tidegate comes to count exactly `counts` accepted items (spans, points, records).
    pub(crate) fn has_counted(&self, counts: [u64; 3]) {
        let Some(server) = &self.server else { return };
        let seen = || {
            let accepted = &server.get("/v1/status")["accepted"];
            ["spans", "points", "records"].map(|name| accepted[name].as_u64().unwrap())
        };
        until(
            || (seen() == counts).then_some(()),
            || format!("counted {:?} instead of {counts:?}", seen()),
        );
    }
}

/// Runs `test` against the target, then looks at its counts: the test returns how many items of each signal must be there.
pub(crate) fn check(test: impl AsyncFnOnce(&Target) -> [u64; 3]) {
    let target = Target::find();
    let counts = block_on(test(&target));
    target.has_counted(counts);
}

/// Runs `test` for every signal and transport, each pair with a target of its own; it returns how many items must be
/// counted.
pub(crate) fn check_all(test: impl AsyncFn(&Target, Way, Signal) -> u64) {
    let target = Target::find();
    let mut counts = [0; 3];
    for (index, signal) in SIGNALS.into_iter().enumerate() {
        for way in WAYS {
            counts[index] += block_on(test(&target, way, signal));
        }
    }
    target.has_counted(counts);
}

/// Runs a future to its end; fails when that takes too long, for another receiver may never answer.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, future).await })
        .expect("an answer in time")
}
