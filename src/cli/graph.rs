//! `tidegate graph` and `tidegate blast`: who calls whom, and who is hit when one fails.

use super::client::ServerArgs;
use super::output::{complain, inert, say, short, table};
use anyhow::Result;
use clap::{Args, ValueEnum};
use query::wire::{BlastBody, EdgeBody, GraphBody, ReachBody};
use std::collections::BTreeMap;

/// `-o` of `graph`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum GraphFormat {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
    /// For Graphviz.
    Dot,
}

/// Which part of the graph, and when.
#[derive(Debug, Args)]
struct WindowArgs {
    /// Namespace, when several services have the name
    #[arg(long, default_value = "", hide_default_value = true)]
    namespace: String,
    /// Environment, when several services have the name
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// Length of the window in seconds, at most 6 h
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    window: u64,
    /// Last moment of the window (RFC 3339), at most 6 h ago [default: now]
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TIME"
    )]
    at: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Show who calls whom, now or at any moment of the last six hours
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// Around this service, database, topic or peer; everything when absent
    #[arg(default_value = "", hide_default_value = true)]
    service: String,
    /// So many calls away from it
    #[arg(long, default_value_t = 1)]
    hops: u8,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: GraphFormat,
    #[command(flatten)]
    window: WindowArgs,
}

/// Show who is hit when a service fails, and on whom it leans
#[derive(Debug, Args)]
pub(crate) struct BlastArgs {
    /// The service, database, topic or peer
    service: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: super::output::Format,
    #[command(flatten)]
    window: WindowArgs,
}

impl GraphArgs {
    /// Asks, prints and returns the exit code: 0, or 30 when there is no answer.
    pub(crate) async fn run(&self) -> u8 {
        code(self.show().await)
    }

    async fn show(&self) -> Result<()> {
        let (seconds, hops) = (self.window.window.to_string(), self.hops.to_string());
        let mut query = self.window.query(&self.service, &seconds);
        query.push(("hops", &hops));
        let response = self.window.server.get("/v1/graph", &query).await?;
        if self.output == GraphFormat::Json {
            let value: serde_json::Value = response.json()?;
            say(serde_json::to_string_pretty(&value)?);
            return Ok(());
        }
        let graph: GraphBody = response.json()?;
        say(match self.output {
            GraphFormat::Dot => dot(&graph),
            _ => rows(&graph),
        });
        Ok(())
    }
}

impl BlastArgs {
    /// Asks, prints and returns the exit code: 0, or 30 when there is no answer.
    pub(crate) async fn run(&self) -> u8 {
        code(self.show().await)
    }

    async fn show(&self) -> Result<()> {
        let seconds = self.window.window.to_string();
        let query = self.window.query(&self.service, &seconds);
        let response = self.window.server.get("/v1/blast", &query).await?;
        if self.output == super::output::Format::Json {
            let value: serde_json::Value = response.json()?;
            say(serde_json::to_string_pretty(&value)?);
            return Ok(());
        }
        let blast: BlastBody = response.json()?;
        say(format!("When {} fails, hit are:", short(&blast.service)));
        say(reached(&blast.affected));
        say(format!("{} leans on:", short(&blast.service)));
        say(reached(&blast.dependencies));
        Ok(())
    }
}

impl WindowArgs {
    fn query<'a>(&'a self, service: &'a str, seconds: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("service", service),
            ("namespace", &self.namespace),
            ("environment", &self.environment),
            ("at", &self.at),
            ("window", seconds),
        ]
    }
}

fn code(result: Result<()>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            complain(format!("error: {error:#}"));
            30
        }
    }
}

fn names(graph: &GraphBody) -> BTreeMap<&str, &str> {
    let nodes = graph.nodes.iter();
    nodes
        .map(|node| (node.id.as_str(), node.name.as_str()))
        .collect()
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

fn rows(graph: &GraphBody) -> String {
    let names = names(graph);
    let name = |id: &str| short(names.get(id).copied().unwrap_or(id));
    let mut lines = table(&[
        "CALLER", "CALLEE", "HOW", "REQUESTS", "RATE/S", "FAILED", "ATTEMPTS", "P95", "MOSTLY",
    ]);
    let mut edges: Vec<&EdgeBody> = graph.edges.iter().collect();
    edges.sort_by(|one, other| {
        let order = other.failed.cmp(&one.failed);
        order.then(other.requests.cmp(&one.requests))
    });
    for edge in edges {
        let most = edge.classes.iter().max_by_key(|(_, count)| **count);
        let p95 = edge.client.p95.or(edge.server.p95);
        lines.add_row([
            name(&edge.source),
            name(&edge.target),
            edge.connection.clone(),
            edge.requests.to_string(),
            format!("{:.1}", edge.rate),
            percent(edge.failed_ratio),
            edge.attempts
                .map_or_else(|| "-".to_owned(), |attempts| format!("{attempts:.2}")),
            p95.map_or_else(
                || "-".to_owned(),
                |secs| format!("{:.0} ms", secs * 1_000.0),
            ),
            most.map_or_else(String::new, |(class, _)| class.clone()),
        ]);
    }
    let mut text = format!("{} to {}\n{lines}", graph.window.from, graph.window.to);
    if graph.truncated {
        text.push_str("\nThe less busy edges are left out: name a service, or ask with -o json.");
    }
    text
}

/// Quoted as Graphviz reads it.
fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        inert(text).replace('\\', "\\\\").replace('"', "\\\"")
    )
}

fn dot(graph: &GraphBody) -> String {
    let mut text = String::from("digraph tidegate {\n  rankdir=LR;\n  node [shape=box];\n");
    for node in &graph.nodes {
        let shape = match node.kind.as_str() {
            "database" => "cylinder",
            "topic" => "cds",
            "service" => "box",
            _ => "ellipse",
        };
        text.push_str(&format!(
            "  {} [label={}, shape={shape}];\n",
            quoted(&node.id),
            quoted(&node.name)
        ));
    }
    for edge in &graph.edges {
        let label = format!("{} requests, {} failed", edge.requests, edge.failed);
        let color = if edge.failed > 0 { ", color=red" } else { "" };
        text.push_str(&format!(
            "  {} -> {} [label={}{color}];\n",
            quoted(&edge.source),
            quoted(&edge.target),
            quoted(&label)
        ));
    }
    text.push('}');
    text
}

fn reached(reached: &[ReachBody]) -> String {
    let mut lines = table(&["NAME", "KIND", "HOPS", "SHARE OF REQUESTS", "REQUESTS"]);
    for reach in reached {
        lines.add_row([
            short(&reach.name),
            reach.kind.clone(),
            reach.hops.to_string(),
            percent(Some(reach.share)),
            reach.requests.to_string(),
        ]);
    }
    if reached.is_empty() {
        return "  nobody".to_owned();
    }
    lines.to_string()
}
