//! What is shown beside the counts: the measurement error, a metric of another type, and when a window is complete.

use crate::rig::{SEED, definitions, fast, requests, sender};
use crate::story::OBSERVED;
use engine::batch::Batch;
use engine::decider::Decider;
use engine::folder::FolderLimits;
use engine::input::{DefinitionsLoaded, Effect, EffectKind, Input};
use engine::machine::{Engine, EngineConfig};
use engine::metric::{Instrument, Metric, Temporality};
use engine::metric_rows::{PointRow, PointValue, batch, metric};
use engine::slo::{Definitions, Slo, default_tiers};
use engine::snapshot::{AlertState, SloRow, Snapshot};
use engine::time::Timestamp;
use std::sync::Arc;

const SEC: u64 = 1_000_000_000;

/// The core with one SLO, told of points second by second.
struct Core {
    engine: Engine,
    slo: Slo,
    effects: Vec<Effect>,
}

impl Core {
    fn new(slo: Slo, decider: Decider) -> Self {
        let config = EngineConfig {
            seed: SEED,
            folders: 1,
            limits: FolderLimits::default(),
            store_bytes: 1 << 16,
        };
        let mut core = Self {
            engine: Engine::new(&config, decider),
            slo,
            effects: Vec::new(),
        };
        let loaded = DefinitionsLoaded {
            definitions: Some(Arc::new(Definitions {
                endpoints: vec!["ops".to_owned()],
                ..Definitions::clone(&definitions(&core.slo))
            })),
            problems: Vec::new(),
        };
        let now = Timestamp::from_secs(OBSERVED);
        core.engine
            .apply(now, Input::Definitions(loaded), &mut core.effects);
        core
    }

    /// A point of the run that began with observation, and the tick after it.
    fn point(&mut self, second: u64, metric: &Arc<Metric>, code: i64, value: PointValue) {
        let times = (OBSERVED * SEC, (OBSERVED + second) * SEC);
        let row = PointRow::new(&sender("v1"), metric, times, value).with("code", code);
        let now = Timestamp::from_secs(OBSERVED + second);
        let points = batch(SEED, now, &[row]);
        self.engine.fold(Arc::new(Batch::Metrics(points)));
    }

    fn tick(&mut self, second: u64) -> (Arc<SloRow>, Snapshot) {
        let now = Timestamp::from_secs(OBSERVED + second);
        let snapshot = self.engine.tick(now, &mut self.effects);
        (snapshot.slos[&self.slo.id].clone(), snapshot)
    }
}

fn counter() -> Arc<Metric> {
    metric("requests", Instrument::Counter, Temporality::Cumulative)
}

/// Scenario: a metric that is declared as a counter arrives as a gauge; then the sender is mended.
/// Guarantees: TYPE_MISMATCH with the type that arrives, an event, nothing counted; it ends when the declared type
/// arrives and no other has for three minutes, and from the first right point on it counts.
#[test]
fn a_metric_of_another_type_is_a_type_mismatch_until_it_is_mended() {
    let mut core = Core::new(requests(), Decider::default());
    core.tick(0);
    let gauge = metric("requests", Instrument::Gauge, Temporality::None);
    core.point(30, &gauge, 200, PointValue::Int(70));
    let (row, snapshot) = core.tick(31);
    let mismatch = row.mismatch.unwrap();
    assert_eq!(mismatch.arriving, Instrument::Gauge);
    assert_eq!(mismatch.since, Timestamp::from_secs(OBSERVED + 31));
    assert_eq!(row.period.total(), 0);
    let words = mismatch.words(&row.slo);
    assert!(
        words.contains("declared as counter and arrives as gauge"),
        "{words}"
    );
    assert!(
        snapshot
            .events
            .iter()
            .any(|event| event.kind == "slo.type_mismatch")
    );
    for (second, value) in [(60, 10), (120, 20), (180, 30)] {
        core.point(second, &counter(), 200, PointValue::Int(value));
        assert!(core.tick(second).0.mismatch.is_some());
    }
    core.point(240, &counter(), 200, PointValue::Int(40));
    let (row, _) = core.tick(240);
    assert_eq!((row.mismatch, row.period.good), (None, 40));
}

/// Scenario: a histogram whose bucket holds the threshold, in an SLO over an hour.
/// Guarantees: its events count as bad, and the row says how many of the period's may be good; both leave the window.
#[test]
fn the_measurement_error_is_that_of_the_period() {
    let slo = Slo {
        period_secs: 3_600,
        ..fast(0.5)
    };
    let mut core = Core::new(slo, Decider::default());
    core.tick(0);
    let name = metric("duration", Instrument::Histogram, Temporality::Cumulative);
    let bounds: Arc<[f64]> = [0.1, 1.0].into();
    core.point(60, &name, 200, PointValue::Buckets(bounds, vec![90, 7, 3]));
    let (row, _) = core.tick(60);
    assert_eq!((row.period.good, row.period.bad, row.in_doubt), (90, 10, 7));
    let (row, _) = core.tick(3_700);
    assert_eq!((row.period.total(), row.in_doubt), (0, 0));
}

/// Scenario: a service that sends nothing but a metric, every minute, fails for a while and recovers.
/// Guarantees: it is seen as a service; its alert fires and resolves although points come only once a minute; the gate
/// has no units of it.
#[test]
fn an_alert_from_metrics_resolves_between_exports() {
    let slo = Slo {
        tiers: default_tiers(),
        ..requests()
    };
    let mut core = Core::new(slo, Decider::default());
    let (mut good, mut bad) = (0, 0);
    let mut ended = None;
    for minute in 0..260 {
        good += 6_000;
        bad += if (90..110).contains(&minute) {
            6_000
        } else {
            0
        };
        core.point(60 * minute, &counter(), 200, PointValue::Int(good));
        core.point(60 * minute, &counter(), 503, PointValue::Int(bad));
        for second in [0, 5, 30, 55] {
            let (row, snapshot) = core.tick(60 * minute + second);
            assert!(snapshot.services[&core.slo.service_id].revisions[0].is_live);
            let state = row.alert.as_ref().map(|alert| alert.state);
            if state == Some(AlertState::Resolved) && ended.is_none() {
                ended = Some(minute);
            }
        }
    }
    let told: Vec<&str> = core
        .effects
        .iter()
        .map(|effect| {
            let EffectKind::Notify { notification, .. } = &effect.kind else {
                return "no message";
            };
            notification.event.as_str()
        })
        .collect();
    assert_eq!(
        (told.first(), told.last()),
        (Some(&"alert.firing"), Some(&"alert.resolved"))
    );
    assert!((110..250).contains(&ended.unwrap()), "{ended:?}");
}

/// Scenario: the engine restarts from its checkpoint while a metric goes on.
/// Guarantees: the first point after the restart is a baseline: nothing counts twice, later increments count.
#[test]
fn after_a_restart_the_first_value_is_a_baseline() {
    let mut core = Core::new(requests(), Decider::default());
    core.tick(0);
    core.point(60, &counter(), 200, PointValue::Int(100));
    assert_eq!(core.tick(61).0.period.good, 100);
    let state = postcard::to_stdvec(core.engine.decider()).unwrap();
    let restored: Decider = postcard::from_bytes(&state).unwrap();
    let config = EngineConfig {
        seed: SEED,
        folders: 1,
        limits: FolderLimits::default(),
        store_bytes: 1 << 16,
    };
    core.engine = Engine::new(&config, restored);
    core.tick(90);
    core.point(120, &counter(), 200, PointValue::Int(130));
    assert_eq!(core.tick(121).0.period.good, 100);
    core.point(180, &counter(), 200, PointValue::Int(150));
    assert_eq!(core.tick(181).0.period.good, 120);
}
