//! Is it metastable: the trigger is gone, and the failure stays.
//!
//! Told from facts alone, without a learned baseline, per callee in windows of [`WINDOW_SECS`] in order of arrival (three of
//! them together, since exporters send in lumps). A retry storm feeds itself while
//!
//! - at least [`super::rank::STORM_ATTEMPTS`] attempts are made per logical call,
//! - goodput (answers that came in time, per logical call) is below 90 %,
//! - at least half of the answers are to callers that have gone, **and**
//! - it completes at least as much as is asked for first: capacity is back, it works on the wrong requests. While a trigger
//!   (a slow dependency, a stall, a surge beyond capacity) lasts, it completes less.

use super::node::{Aliases, Node};
use super::rank::STORM_ATTEMPTS;
use crate::delta::{Connection, Delta};
use crate::time::Timestamp;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Length of a window, s.
pub const WINDOW_SECS: u64 = 2;
/// Windows looked at together.
const TOGETHER: usize = 3;
/// Evaluations in a row that begin or end it.
const IN_A_ROW: u32 = 2;
/// Goodput below which it fails.
const GOODPUT_LEAST: f64 = 0.9;
/// Least share of answers that nobody waits for.
const WASTED_LEAST: f64 = 0.5;
/// Least calls in the windows looked at: fewer say nothing.
const CALLS_LEAST: i64 = 5;

/// Calls of one callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Calls {
    requests: i64,
    logical: i64,
    /// Both halves known.
    completed: i64,
    wasted: i64,
    ok: i64,
}

impl Calls {
    const fn absorb(&mut self, other: &Self) {
        self.requests += other.requests;
        self.logical += other.logical;
        self.completed += other.completed;
        self.wasted += other.wasted;
        self.ok += other.ok;
    }
}

/// What a storm is made of.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Storm {
    /// Logical time since which it holds by itself.
    pub since: Timestamp,
    /// Attempts per logical call.
    pub attempts: f64,
    /// Share of answers nobody waits for, 0..=1.
    pub wasted: f64,
    /// Good answers per logical call, 0..=1.
    pub goodput: f64,
    /// Share of the attempts that has to be turned away so that the rest is answered in time: `1 - mu / (lambda A)`.
    pub shed: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Callee {
    windows: VecDeque<Calls>,
    open: Calls,
    /// Evaluations in a row with the other answer than the one in force.
    contrary: u32,
    storm: Option<Storm>,
}

/// All callees.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Storms {
    callees: BTreeMap<Node, Callee>,
    window: u64,
}

impl Storms {
    /// Takes in edges.
    pub fn apply(&mut self, delta: &Delta, aliases: &Aliases) {
        for row in &delta.edges {
            if row.key.connection == Connection::Messaging || row.key.caller.is_none() {
                continue;
            }
            let callee = self
                .callees
                .entry(aliases.node(row.key.callee))
                .or_default();
            callee.open.absorb(&Calls {
                requests: row.requests.iter().sum(),
                logical: row.logical,
                completed: row.paired,
                wasted: row.wasted,
                ok: row.requests[FailureClass::Ok as usize],
            });
        }
    }

    /// Every [`WINDOW_SECS`]: O(callees).
    pub fn tick(&mut self, now: Timestamp) {
        let window = now.secs() / WINDOW_SECS;
        if window == self.window {
            return;
        }
        self.window = window;
        self.callees.retain(|_, callee| {
            callee.turn(now);
            callee.storm.is_some()
                || callee
                    .windows
                    .iter()
                    .any(|calls| *calls != Calls::default())
        });
    }

    /// Storms that feed themselves.
    pub fn sustained(&self) -> impl Iterator<Item = (Node, Storm)> + '_ {
        let rows = self.callees.iter();
        rows.filter_map(|(node, callee)| Some((*node, callee.storm?)))
    }

    /// The storm of `node`.
    pub fn of(&self, node: Node) -> Option<Storm> {
        self.callees.get(&node)?.storm
    }
}

impl Callee {
    fn turn(&mut self, now: Timestamp) {
        self.windows.push_back(std::mem::take(&mut self.open));
        while self.windows.len() > TOGETHER {
            self.windows.pop_front();
        }
        let mut all = Calls::default();
        for calls in &self.windows {
            all.absorb(calls);
        }
        if self.windows.len() < TOGETHER || all.logical < CALLS_LEAST {
            return;
        }
        let seen = measure(now, &all);
        let is_storm = seen.is_some();
        if is_storm == self.storm.is_some() {
            self.contrary = 0;
            if let (Some(storm), Some(seen)) = (&mut self.storm, seen) {
                *storm = Storm {
                    since: storm.since,
                    ..seen
                };
            }
            return;
        }
        self.contrary += 1;
        if self.contrary >= IN_A_ROW {
            self.contrary = 0;
            self.storm = seen;
        }
    }
}

/// The storm that these calls are, if they are one.
fn measure(now: Timestamp, calls: &Calls) -> Option<Storm> {
    let logical = calls.logical as f64;
    let completed = calls.completed.max(0) as f64;
    let attempts = calls.requests as f64 / logical;
    let wasted = calls.wasted.max(0) as f64 / completed.max(1.0);
    // An answer in time is good; what was wasted is counted by class, too, and may say OK.
    let goodput = ((calls.ok - calls.wasted).max(0) as f64 / logical).min(1.0);
    let is_storm = attempts >= STORM_ATTEMPTS
        && goodput < GOODPUT_LEAST
        && wasted >= WASTED_LEAST
        && completed >= GOODPUT_LEAST * logical;
    is_storm.then(|| Storm {
        since: now,
        attempts,
        wasted,
        goodput,
        shed: (1.0 - completed / calls.requests.max(1) as f64).clamp(0.0, 1.0),
    })
}
