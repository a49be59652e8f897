//! The story in real time: every span through a real socket, every question through the real API.

#[cfg(test)]
mod tests;

use crate::api::Api;
use crate::controller::{GateReply, Question};
use crate::export::{Connection, Counters, Counts, Error, Exporter};
use crate::play::{Outcome, Output, Play, Request, Which};
use crate::random::mix;
use crate::scenario::Scenario;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Real time between two steps of the story.
const STEP: Duration = Duration::from_millis(20);
/// Longest wait for the last exports when the story ends.
const DRAIN: Duration = Duration::from_secs(5);
/// Most orders waiting for one controller's client, and answers waiting for the story.
const ORDERS_MAX: usize = 64;

/// Where a Tidegate listens.
#[derive(Debug, Clone)]
pub struct Targets {
    /// OTLP/gRPC, `http://host:4317`.
    pub grpc: String,
    /// OTLP/HTTP, `http://host:4318`.
    pub http: String,
    /// API and pages, `http://host:9470`.
    pub api: String,
    /// Bearer token, when it wants one.
    pub token: Option<String>,
}

/// How long the story goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// It ends after this long at the latest, unless it stays.
    pub limit: Duration,
    /// True: after the verdicts the shop stays open until it is cancelled.
    pub stay: bool,
}

/// What happens on the way, for whoever watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Moment {
    /// A controller reported this CloudEvent; the flag tells whether it was taken.
    Event(Which, Value, bool),
    /// The gate answered.
    Answer(Which, GateReply),
    /// Both rollouts are finished.
    Verdicts(Box<Outcome>),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOutcome {
    /// Verdicts and truth.
    pub outcome: Outcome,
    /// What became of the spans.
    pub counts: Counts,
}

/// Plays `scenario` against `targets`, from `origin` (Unix ns of this very moment: the caller reads the clock).
///
/// `watch` is called for every moment with the seconds since the begin; it must not block.
///
/// # Errors
/// When an address or the token cannot be used; everything later is counted, not returned.
pub async fn run(
    scenario: Scenario,
    targets: &Targets,
    origin: u64,
    length: Length,
    cancel: CancellationToken,
    watch: &mut (dyn FnMut(f64, Moment) + Send),
) -> Result<LiveOutcome, Error> {
    let (answers, mut moments) = mpsc::channel(ORDERS_MAX);
    let mut stage = Stage::open(Play::new(scenario, origin), targets, answers, &cancel)?;
    let started = Instant::now();
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut has_verdicts = false;
    loop {
        let moment = tokio::select! {
            () = cancel.cancelled() => break,
            moment = moments.recv() => moment,
            _ = steps.tick() => None,
        };
        let elapsed = started.elapsed();
        stage
            .step(origin + elapsed.as_nanos() as u64, moment.as_ref())
            .await?;
        if let Some(moment) = moment {
            watch(elapsed.as_secs_f64(), moment);
        }
        if stage.play.is_finished() && !has_verdicts {
            has_verdicts = true;
            let outcome = Box::new(stage.play.outcome());
            watch(elapsed.as_secs_f64(), Moment::Verdicts(outcome));
        }
        let is_over = has_verdicts || elapsed >= length.limit;
        if is_over && !length.stay {
            break;
        }
    }
    stage.close(&mut moments).await
}

enum Order {
    Post(Value),
    Ask(Question),
}

/// The story with its sockets.
struct Stage {
    play: Play,
    targets: Targets,
    connections: Vec<(crate::topology::Wire, Connection)>,
    exporters: Vec<Exporter>,
    counters: Arc<Counters>,
    deployers: [mpsc::Sender<Order>; 2],
    cancel: CancellationToken,
}

impl Stage {
    fn open(
        play: Play,
        targets: &Targets,
        answers: mpsc::Sender<Moment>,
        cancel: &CancellationToken,
    ) -> Result<Self, Error> {
        let api = Api::new(&targets.api, targets.token.as_deref())?;
        let deployers = Which::BOTH.map(|which| {
            let (orders, inbox) = mpsc::channel(ORDERS_MAX);
            tokio::spawn(deploy(which, api.clone(), inbox, answers.clone()));
            orders
        });
        Ok(Self {
            play,
            targets: targets.clone(),
            connections: Vec::new(),
            exporters: Vec::new(),
            counters: Arc::default(),
            deployers,
            cancel: cancel.child_token(),
        })
    }

    async fn step(&mut self, now: u64, moment: Option<&Moment>) -> Result<(), Error> {
        let mut outputs = Vec::new();
        self.play.advance(now, &mut outputs);
        if let Some(Moment::Answer(which, reply)) = moment {
            self.play.answer(*which, now, reply.clone(), &mut outputs);
        }
        self.carry_out(outputs).await
    }

    async fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), Error> {
        for output in outputs {
            let (which, order) = match output {
                Output::Request(request) => {
                    self.export(&request)?;
                    continue;
                }
                Output::Post(which, event) => (which, Order::Post(event)),
                Output::Ask(which, question) => (which, Order::Ask(question)),
            };
            if self.deployers[which as usize].send(order).await.is_err() {
                tracing::warn!("a rollout controller has ended early");
            }
        }
        Ok(())
    }

    /// One exporter for each process; processes with the same wire share connections, as behind one node agent.
    fn export(&mut self, request: &Request) -> Result<(), Error> {
        while self.exporters.len() <= request.pod {
            let pod = self.exporters.len();
            let service = self.play.shop().pods()[pod].service;
            let wire = self.play.scenario().topology.services[service].wire;
            let connection = self.connection(wire)?;
            let seed = mix(self.play.scenario().seed ^ pod as u64);
            let cancel = self.cancel.clone();
            self.exporters.push(Exporter::start(
                connection,
                self.counters.clone(),
                seed,
                cancel,
            ));
        }
        self.exporters[request.pod].offer(&request.bytes, request.spans);
        Ok(())
    }

    fn connection(&mut self, wire: crate::topology::Wire) -> Result<Connection, Error> {
        if let Some((_, known)) = self.connections.iter().find(|(other, _)| *other == wire) {
            return Ok(known.clone());
        }
        let base = if wire.is_grpc() {
            &self.targets.grpc
        } else {
            &self.targets.http
        };
        let connection = Connection::new(base, wire, self.targets.token.as_deref())?;
        self.connections.push((wire, connection.clone()));
        Ok(connection)
    }

    /// The processes end: queues are flushed, controllers finish their posts.
    async fn close(mut self, moments: &mut mpsc::Receiver<Moment>) -> Result<LiveOutcome, Error> {
        let mut outputs = Vec::new();
        self.play.flush(&mut outputs);
        self.carry_out(outputs).await?;
        let cancel = self.cancel.clone();
        let drain = async {
            drop(self.deployers);
            for exporter in self.exporters {
                exporter.close().await;
            }
            while moments.recv().await.is_some() {}
        };
        // What is not out by then is counted as failed.
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!("the last exports did not end in time");
        }
        cancel.cancel();
        Ok(LiveOutcome {
            outcome: self.play.outcome(),
            counts: self.counters.read(),
        })
    }
}

/// The client half of one controller: carries out its orders one after the other, in order.
async fn deploy(
    which: Which,
    api: Api,
    mut orders: mpsc::Receiver<Order>,
    answers: mpsc::Sender<Moment>,
) {
    while let Some(order) = orders.recv().await {
        let moment = match order {
            Order::Post(event) => {
                let is_taken = api.post_event(&event).await;
                Moment::Event(which, event, is_taken)
            }
            Order::Ask(question) => Moment::Answer(which, api.gate(&question).await),
        };
        if answers.send(moment).await.is_err() {
            return;
        }
    }
}
