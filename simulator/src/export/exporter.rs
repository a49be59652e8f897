//! The sending half of one simulated process: a bounded queue, one request at a time, retries as the SDKs do.

use super::connection::{Connection, Reply};
use crate::random::Random;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Most requests waiting in one exporter; beyond, new ones are dropped and counted.
pub const REQUESTS_MAX: usize = 16;
/// A request is given up after this many tries: with the back-off below, about a minute.
const TRIES_MAX: u32 = 8;
/// First pause before another try; doubles, with jitter, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Longest pause a receiver may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(60);

/// What became of the spans, counted by the sender. At rest: sent = acked + rejected + failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Spans taken for sending.
    pub sent: u64,
    /// Spans the receiver counted.
    pub acked: u64,
    /// Spans the receiver refused for good while it took the rest of their request.
    pub rejected: u64,
    /// Spans of requests that failed for good or were given up.
    pub failed: u64,
    /// Spans dropped before sending: the queue of requests was full.
    pub dropped: u64,
    /// Requests sent again.
    pub retried: u64,
}

/// The live form of [`Counts`], shared by all exporters of a run.
#[derive(Debug, Default)]
pub struct Counters {
    sent: AtomicU64,
    acked: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    retried: AtomicU64,
}

impl Counters {
    /// The counts now; not one instant for all of them while exporters run.
    pub fn read(&self) -> Counts {
        Counts {
            sent: self.sent.load(Relaxed),
            acked: self.acked.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            retried: self.retried.load(Relaxed),
        }
    }
}

struct Job {
    body: Bytes,
    spans: u64,
}

/// One exporter: a task and its queue.
#[derive(Debug)]
pub struct Exporter {
    queue: mpsc::Sender<Job>,
    connection: Connection,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts the task; it ends when the exporter is closed or, giving up what waits, when `cancel` is.
    pub fn start(
        connection: Connection,
        counters: Arc<Counters>,
        seed: u64,
        cancel: CancellationToken,
    ) -> Self {
        let (queue, jobs) = mpsc::channel(REQUESTS_MAX);
        let worker = Worker {
            connection: connection.clone(),
            counters: counters.clone(),
            random: Random::new(seed, "exporter"),
            cancel,
        };
        Self {
            queue,
            connection,
            counters,
            task: tokio::spawn(worker.run(jobs)),
        }
    }

    /// Queues an encoded request of `spans` spans, or drops it when the queue is full.
    pub fn offer(&self, request: &[u8], spans: u64) {
        let job = Job {
            body: self.connection.frame(request),
            spans,
        };
        match self.queue.try_send(job) {
            Ok(()) => self.counters.sent.fetch_add(spans, Relaxed),
            Err(_) => self.counters.dropped.fetch_add(spans, Relaxed),
        };
    }

    /// Sends what waits and ends.
    pub async fn close(self) {
        drop(self.queue);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "an exporter ended badly");
        }
    }
}

struct Worker {
    connection: Connection,
    counters: Arc<Counters>,
    random: Random,
    cancel: CancellationToken,
}

impl Worker {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let cancel = self.cancel.clone();
            let is_cut_short = cancel
                .run_until_cancelled(self.export(&job))
                .await
                .is_none();
            if is_cut_short {
                self.counters.failed.fetch_add(job.spans, Relaxed);
            }
        }
    }

    async fn export(&mut self, job: &Job) {
        let mut pause = PAUSE;
        for attempt in 1..=TRIES_MAX {
            match self.connection.send(job.body.clone()).await {
                Reply::Accepted(partial) => {
                    let rejected = partial.rejected_spans.min(job.spans);
                    self.counters.rejected.fetch_add(rejected, Relaxed);
                    self.counters.acked.fetch_add(job.spans - rejected, Relaxed);
                    return;
                }
                Reply::Retry { after, detail } if attempt < TRIES_MAX => {
                    tracing::debug!(%detail, attempt, "export will be tried again");
                    self.counters.retried.fetch_add(1, Relaxed);
                    tokio::time::sleep(self.pause(pause, after)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Reply::Retry { detail, .. } | Reply::Failed { detail } => {
                    tracing::warn!(%detail, spans = job.spans, "export failed");
                    break;
                }
            }
        }
        self.counters.failed.fetch_add(job.spans, Relaxed);
    }

    /// Never less than the receiver asked for; otherwise half to one and a half of the back-off.
    fn pause(&mut self, backoff: Duration, asked: Option<Duration>) -> Duration {
        match asked {
            Some(asked) => asked.min(PAUSE_ASKED_MAX),
            None => backoff.mul_f64(0.5 + self.random.unit()),
        }
    }
}
