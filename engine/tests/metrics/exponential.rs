//! Histograms against the values they were made of.

use crate::cases;
use crate::rig::{deliver, fast, fold, sender};
use crate::story::{OBSERVED, Rng};
use engine::metric::{Instrument, Temporality};
use engine::metric_rows::{PointRow, PointValue, metric};
use std::sync::Arc;

const SEC: u64 = 1_000_000_000;
/// Most buckets that a sender keeps, as SDKs do.
const BUCKETS_MAX: i64 = 160;

/// The bucket of `value` at `scale`, as a sender computes it.
fn bucket(value: f64, scale: i32) -> i64 {
    let (mantissa, exponent) = libm::frexp(value);
    let (mantissa, exponent) = (2.0 * mantissa, i64::from(exponent) - 1);
    if scale <= 0 {
        // A power of two lies at the upper edge of the bucket below.
        let index = if mantissa == 1.0 {
            exponent - 1
        } else {
            exponent
        };
        return index >> -scale;
    }
    let steps = libm::ceil(libm::log2(mantissa) * f64::from(1 << scale)) as i64;
    (exponent << scale) + steps - 1
}

fn value(rng: &mut Rng) -> f64 {
    let spread = [1, 8, 60][rng.below(3) as usize];
    let exponent = rng.below(2 * spread + 1) as i32 - spread as i32;
    let mantissa = match rng.below(4) {
        0 => 1.0,
        _ => 1.0 + rng.below(1 << 20) as f64 / f64::from(1 << 20),
    };
    libm::ldexp(mantissa, exponent)
}

/// The finest scale at which all of `values` fit; scales only get coarser.
fn scale_for(values: &[f64], mut scale: i32) -> i32 {
    loop {
        let buckets = values.iter().map(|value| bucket(*value, scale));
        let (low, high) = buckets.fold((i64::MAX, i64::MIN), |(low, high), at| {
            (low.min(at), high.max(at))
        });
        if values.is_empty() || high - low < BUCKETS_MAX || scale == -10 {
            return scale;
        }
        scale -= 1;
    }
}

fn point(values: &[f64], scale: i32, zeros: u64) -> PointValue {
    let first = values
        .iter()
        .map(|value| bucket(*value, scale))
        .min()
        .unwrap_or(0);
    let mut counts = Vec::new();
    for value in values {
        let at = (bucket(*value, scale) - first) as usize;
        if counts.len() <= at {
            counts.resize(at + 1, 0);
        }
        counts[at] += 1;
    }
    PointValue::Exponential {
        scale,
        zero_count: zeros,
        zero_threshold: 0.0,
        offset: first as i32,
        counts,
    }
}

/// Whether `threshold` is an edge at `scale`.
fn is_edge(threshold: f64, scale: i32) -> bool {
    let (mantissa, exponent) = libm::frexp(threshold);
    mantissa == 0.5 && (scale >= 0 || (exponent - 1) % (1 << -scale) == 0)
}

/// Scenario: exponential histograms of random values at scales from 20 to -10, downscaled as their range grows,
/// cumulative and delta, shuffled and repeated.
/// Guarantees: the truth lies within [good, good + in doubt]; in doubt are at most the events of the one bucket that
/// holds the threshold (at the coarser scale of two points), and none when the threshold is its edge; good is the least
/// that is possible.
#[test]
fn the_interval_of_an_exponential_histogram_holds_the_truth() {
    let (mut on_edges, mut downscaled, mut scales) = (0, 0, std::collections::BTreeSet::new());
    let all = cases(400, 10_000);
    for seed in 0..all {
        let mut rng = Rng(seed);
        let threshold = match rng.below(3) {
            0 => libm::ldexp(1.0, rng.below(40) as i32 - 20),
            _ => value(&mut rng),
        };
        let slo = fast(threshold);
        let is_delta = rng.one_in(3);
        let temporality = if is_delta {
            Temporality::Delta
        } else {
            Temporality::Cumulative
        };
        let name = metric("duration", Instrument::ExponentialHistogram, temporality);
        let mut scale = 20 - rng.below(31) as i32;
        let (mut values, mut rows) = (Vec::new(), Vec::new());
        let (mut truth, mut events, mut widest, mut are_edges) = (0, 0, 0, true);
        let (mut zeros, mut before) = (0, 0);
        for step in 1..=1 + rng.below(12) {
            let fresh: Vec<f64> = (0..rng.below(60)).map(|_| value(&mut rng)).collect();
            let fresh_zeros = rng.below(3);
            if is_delta {
                values.clear();
                zeros = 0;
            }
            values.extend_from_slice(&fresh);
            zeros += fresh_zeros;
            let coarser = scale_for(&values, scale);
            downscaled += u64::from(coarser < scale && step > 1);
            scale = coarser;
            scales.insert(scale);
            let start = if is_delta { before } else { 0 };
            let times = ((OBSERVED + start) * SEC, (OBSERVED + step * 30) * SEC);
            rows.push(PointRow::new(
                &sender("v1"),
                &name,
                times,
                point(&values, scale, zeros),
            ));
            before = step * 30;
            truth += fresh.iter().filter(|value| **value <= threshold).count() as i64
                + fresh_zeros as i64;
            events += fresh.len() as i64 + fresh_zeros as i64;
            let holds = |value: &&f64| bucket(**value, scale) == bucket(threshold, scale);
            if !is_edge(threshold, scale) {
                widest += fresh.iter().filter(holds).count() as i64;
                are_edges = false;
            }
        }
        let counted = fold(&slo, &deliver(&mut rng, &rows));
        let (good, bad) = counted.totals();
        let context = format!(
            "seed {seed}: threshold {threshold}, {good} good, {bad} bad, {} in doubt, truth {truth}",
            counted.in_doubt
        );
        assert_eq!(good + bad, events, "{context}");
        assert!(
            good <= truth && truth <= good + counted.in_doubt,
            "{context}"
        );
        assert!(counted.in_doubt <= widest, "{context}, widest {widest}");
        if are_edges {
            assert_eq!((good, counted.in_doubt), (truth, 0), "{context}");
            on_edges += 1;
        }
    }
    println!("{all} cases, {on_edges} on edges, {downscaled} downscales, scales {scales:?}");
    assert!(on_edges > all / 20 && downscaled > all / 20);
    assert!(scales.contains(&-10) && scales.contains(&20));
}

/// Scenario: classic histograms of random values with random bounds; the threshold is a bound or lies between two.
/// Guarantees: exact on a bound; between two, the truth lies within the bucket, counted on the bad side.
#[test]
fn a_classic_histogram_is_exact_on_a_bound() {
    for seed in 0..cases(200, 5_000) {
        let mut rng = Rng(seed);
        let mut bounds: Vec<f64> = (0..1 + rng.below(12)).map(|_| value(&mut rng)).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let is_bound = rng.one_in(2);
        let threshold = match is_bound {
            true => bounds[rng.below(bounds.len() as u64) as usize],
            false => value(&mut rng),
        };
        let place = |value: f64| bounds.iter().filter(|bound| **bound < value).count();
        let shared: Arc<[f64]> = bounds.clone().into();
        let name = metric("duration", Instrument::Histogram, Temporality::Cumulative);
        let mut counts = vec![0; bounds.len() + 1];
        let (mut truth, mut inside, mut rows) = (0, 0, Vec::new());
        for step in 1..=1 + rng.below(8) {
            for _ in 0..rng.below(40) {
                let value = value(&mut rng);
                counts[place(value)] += 1;
                truth += i64::from(value <= threshold);
                inside += i64::from(place(value) == place(threshold));
            }
            let times = (OBSERVED * SEC, (OBSERVED + step * 30) * SEC);
            let value = PointValue::Buckets(Arc::clone(&shared), counts.clone());
            rows.push(PointRow::new(&sender("v1"), &name, times, value));
        }
        let counted = fold(&fast(threshold), &deliver(&mut rng, &rows));
        let (good, bad) = counted.totals();
        assert_eq!(good + bad, counts.iter().sum::<u64>() as i64, "seed {seed}");
        if bounds.contains(&threshold) {
            assert_eq!((good, counted.in_doubt), (truth, 0), "seed {seed}");
        } else {
            assert!(
                good <= truth && truth <= good + counted.in_doubt,
                "seed {seed}"
            );
            assert_eq!(counted.in_doubt, inside, "seed {seed}");
        }
    }
}
