//! The OTLP receivers: gRPC and HTTP on hyper, one pipeline behind both.
//!
//! - **Does**: takes requests off sockets, refuses what cannot be accepted with the code the client needs, decodes the
//!   rest and hands it on. An answer of success means the engine's queue holds the columns, never less.
//! - **In / out**: bound listeners in; [`Accepted`] out through a bounded channel; [`ReceiveStats`] to look at.
//! - **Does not know**: what items mean, who is the engine, what is recorded. Never decides, never drops what it acknowledged.
//! - **Owns**: one task a connection, one reservation a request ([`Reservation`]). [`Receiver::serve`] returns when all are done.
//! - **Limits**: [`ReceiveConfig`]; at each one the request is refused, with a delay when the fault will pass.
//! - **Sources**: OTLP 1.11 specification; gRPC over HTTP/2; RFC 9110, 9112, 9113.
//! - **Read next**: [`pipeline`], `refusal` (the table of answers), `grpc`, `http`, `compression`, `connection`.

mod admission;
mod body;
mod compression;
mod connection;
mod framing;
mod grpc;
mod http;
mod pipeline;
mod refusal;
mod reply;
mod stats;
mod token;
mod wire;

pub use admission::Reservation;
pub use compression::{DecompressError, Encoding, decompress};
pub use stats::ReceiveStats;
pub use token::Token;

use crate::otlp::{DecodeLimits, Decoded, Format};
use admission::Budget;
use bytes::Bytes;
use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use pipeline::Pipeline;
use refusal::Refusal;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Delay that a refused client is asked to wait, seconds.
pub const RETRY_AFTER_SECS: u32 = 1;

/// Settings of the receivers. [`ReceiveConfig::default`] has the recommended values.
#[derive(Debug, Clone)]
pub struct ReceiveConfig {
    /// Largest request, bytes, before and after decompression. Default 64 MiB, as OTLP 1.11 recommends. Beyond: permanent refusal.
    pub request_bytes_max: usize,
    /// Memory for all requests in flight (bodies, decompressed bodies, columns the engine has not taken yet), bytes.
    /// Default 256 MiB; at least three times `request_bytes_max`, or the largest request could never be admitted.
    /// Beyond: retryable refusal.
    pub in_flight_bytes_max: usize,
    /// Most open connections. Default 4096. Beyond: closed at once.
    pub connections_max: usize,
    /// Longest wait for a connection's first request. Default 10 s.
    pub header_timeout: Duration,
    /// Longest wait for the body of a request. Default 30 s.
    pub body_timeout: Duration,
    /// Longest pause between requests. Default 10 min: metric exporters send once a minute.
    pub idle_timeout: Duration,
    /// Longest wait at shutdown for requests in progress. Default 5 s.
    pub drain_timeout: Duration,
    /// Bounds on what one request may hold.
    pub decode: DecodeLimits,
    /// Paths of OTLP over HTTP.
    pub paths: HttpPaths,
    /// Origins whose pages may send over HTTP (CORS), each exact, such as `https://app.example.com`. Default none.
    pub cors_origins: Vec<String>,
    /// Bearer token every request must carry; `None` = open to whoever reaches the port.
    pub token: Option<Token>,
}

impl Default for ReceiveConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            request_bytes_max: 64 * MIB,
            in_flight_bytes_max: 256 * MIB,
            connections_max: 4096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(5),
            decode: DecodeLimits::default(),
            paths: HttpPaths::default(),
            cors_origins: Vec::new(),
            token: None,
        }
    }
}

/// Where each signal is posted over HTTP: exact paths, each beginning with `/`, no two the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPaths {
    /// Spans. Default `/v1/traces`.
    pub traces: String,
    /// Metric points. Default `/v1/metrics`.
    pub metrics: String,
    /// Log records. Default `/v1/logs`.
    pub logs: String,
}

impl Default for HttpPaths {
    fn default() -> Self {
        Self {
            traces: "/v1/traces".to_owned(),
            metrics: "/v1/metrics".to_owned(),
            logs: "/v1/logs".to_owned(),
        }
    }
}

impl HttpPaths {
    /// The signal posted to `path`.
    fn signal(&self, path: &str) -> Option<Signal> {
        [
            (&self.traces, Signal::Traces),
            (&self.metrics, Signal::Metrics),
            (&self.logs, Signal::Logs),
        ]
        .into_iter()
        .find_map(|(known, signal)| (known == path).then_some(signal))
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The largest request would be refused for ever, with a code that says "try again".
    #[error(
        "in_flight_bytes_max: expected at least {least} (three times request_bytes_max), got `{got}`"
    )]
    InFlightTooSmall {
        /// Smallest value that works.
        least: usize,
        /// The value given.
        got: usize,
    },
    /// No browser sends such an origin.
    #[error("cors_origins: expected an origin such as https://app.example.com, got `{got}`")]
    CorsOrigin {
        /// The value given.
        got: String,
    },
    /// Lengths on the wire are 32-bit.
    #[error("request_bytes_max: expected 1 to {most}, got `{got}`")]
    RequestBytes {
        /// Largest value that works.
        most: usize,
        /// The value given.
        got: usize,
    },
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// A request as it was received: what a log records.
#[derive(Debug)]
pub struct Request {
    /// How it came in.
    pub protocol: Protocol,
    /// Kind of its items.
    pub signal: Signal,
    /// How the plain body is written.
    pub format: Format,
    /// How `body` is compressed.
    pub encoding: Encoding,
    /// When the last byte of it was there.
    pub received: Timestamp,
    /// The export request, still compressed, without transport framing.
    pub body: Bytes,
}

/// A decoded request on its way to the engine. Its share of memory is given back when this is dropped.
#[derive(Debug)]
pub struct Accepted {
    /// The request.
    pub request: Request,
    /// Its items.
    pub decoded: Decoded,
    /// Its share of [`ReceiveConfig::in_flight_bytes_max`].
    pub hold: Reservation,
}

/// The receivers, before they run.
pub struct Receiver {
    pipeline: Arc<Pipeline>,
}

impl Receiver {
    /// Receivers that decode with `seed`, hand on to `sink` and read the time from `clock`.
    ///
    /// When `sink` is full or closed requests are refused, retryably.
    ///
    /// # Errors
    /// When the limits of `config` contradict each other.
    pub fn new(
        config: ReceiveConfig,
        seed: HashSeed,
        sink: mpsc::Sender<Accepted>,
        clock: fn() -> Timestamp,
    ) -> Result<Self, ConfigError> {
        check(&config)?;
        let budget = Budget::new(config.in_flight_bytes_max);
        let stats = ReceiveStats::new(&budget);
        let pipeline = Pipeline {
            cors: connection::cors(&config.cors_origins)?,
            config,
            budget,
            stats,
            seed,
            sink,
            clock,
            workers: Mutex::new(Vec::new()),
        };
        Ok(Self {
            pipeline: Arc::new(pipeline),
        })
    }

    /// The counters, to be read at any time.
    pub fn stats(&self) -> Arc<ReceiveStats> {
        Arc::clone(&self.pipeline.stats)
    }

    /// Serves gRPC and HTTP on every one of `listeners` until `shutdown`; then requests in progress are answered
    /// (at most [`ReceiveConfig::drain_timeout`]) and the sink is released.
    pub async fn serve(self, listeners: Vec<TcpListener>, shutdown: CancellationToken) {
        let slots = Arc::new(Semaphore::new(
            self.pipeline
                .config
                .connections_max
                .min(Semaphore::MAX_PERMITS),
        ));
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(connection::accept_loop(
                Arc::clone(&self.pipeline),
                listener,
                Arc::clone(&slots),
                shutdown.clone(),
            ));
        }
        while loops.join_next().await.is_some() {}
    }
}

impl Pipeline {
    /// Whether the request may be made at all.
    fn authorize(&self, headers: &::http::HeaderMap) -> Result<(), Refusal> {
        let presented = headers.get(::http::header::AUTHORIZATION);
        match self.config.token {
            Some(token) if !token.matches(presented.map(|value| value.as_bytes())) => {
                Err(Refusal::Unauthenticated)
            }
            _ => Ok(()),
        }
    }
}

fn check(config: &ReceiveConfig) -> Result<(), ConfigError> {
    let most = u32::MAX as usize / 4;
    let got = config.request_bytes_max;
    if got == 0 || got > most {
        return Err(ConfigError::RequestBytes { most, got });
    }
    let least = 3 * config.request_bytes_max;
    if config.in_flight_bytes_max < least {
        return Err(ConfigError::InFlightTooSmall {
            least,
            got: config.in_flight_bytes_max,
        });
    }
    Ok(())
}
