//! Tests of learned bounds.

use super::*;

#[test]
fn without_hits_the_bound_is_the_rule_of_sixteen() {
    // (1 - p)^n = e^-16.12: the exact Clopper-Pearson bound of zero hits.
    let bound = upper_bound(0.0, LN_ONE_OVER_DELTA / 10_000.0);
    let exact = 1.0 - libm::exp(-LN_ONE_OVER_DELTA / 10_000.0);
    assert!((bound - exact).abs() < 1e-9, "{bound} {exact}");
}

#[test]
fn a_bound_lies_above_the_mean_and_comes_closer() {
    let far = upper_bound(0.05, LN_ONE_OVER_DELTA / 1_000.0);
    let near = upper_bound(0.05, LN_ONE_OVER_DELTA / 100_000.0);
    assert!(near > 0.05 && near < 0.055, "{near}");
    assert!(far > 0.09 && far < 0.11, "{far}");
}

fn fed(blocks: u64, hits: impl Fn(u64) -> f64) -> Learned {
    let mut learned = Learned::default();
    for block in 0..blocks {
        learned.learn(Timestamp::from_secs(block * 5), 50.0, hits(block));
    }
    learned
}

#[test]
fn nothing_is_learned_of_little() {
    assert_eq!(fed(10, |_| 1.0).bound(), None);
    assert!(fed(60, |_| 1.0).is_learning());
    assert!(!fed(300, |_| 1.0).is_learning());
}

#[test]
fn blocks_that_differ_widen_the_bound() {
    let even = fed(400, |_| 2.5).bound().unwrap();
    let lumpy = fed(400, |block| if block % 20 == 0 { 50.0 } else { 0.0 });
    let lumpy = lumpy.bound().unwrap();
    assert!(lumpy > 1.8 * even, "{lumpy} {even}");
}

#[test]
fn the_last_minute_can_be_unlearned() {
    let mut learned = fed(400, |_| 0.0);
    let before = learned.bound();
    for block in 400..411 {
        learned.learn(Timestamp::from_secs(block * 5), 50.0, 50.0);
    }
    learned.forget_fresh();
    learned.learn(Timestamp::from_secs(3_000), 50.0, 0.0);
    learned.learn(Timestamp::from_secs(3_100), 50.0, 0.0);
    assert!(learned.bound() <= before);
}
