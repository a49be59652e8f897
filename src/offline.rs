//! The core without sockets, clocks or threads: what `replay` and `demo --fast` drive with recorded or virtual time.

use anyhow::Result;
use engine::decider::Decider;
use engine::delta::Counter;
use engine::delta::Fate;
use engine::folder::FolderLimits;
use engine::hash::{HashSeed, blake3_128};
use engine::input::{Effect, Input};
use engine::items::Signal;
use engine::machine::{Engine, EngineConfig};
use engine::snapshot::Snapshot;
use engine::time::Timestamp;
use ingest::otlp::{DecodeLimits, Decoder, Format};
use std::sync::Arc;

/// Byte budget of the hot store: nothing here reads it.
const STORE_BYTES: u64 = 1 << 20;

/// Decoder and engine on somebody else's time.
pub(crate) struct Offline {
    engine: Engine,
    decoder: Decoder,
    seed: HashSeed,
    /// Effects planned so far; nobody executes them.
    pub(crate) effects: Vec<Effect>,
    /// View of the last tick.
    pub(crate) snapshot: Snapshot,
    /// Items folded.
    pub(crate) items: u64,
}

impl Offline {
    /// A fresh core with this many folders.
    pub(crate) fn new(seed: HashSeed, folders: usize) -> Self {
        let config = EngineConfig {
            seed,
            folders,
            limits: FolderLimits::default(),
            store_bytes: STORE_BYTES,
        };
        Self {
            engine: Engine::new(&config, Decider::default()),
            decoder: Decoder::new(DecodeLimits::default()),
            seed,
            effects: Vec::new(),
            snapshot: Snapshot {
                is_recovering: true,
                ..Snapshot::default()
            },
            items: 0,
        }
    }

    /// Decodes and folds one uncompressed request. Returns the digest of its columns.
    ///
    /// # Errors
    /// When the request is malformed: it could not have been accepted.
    pub(crate) fn request(
        &mut self,
        received: Timestamp,
        (signal, format): (Signal, Format),
        body: &[u8],
    ) -> Result<u128> {
        let decoded = self
            .decoder
            .decode((signal, format), body, received, self.seed)?;
        self.engine.count(
            Counter::Items(signal, Fate::Rejected),
            decoded.items_rejected(),
        );
        let batches: Vec<_> = decoded.batches.into_iter().map(Arc::new).collect();
        let digest = ingest::log::columns_digest(&batches);
        for batch in batches {
            self.items += batch.len() as u64;
            self.engine.fold(batch);
        }
        Ok(digest)
    }

    /// Applies a control input.
    pub(crate) fn apply(&mut self, now: Timestamp, input: Input) {
        self.engine.apply(now, input, &mut self.effects);
    }

    /// Logical time passes.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.snapshot = self.engine.tick(now, &mut self.effects);
    }

    /// BLAKE3-128 of the deciding state and of every effect planned: two runs with the same digest decided the same.
    pub(crate) fn digest(&self) -> Result<u128> {
        let state = postcard::to_stdvec(self.engine.decider())?;
        let effects = postcard::to_stdvec(&self.effects)?;
        Ok(blake3_128("decisions", &[&state, &effects]))
    }
}
