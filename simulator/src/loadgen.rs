//! Open-loop load: a rate over some connections, latency from the intended send time.
//!
//! A closed loop waits for slow answers and so never sees how slow the receiver is for those who do not wait
//! ("coordinated omission"). Here request k of a connection is due at k x interval whatever happened before, and
//! its latency counts from then. Without a rate it saturates: `in_flight` requests a connection at all times,
//! latency from the send. Nothing is sent twice: a refusal is a result. The runtime's timer has a grain of 1 ms,
//! which is part of the open loop's latencies.

#[cfg(test)]
mod tests;

use crate::export::{Connection, Error, Reply};
use crate::payload::{Payload, PayloadKind, Served};
use crate::random::mix;
use crate::topology::Wire;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to send where.
#[derive(Debug, Clone)]
pub struct Load {
    /// Receiver, `http://host:port`.
    pub base: String,
    /// Protocol and compression. Gzip is done by the generator as it goes and takes most of its time.
    pub wire: Wire,
    /// Bearer token.
    pub token: Option<String>,
    /// Which spans.
    pub payload: PayloadKind,
    /// Spans of a request.
    pub batch: usize,
    /// Connections, at least 1.
    pub connections: usize,
    /// Most unanswered requests of a connection, at least 1.
    pub in_flight: usize,
    /// Spans per second over all connections; `None` saturates.
    pub spans_per_second: Option<f64>,
    /// How long.
    pub duration: Duration,
    /// Starts the ids: another number for every run against the same receiver.
    pub seed: u64,
    /// Unix ns of this very moment: the caller reads the clock.
    pub origin: u64,
}

/// What came of it. At the end: sent = acked + rejected + refused + failed.
#[derive(Debug, Clone)]
pub struct Report {
    /// Requests sent.
    pub requests: u64,
    /// Spans sent.
    pub sent: u64,
    /// Spans counted by the receiver.
    pub acked: u64,
    /// Spans rejected one by one (partial success).
    pub rejected: u64,
    /// Spans of requests refused for now (retryable).
    pub refused: u64,
    /// Spans of requests refused for good.
    pub failed: u64,
    /// Spans that were due but not sent because the receiver lagged by more than the whole duration.
    pub unsent: u64,
    /// First failure or refusal, for people; empty without one.
    pub first_problem: String,
    /// Bytes of one span with its share of the request, before compression.
    pub bytes_per_span: f64,
    /// From the first send to the last answer, s.
    pub seconds: f64,
    /// Latency, microseconds, three significant digits; 1 us to 10 min.
    pub latency_micros: Histogram<u64>,
    /// Entry spans by `service.name` in what was sent: what an SLO must count when everything was acked.
    pub served: BTreeMap<String, Served>,
}

/// Highest latency the histogram tells apart.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// Runs the load to its end, or until it is cancelled.
///
/// # Errors
/// When the address or the token cannot be used; everything later is in the report.
pub async fn run(load: &Load, cancel: &CancellationToken) -> Result<Report, Error> {
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for index in 0..load.connections.max(1) {
        let connection = Connection::new(&load.base, load.wire, load.token.as_deref())?;
        let worker = Worker::new(load.clone(), index, connection, started);
        workers.spawn(worker.run(cancel.clone()));
    }
    let mut report = Report::empty(0.0);
    while let Some(ended) = workers.join_next().await {
        match ended {
            Ok(part) => report.add(&part),
            Err(error) => report.first_problem = error.to_string(),
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

impl Report {
    fn empty(bytes_per_span: f64) -> Self {
        Self {
            requests: 0,
            sent: 0,
            acked: 0,
            rejected: 0,
            refused: 0,
            failed: 0,
            unsent: 0,
            first_problem: String::new(),
            bytes_per_span,
            seconds: 0.0,
            latency_micros: Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3)
                .expect("1 us to 10 min with three digits is what hdrhistogram takes"),
            served: BTreeMap::new(),
        }
    }

    /// Spans answered as counted, per second of the whole run.
    pub fn acked_per_second(&self) -> f64 {
        self.acked as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    fn count(&mut self, spans: u64, latency: Duration, reply: Reply) {
        let micros = latency.as_micros() as u64;
        self.latency_micros.saturating_record(micros.max(1));
        match reply {
            Reply::Accepted(partial) => {
                let rejected = partial.rejected_spans.min(spans);
                self.rejected += rejected;
                self.acked += spans - rejected;
                if rejected > 0 {
                    self.note(partial.error_message);
                }
            }
            Reply::Retry { detail, .. } => {
                self.refused += spans;
                self.note(detail);
            }
            Reply::Failed { detail } => {
                self.failed += spans;
                self.note(detail);
            }
        }
    }

    fn note(&mut self, problem: String) {
        if self.first_problem.is_empty() {
            self.first_problem = problem;
        }
    }

    fn add(&mut self, part: &Self) {
        self.requests += part.requests;
        self.sent += part.sent;
        self.acked += part.acked;
        self.rejected += part.rejected;
        self.refused += part.refused;
        self.failed += part.failed;
        self.unsent += part.unsent;
        self.bytes_per_span = part.bytes_per_span;
        self.note(part.first_problem.clone());
        for (service, served) in &part.served {
            self.served.entry(service.clone()).or_default().add(*served);
        }
        if let Err(error) = self.latency_micros.add(&part.latency_micros) {
            self.note(error.to_string());
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |quantile| self.latency_micros.value_at_quantile(quantile) as f64 / 1e3;
        writeln!(
            f,
            "spans     {} sent, {} acked, {} rejected, {} refused, {} failed, {} unsent",
            self.sent, self.acked, self.rejected, self.refused, self.failed, self.unsent
        )?;
        writeln!(
            f,
            "rate      {:.0} spans/s acked over {:.1} s, {} requests, {:.0} B a span",
            self.acked_per_second(),
            self.seconds,
            self.requests,
            self.bytes_per_span
        )?;
        write!(
            f,
            "latency   p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
            millis(0.5),
            millis(0.9),
            millis(0.99),
            millis(0.999),
            self.latency_micros.max() as f64 / 1e3
        )?;
        if !self.first_problem.is_empty() {
            write!(f, "\nproblem   {}", self.first_problem)?;
        }
        Ok(())
    }
}

struct Worker {
    load: Load,
    connection: Connection,
    payload: Payload,
    started: Instant,
    /// When this connection's first request is due, and the time between two; `None` saturates.
    schedule: Option<(Duration, Duration)>,
}

impl Worker {
    fn new(load: Load, index: usize, connection: Connection, started: Instant) -> Self {
        let connections = load.connections.max(1);
        let schedule = load.spans_per_second.map(|rate| {
            let each = load.batch.max(1) as f64 / rate.max(f64::MIN_POSITIVE);
            let bounded = each.min(load.duration.as_secs_f64() + 1.0);
            let interval = Duration::from_secs_f64(bounded);
            (interval * index as u32, interval * connections as u32)
        });
        let seed = mix(load.seed).wrapping_add(index as u64);
        Self {
            payload: Payload::new(load.payload, load.batch, seed),
            load,
            connection,
            started,
            schedule,
        }
    }

    async fn run(mut self, cancel: CancellationToken) -> Report {
        let mut report = Report::empty(self.payload.bytes_per_span());
        let spans = self.payload.spans();
        let permits = Arc::new(Semaphore::new(self.load.in_flight.max(1)));
        let mut open = JoinSet::new();
        let mut number = 0;
        while let Some(due) = self.due(number) {
            let ready = async {
                tokio::time::sleep_until(due).await;
                permits.clone().acquire_owned().await
            };
            let Some(Ok(permit)) = cancel.run_until_cancelled(ready).await else {
                break;
            };
            if self.is_late() {
                report.unsent = self.left(number) * spans;
                break;
            }
            let from = if self.schedule.is_some() {
                due
            } else {
                Instant::now()
            };
            let (connection, body) = (self.connection.clone(), self.body());
            number += 1;
            open.spawn(async move {
                let reply = connection.send(body).await;
                drop(permit);
                (from.elapsed(), reply)
            });
            while let Some(answered) = open.try_join_next() {
                note_answer(&mut report, spans, answered);
            }
        }
        while let Some(answered) = open.join_next().await {
            note_answer(&mut report, spans, answered);
        }
        report.requests = number;
        report.sent = number * spans;
        report.served = self.payload.served(number);
        report
    }

    /// When request `number` is due; `None` when the run is over by then.
    fn due(&self, number: u64) -> Option<Instant> {
        let offset = match self.schedule {
            Some((first, interval)) => first + interval.mul_f64(number as f64),
            None => self.started.elapsed(),
        };
        (offset < self.load.duration).then(|| self.started + offset)
    }

    /// An open loop sends all that was due, but not for ever.
    fn is_late(&self) -> bool {
        self.started.elapsed() > self.load.duration * 2
    }

    /// Requests from `number` on that were due before the end.
    fn left(&self, number: u64) -> u64 {
        (number..)
            .take_while(|number| self.due(*number).is_some())
            .count() as u64
    }

    fn body(&mut self) -> bytes::Bytes {
        let now = self.load.origin + self.started.elapsed().as_nanos() as u64;
        self.connection.frame(self.payload.next_request(now))
    }
}

fn note_answer(
    report: &mut Report,
    spans: u64,
    answered: Result<(Duration, Reply), tokio::task::JoinError>,
) {
    match answered {
        Ok((latency, reply)) => report.count(spans, latency, reply),
        Err(error) => {
            report.failed += spans;
            report.note(error.to_string());
        }
    }
}
