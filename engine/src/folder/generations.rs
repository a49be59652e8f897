//! Two generations of a table: what was put in is found again for at least one window, then leaves all at once.

use super::WINDOW_NANOS;
use crate::time::Timestamp;

/// What [`Generations`] needs of a table.
pub(super) trait Table: Default {
    /// Entries held.
    fn len(&self) -> usize;
    /// Forgets all entries, keeps the memory.
    fn clear(&mut self);
}

/// The generation being filled and the one before it.
#[derive(Debug, Default)]
pub(super) struct Generations<T> {
    pub(super) current: T,
    pub(super) previous: T,
    started: Timestamp,
    /// Whether the current generation began before its time, for want of room.
    early: bool,
    /// All entries since then are held; the epoch while none was ever evicted early.
    held_since: Timestamp,
}

impl<T: Table> Generations<T> {
    /// The window passed `steps` generation boundaries: older generations leave. Returns how many entries left
    /// although their window had not ended.
    pub(super) fn advance(&mut self, steps: u64, now: Timestamp) -> u64 {
        let evicted = if self.early && steps > 0 {
            self.evict()
        } else {
            0
        };
        for _ in 0..steps.min(2) {
            self.turn(now);
        }
        self.early = self.early && steps == 0;
        evicted
    }

    /// Turns early when the current generation holds `entries_max`; returns how many entries that cost.
    pub(super) fn make_room(&mut self, entries_max: usize, now: Timestamp) -> u64 {
        if self.current.len() < entries_max {
            return 0;
        }
        let evicted = self.evict();
        self.turn(now);
        self.early = true;
        evicted
    }

    /// The time for which entries are surely found again, ns.
    pub(super) fn window(&self, now: Timestamp) -> u64 {
        match self.held_since {
            Timestamp::EPOCH => WINDOW_NANOS,
            since => now.since(since).min(WINDOW_NANOS),
        }
    }

    /// Accounts for a previous generation that leaves before its time.
    fn evict(&mut self) -> u64 {
        if self.previous.len() > 0 {
            self.held_since = self.started;
        }
        self.previous.len() as u64
    }

    fn turn(&mut self, now: Timestamp) {
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
        self.started = now;
    }
}
