//! The service graph: a drawing in layers, callers left of callees, and the same as a table.

mod layout;

use crate::{page, text};
use engine::cascade::node::Node;
use engine::graph::ask::{Answer, Direction, EdgeAnswer, Question, ask};
use engine::graph::{GraphView, NodeKind};
use engine::snapshot::Snapshot;
use engine::time::{NANOS_PER_SEC, Timestamp};
use layout::{Layout, Spot};
use maud::{Markup, html};
use query::wire::hex;
use std::collections::BTreeMap;

/// Window shown, s.
const WINDOW_SECS: u64 = 300;
/// Most edges drawn: the busiest.
const EDGES_MAX: usize = 150;
/// Hops around one service.
const HOPS: u8 = 2;
/// Size of a node, and the room it stands in.
const NODE: (f64, f64) = (150.0, 34.0);
const CELL: (f64, f64) = (230.0, 54.0);
/// Longest name in a node, characters.
const LABEL_CHARS: usize = 21;

/// The page; around the service or peer whose id `focus` is, or of everything.
pub fn page(snapshot: &Snapshot, focus: Option<u128>) -> Option<Markup> {
    let view = &snapshot.graph;
    let center: Vec<Node> = match focus {
        None => Vec::new(),
        Some(id) => {
            let found = view.nodes.keys().filter(|node| node.number() == id);
            found.copied().collect()
        }
    };
    if focus.is_some() && center.is_empty() {
        return None;
    }
    let answer = ask(
        view,
        &Question {
            focus: center.clone(),
            hops: HOPS,
            direction: Direction::Both,
            to: view.as_of.secs(),
            window_secs: WINDOW_SECS,
            edges_max: EDGES_MAX,
        },
    );
    let title = match center.first().and_then(|node| view.nodes.get(node)) {
        Some(row) => format!("Graph around {}", text::name(&row.name)),
        None => "Graph".to_owned(),
    };
    let body = html! {
        p.quiet { "Calls of the last " (text::duration(WINDOW_SECS)) " by event time, until " (page::when(Timestamp(answer.to * NANOS_PER_SEC)))
            @if focus.is_some() { " · " a href="/graph" { "everything" } }
            " · " a href="/v1/graph" { "as JSON" } }
        @if answer.edges.is_empty() { p.quiet { "No call was seen: the graph needs spans of kind CLIENT and SERVER." } } @else {
            (drawing(view, &answer))
            @if answer.truncated { p.quiet { "Only the " (EDGES_MAX) " busiest edges are shown: choose a node to see what is around it." } }
            (table(snapshot, &answer))
        }
    };
    Some(page::frame(snapshot, &title, "/graph", &body))
}

fn name(view: &GraphView, node: Option<Node>) -> String {
    let row = node.and_then(|node| view.nodes.get(&node));
    row.map_or_else(|| "unknown".to_owned(), |row| text::name(&row.name))
}

/// Good, warn or bad, by the failed share.
fn class(edge: &EdgeAnswer) -> &'static str {
    let (requests, failed) = (edge.cell.total(), edge.cell.failed());
    match failed {
        0 => "good",
        _ if failed * 20 < requests => "warn",
        _ => "bad",
    }
}

fn drawing(view: &GraphView, answer: &Answer) -> Markup {
    // The unknown caller is a node of the drawing as well.
    let mut nodes: Vec<Option<Node>> = answer.nodes.iter().map(|row| Some(row.node)).collect();
    if answer.edges.iter().any(|edge| edge.source.is_none()) {
        nodes.push(None);
    }
    let place: BTreeMap<Option<Node>, usize> = nodes.iter().copied().zip(0..).collect();
    let pairs: Vec<(usize, usize)> = answer
        .edges
        .iter()
        .filter_map(|edge| Some((*place.get(&edge.source)?, *place.get(&Some(edge.target))?)))
        .collect();
    let layout = Layout::of(nodes.len(), &pairs);
    let (width, height) = (
        layout.layers as f64 * CELL.0,
        layout.rows as f64 * CELL.1 + 16.0,
    );
    html! {
        figure {
            div.scroll {
                svg.graph viewBox={ "0 0 " (at(width)) " " (at(height)) } width=(at(width)) height=(at(height)) role="img" {
                    title { "Service graph" }
                    desc { (nodes.len()) " nodes and " (answer.edges.len()) " edges; the table below says the same." }
                    @for (edge, (from, to)) in answer.edges.iter().zip(&pairs) {
                        (line(view, edge, &layout.spots[*from], &layout.spots[*to]))
                    }
                    @for (node, spot) in nodes.iter().zip(&layout.spots) { (node_box(view, *node, spot)) }
                }
            }
            figcaption { "Callers stand left of whom they call. Solid: nothing failed; dashed: some calls failed; thick and dashed: 5 % or more." }
        }
    }
}

fn corner(spot: &Spot) -> (f64, f64) {
    (spot.layer as f64 * CELL.0 + 10.0, spot.row * CELL.1 + 12.0)
}

fn line(view: &GraphView, edge: &EdgeAnswer, from: &Spot, to: &Spot) -> Markup {
    let ((x, y), (to_x, to_y)) = (corner(from), corner(to));
    let (x, y) = (x + NODE.0, y + NODE.1 / 2.0);
    let to_y = to_y + NODE.1 / 2.0;
    let bend = ((to_x - x).abs() / 2.0).max(40.0);
    let path = format!(
        "M{} {} C{} {} {} {} {} {}",
        at(x),
        at(y),
        at(x + bend),
        at(y),
        at(to_x - bend),
        at(to_y),
        at(to_x),
        at(to_y)
    );
    let words = format!(
        "{} to {}: {} requests, {} failed",
        name(view, edge.source),
        name(view, Some(edge.target)),
        text::count(edge.cell.total()),
        text::count(edge.cell.failed())
    );
    html! { path class={ "edge " (class(edge)) } d=(path) { title { (words) } } }
}

fn node_box(view: &GraphView, node: Option<Node>, spot: &Spot) -> Markup {
    let (x, y) = corner(spot);
    let full = name(view, node);
    let mut label: String = full.chars().take(LABEL_CHARS).collect();
    if label.len() < full.len() {
        label.push('…');
    }
    let kind = node
        .and_then(|node| view.nodes.get(&node))
        .map(|row| row.kind);
    let (class, mark) = match kind {
        Some(NodeKind::Service) => ("node", ""),
        Some(NodeKind::Database) => ("node outside", "⛁ "),
        Some(NodeKind::Topic) => ("node outside", "≡ "),
        Some(NodeKind::Peer) => ("node outside", "◇ "),
        None => ("node outside", ""),
    };
    let drawn = html! {
        rect class=(class) x=(at(x)) y=(at(y)) width=(at(NODE.0)) height=(at(NODE.1)) rx="4" {}
        text x=(at(x + NODE.0 / 2.0)) y=(at(y + NODE.1 / 2.0 + 4.0)) text-anchor="middle" { (mark) (label) }
    };
    html! {
        @match node {
            Some(node) => { a href={ "/graph/" (hex(node.number())) } aria-label={ "Graph around " (full) } { (drawn) } }
            None => { g { (drawn) } }
        }
    }
}

fn at(coordinate: f64) -> String {
    text::decimal(coordinate, 1)
}

fn table(snapshot: &Snapshot, answer: &Answer) -> Markup {
    let mut edges: Vec<&EdgeAnswer> = answer.edges.iter().collect();
    edges.sort_by_key(|edge| std::cmp::Reverse((edge.cell.failed(), edge.cell.total())));
    html! {
        div.scroll { table {
            thead { tr { th { "Caller" } th { "Callee" } th.num { "Requests" } th.num { "Failed" } th.num { "Share" } th.num { "Attempts a call" } th.num { "Work for nobody" } } }
            tbody { @for edge in edges.into_iter().take(crate::ROWS_MAX) { (row(snapshot, edge)) } }
        } }
    }
}

fn row(snapshot: &Snapshot, edge: &EdgeAnswer) -> Markup {
    let cell = &edge.cell;
    let (requests, failed) = (cell.total(), cell.failed());
    let share = (requests > 0).then(|| failed as f64 / requests as f64);
    html! {
        tr {
            td.name { (link(snapshot, edge.source)) }
            td.name { (link(snapshot, Some(edge.target))) }
            td.num { (text::count(requests)) }
            td.num { (text::count(failed)) }
            td.num { span class={ "tag " (class(edge)) } { (text::percent_or_dash(share)) } }
            td.num { @if cell.logical > 0 { (text::decimal(requests as f64 / cell.logical as f64, 2)) } @else { "–" } }
            td.num { (text::count(cell.wasted.max(0).unsigned_abs())) }
        }
    }
}

/// A service leads to its page, anything else to the graph around it.
fn link(snapshot: &Snapshot, node: Option<Node>) -> Markup {
    let shown = name(&snapshot.graph, node);
    html! {
        @match node {
            Some(Node::Service(id)) if snapshot.services.contains_key(&id) => { a href={ "/service/" (hex(id.0)) } { (shown) } }
            Some(peer) => { a href={ "/graph/" (hex(peer.number())) } { (shown) } }
            None => { (shown) }
        }
    }
}
