//! An SLO from metrics, deliveries in any order, and what was counted in the end.

use crate::story::{OBSERVED, Rng};
use engine::batch::Batch;
use engine::decider::Decider;
use engine::folder::{Folder, FolderLimits};
use engine::hash::HashSeed;
use engine::input::{DefinitionsLoaded, Input};
use engine::items::Resource;
use engine::machine::{Engine, EngineConfig};
use engine::metric::Instrument;
use engine::metric_rows::{PointRow, batch};
use engine::slo::{AttributeMatch, Decimal, Definitions, PointSelector, Side, Sli, Slo};
use engine::span_rows::resource;
use engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SEED: HashSeed = HashSeed(11, 13);

/// Longest delivery, s.
const LATENESS: u64 = 600;

pub(crate) fn sender(version: &str) -> Arc<Resource> {
    resource(&[("service.name", "checkout"), ("service.version", version)])
}

fn selector(
    metric: &str,
    instruments: &[Instrument],
    matches: Vec<AttributeMatch>,
) -> PointSelector {
    PointSelector {
        metric: metric.to_owned(),
        instruments: instruments.to_vec(),
        matches,
    }
}

fn slo(name: &str, sli: Sli) -> Slo {
    let mut slo = Slo::implicit(&sender("v1").identity.service);
    slo.implicit = false;
    slo.name = name.to_owned();
    slo.id = Slo::id_of(slo.service_id, name);
    slo.sli = sli;
    slo
}

/// All increments of `requests`; bad are those with `code` 5xx.
pub(crate) fn requests() -> Slo {
    let bad = AttributeMatch {
        key: "code".to_owned(),
        any_of: vec!["5*".to_owned()],
        negated: false,
    };
    let of = |matches| selector("requests", &[Instrument::Counter], matches);
    slo(
        "requests",
        Sli::Increments {
            total: of(vec![]),
            part: of(vec![bad]),
            at_most: None,
            side: Side::Bad,
        },
    )
}

/// Events of the histogram `duration`; good are those up to `most`.
pub(crate) fn fast(most: f64) -> Slo {
    let of = || {
        let types = [Instrument::Histogram, Instrument::ExponentialHistogram];
        selector("duration", &types, vec![])
    };
    slo(
        "fast",
        Sli::Increments {
            total: of(),
            part: of(),
            at_most: Some(Decimal::new(most)),
            side: Side::Good,
        },
    )
}

pub(crate) fn definitions(slo: &Slo) -> Arc<Definitions> {
    Arc::new(Definitions {
        slos: [(slo.id, slo.clone())].into(),
        ..Definitions::default()
    })
}

/// What happens, in order.
pub(crate) enum Step {
    Request(Timestamp, Vec<PointRow>),
    Tick(Timestamp),
}

/// Delivers every row at a random time within the lateness, some twice, cut into requests of any size, with ticks
/// between; ends when all windows of lateness are over.
pub(crate) fn deliver(rng: &mut Rng, rows: &[PointRow]) -> Vec<Step> {
    let slow = [1, 60, LATENESS][rng.below(3) as usize];
    let mut arrivals: Vec<(u64, usize)> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for _ in 0..1 + u64::from(rng.one_in(6)) {
            // What was sent before observation began arrives when it has.
            let sent = row.time / 1_000_000_000;
            let at = (sent + rng.below(slow)).max(OBSERVED);
            arrivals.push((at, index));
        }
    }
    rng.shuffle(&mut arrivals);
    arrivals.sort_by_key(|(at, _)| *at);
    let mut steps = vec![Step::Tick(Timestamp::from_secs(OBSERVED))];
    let (mut rest, mut ticked) = (&arrivals[..], OBSERVED);
    while let Some((at, _)) = rest.first() {
        while *at >= ticked + 20 {
            ticked += 20;
            steps.push(Step::Tick(Timestamp::from_secs(ticked)));
        }
        let together = rest
            .iter()
            .take_while(|(other, _)| other < &(ticked + 20))
            .count();
        let cut = (1 + rng.below(12) as usize).min(together);
        let (now, later) = rest.split_at(cut);
        // A request is received when its last point is.
        let received = now.iter().map(|(at, _)| *at).max().unwrap();
        let rows = now.iter().map(|(_, index)| rows[*index].clone()).collect();
        steps.push(Step::Request(Timestamp::from_secs(received), rows));
        rest = later;
    }
    let last = arrivals.last().map_or(OBSERVED, |(at, _)| *at);
    steps.push(Step::Tick(Timestamp::from_secs(last.max(ticked) + 1)));
    steps
}

/// (good, bad) by second, and events in doubt, as one folder counts them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) seconds: BTreeMap<u64, (i64, i64)>,
    pub(crate) in_doubt: i64,
}

impl Counted {
    pub(crate) fn totals(&self) -> (i64, i64) {
        let cells = self.seconds.values();
        cells.fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1))
    }
}

pub(crate) fn fold(slo: &Slo, steps: &[Step]) -> Counted {
    let mut folder = Folder::new(SEED, 0..64, FolderLimits::default());
    folder.set_definitions(definitions(slo));
    let mut counted = Counted::default();
    for step in steps {
        match step {
            Step::Request(received, rows) => {
                folder.fold(&Batch::Metrics(batch(SEED, *received, rows)));
            }
            Step::Tick(now) => {
                let delta = folder.flush(*now);
                for row in &delta.sli {
                    let cell = counted.seconds.entry(row.second).or_default();
                    *cell = (cell.0 + row.good, cell.1 + row.bad);
                }
                counted.in_doubt += delta.doubts.iter().map(|row| row.events).sum::<i64>();
            }
        }
    }
    counted.seconds.retain(|_, cell| *cell != (0, 0));
    counted
}

/// The whole core over the same steps.
pub(crate) fn run(slo: &Slo, steps: &[Step], folders: usize) -> Engine {
    let config = EngineConfig {
        seed: SEED,
        folders,
        limits: FolderLimits::default(),
        store_bytes: 1 << 16,
    };
    let mut engine = Engine::new(&config, Decider::default());
    let loaded = DefinitionsLoaded {
        definitions: Some(definitions(slo)),
        problems: Vec::new(),
    };
    let mut effects = Vec::new();
    let begin = Timestamp::from_secs(OBSERVED);
    engine.apply(begin, Input::Definitions(loaded), &mut effects);
    for step in steps {
        match step {
            Step::Request(received, rows) => {
                engine.fold(Arc::new(Batch::Metrics(batch(SEED, *received, rows))));
            }
            Step::Tick(now) => drop(engine.tick(*now, &mut effects)),
        }
    }
    engine
}
