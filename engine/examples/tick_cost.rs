//! Times one tick of many SLOs with 8 windows each (DESIGN 14: 10,000 SLOs in at most 2 ms).
//!
//! `cargo run -p engine --example tick_cost --config profile.dev.opt-level=3 -- [SLOs] [seconds]`
//!
//! Wall times: on a busy machine look at the minimum. Every SLO has traffic and failures in every tick, of two revisions: nothing is idle, every window slides.

use engine::delta::SliDelta;
use engine::identity::{RevisionId, ServiceKey};
use engine::slo::{Definitions, Ratio, Slo, default_tiers};
use engine::slo_machine::{SloFacts, SloMachine};
use engine::time::Timestamp;

const START_SECS: u64 = 1_800_000_000;
const TICK_MILLIS: u64 = 250;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let slos = arguments.next().and_then(Result::ok).unwrap_or(10_000);
    let seconds = arguments.next().and_then(Result::ok).unwrap_or(30);
    let mut machine = SloMachine::default();
    let definitions = definitions(slos);
    machine.set_definitions(Timestamp::from_secs(START_SECS), &definitions);
    // An hour of history first, so that every window evicts something.
    for minute in (0..3_600).step_by(20) {
        let second = START_SECS + minute;
        machine.apply(Timestamp::from_secs(second), &deltas(&definitions, second));
    }
    let mut facts = SloFacts::default();
    let (mut ticks, mut applies, mut publishes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut published, mut told) = (machine.rows(), 0);
    for step in 1..=seconds * 1_000 / TICK_MILLIS {
        let now = Timestamp::from_millis((START_SECS + 3_600) * 1_000 + step * TICK_MILLIS);
        let deltas = deltas(&definitions, now.secs());
        for slo in definitions.slos.values() {
            let key = (slo.service_id, slo.sli.signal());
            facts.watermarks.insert(key, now);
        }
        applies.push(micros(|| machine.apply(now, &deltas)));
        let mut transitions = Vec::new();
        ticks.push(micros(|| transitions = machine.tick(now, &facts)));
        told += transitions.len();
        publishes.push(micros(|| published = machine.rows()));
    }
    println!(
        "{slos} SLOs x {} windows, {} rows, {} slices, {} bytes of counts an SLO, {told} alerts",
        8,
        published.len(),
        machine.slice_count(),
        machine.byte_size() as u64 / slos.max(1)
    );
    for (name, mut times) in [
        ("apply, all SLOs", applies),
        ("tick", ticks),
        ("rows()", publishes),
    ] {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100] as f64 / 1_000.0;
        let mean = times.iter().sum::<u64>() as f64 / times.len() as f64 / 1_000.0;
        println!(
            "{name:16} min {:7.3} ms  mean {mean:7.3} ms  p99 {:7.3} ms",
            at(0),
            at(99)
        );
        println!(
            r#"{{"name":"{slos} SLOs x 8 windows: {name}, median","value":{:.3},"unit":"ms"}}"#,
            at(50)
        );
    }
}

fn definitions(slos: u64) -> Definitions {
    let mut definitions = Definitions::default();
    for number in 0..slos {
        let key = ServiceKey {
            name: format!("service-{number}"),
            ..ServiceKey::default()
        };
        let mut slo = Slo::implicit(&key);
        slo.implicit = false;
        slo.name = "availability".to_owned();
        slo.id = Slo::id_of(slo.service_id, &slo.name);
        slo.target = Ratio::from_ppb(999_000_000);
        slo.tiers = default_tiers();
        definitions.slos.insert(slo.id, slo);
    }
    definitions
}

/// Half of the allowed bad events (99.9 %), all of them in the canary: no alert fires.
fn deltas(definitions: &Definitions, second: u64) -> Vec<SliDelta> {
    let of = |slo, revision, good, bad| SliDelta {
        slo,
        revision: RevisionId(revision),
        second,
        good,
        bad,
    };
    definitions
        .slos
        .keys()
        .flat_map(|id| {
            [
                of(*id, 1, 200, 0),
                of(
                    *id,
                    2,
                    10,
                    i64::from(second.wrapping_mul(2_654_435_761) >> 16 & 0xf == 0),
                ),
            ]
        })
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this program measures time; the engine does not look at it"
)]
fn micros(work: impl FnOnce()) -> u64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_micros() as u64
}
