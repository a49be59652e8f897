//! The whole core as one machine: folders, decider and store, driven by records in log order.
//!
//! `serve`, `replay`, `demo --fast` and the simulation tests all run exactly this. The shell may fold on several
//! threads ([`Engine::folders_mut`]): results never depend on how many folders there are.

use crate::batch::Batch;
use crate::decider::Decider;
use crate::delta::{Counter, Delta};
use crate::folder::{Folder, FolderLimits};
use crate::hash::{HashSeed, SHARDS};
use crate::input::{Effect, Input};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::time::Timestamp;
use std::sync::Arc;

/// Sizes of an engine.
#[derive(Debug, Clone, Copy)]
pub struct EngineConfig {
    /// Seed of shards and item keys.
    pub seed: HashSeed,
    /// Number of folders, 1..=64.
    pub folders: usize,
    /// Caps of every folder's tables.
    pub limits: FolderLimits,
    /// Byte budget of the hot store.
    pub store_bytes: u64,
}

/// Folders, decider and store.
#[derive(Debug)]
pub struct Engine {
    folders: Vec<Folder>,
    decider: Decider,
    store: Store,
    counted: Delta,
}

impl Engine {
    /// A new engine, or one that goes on from a checkpoint's decider.
    pub fn new(config: &EngineConfig, decider: Decider) -> Self {
        let count = config.folders.clamp(1, SHARDS);
        let mut folders: Vec<Folder> = (0..count)
            .map(|index| {
                let shards = (index..SHARDS).step_by(count).map(|shard| shard as u8);
                Folder::new(config.seed, shards, config.limits)
            })
            .collect();
        for folder in &mut folders {
            folder.set_definitions(decider.definitions().clone());
        }
        Self {
            folders,
            decider,
            store: Store::new(config.store_bytes),
            counted: Delta::default(),
        }
    }

    /// The folders, for shells that fold a batch on several threads.
    pub fn folders_mut(&mut self) -> &mut [Folder] {
        &mut self.folders
    }

    /// Folds and stores one batch. O(rows).
    pub fn fold(&mut self, batch: Arc<Batch>) {
        for folder in &mut self.folders {
            folder.fold(&batch);
        }
        self.store.append(batch);
    }

    /// Stores a batch that the shell has folded through [`Engine::folders_mut`].
    pub fn store(&mut self, batch: Arc<Batch>) {
        self.store.append(batch);
    }

    /// Adds what ingest counted (refused items); it becomes visible at the next Tick.
    pub fn count(&mut self, counter: Counter, count: u64) {
        if count > 0 {
            *self.counted.counters.entry(counter).or_default() += count;
        }
    }

    /// Applies a control input. Deltas and ticks come from [`Engine::tick`] alone.
    pub fn apply(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        let redefines = matches!(input, Input::Definitions(_));
        self.decider.apply(now, input, effects);
        if redefines {
            for folder in &mut self.folders {
                folder.set_definitions(self.decider.definitions().clone());
            }
        }
    }

    /// Logical time passes: collects what the folders counted, decides, and returns the view to publish.
    pub fn tick(&mut self, now: Timestamp, effects: &mut Vec<Effect>) -> Snapshot {
        let delta = self.flush(now);
        let window = self.folders.iter().map(Folder::window_secs).min();
        self.decider
            .set_dedup_window_secs(window.unwrap_or_default());
        let open: usize = self.folders.iter().map(Folder::open_spans).sum();
        self.decider.set_open_spans(open as u64);
        self.decider.apply(now, Input::Delta(delta), effects);
        self.decider.apply(now, Input::Tick, effects);
        self.snapshot()
    }

    /// What was counted since the last flush: the merged Delta of all folders.
    fn flush(&mut self, now: Timestamp) -> Delta {
        let mut delta = std::mem::take(&mut self.counted);
        for folder in &mut self.folders {
            delta.merge(folder.flush(now));
        }
        delta
    }

    /// The current view. O(services that changed).
    pub fn snapshot(&mut self) -> Snapshot {
        self.decider.publish(self.store.view())
    }

    /// The deciding state, for checkpoints.
    pub const fn decider(&self) -> &Decider {
        &self.decider
    }
}
