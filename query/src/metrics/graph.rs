//! The service graph as Grafana reads it: `traces_service_graph_*`, with the names and labels of Tempo's generator.
//!
//! A call enters when it paired or when its trace ended, under the names in force then, and never leaves: these counters
//! cannot fall. `/v1/graph` is current, and corrects itself.

use engine::delta::Connection;
use engine::graph::counters::{CallCount, CallKey, Side};
use engine::latency::{LATENCY_BUCKETS, bucket_end_nanos};
use engine::snapshot::Snapshot;
use engine::time::NANOS_PER_SEC;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Error;
use std::sync::Arc;

/// The client of calls whose caller is not known.
const UNKNOWN: &str = "unknown";

type Labels = Vec<(&'static str, String)>;

/// One series.
#[derive(Debug)]
struct Series {
    labels: Labels,
    /// Whether the server sends spans itself.
    is_service: bool,
    count: Arc<CallCount>,
}

/// All series.
#[derive(Debug)]
pub(super) struct Calls(Vec<Series>);

impl Calls {
    /// The series of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let series = snapshot.graph.counters.iter();
        Self(
            series
                .map(|(key, count)| Series {
                    labels: labels(key),
                    is_service: key.server.is_service,
                    count: Arc::clone(count),
                })
                .collect(),
        )
    }
}

/// Tempo's word: empty between two services.
const fn connection_type(key: &CallKey) -> &'static str {
    match key.connection {
        Connection::Database => "database",
        Connection::Messaging => "messaging_system",
        Connection::Call if key.server.is_service && key.client.is_some() => "",
        Connection::Call => "virtual_node",
    }
}

fn labels(key: &CallKey) -> Labels {
    let unknown = Side {
        name: UNKNOWN.to_owned(),
        ..Side::default()
    };
    let client = key.client.as_ref().unwrap_or(&unknown);
    let server = &key.server;
    let mut labels = vec![
        ("client", client.name.clone()),
        ("server", server.name.clone()),
        ("connection_type", connection_type(key).to_owned()),
        ("client_service_namespace", client.namespace.clone()),
        ("server_service_namespace", server.namespace.clone()),
    ];
    for (name, side) in [
        ("client_deployment_environment_name", client),
        ("server_deployment_environment_name", server),
    ] {
        if !side.environment.is_empty() {
            labels.push((name, side.environment.clone()));
        }
    }
    labels
}

impl Collector for Calls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let name = "traces_service_graph_request";
        let help = "Calls between two nodes";
        counter(&mut encoder, (name, help), &self.0, |count| count.requests)?;
        let name = "traces_service_graph_request_failed";
        let help = "Calls between two nodes that failed";
        counter(&mut encoder, (name, help), &self.0, |count| count.failed)?;
        let name = "traces_service_graph_request_server_seconds";
        let help =
            "Duration as the server saw it; as the client did, where the server sends nothing";
        histogram(&mut encoder, (name, help), &self.0, |one| {
            if one.is_service {
                (&one.count.server, one.count.server_nanos)
            } else {
                (&one.count.client, one.count.client_nanos)
            }
        })?;
        let name = "traces_service_graph_request_client_seconds";
        let help = "Duration as the client saw it";
        histogram(&mut encoder, (name, help), &self.0, |one| {
            (&one.count.client, one.count.client_nanos)
        })?;
        let name = "traces_service_graph_connection_info";
        let mut metric =
            encoder.encode_descriptor(name, "1 for every connection", None, MetricType::Gauge)?;
        for one in &self.0 {
            ConstGauge::new(1.0).encode(metric.encode_family(&one.labels)?)?;
        }
        Ok(())
    }
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: &[Series],
    read: impl Fn(&CallCount) -> u64,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for one in series {
        ConstCounter::new(read(&one.count)).encode(metric.encode_family(&one.labels)?)?;
    }
    Ok(())
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    series: &[Series],
    read: impl Fn(&Series) -> (&[u64; LATENCY_BUCKETS], u64),
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for one in series {
        let (cells, nanos) = read(one);
        let seconds = nanos as f64 / NANOS_PER_SEC as f64;
        let mut family = metric.encode_family(&one.labels)?;
        family.encode_histogram::<NoLabelSet>(
            seconds,
            cells.iter().sum(),
            &buckets(cells),
            None,
        )?;
    }
    Ok(())
}

/// Counts by powers of two of milliseconds, from 1 ms to 32.8 s: every fourth edge of the house's buckets.
fn buckets(cells: &[u64; LATENCY_BUCKETS]) -> Vec<(f64, u64)> {
    let mut found: Vec<(f64, u64)> = Vec::new();
    let mut sum = 0;
    for (bucket, count) in cells.iter().enumerate() {
        sum += count;
        if bucket % 4 == 0 && bucket + 1 < LATENCY_BUCKETS {
            let end = bucket_end_nanos(bucket as u8) as f64 / NANOS_PER_SEC as f64;
            found.push((end, sum));
            sum = 0;
        }
    }
    found.push((f64::INFINITY, sum));
    found
}
