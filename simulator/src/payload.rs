//! Benchmark payloads: whole prepared requests whose ids and times are patched in place, request after request.
//!
//! Shape of the load (the same for every system under test): 10 spans a trace, a chain of calls through five
//! services, the last two spans of every trace in the next request; 1 % of the server spans failed; two of twelve
//! attributes of high cardinality. Ids never repeat within `u64` requests, and no allocation is made per request.

#[cfg(test)]
mod tests;

use crate::encode::{Attribute, Ids, Origin, SpanSpec, SpanTemplate, Value};
use crate::random::mix;
use std::collections::BTreeMap;

/// Which spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadKind {
    /// 567 B a span with its share of the request, 12 attributes, 10 resource attributes.
    #[default]
    Rich,
    /// About 143 B a span, 2 attributes: what a bare SDK sends.
    Minimal,
}

/// Spans of one trace.
const TRACE_SPANS: u64 = 10;
/// Spans of a trace that travel one request later.
const LATE_SPANS: u64 = 2;
/// Resources of one request.
const RESOURCES: usize = 4;
/// Namespace of the payload's services.
pub const NAMESPACE: &str = "load";
/// Environment of the payload's services.
pub const ENVIRONMENT: &str = "benchmark";
/// Prepared requests: 12 x 4 resources = 48 services.
const PREPARED: usize = 12;
/// OTLP numbers.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const STATUS_ERROR: u8 = 2;
/// Operations of each service.
const OPERATIONS: usize = 8;

/// A source of requests of `batch` spans each.
#[derive(Debug)]
pub struct Payload {
    prepared: Vec<Prepared>,
    seed: u64,
    sent: u64,
    batch: u64,
}

/// Entry spans of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Served {
    /// All of them.
    pub total: u64,
    /// Those that failed.
    pub failed: u64,
}

impl Served {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.failed += other.failed;
    }
}

#[derive(Debug)]
struct Prepared {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// Entry spans by the request's services.
    served: [Served; RESOURCES],
}

/// One span of a prepared request.
#[derive(Debug)]
struct Slot {
    /// Where its copy stands in the request.
    at: usize,
    /// Which trace of the request, and which span of the trace.
    trace: u64,
    position: u64,
    template: SpanTemplate,
}

impl Payload {
    /// Prepares requests of `batch` spans (at least 1); `seed` starts the ids, so connections need different ones.
    pub fn new(kind: PayloadKind, batch: usize, seed: u64) -> Self {
        let batch = batch.max(1);
        Self {
            prepared: (0..PREPARED)
                .map(|index| prepare(kind, batch, index))
                .collect(),
            seed: mix(seed),
            sent: 0,
            batch: batch as u64,
        }
    }

    /// The next request; its spans end at `now` (Unix ns) at the latest.
    pub fn next_request(&mut self, now: u64) -> &[u8] {
        let number = self.sent;
        self.sent += 1;
        let prepared = &mut self.prepared[number as usize % PREPARED];
        for slot in &prepared.slots {
            let ids = ids(self.seed, self.batch, number, slot, now);
            let copy = &mut prepared.bytes[slot.at..slot.at + slot.template.len()];
            slot.template.patch(copy, &ids);
        }
        &prepared.bytes
    }

    /// The truth of the first `requests` requests: entry spans by `service.name`.
    pub fn served(&self, requests: u64) -> BTreeMap<String, Served> {
        let mut truth = BTreeMap::new();
        for (index, prepared) in self.prepared.iter().enumerate() {
            let times = (requests + (PREPARED - 1 - index) as u64) / PREPARED as u64;
            for (resource, served) in prepared.served.iter().enumerate() {
                let all = Served {
                    total: served.total * times,
                    failed: served.failed * times,
                };
                if all.total > 0 {
                    truth.insert(service_name(index * RESOURCES + resource), all);
                }
            }
        }
        truth
    }

    /// Spans in each request.
    pub fn spans(&self) -> u64 {
        self.batch
    }

    /// Encoded bytes for each span, resources and framing included.
    pub fn bytes_per_span(&self) -> f64 {
        let bytes: usize = self
            .prepared
            .iter()
            .map(|prepared| prepared.bytes.len())
            .sum();
        bytes as f64 / (PREPARED as f64 * self.batch as f64)
    }
}

/// Ids are a formula of (request, slot), so a parent in an earlier request is known without remembering it.
fn ids(seed: u64, batch: u64, request: u64, slot: &Slot, now: u64) -> Ids {
    let is_late = slot.position >= TRACE_SPANS - LATE_SPANS;
    let home = request.wrapping_sub(u64::from(is_late));
    let traces = batch.div_ceil(TRACE_SPANS);
    let trace = seed.wrapping_add(home.wrapping_mul(traces).wrapping_add(slot.trace));
    let span = |position: u64| mix(trace.wrapping_mul(TRACE_SPANS).wrapping_add(position)).max(1);
    let depth = slot.position * 400_000;
    Ids {
        trace_id: (u128::from(mix(trace)) << 64) | u128::from(mix(!trace)),
        span_id: span(slot.position),
        parent_id: span(slot.position.wrapping_sub(1)),
        start: now.saturating_sub(20_000_000 - depth),
        end: now.saturating_sub(depth),
        mark: mix(span(slot.position)),
    }
}

/// A chain of five services: two spans (server, then client) on each of the request's four resources, and the
/// late end of the chain on any of them.
const fn resource_of(trace: u64, position: u64) -> usize {
    let at = if position < TRACE_SPANS - LATE_SPANS {
        position / 2
    } else {
        trace
    };
    at as usize % RESOURCES
}

fn prepare(kind: PayloadKind, batch: usize, index: usize) -> Prepared {
    let mut served = [Served::default(); RESOURCES];
    let mut bytes = Vec::new();
    let mut slots = Vec::new();
    for (resource, served) in served.iter_mut().enumerate() {
        let service = index * RESOURCES + resource;
        let mut spans = Vec::new();
        let first = slots.len();
        for number in 0..batch as u64 {
            let (trace, position) = (number / TRACE_SPANS, number % TRACE_SPANS);
            if resource_of(trace, position) != resource {
                continue;
            }
            let spec = spec(kind, trace, position, service);
            served.add(Served {
                total: u64::from(spec.kind == SERVER),
                failed: u64::from(spec.status == STATUS_ERROR),
            });
            let template = SpanTemplate::new(&spec);
            let at = spans.len();
            template.write(&Ids::default(), &mut spans);
            slots.push(Slot {
                at,
                trace,
                position,
                template,
            });
        }
        if spans.is_empty() {
            continue;
        }
        let at = origin(kind, service).wrap(&spans, &mut bytes);
        slots[first..].iter_mut().for_each(|slot| slot.at += at);
    }
    Prepared {
        bytes,
        slots,
        served,
    }
}

/// Name of the payload's service number `service`.
pub fn service_name(service: usize) -> String {
    format!("service-{service:02}")
}

fn origin(kind: PayloadKind, service: usize) -> Origin {
    let name = Attribute::text("service.name", service_name(service));
    let attributes = match kind {
        PayloadKind::Minimal => vec![name],
        PayloadKind::Rich => vec![
            name,
            Attribute::text("service.namespace", NAMESPACE),
            Attribute::text("service.version", "1.8.3"),
            Attribute::text(
                "service.instance.id",
                format!("{:032x}", mix(service as u64)),
            ),
            Attribute::text("deployment.environment.name", ENVIRONMENT),
            Attribute::text(
                "k8s.pod.name",
                format!("service-{service:02}-6d5f7c9b8-x2x7q"),
            ),
            Attribute::text("k8s.pod.label.pod-template-hash", "6d5f7c9b8"),
            Attribute::text("host.name", format!("node-{}", service % 7)),
            Attribute::text("telemetry.sdk.name", "opentelemetry"),
            Attribute::text("telemetry.sdk.language", "rust"),
        ],
    };
    Origin::new(&attributes, "load", "1.0.0")
}

fn spec(kind: PayloadKind, trace: u64, position: u64, service: usize) -> SpanSpec {
    let is_server = position.is_multiple_of(2);
    let chance = mix((trace * TRACE_SPANS + position) * 64 + service as u64);
    let operation = (chance >> 32) as usize % OPERATIONS;
    let server = trace * (TRACE_SPANS / 2) + position / 2;
    let is_failed = is_server && (server + 13 * service as u64).is_multiple_of(100);
    SpanSpec {
        name: format!("GET /api/v1/resource-{operation}"),
        kind: if is_server { SERVER } else { CLIENT },
        attributes: match kind {
            PayloadKind::Minimal => minimal_attributes(operation, is_failed),
            PayloadKind::Rich => rich_attributes(operation, service, is_failed),
        },
        status: if is_failed { STATUS_ERROR } else { 0 },
        message: String::new(),
        has_parent: position != 0,
    }
}

fn status_code(is_failed: bool) -> Attribute {
    Attribute::int(
        "http.response.status_code",
        if is_failed { 500 } else { 200 },
    )
}

fn minimal_attributes(operation: usize, is_failed: bool) -> Vec<Attribute> {
    vec![
        Attribute::text("http.route", format!("/r{operation}")),
        status_code(is_failed),
    ]
}

fn rich_attributes(operation: usize, service: usize, is_failed: bool) -> Vec<Attribute> {
    vec![
        Attribute::text("http.request.method", "GET"),
        Attribute::text("http.route", format!("/api/v1/resource-{operation}")),
        status_code(is_failed),
        Attribute::text("url.scheme", "https"),
        Attribute::marked("url.path", format!("/api/v1/resource-{operation}/")),
        Attribute::text(
            "server.address",
            format!("service-{service:02}.load.svc.cluster.local"),
        ),
        Attribute::int("server.port", 8443),
        Attribute::text("network.protocol.version", "1.1"),
        Attribute::text(
            "client.address",
            format!("10.4.{service}.{}", operation * 7),
        ),
        Attribute::text(
            "user_agent.original",
            "load-generator/1.0.0 (benchmark payload; rich; linux-x64)",
        ),
        Attribute::marked("enduser.pseudo.id", "user-"),
        Attribute::new("http.request.is_resend", Value::Bool(false)),
    ]
}
