//! Watches the definitions directory: parse, validate, swap; a bad file keeps the old state and says so.
//!
//! Three things cause a reading: a change reported by the file system (after [`WatchOptions::quiet`] without another
//! one, so that a file being written is read when it is whole), a difference found by looking every
//! [`WatchOptions::poll`] (network file systems report nothing), and an explicit request ([`Reloader`], for
//! `POST /-/reload` and SIGHUP). A ConfigMap's swap of `..data` is a change in the directory like any other.

use super::load::{LoadOptions, definition_files, load_dir};
use engine::input::DefinitionsLoaded;
use notify::{RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};
use tokio_util::sync::CancellationToken;

/// Reload requests that may wait; more are held back at their sender.
const REQUESTS_MAX: usize = 16;

/// What to watch and how.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The directory.
    pub directory: PathBuf,
    /// How to read it; `generation` is the last one in use, the next success gets the next number.
    pub load: LoadOptions,
    /// A change is read when this long no other came (at most ten times as long after the first).
    pub quiet: Duration,
    /// How often to look for changes that were not reported.
    pub poll: Duration,
}

impl WatchOptions {
    /// Defaults for `directory`: 200 ms and 10 s.
    pub fn new(directory: PathBuf, load: LoadOptions) -> Self {
        Self {
            directory,
            load,
            quiet: Duration::from_millis(200),
            poll: Duration::from_secs(10),
        }
    }
}

/// Asks a [`Watch`] to read again now.
#[derive(Debug, Clone)]
pub struct Reloader(mpsc::Sender<oneshot::Sender<DefinitionsLoaded>>);

impl Reloader {
    /// Reads the directory again, even when nothing changed, and returns what was sent on; `None` when the
    /// watcher has ended.
    pub async fn reload(&self) -> Option<DefinitionsLoaded> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.ok()?;
        answer.await.ok()
    }
}

/// A watcher, not yet running.
#[derive(Debug)]
pub struct Watch {
    options: WatchOptions,
    requests: mpsc::Receiver<oneshot::Sender<DefinitionsLoaded>>,
    out: mpsc::Sender<DefinitionsLoaded>,
}

/// Makes a watcher that sends into `out`, and the handle that makes it read again.
pub fn watch(options: WatchOptions, out: mpsc::Sender<DefinitionsLoaded>) -> (Watch, Reloader) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    (
        Watch {
            options,
            requests,
            out,
        },
        Reloader(sender),
    )
}

/// Files behind their links, with sizes and times: differs when anything was changed, but for a change of the same
/// size within the clock's grain. Only polling relies on it; what is reported is read.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl Watch {
    /// Reads the directory at once, then after every change, until `stop` or until nobody listens.
    pub async fn run(mut self, stop: CancellationToken) {
        // One waiting mark is enough: it says "look again", not what changed.
        let (mark, mut changes) = mpsc::channel(1);
        // Held for as long as we run; dropping it ends the watching.
        let _watcher = start(&self.options.directory, mark);
        let mut poll = interval_at(Instant::now() + self.options.poll, self.options.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = fingerprint(&self.options.directory);
        let mut is_open = self.read(None).await;
        while is_open {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(reply) = self.requests.recv() => {
                    seen = fingerprint(&self.options.directory);
                    is_open = self.read(Some(reply)).await;
                }
                Some(()) = changes.recv() => {
                    self.settle(&mut changes).await;
                    seen = fingerprint(&self.options.directory);
                    is_open = self.read(None).await;
                }
                _ = poll.tick() => is_open = self.read_if_changed(&mut seen).await,
            }
        }
    }

    /// Waits until no change came for `quiet`.
    async fn settle(&self, changes: &mut mpsc::Receiver<()>) {
        let last = Instant::now() + self.options.quiet * 10;
        loop {
            let next = (Instant::now() + self.options.quiet).min(last);
            match timeout_at(next, changes.recv()).await {
                Ok(Some(())) if Instant::now() < last => {}
                _ => return,
            }
        }
    }

    async fn read_if_changed(&mut self, seen: &mut Fingerprint) -> bool {
        let now = fingerprint(&self.options.directory);
        if now == *seen {
            return true;
        }
        // Taken before reading: what changes meanwhile is seen as a difference next time.
        *seen = now;
        self.read(None).await
    }

    /// Reads and sends on; false when nobody listens any more.
    async fn read(&mut self, reply: Option<oneshot::Sender<DefinitionsLoaded>>) -> bool {
        let directory = self.options.directory.clone();
        let next = self.options.load.generation + 1;
        let load = LoadOptions {
            generation: next,
            ..self.options.load.clone()
        };
        let Ok(loaded) = tokio::task::spawn_blocking(move || load_dir(&directory, &load)).await
        else {
            return false;
        };
        if loaded.definitions.is_some() {
            self.options.load.generation = next;
        }
        report(&self.options.directory, &loaded);
        let is_open = self.out.send(loaded.clone()).await.is_ok();
        if let Some(reply) = reply {
            // The one who asked may have gone; the definitions are in use all the same.
            drop(reply.send(loaded));
        }
        is_open
    }
}

fn report(directory: &Path, loaded: &DefinitionsLoaded) {
    let summary = super::show::summary(loaded);
    let directory = directory.display();
    if loaded.definitions.is_some() {
        tracing::info!(%directory, %summary, "definitions loaded");
    } else {
        tracing::error!(%directory, %summary, "definitions refused, the old ones stay in use");
    }
    for problem in &loaded.problems {
        let text = super::show::problem_text(problem);
        if problem.is_error {
            tracing::error!("{text}");
        } else {
            tracing::warn!("{text}");
        }
    }
}

/// Starts the file system's own reports; `None` where there are none (polling goes on).
fn start(directory: &Path, mark: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading files is reported too, and would make us read again for ever.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel holds the mark already; a closed one means that we are ending.
            mark.try_send(()).unwrap_or_default();
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "changes are not reported here, looking for them instead");
        })
        .ok()
}

fn fingerprint(directory: &Path) -> Fingerprint {
    let mark = |path: PathBuf| {
        let metadata = std::fs::metadata(&path);
        let size = metadata.as_ref().map_or(u64::MAX, std::fs::Metadata::len);
        (
            path,
            size,
            metadata.and_then(|metadata| metadata.modified()).ok(),
        )
    };
    definition_files(directory).into_iter().map(mark).collect()
}

#[cfg(test)]
mod tests;
