//! The service graph under load, as telemetry really arrives: exported in batches by many processes, late by a tail
//! sampler's wait.

use engine::delta::{Counter, Delta, Outcome};
use engine::folder::{Folder, FolderLimits, SPAN_BYTES};
use engine::hash::HashSeed;
use engine::items::Resource;
use engine::span::kind;
use engine::span_rows::{SpanRow, batch, resource};
use engine::time::{NANOS_PER_MILLI, NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

const SEED: HashSeed = HashSeed(55, 89);
const START: u64 = 1_700_000_000;
/// How often a process exports.
const EXPORT_MS: u64 = 5_000;
/// How long the tail sampler waits.
const DELAY_MS: u64 = 30_000;

/// SplitMix64: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

struct Load {
    edges_per_sec: u64,
    processes: u64,
    secs: u64,
}

/// Exports by (arrival ms, process): what every process sends, and when.
fn exports(load: &Load) -> BTreeMap<(u64, u64), Vec<SpanRow>> {
    let side = |side: &str| -> Vec<Arc<Resource>> {
        let name = |process: u64| format!("{side}-{}", process % 50);
        let attributes = |process: u64| {
            let instance = format!("{side}-{process}");
            resource(&[
                ("service.name", &name(process)),
                ("service.version", "v1"),
                ("service.instance.id", &instance),
            ])
        };
        (0..load.processes).map(attributes).collect()
    };
    let (clients, servers) = (side("client"), side("server"));
    let mut numbers = Numbers(7);
    let phases: Vec<u64> = (0..load.processes * 2)
        .map(|_| numbers.below(EXPORT_MS))
        .collect();
    let mut exports: BTreeMap<(u64, u64), Vec<SpanRow>> = BTreeMap::new();
    let mut send = |process: u64, end_ms: u64, row: SpanRow| {
        let phase = phases[process as usize];
        let waits = (phase + EXPORT_MS - end_ms % EXPORT_MS) % EXPORT_MS;
        let arrives = end_ms + waits + DELAY_MS;
        exports.entry((arrives, process)).or_default().push(row);
    };
    for call in 0..load.edges_per_sec * load.secs {
        let begin_ms = call * 1_000 / load.edges_per_sec;
        let (client, server) = (numbers.below(load.processes), numbers.below(load.processes));
        let took = 2 + numbers.below(100);
        let at = |ms: u64| START * NANOS_PER_SEC + ms * NANOS_PER_MILLI;
        let trace = u128::from(call + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let times = (at(begin_ms), at(begin_ms + took));
        let mut row = SpanRow::new(&clients[client as usize], (trace, 1), times, kind::CLIENT);
        row = row.with("server.address", "10.0.0.1");
        send(client, begin_ms + took, row);
        let times = (at(begin_ms + 1), at(begin_ms + took - 1));
        let mut row = SpanRow::new(&servers[server as usize], (trace, 2), times, kind::SERVER);
        row.parent_id = 1;
        send(load.processes + server, begin_ms + took - 1, row);
    }
    exports
}

/// Scenario: 1,000 processes on each side export every 5 s at phases of their own, behind a tail sampler that waits 30 s;
/// 20,000 calls/s for 90 s (a twentieth of both in the normal lane).
/// Guarantees: at least 99.99 % of the calls are paired and all are counted, in the second in which they ended; the
/// trace table stays within its cap and evicts nothing.
#[test]
fn calls_pair_however_late_their_halves_arrive() {
    let is_long = std::env::var_os("TIDEGATE_LONG").is_some();
    let part = if is_long { 1 } else { 20 };
    let load = Load {
        edges_per_sec: 20_000 / part,
        processes: 1_000 / part,
        secs: 90,
    };
    let limits = FolderLimits::default();
    let mut folder = Folder::new(SEED, 0..64, limits);
    let mut said = Delta::default();
    let (mut tick, mut most_open) = (0, 0);
    for ((arrives, _), rows) in exports(&load) {
        while tick + 250 <= arrives {
            tick += 250;
            let delta = folder.flush(Timestamp(START * NANOS_PER_SEC + tick * NANOS_PER_MILLI));
            said.edges.extend(delta.edges);
            add(&mut said, delta.counters);
        }
        let now = Timestamp(START * NANOS_PER_SEC + arrives * NANOS_PER_MILLI);
        folder.fold_spans(&batch(SEED, now, &rows));
        most_open = most_open.max(folder.open_spans());
    }
    let ended = folder.flush(Timestamp::from_secs(START + 600));
    said.edges.extend(ended.edges);
    add(&mut said, ended.counters);
    said.normalize();
    let calls = (load.edges_per_sec * load.secs) as i64;
    let requests: i64 = said.edges.iter().flat_map(|row| row.requests).sum();
    let paired: i64 = said.edges.iter().map(|row| row.paired).sum();
    assert_eq!(requests, calls);
    assert!(
        paired as f64 >= 0.9999 * calls as f64,
        "{paired} of {calls}"
    );
    let count = |outcome| said.counters.get(&Counter::Traced(outcome)).copied();
    assert_eq!(count(Outcome::Evicted), None);
    assert_eq!(count(Outcome::Paired), Some(2 * paired as u64));
    let seconds = said.edges.iter().map(|row| row.second - START);
    assert!(seconds.max().unwrap() <= load.secs + 1);
    let bytes = most_open * SPAN_BYTES;
    assert!(bytes <= 64 * limits.trace_bytes_per_shard, "{bytes}");
}

fn add(said: &mut Delta, counters: BTreeMap<Counter, u64>) {
    for (counter, count) in counters {
        *said.counters.entry(counter).or_default() += count;
    }
}
