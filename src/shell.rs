//! The engine's thread: puts inputs in log order, keeps the log and the checkpoints, publishes snapshots and hands
//! effects on. All waiting happens here; the engine itself never waits.

use crate::clock;
use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use engine::batch::Batch;
use engine::decider::Decider;
use engine::delta::Counter;
use engine::delta::Fate;
use engine::input::{Effect, EffectKind, Gap, Input};
use engine::machine::{Engine, EngineConfig};
use engine::snapshot::{Decision, Snapshot};
use engine::standing::Standings;
use engine::time::Timestamp;
use ingest::log::{Checkpoints, LogWriter, RecordBody, RequestRecord};
use ingest::receive::Accepted;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Checkpoint interval: after a kill -9 at most this much is missing.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// Requests folded in a row before control inputs and ticks get a turn.
const REQUESTS_AT_ONCE: usize = 64;

/// What readers hold: the last published snapshot, and a counter to wait on.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The snapshot.
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    /// Its generation.
    pub(crate) generation: watch::Receiver<u64>,
    /// What stands, for executors that show it: restored at the start, then as of the last tick.
    pub(crate) standings: watch::Receiver<Arc<Standings>>,
}

/// The ends of the channels that the shell reads and writes.
#[derive(Debug)]
pub(crate) struct Channels {
    /// Decoded requests.
    pub(crate) requests: mpsc::Receiver<Accepted>,
    /// Everything else that can change state.
    pub(crate) control: mpsc::Receiver<Input>,
    /// Messages for webhooks.
    pub(crate) effects: mpsc::Sender<Effect>,
    /// Actions and Events for the cluster; `None` without one.
    pub(crate) hand: Option<mpsc::Sender<Effect>>,
}

/// How the shell keeps things.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// Records every input.
    pub(crate) log: Option<LogWriter>,
    /// Keeps the state across restarts.
    pub(crate) checkpoints: Option<Checkpoints>,
    /// Tick interval.
    pub(crate) tick: Duration,
}

/// Engine, log and checkpoints, owned by one thread.
#[derive(Debug)]
pub(crate) struct Shell {
    engine: Engine,
    keeping: Keeping,
    snapshot: Arc<ArcSwap<Snapshot>>,
    generation: watch::Sender<u64>,
    standings: watch::Sender<Arc<Standings>>,
    offered: BTreeSet<u128>,
    checkpointed_at: Timestamp,
    /// Number of the newest decision looked at.
    decisions_seen: u64,
    /// What the hand had decided by then.
    fence: u64,
}

/// Loads the newest checkpoint, if there is one: the state to go on from and the gap to report.
///
/// # Errors
/// When the data directory cannot be read, is of a newer version, or holds a state that does not decode.
pub(crate) fn load(checkpoints: &Checkpoints) -> Result<Option<Decider>> {
    let Some(loaded) = checkpoints.load()? else {
        return Ok(None);
    };
    for path in &loaded.damaged {
        tracing::error!(path = %path.display(), "a checkpoint is damaged and was skipped: counts since the one before it are missing");
    }
    let decider = postcard::from_bytes(&loaded.content).context(
        "the checkpoint does not decode: it was written by another build of this format",
    )?;
    Ok(Some(decider))
}

impl Shell {
    /// A shell around a fresh engine, or around one that goes on from a checkpoint.
    pub(crate) fn new(
        config: &EngineConfig,
        restored: Option<Decider>,
        keeping: Keeping,
    ) -> (Self, Published) {
        let gap = restored.as_ref().map(|decider| Gap {
            from: decider.now(),
            to: clock::now(),
        });
        let mut engine = Engine::new(config, restored.unwrap_or_default());
        if let Some(gap) = gap {
            engine.apply(gap.to, Input::Gap(gap), &mut Vec::new());
        }
        let decisions_seen = engine
            .decider()
            .decisions()
            .next()
            .map_or(0, |newest| newest.number);
        let fence = engine.decider().hand_fence();
        let first = engine.snapshot();
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot {
            is_recovering: true,
            ..first
        }));
        let (generation, receiver) = watch::channel(0);
        let (standings, shown) = watch::channel(Arc::clone(&snapshot.load().standings));
        let published = Published {
            snapshot: Arc::clone(&snapshot),
            generation: receiver,
            standings: shown,
        };
        let shell = Self {
            engine,
            keeping,
            snapshot,
            generation,
            standings,
            offered: BTreeSet::new(),
            checkpointed_at: Timestamp::EPOCH,
            decisions_seen,
            fence,
        };
        (shell, published)
    }

    /// Runs until both channels are closed, then writes a last checkpoint. Call on a thread of its own.
    pub(crate) async fn run(mut self, mut channels: Channels) {
        let mut ticks = tokio::time::interval(self.keeping.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut requests = Vec::with_capacity(REQUESTS_AT_ONCE);
        let (mut is_control_open, mut are_requests_open) = (true, true);
        while is_control_open || are_requests_open {
            tokio::select! {
                biased;
                input = channels.control.recv(), if is_control_open => match input {
                    Some(input) => self.control(input, &channels),
                    None => is_control_open = false,
                },
                _ = ticks.tick() => self.tick(&channels),
                received = channels.requests.recv_many(&mut requests, REQUESTS_AT_ONCE), if are_requests_open => {
                    are_requests_open = received > 0;
                    self.requests(requests.drain(..));
                }
            }
        }
        self.tick(&channels);
        self.checkpoint();
        self.write(|log| log.sync());
    }

    /// Logs requests in the order they came, then folds all of them at once. Their memory is given back after that.
    fn requests(&mut self, accepted: impl Iterator<Item = Accepted>) {
        let (mut batches, mut holds) = (Vec::new(), Vec::new());
        for Accepted {
            request,
            decoded,
            hold,
        } in accepted
        {
            let (signal, rejected) = (decoded.signal, decoded.items_rejected());
            let own: Vec<Arc<Batch>> = decoded.batches.into_iter().map(Arc::new).collect();
            if self.keeping.log.is_some() {
                let record = RecordBody::Request(RequestRecord {
                    protocol: request.protocol,
                    signal: request.signal,
                    format: request.format,
                    encoding: request.encoding,
                    rejected: u32::try_from(rejected).unwrap_or(u32::MAX),
                    columns_digest: ingest::log::columns_digest(&own),
                    body: request.body,
                });
                self.append(request.received, &record);
            }
            self.engine
                .count(Counter::Items(signal, Fate::Rejected), rejected);
            batches.extend(own);
            holds.push(hold);
        }
        fold(&mut self.engine, batches);
        drop(holds);
    }

    fn control(&mut self, input: Input, channels: &Channels) {
        let now = clock::now();
        if let Some(record) = control_record(&input) {
            self.append(now, &record);
        }
        self.engine.apply(now, input, &mut Vec::new());
        if self.must_keep() {
            self.checkpoint();
        }
        self.offer(channels);
    }

    fn tick(&mut self, channels: &Channels) {
        let now = clock::now();
        self.append(now, &RecordBody::Tick);
        self.write(LogWriter::flush);
        let snapshot = self.engine.tick(now, &mut Vec::new());
        // A latch (and its end), and what the hand wants, is durable before anybody hears of it.
        let is_due = now.since(self.checkpointed_at) >= CHECKPOINT_EVERY.as_nanos() as u64;
        if self.must_keep() || is_due {
            self.checkpoint();
        }
        let generation = snapshot.generation;
        self.show(&snapshot.standings);
        self.snapshot.store(Arc::new(snapshot));
        self.generation.send_replace(generation);
        self.offer(channels);
    }

    /// Wakes executors when what stands has changed.
    fn show(&self, standings: &Arc<Standings>) {
        self.standings.send_if_modified(|shown| {
            let has_changed = !Arc::ptr_eq(shown, standings);
            if has_changed {
                *shown = Arc::clone(standings);
            }
            has_changed
        });
    }

    /// Whether something was decided since the last look that must be on disk before anybody acts on it.
    fn must_keep(&mut self) -> bool {
        let fence = self.engine.decider().hand_fence();
        let is_new = std::mem::replace(&mut self.fence, fence) != fence;
        self.has_new_latch() || is_new
    }

    /// Whether a Halt was latched or cleared since the last look.
    fn has_new_latch(&mut self) -> bool {
        let decider = self.engine.decider();
        let is_latch =
            |decision: &Decision| decision.latched || !decision.cleared_reason.is_empty();
        let seen = self.decisions_seen;
        let new = decider
            .decisions()
            .take_while(|decision| decision.number > seen);
        let (mut found, mut newest) = (false, seen);
        for decision in new {
            newest = newest.max(decision.number);
            found |= is_latch(decision);
        }
        self.decisions_seen = newest;
        found
    }

    /// Hands every pending effect on once; what does not fit is offered again at the next tick.
    fn offer(&mut self, channels: &Channels) {
        let pending: BTreeSet<u128> = self
            .engine
            .decider()
            .pending_effects()
            .map(|effect| effect.id)
            .collect();
        self.offered.retain(|id| pending.contains(id));
        for effect in self.engine.decider().pending_effects() {
            if self.offered.contains(&effect.id) {
                continue;
            }
            let executor = match &effect.kind {
                EffectKind::Notify { .. } => Some(&channels.effects),
                EffectKind::Act(_) | EffectKind::Tell(_) => channels.hand.as_ref(),
            };
            if executor.is_some_and(|executor| executor.try_send(effect.clone()).is_ok()) {
                self.offered.insert(effect.id);
            }
        }
    }

    fn checkpoint(&mut self) {
        let Some(checkpoints) = &self.keeping.checkpoints else {
            return;
        };
        let now = self.engine.decider().now();
        let written = postcard::to_stdvec(self.engine.decider())
            .context("the state does not serialize")
            .and_then(|content| {
                checkpoints
                    .write(now.0, &content)
                    .context("the disk refuses")
            });
        match written {
            Ok(()) => self.checkpointed_at = now,
            Err(error) => {
                tracing::error!("no checkpoint could be written, the last one stays: {error:#}");
            }
        }
    }

    fn append(&mut self, received: Timestamp, record: &RecordBody) {
        self.write(|log| log.append(received, record).map(drop));
    }

    fn write(&mut self, write: impl FnOnce(&mut LogWriter) -> std::io::Result<()>) {
        let Some(log) = &mut self.keeping.log else {
            return;
        };
        if let Err(error) = write(log) {
            tracing::error!("the recording cannot be written and ends here: {error}");
            self.keeping.log = None;
        }
    }
}

/// Folds batches in order: on this thread when there is one folder, else on one thread per folder, each of which
/// sees all of them.
fn fold(engine: &mut Engine, batches: Vec<Arc<Batch>>) {
    if let [folder] = engine.folders_mut() {
        batches.iter().for_each(|batch| folder.fold(batch));
    } else {
        std::thread::scope(|scope| {
            for folder in engine.folders_mut() {
                scope.spawn(|| batches.iter().for_each(|batch| folder.fold(batch)));
            }
        });
    }
    for batch in batches {
        engine.store(batch);
    }
}

/// The record of a control input; deltas and ticks have none here: requests and Tick records stand for them.
fn control_record(input: &Input) -> Option<RecordBody> {
    Some(match input {
        Input::Definitions(loaded) => RecordBody::Definitions(loaded.clone()),
        Input::Rollout(event) => RecordBody::Rollout(event.clone()),
        Input::Override(cleared) => RecordBody::Override(cleared.clone()),
        Input::EffectDone(done) => RecordBody::EffectDone(done.clone()),
        Input::Gap(gap) => RecordBody::Gap(*gap),
        Input::Cluster(report) => RecordBody::Cluster(report.clone()),
        Input::Steer(steering) => RecordBody::Steer(steering.clone()),
        Input::Delta(_) | Input::Tick => return None,
    })
}
