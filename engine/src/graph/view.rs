//! The graph as published: history shared with the machine, names looked up.

use super::counters::{CallCount, CallKey};
use super::history::Slots;
use super::names::UNNAMED;
use super::{Edge, Graph};
use crate::cascade::node::Node;
use crate::delta::{Callee, Connection};
use crate::identity::{RevisionId, ServiceId};
use crate::peer::Claim;
use crate::registry::ServiceState;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// A service that sends spans.
    Service,
    /// A database.
    Database,
    /// A queue or topic.
    Topic,
    /// Anything else that is called and sends nothing.
    Peer,
}

impl NodeKind {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Topic => "topic",
            Self::Peer => "peer",
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its key.
    pub node: Node,
    /// What it is.
    pub kind: NodeKind,
    /// What to call it.
    pub name: String,
    /// Namespace; empty for peers.
    pub namespace: String,
    /// Environment; of a peer, that of its callers.
    pub environment: String,
    /// What clients say of a peer.
    pub claims: Vec<Claim>,
}

/// One edge by revision, with its names looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeRow {
    /// Who calls; `None` = unknown.
    pub source: Option<Node>,
    /// Who is called.
    pub target: Node,
    /// The caller's revision.
    pub source_revision: Option<RevisionId>,
    /// The callee's revision, when it is known.
    pub target_revision: Option<RevisionId>,
    /// How.
    pub connection: Connection,
}

/// The graph as readers see it.
#[derive(Debug, Clone, Default)]
pub struct GraphView {
    /// Logical time it was made at.
    pub as_of: Timestamp,
    /// Cells by second; complete from [`GraphView::seconds_from`] on.
    pub seconds: Slots,
    /// First second that is told apart.
    pub seconds_from: u64,
    /// Cells by minute.
    pub minutes: Slots,
    /// Edges by number.
    pub edges: Vec<EdgeRow>,
    /// Nodes.
    pub nodes: BTreeMap<Node, NodeRow>,
    /// What revisions are called.
    pub revisions: BTreeMap<RevisionId, String>,
    /// Counters for Prometheus.
    pub counters: Arc<BTreeMap<CallKey, Arc<CallCount>>>,
    /// Rows that found no room: edges beyond [`super::EDGES_MAX`], and what is older than the history.
    pub lost_rows: u64,
    /// Received messages whose sender never came.
    pub unmatched_messages: u64,
}

impl GraphView {
    /// Nodes called `name`; in `namespace` and `environment` unless these are empty. Services come first.
    pub fn find(&self, name: &str, namespace: &str, environment: &str) -> Vec<Node> {
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let rows = self.nodes.values().filter(|row| {
            row.name == name
                && fits(namespace, &row.namespace)
                && fits(environment, &row.environment)
        });
        rows.map(|row| row.node).collect()
    }
}

/// Makes the view of `graph`, whose names are resolved. O(edges + nodes).
pub(super) fn make(
    now: Timestamp,
    graph: &Graph,
    services: &BTreeMap<ServiceId, ServiceState>,
) -> GraphView {
    let edges: Vec<EdgeRow> = graph
        .edges
        .list
        .iter()
        .map(|edge| row(graph, edge))
        .collect();
    let mut nodes = BTreeMap::new();
    for edge in &edges {
        for node in edge.source.into_iter().chain([edge.target]) {
            nodes
                .entry(node)
                .or_insert_with(|| node_row(graph, node, services));
        }
    }
    let states = services.values().flat_map(|state| &state.revisions);
    let mut revisions: BTreeMap<RevisionId, String> = states
        .map(|(id, state)| (*id, state.revision.label()))
        .collect();
    for (service, cluster) in graph.names.clusters() {
        let id = RevisionId::of_cluster(service, cluster);
        revisions.insert(id, cluster.to_owned());
    }
    GraphView {
        as_of: now,
        seconds: graph.history.seconds.clone(),
        seconds_from: graph.history.seconds_from(now),
        minutes: graph.history.minutes.clone(),
        edges,
        nodes,
        revisions,
        counters: Arc::clone(&graph.counters.series),
        lost_rows: graph.lost_rows + graph.history.too_old,
        unmatched_messages: graph.messages.unmatched,
    }
}

fn row(graph: &Graph, edge: &Edge) -> EdgeRow {
    let target = graph.names.node(edge.callee);
    let target_revision = match (edge.callee, target) {
        (Callee::Service(party), _) => Some(party.revision),
        (Callee::Peer(peer), Node::Service(service)) => graph
            .names
            .cluster(peer)
            .map(|cluster| RevisionId::of_cluster(service, cluster)),
        _ => None,
    };
    EdgeRow {
        source: edge.caller.map(|party| Node::Service(party.service)),
        target,
        source_revision: edge.caller.map(|party| party.revision),
        target_revision,
        connection: edge.connection,
    }
}

fn node_row(graph: &Graph, node: Node, services: &BTreeMap<ServiceId, ServiceState>) -> NodeRow {
    let mut row = NodeRow {
        node,
        kind: NodeKind::Peer,
        name: UNNAMED.to_owned(),
        namespace: String::new(),
        environment: String::new(),
        claims: Vec::new(),
    };
    match node {
        Node::Service(id) => {
            row.kind = NodeKind::Service;
            if let Some(state) = services.get(&id) {
                row.name.clone_from(&state.key.name);
                row.namespace.clone_from(&state.key.namespace);
                row.environment.clone_from(&state.key.environment);
            }
        }
        Node::Peer(id) => {
            if let Some(peer) = graph.names.unresolved().get(&id) {
                row.kind = match peer.connection {
                    Connection::Call => NodeKind::Peer,
                    Connection::Database => NodeKind::Database,
                    Connection::Messaging => NodeKind::Topic,
                };
                row.name.clone_from(&peer.label);
                row.environment.clone_from(&peer.environment);
                row.claims = peer.claims.iter().cloned().collect();
            }
        }
    }
    row
}
