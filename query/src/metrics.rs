//! `/metrics`: Sloth's names beside our own, so that existing dashboards and rules keep working.

mod graph;

use engine::anomaly;
use engine::delta::Counter;
use engine::delta::Fate;
use engine::items::Signal;
use engine::slo::RATIO_ONE;
use engine::snapshot::{AlertState, SloRow, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Content type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One value of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric name, without `_total` for counters.
    pub name: &'static str,
    /// Help text.
    pub help: &'static str,
    /// Counters only grow.
    pub is_counter: bool,
    /// Labels.
    pub labels: Vec<(&'static str, String)>,
    /// Value.
    pub value: f64,
}

impl Sample {
    /// A gauge.
    pub fn gauge(
        name: &'static str,
        help: &'static str,
        labels: Vec<(&'static str, String)>,
        value: f64,
    ) -> Self {
        Self {
            name,
            help,
            is_counter: false,
            labels,
            value,
        }
    }

    /// A counter.
    pub fn counter(
        name: &'static str,
        help: &'static str,
        labels: Vec<(&'static str, String)>,
        value: u64,
    ) -> Self {
        Self {
            name,
            help,
            is_counter: true,
            labels,
            value: value as f64,
        }
    }
}

#[derive(Debug)]
struct Samples(BTreeMap<&'static str, Vec<Sample>>);

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, samples) in &self.0 {
            let Some(first) = samples.first() else {
                continue;
            };
            let kind = if first.is_counter {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let mut metric = encoder.encode_descriptor(name, first.help, None, kind)?;
            for sample in samples {
                let family = metric.encode_family(&sample.labels)?;
                if sample.is_counter {
                    ConstCounter::new(sample.value).encode(family)?;
                } else {
                    ConstGauge::new(sample.value).encode(family)?;
                }
            }
        }
        Ok(())
    }
}

/// The exposition of a snapshot and of what the receivers count.
///
/// # Errors
/// Never in practice: writing to a string does not fail.
pub fn render(snapshot: &Snapshot, receivers: &[Sample]) -> Result<String, std::fmt::Error> {
    let mut samples: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
    let all = receivers
        .iter()
        .cloned()
        .chain(own_samples(snapshot))
        .chain(slo_samples(snapshot))
        .chain(gate_samples(snapshot));
    for sample in all {
        samples.entry(sample.name).or_default().push(sample);
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::new(Samples(samples))));
    registry.register_collector(Box::new(graph::Calls::of(snapshot)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// What the engine says about itself. The outcomes of spans that everybody looks for are there from the start, as 0.
pub fn own_samples(snapshot: &Snapshot) -> Vec<Sample> {
    let status = &snapshot.status;
    let mut counters = status.counters.clone();
    for signal in Signal::ALL {
        for fate in [Fate::Accepted, Fate::Rejected, Fate::Dropped] {
            counters.entry(Counter::Items(signal, fate)).or_default();
        }
    }
    let mut samples: Vec<Sample> = counters
        .iter()
        .map(|(counter, count)| match counter {
            Counter::Anomaly(index) => {
                let kind = anomaly::NAMES
                    .get(usize::from(*index))
                    .map_or("other", |(_, name)| name);
                Sample::counter(
                    "tidegate_ingest_anomalies",
                    "Items accepted although something was odd",
                    vec![("kind", kind.to_owned())],
                    *count,
                )
            }
            Counter::Items(signal, fate) => Sample::counter(
                item_counter(*signal),
                "Items by what became of them",
                vec![("outcome", fate.name().to_owned())],
                *count,
            ),
            Counter::CollapsedSpans => Sample::counter(
                "tidegate_ingest_collapsed_spans",
                "Entry spans that joined a unit judged earlier",
                Vec::new(),
                *count,
            ),
            Counter::Traced(outcome) => Sample::counter(
                "tidegate_graph_spans",
                "Spans of traces that ended, by what became of them in the service graph",
                vec![("outcome", outcome.name().to_owned())],
                *count,
            ),
            Counter::TracedCopies => Sample::counter(
                "tidegate_graph_copies",
                "Copies of spans that their trace held already",
                Vec::new(),
                *count,
            ),
            Counter::EvictedKeys => Sample::counter(
                "tidegate_ingest_evicted_keys",
                "Dedup and unit table entries that left before their window ended",
                Vec::new(),
                *count,
            ),
        })
        .collect();
    let gauge = |name, help, value: f64| Sample::gauge(name, help, Vec::new(), value);
    samples.extend([
        gauge(
            "tidegate_services",
            "Services seen or defined",
            snapshot.services.len() as f64,
        ),
        gauge(
            "tidegate_resources",
            "Live resources (instances)",
            status.resources as f64,
        ),
        gauge(
            "tidegate_dedup_window_seconds",
            "Window in which a repeated span counts once",
            status.dedup_window_secs as f64,
        ),
        gauge(
            "tidegate_pending_notifications",
            "Notifications not yet delivered",
            status.pending_effects as f64,
        ),
        gauge(
            "tidegate_gaps",
            "Times for which counts are missing",
            status.gaps.len() as f64,
        ),
        gauge(
            "tidegate_definitions_generation",
            "Generation of the definitions in force",
            status.definitions_generation as f64,
        ),
        gauge(
            "tidegate_definitions_last_load_successful",
            "0 while the last load had errors and older definitions are in force",
            f64::from(u8::from(
                !status.problems.iter().any(|problem| problem.is_error),
            )),
        ),
        gauge(
            "tidegate_store_bytes",
            "Bytes in the hot store",
            snapshot.store.bytes as f64,
        ),
    ]);
    for signal in Signal::ALL {
        let labels = || vec![("signal", signal.name().to_owned())];
        samples.push(Sample::gauge(
            "tidegate_store_items",
            "Items in the hot store",
            labels(),
            snapshot.store.held.of(signal) as f64,
        ));
        samples.push(Sample::counter(
            "tidegate_store_evicted_items",
            "Items that left the hot store",
            labels(),
            snapshot.store.evicted.of(signal),
        ));
    }
    samples
}

const fn item_counter(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "tidegate_ingest_spans",
        Signal::Metrics => "tidegate_ingest_points",
        Signal::Logs => "tidegate_ingest_records",
    }
}

/// Sloth's window names.
fn window_name(secs: u64) -> Option<&'static str> {
    Some(match secs {
        300 => "slo:sli_error:ratio_rate5m",
        1_800 => "slo:sli_error:ratio_rate30m",
        3_600 => "slo:sli_error:ratio_rate1h",
        7_200 => "slo:sli_error:ratio_rate2h",
        21_600 => "slo:sli_error:ratio_rate6h",
        86_400 => "slo:sli_error:ratio_rate1d",
        259_200 => "slo:sli_error:ratio_rate3d",
        2_592_000 => "slo:sli_error:ratio_rate30d",
        _ => return None,
    })
}

fn slo_samples(snapshot: &Snapshot) -> Vec<Sample> {
    snapshot
        .slos
        .values()
        .flat_map(|row| one_slo(row))
        .collect()
}

fn one_slo(row: &SloRow) -> Vec<Sample> {
    let slo = &row.slo;
    let labels = vec![
        ("sloth_id", format!("{}-{}", slo.service.name, slo.name)),
        ("sloth_slo", slo.name.clone()),
        ("sloth_service", slo.service.name.clone()),
        ("namespace", slo.service.namespace.clone()),
        ("environment", slo.service.environment.clone()),
    ];
    let gauge = |name, help, value| Sample::gauge(name, help, labels.clone(), value);
    let budget = slo.target.complement().parts_per_billion as f64 / RATIO_ONE as f64;
    let mut samples = vec![
        gauge(
            "slo:objective:ratio",
            "Target ratio of good events",
            slo.target.as_f64(),
        ),
        gauge("slo:error_budget:ratio", "1 - target", budget),
        gauge(
            "slo:time_period:days",
            "Period of the SLO",
            slo.period_secs as f64 / 86_400.0,
        ),
        gauge("sloth_slo_info", "Always 1", 1.0),
        gauge(
            "tidegate_slo_good_events",
            "Good events of the period",
            row.period.good as f64,
        ),
        gauge(
            "tidegate_slo_bad_events",
            "Bad events of the period",
            row.period.bad as f64,
        ),
        gauge(
            "tidegate_slo_events_in_doubt",
            "Bad events of the period that may be good: a histogram's bucket holds the threshold",
            row.in_doubt as f64,
        ),
        gauge(
            "tidegate_slo_type_mismatch",
            "1 while the SLO's metric arrives with another type than declared, which is not counted",
            f64::from(u8::from(row.mismatch.is_some())),
        ),
        gauge(
            "tidegate_slo_alert_firing",
            "1 while the SLO's alert fires",
            f64::from(u8::from(
                row.alert
                    .as_ref()
                    .is_some_and(|alert| alert.state == AlertState::Firing),
            )),
        ),
    ];
    for window in &row.windows {
        let (Some(ratio), Some(name)) =
            (window.counts.bad_ratio(), window_name(window.window_secs))
        else {
            continue;
        };
        samples.push(gauge(name, "Share of bad events in the window", ratio));
        if window.window_secs == 300 {
            samples.push(gauge(
                "slo:current_burn_rate:ratio",
                "Burn rate over 5 min",
                ratio / budget,
            ));
        }
    }
    if let Some(remaining) = row.budget_remaining {
        samples.push(gauge(
            "slo:period_burn_rate:ratio",
            "Burn rate over the period",
            1.0 - remaining,
        ));
        samples.push(gauge(
            "slo:period_error_budget_remaining:ratio",
            "Remaining budget, signed",
            remaining,
        ));
    }
    samples
}

fn gate_samples(snapshot: &Snapshot) -> Vec<Sample> {
    let mut samples = Vec::new();
    for gate in snapshot.gates.values() {
        for answer in &gate.candidates {
            let labels = vec![
                ("service", answer.service.name.clone()),
                ("environment", answer.service.environment.clone()),
                ("candidate", answer.candidate.clone()),
                ("verdict", answer.verdict.name().to_owned()),
                ("code", answer.code.name().to_owned()),
            ];
            samples.push(Sample::gauge(
                "tidegate_gate_verdict",
                "1 for the current verdict of a candidate",
                labels,
                1.0,
            ));
        }
    }
    samples
}
