//! What the Folder costs per span: `cargo run -p engine --example fold_cost --config profile.dev.opt-level=3`.
//!
//! Batches of 512 spans with 12 attributes, every trace new, flushed every 50 batches, measured when the tables are full. Two mixes: all entry spans (the worst case), and one entry span in three, as services send them.

use engine::folder::{Folder, FolderLimits};
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

fn main() {
    for (name, entries_in) in [("all entry spans", 1), ("one entry span in three", 3)] {
        let (fold, flush) = measure(entries_in);
        println!(r#"{{"name":"fold, {name}","value":{fold:.0},"unit":"ns a span"}}"#);
        println!(r#"{{"name":"flush at ticks, {name}","value":{flush:.0},"unit":"ns a span"}}"#);
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement looks at the clock"
)]
fn measure(entries_in: u64) -> (f64, f64) {
    let senders: Vec<Arc<Resource>> = (0..4)
        .map(|index| {
            let name = format!("service-{index}");
            resource(&[("service.name", &name), ("service.version", "v1")])
        })
        .collect();
    let mut folder = Folder::new(SEED, 0..64, FolderLimits::default());
    let (mut folding, mut flushing) = (0, 0);
    let start = Timestamp::from_secs(1_700_000_000);
    let model = model_batch(&senders, entries_in, start);
    for index in 0..WARM_UP + BATCHES {
        let now = start.plus(index * NANOS_PER_SEC / 1_000);
        let fresh = with_new_traces(&model, index, now);
        let clock = std::time::Instant::now();
        folder.fold_spans(&fresh);
        let cost = clock.elapsed().as_nanos();
        folding += if index < WARM_UP { 0 } else { cost };
        if index % 50 == 49 {
            let clock = std::time::Instant::now();
            std::hint::black_box(folder.flush(now));
            let cost = clock.elapsed().as_nanos();
            flushing += if index < WARM_UP { 0 } else { cost };
        }
    }
    let spans = (BATCHES * ROWS) as f64;
    (folding as f64 / spans, flushing as f64 / spans)
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
