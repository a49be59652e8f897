//! What the Folder costs per span: `cargo run -p engine --example fold_cost --config profile.dev.opt-level=3`.
//!
//! Batches of 512 spans with 12 attributes, flushed every 50 batches, measured when the tables are full: the thread's CPU
//! time where the system tells it, else the clock's. Two mixes in which every trace is new: all entry spans (the worst
//! case), and one entry span in three, as services send them. A third of whole traces: four services of a chain send a
//! server and a client half each, one service a batch; there the graph's and blame's share is what it costs more than
//! the same without them.

use engine::folder::{Folder, FolderLimits, SPAN_BYTES};
use engine::hash::HashSeed;
use engine::items::{ItemColumns, Resource};
use engine::span::{SpanBatch, kind};
use engine::span_rows::{SpanRow, batch, resource};
use engine::time::{NANOS_PER_SEC, Timestamp};
use std::sync::Arc;

const SEED: HashSeed = HashSeed(11, 13);
const ROWS: u64 = 512;
/// Enough to fill the tables with entry spans alone.
const WARM_UP: u64 = 14_000;
const BATCHES: u64 = 4_000;

/// Batches that warm up the mix of traces, and those that are measured.
const TRACE_WARM_UP: u64 = 9_000;
const TRACE_BATCHES: u64 = 4_000;
/// Services of the chain.
const CHAIN: u64 = 4;

fn main() {
    for (name, entries_in) in [("all entry spans", 1), ("one entry span in three", 3)] {
        let limits = FolderLimits::default();
        let senders = senders();
        let start = Timestamp::from_secs(1_700_000_000);
        let model = model_batch(&senders, entries_in, start);
        let fresh = |index, now| with_new_traces(&model, index, now);
        tell(name, measure(limits, (WARM_UP, BATCHES), fresh));
    }
    let chain = |trace_bytes_per_shard| {
        let limits = FolderLimits {
            trace_bytes_per_shard,
            ..FolderLimits::default()
        };
        let models: Vec<SpanBatch> = senders()
            .iter()
            .zip(0..)
            .map(|(sender, place)| link_of_chain(sender, place))
            .collect();
        let fresh = |index: u64, now| {
            let model = &models[(index % CHAIN) as usize];
            with_shared_traces(model, index / CHAIN, now)
        };
        measure(limits, (TRACE_WARM_UP, TRACE_BATCHES), fresh)
    };
    // 100,000 halves in flight.
    let with = chain(100_000 / 64 * SPAN_BYTES);
    let without = chain(0);
    tell("traces of 8 spans from 4 services", with);
    tell("the same without graph and blame", without);
    let share = with.0 + with.1 - without.0 - without.1;
    println!(
        r#"{{"name":"graph and blame, fold and flush","value":{share:.0},"unit":"ns a span"}}"#
    );
}

fn tell(name: &str, (fold, flush): (f64, f64)) {
    println!(r#"{{"name":"fold, {name}","value":{fold:.0},"unit":"ns a span"}}"#);
    println!(r#"{{"name":"flush at ticks, {name}","value":{flush:.0},"unit":"ns a span"}}"#);
}

fn senders() -> Vec<Arc<Resource>> {
    let names = (0..4).map(|index| format!("service-{index}"));
    names
        .map(|name| resource(&[("service.name", &name), ("service.version", "v1")]))
        .collect()
}

/// What the thread has spent so far, ns.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement looks at the clock"
)]
fn spent(began: std::time::Instant) -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.unwrap_or_else(|| began.elapsed().as_nanos() as u64)
}

/// Nanoseconds a span for folding and for flushing, of the second part of `batches`.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement looks at the clock"
)]
fn measure(
    limits: FolderLimits,
    (warm_up, batches): (u64, u64),
    fresh: impl Fn(u64, Timestamp) -> SpanBatch,
) -> (f64, f64) {
    let mut folder = Folder::new(SEED, 0..64, limits);
    let (mut folding, mut flushing) = (0, 0);
    let start = Timestamp::from_secs(1_700_000_000);
    let began = std::time::Instant::now();
    for index in 0..warm_up + batches {
        let now = start.plus(index * NANOS_PER_SEC / 1_000);
        let batch = fresh(index, now);
        let before = spent(began);
        folder.fold_spans(&batch);
        folding += if index < warm_up {
            0
        } else {
            spent(began) - before
        };
        if index % 50 == 49 {
            let before = spent(began);
            std::hint::black_box(folder.flush(now));
            flushing += if index < warm_up {
                0
            } else {
                spent(began) - before
            };
        }
    }
    let spans = (batches * ROWS) as f64;
    (folding as f64 / spans, flushing as f64 / spans)
}

/// What the service at `place` of the chain sends: a server half below the service before it, and a client half.
fn link_of_chain(sender: &Arc<Resource>, place: u64) -> SpanBatch {
    let now = Timestamp::from_secs(1_700_000_000);
    let rows: Vec<SpanRow> = (0..ROWS)
        .map(|index| {
            let is_client = index % 2 == 1;
            let id = (index / 2) * 16 + place * 2 + u64::from(is_client) + 1;
            let begin = now.minus(NANOS_PER_SEC - (place * 2 + index % 2) * 1_000_000);
            let end = begin.plus(60_000_000 - (place * 2 + index % 2) * 3_000_000);
            let kind = if is_client {
                kind::CLIENT
            } else {
                kind::SERVER
            };
            let code = if index % 100 < 2 { 503 } else { 200 };
            let mut row = SpanRow::new(sender, (1, id), (begin.0, end.0), kind)
                .named("GET /api/items/{id}")
                .with("http.request.method", "GET")
                .with("http.route", "/api/items/{id}")
                .with("http.response.status_code", code)
                .with("url.path", format!("/api/items/{index}").as_str())
                .with("url.scheme", "https")
                .with("server.address", format!("service-{}", place + 1).as_str())
                .with("server.port", 443)
                .with("network.protocol.version", "1.1")
                .with("user_agent.original", "probe/1")
                .with("client.address", format!("10.0.0.{}", index % 200).as_str())
                .with("thread.id", index as i64 % 16)
                .with("enduser.tier", "free");
            row.parent_id = match (place, is_client) {
                (0, false) => 0,
                _ => id - 1,
            };
            row
        })
        .collect();
    batch(SEED, now, &rows)
}

/// `model` in the traces of `round`, two spans in each.
fn with_shared_traces(model: &SpanBatch, round: u64, received: Timestamp) -> SpanBatch {
    let trace = |row: u64| {
        u128::from(round * ROWS + row / 2 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    };
    let mut fresh = with_new_traces(model, round, received);
    fresh.trace_id = (0..ROWS).map(trace).collect();
    fresh.shard = (0..ROWS).map(|row| SEED.shard(trace(row))).collect();
    fresh
}

fn model_batch(senders: &[Arc<Resource>], entries_in: u64, now: Timestamp) -> SpanBatch {
    let rows: Vec<SpanRow> = (0..ROWS)
        .map(|index| {
            let sender = &senders[(index * 4 / ROWS) as usize];
            let kind = if index % entries_in == 0 {
                kind::SERVER
            } else {
                kind::CLIENT
            };
            let end = now.minus(index * NANOS_PER_SEC / 200);
            let begin = end.minus(1_000_000 + index * 300_000);
            let code = if index % 50 == 0 { 503 } else { 200 };
            SpanRow::new(sender, (1, index), (begin.0, end.0), kind)
                .named("GET /api/items/{id}")
                .with("http.request.method", "GET")
                .with(
                    "http.route",
                    format!("/api/items{}/{{id}}", "x".repeat(index as usize % 12)).as_str(),
                )
                .with("http.response.status_code", code)
                .with("url.path", format!("/api/items/{index}").as_str())
                .with("url.scheme", "https")
                .with("server.address", "shop.example")
                .with("server.port", 443)
                .with("network.protocol.version", "1.1")
                .with("user_agent.original", "probe/1")
                .with("client.address", format!("10.0.0.{}", index % 200).as_str())
                .with("thread.id", index as i64 % 16)
                .with("enduser.tier", "free")
        })
        .collect();
    batch(SEED, now, &rows)
}

/// `model` with traces that nobody has seen.
fn with_new_traces(model: &SpanBatch, round: u64, received: Timestamp) -> SpanBatch {
    let trace = |row: u64| {
        u128::from(round * ROWS + row).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    };
    SpanBatch {
        items: ItemColumns {
            received,
            resources: model.items.resources.clone(),
            scopes: model.items.scopes.clone(),
            resource: model.items.resource.clone(),
            scope: model.items.scope.clone(),
            attributes: model.items.attributes.clone(),
        },
        names: model.names.clone(),
        trace_id: (0..ROWS).map(trace).collect(),
        span_id: model.span_id.clone(),
        parent_id: model.parent_id.clone(),
        start: model.start.clone(),
        duration: model.duration.clone(),
        end: model.end.clone(),
        name: model.name.clone(),
        kind: model.kind.clone(),
        status: model.status.clone(),
        flags: model.flags.clone(),
        anomalies: model.anomalies.clone(),
        shard: (0..ROWS).map(|row| SEED.shard(trace(row))).collect(),
        weight: model.weight.clone(),
        status_message: model.status_message.clone(),
        trace_state: model.trace_state.clone(),
        events: Vec::new(),
        links: Vec::new(),
    }
}
