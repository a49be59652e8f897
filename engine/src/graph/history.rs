//! What happened on every edge, by second for 15 minutes and by minute for six hours.
//!
//! Slots and cells are shared with the published views; only those that change are copied.

use crate::delta::{EdgeDelta, LogMoments};
use crate::time::Timestamp;
use crate::trace::FailureClass;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long seconds are told apart, s.
pub const SECONDS: u64 = 900;
/// How long minutes are, s.
pub const MINUTES: u64 = 6 * 3_600;
/// Most cells of seconds; beyond it the oldest second leaves (its minute stays).
pub const SECOND_CELLS_MAX: usize = 300_000;
/// Most cells of minutes; beyond it the oldest minute leaves.
pub const MINUTE_CELLS_MAX: usize = 600_000;

/// What happened on one edge in one slot of time. Corrections may leave counts below zero for a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeCell {
    /// Requests by [`FailureClass`].
    pub requests: [i64; FailureClass::COUNT],
    /// Logical calls.
    pub logical: i64,
    /// Requests whose both halves are there.
    pub paired: i64,
    /// Requests whose server half ended after the client half.
    pub wasted: i64,
    /// Per latency bucket of the client half, by bucket.
    pub client: Vec<(u8, i64)>,
    /// Likewise of the server half.
    pub server: Vec<(u8, i64)>,
    /// Client minus server duration of pairs.
    pub gap: LogMoments,
}

impl EdgeCell {
    /// Adds a row.
    pub fn add_row(&mut self, row: &EdgeDelta) {
        for (count, more) in self.requests.iter_mut().zip(row.requests) {
            *count += more;
        }
        self.logical += row.logical;
        self.paired += row.paired;
        self.wasted += row.wasted;
        join(&mut self.client, &row.client);
        join(&mut self.server, &row.server);
        self.gap.add(row.gap);
    }

    /// Adds another cell.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.requests.iter_mut().zip(other.requests) {
            *count += more;
        }
        self.logical += other.logical;
        self.paired += other.paired;
        self.wasted += other.wasted;
        join(&mut self.client, &other.client);
        join(&mut self.server, &other.server);
        self.gap.add(other.gap);
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.requests.iter().sum::<i64>().max(0) as u64
    }

    /// Those that failed.
    pub fn failed(&self) -> u64 {
        self.requests[1..].iter().sum::<i64>().max(0) as u64
    }

    fn is_nothing(&self) -> bool {
        self.requests.iter().all(|count| *count == 0) && self.logical == 0 && self.paired == 0
    }
}

fn join(into: &mut Vec<(u8, i64)>, more: &[(u8, i64)]) {
    for (bucket, count) in more {
        match into.binary_search_by_key(bucket, |cell| cell.0) {
            Ok(at) => into[at].1 += count,
            Err(at) => into.insert(at, (*bucket, *count)),
        }
    }
}

/// The cells of one slot of time, by edge number.
pub type Slot = Vec<(u32, Arc<EdgeCell>)>;
/// Slots by their number: a second, or a minute.
pub type Slots = BTreeMap<u64, Arc<Slot>>;

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub(super) seconds: Slots,
    pub(super) minutes: Slots,
    second_cells: usize,
    minute_cells: usize,
    /// Seconds before this one left.
    gone: u64,
    /// Rows too old to be shown.
    pub(super) too_old: u64,
}

impl History {
    /// Adds a row of the edge `number`. O(log cells).
    pub fn add(&mut self, now: Timestamp, number: u32, row: &EdgeDelta) {
        let now = now.secs();
        if row.second + SECONDS >= now {
            self.second_cells += add(&mut self.seconds, row.second, number, row);
        }
        if row.second + MINUTES >= now {
            self.minute_cells += add(&mut self.minutes, row.second / 60, number, row);
        } else {
            self.too_old += 1;
        }
    }

    /// The first second that is still told apart.
    pub(super) fn seconds_from(&self, now: Timestamp) -> u64 {
        self.gone.max(now.secs().saturating_sub(SECONDS))
    }

    /// Lets go of what is too old or too much; returns edges of which nothing is left.
    pub fn turn(&mut self, now: Timestamp) -> Vec<u32> {
        let now = now.secs();
        while let Some(first) = self.seconds.first_entry()
            && (first.key() + SECONDS < now || self.second_cells > SECOND_CELLS_MAX)
        {
            self.gone = self.gone.max(first.key() + 1);
            self.second_cells -= first.remove().len();
        }
        let mut gone = BTreeSet::new();
        while let Some(first) = self.minutes.first_entry()
            && ((first.key() + 1) * 60 + MINUTES < now || self.minute_cells > MINUTE_CELLS_MAX)
        {
            let slot = first.remove();
            self.minute_cells -= slot.len();
            gone.extend(slot.iter().map(|(edge, _)| *edge));
        }
        if !gone.is_empty() {
            let slots = self.minutes.values().chain(self.seconds.values());
            for slot in slots {
                for (edge, _) in slot.iter() {
                    gone.remove(edge);
                }
            }
        }
        gone.into_iter().collect()
    }
}

/// Adds to one cell; returns how many cells that made.
fn add(slots: &mut Slots, at: u64, number: u32, row: &EdgeDelta) -> usize {
    let slot = Arc::make_mut(slots.entry(at).or_default());
    match slot.binary_search_by_key(&number, |cell| cell.0) {
        Ok(found) => {
            Arc::make_mut(&mut slot[found].1).add_row(row);
            0
        }
        Err(place) => {
            let mut cell = EdgeCell::default();
            cell.add_row(row);
            slot.insert(place, (number, Arc::new(cell)));
            1
        }
    }
}

/// The sum over `cells`, unless it came to nothing.
pub(super) fn sum<'a>(cells: impl Iterator<Item = &'a EdgeCell>) -> Option<EdgeCell> {
    let mut sum = EdgeCell::default();
    for cell in cells {
        sum.add(cell);
    }
    sum.client.retain(|(_, count)| *count > 0);
    sum.server.retain(|(_, count)| *count > 0);
    (!sum.is_nothing()).then_some(sum)
}
