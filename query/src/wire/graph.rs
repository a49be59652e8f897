//! The service graph and its ledger.

use super::{hex, rfc3339};
use engine::cascade::node::Node;
use engine::delta::{Connection, LogMoments, Outcome};
use engine::graph::ask::{Answer, EdgeAnswer};
use engine::graph::blast::{Blast, Reach};
use engine::graph::history::EdgeCell;
use engine::graph::ledger::Ledger;
use engine::graph::{GraphView, NodeRow};
use engine::identity::RevisionId;
use engine::latency::bucket_end_nanos;
use engine::snapshot::Snapshot;
use engine::time::{NANOS_PER_SEC, Timestamp};
use engine::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The source of calls whose caller nobody knows.
pub const UNKNOWN: &str = "unknown";

/// The window an answer is about; both seconds belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpanOfTimeBody {
    /// Its first second.
    pub from: String,
    /// Its last second.
    pub to: String,
    /// Length, s.
    pub seconds: u64,
}

/// A node: a service, a database, a queue or topic, or a peer that sends nothing itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeBody {
    /// Id: of a service, the service's; `unknown` for callers nobody knows.
    pub id: String,
    /// `service`, `database`, `topic`, `peer` or `unknown`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace of a service.
    pub namespace: String,
    /// Environment; of a peer, that of its callers.
    pub environment: String,
    /// Requests that came in.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// What clients say of a peer: kind and text.
    pub claims: Vec<(String, String)>,
}

/// Latency of one side: the upper edge of the bucket that holds the quantile, s; absent without durations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SideBody {
    /// Durations known.
    pub count: u64,
    /// Median.
    pub p50: Option<f64>,
    /// 95 %.
    pub p95: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
}

impl SideBody {
    fn of(cells: &[(u8, i64)]) -> Self {
        let count: u64 = cells.iter().map(|(_, count)| (*count).max(0) as u64).sum();
        let quantile = |share: f64| {
            let wanted = (count as f64 * share).ceil() as u64;
            let mut seen = 0;
            let found = cells.iter().find(|(_, more)| {
                seen += (*more).max(0) as u64;
                seen >= wanted.max(1)
            })?;
            let end = bucket_end_nanos(found.0);
            (end != u64::MAX).then(|| end as f64 / NANOS_PER_SEC as f64)
        };
        Self {
            count,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

/// What one pair of revisions did on an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionEdgeBody {
    /// The caller's revision; empty when it is not known.
    pub source: String,
    /// The callee's revision; empty when it is not known.
    pub target: String,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
}

/// An edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeBody {
    /// Id: source, target and connection.
    pub id: String,
    /// Node that calls.
    pub source: String,
    /// Node that is called.
    pub target: String,
    /// `call`, `database` or `messaging`.
    pub connection: String,
    /// Requests: attempts, one per pair of halves.
    pub requests: u64,
    /// Requests per second of the window.
    pub rate: f64,
    /// Requests that failed.
    pub failed: u64,
    /// Failed share; absent without requests.
    pub failed_ratio: Option<f64>,
    /// Failed requests by class.
    pub classes: BTreeMap<String, u64>,
    /// Requests whose both halves came.
    pub paired: u64,
    /// Logical calls: first attempts.
    pub logical: u64,
    /// Attempts per logical call; absent without logical calls.
    pub attempts: Option<f64>,
    /// Requests whose server half ended after its client half: work for nobody.
    pub wasted: u64,
    /// Latency as clients saw it.
    pub client: SideBody,
    /// Latency as servers saw it.
    pub server: SideBody,
    /// Geometric mean of client minus server duration: network and waiting, s; absent without pairs.
    pub gap_seconds: Option<f64>,
    /// The same by revision.
    pub revisions: Vec<RevisionEdgeBody>,
}

/// What became of every accepted span: `accepted` = `copies` + `open` + `interrupted` + the sum of `outcomes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerBody {
    /// Spans accepted.
    pub accepted: u64,
    /// Copies.
    pub copies: u64,
    /// Spans of open traces.
    pub open: u64,
    /// Spans of traces that were open when the process was stopped.
    pub interrupted: u64,
    /// Spans by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Rows of edges that found no room, or were too old to be shown.
    pub lost_rows: u64,
    /// Received messages whose sender never came.
    pub unmatched_messages: u64,
}

/// The graph in a window of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GraphBody {
    /// When it was made.
    pub as_of: String,
    /// The window.
    pub window: SpanOfTimeBody,
    /// Nodes.
    pub nodes: Vec<NodeBody>,
    /// Edges.
    pub edges: Vec<EdgeBody>,
    /// Whether the less busy edges are left out.
    pub truncated: bool,
    /// What became of the spans.
    pub ledger: LedgerBody,
}

/// A node that a failure reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReachBody {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Edges in between, at least.
    pub hops: u32,
    /// Estimated share of the requests of the one that is hit which reach the one that fails.
    pub share: f64,
    /// Requests on its edges in that direction.
    pub requests: u64,
}

/// Who is hit when a node fails, and on whom it leans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlastBody {
    /// When it was made.
    pub as_of: String,
    /// The window.
    pub window: SpanOfTimeBody,
    /// The node asked for.
    pub service: String,
    /// Who is hit, the most affected first.
    pub affected: Vec<ReachBody>,
    /// On whom it leans.
    pub dependencies: Vec<ReachBody>,
}

/// The id of a node.
pub(super) fn node_id(node: Node) -> String {
    hex(node.number())
}

fn source_id(source: Option<Node>) -> String {
    source.map_or_else(|| UNKNOWN.to_owned(), node_id)
}

const fn connection(connection: Connection) -> &'static str {
    match connection {
        Connection::Call => "call",
        Connection::Database => "database",
        Connection::Messaging => "messaging",
    }
}

fn window(answer: &Answer) -> SpanOfTimeBody {
    SpanOfTimeBody {
        from: rfc3339(Timestamp::from_secs(answer.from)),
        to: rfc3339(Timestamp::from_secs(answer.to)),
        seconds: answer.to + 1 - answer.from,
    }
}

impl NodeBody {
    fn of(row: &NodeRow) -> Self {
        let claims = row.claims.iter();
        Self {
            id: node_id(row.node),
            kind: row.kind.name().to_owned(),
            name: row.name.clone(),
            namespace: row.namespace.clone(),
            environment: row.environment.clone(),
            requests: 0,
            failed: 0,
            claims: claims
                .map(|claim| (claim.kind.name().to_owned(), claim.text.clone()))
                .collect(),
        }
    }

    fn unknown() -> Self {
        Self {
            id: UNKNOWN.to_owned(),
            kind: UNKNOWN.to_owned(),
            name: UNKNOWN.to_owned(),
            namespace: String::new(),
            environment: String::new(),
            requests: 0,
            failed: 0,
            claims: Vec::new(),
        }
    }
}

impl EdgeBody {
    fn of(view: &GraphView, edge: &EdgeAnswer, seconds: u64) -> Self {
        let (source, target) = (source_id(edge.source), node_id(edge.target));
        let kind = connection(edge.connection);
        let cell = &edge.cell;
        let (requests, failed) = (cell.total(), cell.failed());
        let logical = cell.logical.max(0) as u64;
        let label = |revision: &Option<RevisionId>| {
            let known = revision.as_ref().and_then(|id| view.revisions.get(id));
            known.cloned().unwrap_or_default()
        };
        Self {
            id: format!("{source}-{target}-{kind}"),
            source,
            target,
            connection: kind.to_owned(),
            requests,
            rate: requests as f64 / seconds.max(1) as f64,
            failed,
            failed_ratio: (requests > 0).then(|| failed as f64 / requests as f64),
            classes: classes(cell),
            paired: cell.paired.max(0) as u64,
            logical,
            attempts: (logical > 0).then(|| requests as f64 / logical as f64),
            wasted: cell.wasted.max(0) as u64,
            client: SideBody::of(&cell.client),
            server: SideBody::of(&cell.server),
            gap_seconds: geometric_mean(&cell.gap),
            revisions: edge
                .revisions
                .iter()
                .map(|(source, target, cell)| RevisionEdgeBody {
                    source: label(source),
                    target: label(target),
                    requests: cell.total(),
                    failed: cell.failed(),
                })
                .collect(),
        }
    }
}

fn classes(cell: &EdgeCell) -> BTreeMap<String, u64> {
    let failed = FailureClass::ALL.into_iter().zip(cell.requests).skip(1);
    failed
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| (class.name().to_owned(), count as u64))
        .collect()
}

fn geometric_mean(moments: &LogMoments) -> Option<f64> {
    let mean = moments.sum as f64 / 256.0 / moments.count as f64;
    (moments.count > 0).then(|| mean.exp2() / NANOS_PER_SEC as f64)
}

impl LedgerBody {
    /// The ledger of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let ledger = Ledger::of(&snapshot.status);
        let outcomes = Outcome::ALL.into_iter().zip(ledger.outcomes);
        Self {
            accepted: ledger.accepted,
            copies: ledger.copies,
            open: ledger.open,
            interrupted: ledger.interrupted,
            outcomes: outcomes
                .map(|(outcome, count)| (outcome.name().to_owned(), count))
                .collect(),
            lost_rows: snapshot.graph.lost_rows,
            unmatched_messages: snapshot.graph.unmatched_messages,
        }
    }
}

impl GraphBody {
    /// `answer`, taken from the graph of `snapshot`.
    pub fn of(snapshot: &Snapshot, answer: &Answer) -> Self {
        let view = &snapshot.graph;
        let window = window(answer);
        let mut nodes: BTreeMap<String, NodeBody> = answer
            .nodes
            .iter()
            .map(|row| (node_id(row.node), NodeBody::of(row)))
            .collect();
        let edges: Vec<EdgeBody> = answer
            .edges
            .iter()
            .map(|edge| EdgeBody::of(view, edge, window.seconds))
            .collect();
        for edge in &edges {
            if edge.source == UNKNOWN {
                nodes
                    .entry(UNKNOWN.to_owned())
                    .or_insert_with(NodeBody::unknown);
            }
            if let Some(node) = nodes.get_mut(&edge.target) {
                node.requests += edge.requests;
                node.failed += edge.failed;
            }
        }
        Self {
            as_of: rfc3339(view.as_of),
            window,
            nodes: nodes.into_values().collect(),
            edges,
            truncated: answer.truncated,
            ledger: LedgerBody::of(snapshot),
        }
    }
}

impl BlastBody {
    /// `blast` of the node called `service`.
    pub fn of(view: &GraphView, answer: &Answer, service: &str, blast: &Blast) -> Self {
        let bodies = |reached: &[Reach]| {
            let known = reached.iter().filter_map(|reach| {
                let row = view.nodes.get(&reach.node)?;
                Some(ReachBody {
                    id: node_id(reach.node),
                    name: row.name.clone(),
                    kind: row.kind.name().to_owned(),
                    hops: reach.hops,
                    share: reach.share,
                    requests: reach.requests,
                })
            });
            known.collect()
        };
        Self {
            as_of: rfc3339(view.as_of),
            window: window(answer),
            service: service.to_owned(),
            affected: bodies(&blast.affected),
            dependencies: bodies(&blast.dependencies),
        }
    }
}
