//! The service graph: who calls whom, how often, how well; now and at any past minute of six hours.
//!
//! Folders count calls under what clients said ([`crate::delta::EdgeDelta`]). Here they are added up by second and by
//! minute, still under the raw names: which service a name means ([`names`]) is decided when the graph is read, so that
//! what is learned holds for the past too.
//!
//! - **In / out**: edge, alias, peer, call and link rows of [`Delta`] in; [`GraphView`] out.
//! - **Limits**: [`EDGES_MAX`] edges, [`history::SECOND_CELLS_MAX`] and [`history::MINUTE_CELLS_MAX`] cells, of which
//!   the oldest leave; [`names::PEERS_MAX`] raw peers; [`messages::MESSAGES_MAX`] messages for 15 min.
//! - **Sources**: DESIGN 8; the alias rules follow STAM (Apache SkyWalking), section on aliases, for OTLP.
//! - **Read next**: [`history`], [`names`], [`mod@ask`], [`blast`], [`counters`], [`messages`], [`ledger`].

pub mod ask;
pub mod blast;
pub mod counters;
pub mod history;
pub mod ledger;
pub mod messages;
pub mod names;
#[cfg(test)]
mod tests;
mod view;

pub use view::{EdgeRow, GraphView, NodeKind, NodeRow};

use crate::delta::{Callee, Connection, Delta, EdgeDelta, Party};
use crate::hash::FixedMap;
use crate::identity::ServiceId;
use crate::registry::ServiceState;
use crate::time::Timestamp;
use counters::Counters;
use history::History;
use messages::Messages;
use names::Names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most edges known at once, by revision; rows of further ones are counted in [`GraphView::lost_rows`].
pub const EDGES_MAX: usize = 100_000;

/// An edge without its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Who calls; `None` = unknown.
    pub caller: Option<Party>,
    /// Whom, as the folders know it.
    pub callee: Callee,
    /// How.
    pub connection: Connection,
}

/// The machine. Names are part of the deciding state; the history is for showing and begins with the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Graph {
    names: Names,
    #[serde(skip)]
    history: History,
    #[serde(skip)]
    edges: Edges,
    #[serde(skip)]
    counters: Counters,
    #[serde(skip)]
    messages: Messages,
    #[serde(skip)]
    lost_rows: u64,
    #[serde(skip)]
    published: Option<Arc<GraphView>>,
}

/// Edges under numbers.
#[derive(Debug, Clone, Default)]
struct Edges {
    index: FixedMap<Edge, u32>,
    list: Vec<Edge>,
    free: Vec<u32>,
}

impl Edges {
    fn number(&mut self, edge: Edge) -> Option<u32> {
        if let Some(number) = self.index.get(&edge) {
            return Some(*number);
        }
        if self.index.len() >= EDGES_MAX {
            return None;
        }
        let number = match self.free.pop() {
            Some(number) => {
                self.list[number as usize] = edge;
                number
            }
            None => {
                self.list.push(edge);
                (self.list.len() - 1) as u32
            }
        };
        self.index.insert(edge, number);
        Some(number)
    }

    fn remove(&mut self, number: u32) {
        self.index.remove(&self.list[number as usize]);
        self.free.push(number);
    }
}

impl Graph {
    /// Adds what was counted since the last tick. O(rows log cells).
    pub fn apply(
        &mut self,
        now: Timestamp,
        delta: &Delta,
        services: &BTreeMap<ServiceId, ServiceState>,
    ) {
        self.names.apply(now, delta);
        for row in &delta.edges {
            self.count(now, row);
        }
        for row in self.messages.apply(now, &delta.links) {
            self.count(now, &row);
        }
        self.counters
            .apply(&delta.calls, |callee| self.names.side(callee, services));
        for number in self.history.turn(now) {
            self.edges.remove(number);
        }
    }

    fn count(&mut self, now: Timestamp, row: &EdgeDelta) {
        let edge = Edge {
            caller: row.key.caller,
            callee: row.key.callee,
            connection: row.key.connection,
        };
        match self.edges.number(edge) {
            Some(number) => self.history.add(now, number, row),
            None => self.lost_rows += 1,
        }
    }

    /// Which node every raw peer means. Changes only when something was learned. O(1), or O(peers) after a change.
    pub fn names(&mut self, services: &BTreeMap<ServiceId, ServiceState>) -> &Names {
        self.names.resolve(services);
        &self.names
    }

    /// The graph to show: made anew once a second.
    pub fn publish(
        &mut self,
        now: Timestamp,
        services: &BTreeMap<ServiceId, ServiceState>,
    ) -> Arc<GraphView> {
        if let Some(view) = &self.published
            && view.as_of.secs() == now.secs()
        {
            return Arc::clone(view);
        }
        self.names.resolve(services);
        let view = Arc::new(view::make(now, self, services));
        self.published = Some(Arc::clone(&view));
        view
    }
}
