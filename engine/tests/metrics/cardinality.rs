//! Floods of made-up names: what is known stays exact, and memory has an end.

use crate::cases;
use crate::rig::{SEED, definitions, requests, sender};
use crate::story::OBSERVED;
use engine::batch::Batch;
use engine::decider::Decider;
use engine::delta::{Counter, Fate};
use engine::folder::FolderLimits;
use engine::input::{DefinitionsLoaded, Input};
use engine::items::Signal;
use engine::machine::{Engine, EngineConfig};
use engine::metric::{Instrument, Temporality};
use engine::metric_rows::{PointRow, PointValue, batch, metric};
use engine::snapshot::SERVICES_MAX;
use engine::span_rows::resource;
use engine::time::Timestamp;
use std::sync::Arc;

const SEC: u64 = 1_000_000_000;

/// Scenario: in a minute, 10^6 made-up service names (in the long lane; 30,000 otherwise) and as many made-up attribute
/// values of a metric that an SLO selects, beside a known stream of that SLO.
/// Guarantees: the known stream is counted exactly; services and streams end at their bounds; points of streams that
/// found no room are counted as dropped.
#[test]
fn a_flood_of_names_leaves_what_is_known_exact() {
    let flood = cases(30_000, 1_000_000);
    let limits = FolderLimits {
        streams_per_shard: 16,
        ..FolderLimits::default()
    };
    let config = EngineConfig {
        seed: SEED,
        folders: 2,
        limits,
        store_bytes: 1 << 20,
    };
    let slo = requests();
    let mut engine = Engine::new(&config, Decider::default());
    let mut effects = Vec::new();
    let loaded = DefinitionsLoaded {
        definitions: Some(definitions(&slo)),
        problems: Vec::new(),
    };
    let begin = Timestamp::from_secs(OBSERVED);
    engine.apply(begin, Input::Definitions(loaded), &mut effects);
    engine.tick(begin, &mut effects);
    let name = metric("requests", Instrument::Counter, Temporality::Cumulative);
    let point = |sender: &_, second: u64, value| {
        let times = (OBSERVED * SEC, (OBSERVED + second) * SEC);
        PointRow::new(sender, &name, times, PointValue::Int(value)).with("code", 200)
    };
    let (known, rounds) = (sender("v1"), 60);
    let mut dropped = 0;
    for second in 1..=rounds {
        let mut rows = vec![point(&known, second, 10 * second as i64)];
        for number in 0..flood / rounds / 2 {
            let id = second * flood + number;
            let stranger = resource(&[("service.name", format!("made-up-{id}").as_str())]);
            rows.push(point(&stranger, second, 1));
            rows.push(point(&known, second, 7).with("user", id as i64));
        }
        let now = Timestamp::from_secs(OBSERVED + second);
        for chunk in rows.chunks(500) {
            engine.fold(Arc::new(Batch::Metrics(batch(SEED, now, chunk))));
        }
        let snapshot = engine.tick(now, &mut effects);
        let items = Counter::Items(Signal::Metrics, Fate::Dropped);
        dropped = snapshot.status.counters.get(&items).copied().unwrap_or(0);
        assert!(snapshot.services.len() <= SERVICES_MAX + 1);
    }
    let row = &engine.snapshot().slos[&slo.id];
    let streams = (row.period.good - 10 * rounds) / 7;
    assert_eq!(row.period.good, 10 * rounds + 7 * streams);
    assert!(streams < 16 * 64 && streams > 15 * 63, "{streams}");
    assert_eq!(dropped, flood / rounds / 2 * rounds - streams);
}
