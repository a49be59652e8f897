//! Tests of the e-detector.

use super::*;

const WEEK: f64 = 604_800.0;

/// Seconds until the alarm of a series whose 1 s blocks all have `share`; `None` within `most`.
fn delay(share: f64, null: f64, most: u64) -> Option<u64> {
    let mut detector = Detector::default();
    for second in 1..=1_000 {
        detector.fold(Timestamp::from_secs(second), null / 2.0, null, 0.01);
    }
    (1..=most).find(|second| {
        detector.fold(Timestamp::from_secs(1_000 + second), share, null, 0.01);
        detector.evidence() >= LogE::of(WEEK)
    })
}

#[test]
fn an_outage_alarms_within_ten_blocks() {
    assert!(delay(1.0, 0.005, 20).unwrap() <= 10);
    assert!(delay(0.5, 0.005, 40).unwrap() <= 22);
    assert!(delay(0.1, 0.01, 400).unwrap() <= 150);
}

#[test]
fn health_never_alarms() {
    assert_eq!(delay(0.005, 0.005, 50_000), None);
    assert_eq!(delay(0.0, 0.05, 50_000), None);
}

#[test]
fn a_null_that_nothing_can_exceed_is_not_bet_on() {
    let mut detector = Detector::default();
    for second in 1..100 {
        detector.fold(Timestamp::from_secs(second), 1.0, 0.7, 1.0);
    }
    assert_eq!(detector.evidence(), LogE::NONE);
}

/// Scenario: independent blocks of 20 observations whose mean is exactly the null; T is 500 blocks, 400 runs.
/// Guarantees: the number of alarms stays within t/T of the theory.
#[test]
fn alarms_at_the_null_are_as_rare_as_promised() {
    let (mut alarms, mut random) = (0_u32, 88_172_645_463_325_252_u64);
    let runs = 400;
    let threshold = LogE::of(500.0);
    for _ in 0..runs {
        let mut detector = Detector::default();
        for second in 1..=500 {
            let mut hits = 0.0;
            for _ in 0..20 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if (random >> 11) as f64 / (1_u64 << 53) as f64 <= 0.05 {
                    hits += 1.0;
                }
            }
            detector.fold(Timestamp::from_secs(second), hits / 20.0, 0.05, 1.0);
            if detector.evidence() >= threshold {
                alarms += 1;
                detector.restart();
            }
        }
    }
    // Expected at most 1 a run; 3 standard deviations of a Poisson count above.
    assert!(f64::from(alarms) <= 400.0 + 60.0, "{alarms}");
    assert!(alarms > 0, "the test must be able to see alarms");
}
