//! How fast tiers fire and resolve: the table of `reference/slo.md` 3 (`t = L F b / e`, reset `S (1 - F b / e)`).

use super::rig::{Rig, START, slo};
use crate::slo::{Slo, default_tiers};
use crate::slo_machine::AlertChange;
use crate::time::{NANOS_PER_SEC, Timestamp};

const RATE: i64 = 1_000;
const HISTORY: u64 = 73 * 3_600;

/// One SLO per tier of Sloth's table, so that each tier's own time is seen.
fn one_slo_per_tier(target_ppb: u64) -> Vec<Slo> {
    let alone = |tier: crate::slo::BurnTier| {
        let mut slo = slo(&tier.name, target_ppb);
        slo.tiers = vec![tier];
        slo
    };
    default_tiers().into_iter().map(alone).collect()
}

/// Seconds of failing until each tier fired; `None` when it did not within `patience` seconds.
fn detection(target_ppb: u64, bad_per_second: i64, patience: u64) -> Vec<Option<u64>> {
    let slos = one_slo_per_tier(target_ppb);
    let mut rig = Rig::new(&slos);
    let onset = START + HISTORY;
    rig.fill(START, onset, RATE);
    rig.tick(onset);
    let mut fired = vec![None; slos.len()];
    for elapsed in 0..patience {
        let second = onset + elapsed;
        rig.count(second, RATE - bad_per_second, bad_per_second);
        // The tick at the end of the second: its events are all there.
        for transition in rig.tick(second) {
            let tier = rig.ids.iter().position(|id| *id == transition.row.slo_id);
            fired[tier.expect("a known SLO")] = Some(elapsed + 1);
        }
        if fired.iter().all(Option::is_some) {
            break;
        }
    }
    fired
}

fn assert_close(measured: Option<u64>, expected: Option<f64>, what: &str) {
    match (measured, expected) {
        (None, None) => {}
        (Some(measured), Some(expected)) => {
            // One tick, and for windows of whole minutes the part of a bucket they are shorter by.
            let tolerance = 1.5 + expected * 0.01;
            assert!(
                (measured as f64 - expected).abs() <= tolerance,
                "{what}: {measured} s, expected {expected} s"
            );
        }
        _ => panic!("{what}: measured {measured:?}, expected {expected:?}"),
    }
}

/// Scenario: steady traffic for 73 h, then a constant share of failures.
/// Guarantees: each tier fires when the window arithmetic says so, and never where it says never.
#[test]
fn tiers_fire_when_the_table_says() {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 3_600.0;
    let never = None;
    let table = [
        (
            999_000_000,
            1_000,
            [
                Some(51.84),
                Some(2.16 * MINUTE),
                Some(4.32 * MINUTE),
                Some(4.32 * MINUTE),
            ],
        ),
        (
            999_000_000,
            100,
            [
                Some(8.64 * MINUTE),
                Some(21.6 * MINUTE),
                Some(43.2 * MINUTE),
                Some(43.2 * MINUTE),
            ],
        ),
        (
            999_000_000,
            20,
            [
                Some(43.2 * MINUTE),
                Some(108.0 * MINUTE),
                Some(3.6 * HOUR),
                Some(3.6 * HOUR),
            ],
        ),
        (
            999_000_000,
            10,
            [never, Some(3.6 * HOUR), Some(7.2 * HOUR), Some(7.2 * HOUR)],
        ),
        (
            999_000_000,
            5,
            [never, never, Some(14.4 * HOUR), Some(14.4 * HOUR)],
        ),
        (
            990_000_000,
            1_000,
            [
                Some(8.64 * MINUTE),
                Some(21.6 * MINUTE),
                Some(43.2 * MINUTE),
                Some(43.2 * MINUTE),
            ],
        ),
        (
            990_000_000,
            50,
            [never, never, Some(14.4 * HOUR), Some(14.4 * HOUR)],
        ),
        (
            999_900_000,
            1_000,
            [Some(5.18), Some(13.0), Some(25.9), Some(25.9)],
        ),
    ];
    for (target, bad, expected) in table {
        let patience = expected
            .iter()
            .flatten()
            .fold(2.0 * HOUR, |most, time| time.max(most)) as u64;
        let measured = detection(target, bad, patience + patience / 50);
        for (tier, (measured, expected)) in measured.iter().zip(expected).enumerate() {
            assert_close(
                *measured,
                expected,
                &format!("target {target}, {bad} of 1000 bad, tier {tier}"),
            );
        }
    }
}

/// Scenario: a total outage at 99.9 % at 1, 10 and 1,000 requests a second, seen by ticks every 250 ms.
/// Guarantees: the 1 h pair fires within 53 s of event time, and not before 51 s.
#[test]
fn a_total_outage_fires_within_53_seconds() {
    for rate in [1, 10, 1_000] {
        let mut rig = Rig::new(&[slo("availability", 999_000_000)]);
        let onset = START + HISTORY;
        rig.fill(START, onset, rate);
        let mut fired = None;
        for quarter in 0..4 * 60 {
            let now = Timestamp::from_millis(onset * 1_000 + (quarter + 1) * 250);
            if quarter % 4 == 0 {
                rig.count(onset + quarter / 4, 0, rate);
            }
            let facts = rig.facts.clone();
            let transitions = rig.machine.tick(now, &facts);
            if let Some(transition) = transitions
                .iter()
                .find(|transition| transition.row.tier == "page-fast")
            {
                fired = Some((transition.change, now.since(Timestamp::from_secs(onset))));
                break;
            }
        }
        let (change, after) = fired.expect("it fires");
        assert_eq!(change, AlertChange::Fired);
        assert!(after <= 53 * NANOS_PER_SEC, "{rate}/s: {after} ns");
        assert!(after >= 51 * NANOS_PER_SEC, "{rate}/s: {after} ns");
    }
}

/// Scenario: a total outage as long as the tier's short window ends.
/// Guarantees: each tier resolves after `S (1 - F b)`: 4.9 min, 29.6 min, 2.0 h, 6.0 h.
#[test]
fn tiers_reset_when_the_short_window_is_clean_enough() {
    for (at, tier) in default_tiers().into_iter().enumerate() {
        let slos = one_slo_per_tier(999_000_000);
        let mut rig = Rig::new(&slos[at..=at]);
        let onset = START + HISTORY;
        rig.fill(START, onset, RATE);
        for second in onset..onset + tier.short_secs {
            rig.count(second, 0, RATE);
        }
        let end = onset + tier.short_secs;
        assert_eq!(rig.tick(end - 1).len(), 1, "{} fires", tier.name);
        let resolved = (end..end + 2 * tier.short_secs).find(|second| {
            rig.count(*second, RATE, 0);
            rig.tick(*second)
                .iter()
                .any(|transition| transition.change == AlertChange::Resolved)
        });
        let expected = tier.short_secs as f64 * (1.0 - tier.factor_milli as f64 / 1e6);
        assert_close(
            resolved.map(|second| second + 1 - end),
            Some(expected),
            &tier.name,
        );
    }
}
