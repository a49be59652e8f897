//! Exponential histograms against a threshold: which bucket holds it, at every scale.
//!
//! Bucket `i` at scale `s` holds values in `(2^(i/2^s), 2^((i+1)/2^s)]`; two neighbors are one bucket of the next
//! coarser scale, `i >> 1`. So the threshold's bucket is found once, at the finest scale, and shifted for all others.
//! A double lies on an edge only when it is a power of two, which is known exactly; everything else is rounded up from
//! one logarithm (libm's), which is right unless the threshold is within 10^-13 of an edge.
//! A histogram that was downscaled is compared with what it was before at the coarser of the two scales: merging
//! buckets is exact, so the bounds are those of one bucket, never of two.
//! Source: OpenTelemetry metrics data model, "Exponential histogram".

use super::reading::Bounds;
use crate::metric::{ExponentialBuckets, ExponentialHistogram};

/// Finest scale at which an index is computed.
const SCALE_MAX: i32 = 20;
/// Coarsest scale that senders use: one bucket holds all values above 1.
pub const SCALE_MIN: i32 = -10;

/// Most coarser scales that are kept beside the histogram's own.
const STEPS_MAX: i32 = 64;

/// A threshold above zero, placed among the buckets.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    value: f64,
    /// Its bucket at [`SCALE_MAX`].
    index: i64,
    /// Its exponent, when it is a power of two.
    power: Option<i64>,
}

impl Threshold {
    /// Places `value`; zero and less are below all positive values.
    pub fn new(value: f64) -> Self {
        let (mantissa, exponent) = libm::frexp(value);
        // value = m * 2^e with m in [1, 2): near a power of two the logarithm of m alone is still exact enough.
        let (mantissa, exponent) = (mantissa * 2.0, i64::from(exponent) - 1);
        let steps = libm::ceil(libm::log2(mantissa) * f64::from(1 << SCALE_MAX)) as i64;
        let (index, power) = if value > 0.0 {
            let index = (exponent << SCALE_MAX) + steps - 1;
            (index, (mantissa == 1.0).then_some(exponent))
        } else {
            (i64::MIN, None)
        };
        Self {
            value,
            index,
            power,
        }
    }

    /// Its bucket at `scale` (at most [`SCALE_MAX`]), and whether it is the bucket's upper edge.
    fn at(self, scale: i32) -> (i64, bool) {
        let shift = (i64::from(SCALE_MAX) - i64::from(scale)).clamp(0, 63);
        let index = self.index >> shift;
        let is_edge = self.power.is_some_and(|power| {
            let width = if scale >= 0 {
                1
            } else {
                1i64 << scale.unsigned_abs().min(62)
            };
            power % width == 0
        });
        (index, is_edge)
    }
}

/// Events up to the threshold (surely, at most), at the histogram's scale and at each coarser one down to
/// [`SCALE_MIN`]. O(buckets x scales).
pub fn rungs(histogram: &ExponentialHistogram, threshold: Threshold) -> Box<[Bounds]> {
    let zero = histogram.zero_threshold;
    let negative = total(&histogram.negative);
    let coarsest = SCALE_MIN.min(histogram.scale);
    let steps = (i64::from(histogram.scale) - i64::from(coarsest)).min(i64::from(STEPS_MAX));
    let scales = (0..=steps as i32).map(|step| histogram.scale - step);
    if threshold.value < zero {
        // It lies in the zero bucket: values above that are above the threshold.
        let high = negative.saturating_add(histogram.zero_count);
        return scales.map(|_| (negative, high)).collect();
    }
    let below = negative.saturating_add(histogram.zero_count);
    scales
        .map(|scale| {
            let (low, high) = positive(&histogram.positive, histogram.scale, scale, threshold);
            (below.saturating_add(low), below.saturating_add(high))
        })
        .collect()
}

/// The positive events up to the threshold when buckets of `from` are merged to those of `scale`.
fn positive(buckets: &ExponentialBuckets, from: i32, scale: i32, threshold: Threshold) -> Bounds {
    // Scales finer than any sender's are merged to the finest one first.
    let scale = scale.min(SCALE_MAX);
    let shift = (i64::from(from) - i64::from(scale)).clamp(0, 63) as u32;
    let (wanted, is_edge) = threshold.at(scale);
    let (mut low, mut inside) = (0u64, 0u64);
    for (step, count) in (0i64..).zip(&buckets.counts) {
        let index = (i64::from(buckets.offset) + step) >> shift;
        if index < wanted || index == wanted && is_edge {
            low = low.saturating_add(*count);
        } else if index == wanted {
            inside = inside.saturating_add(*count);
        }
    }
    (low, low.saturating_add(inside))
}

fn total(buckets: &ExponentialBuckets) -> u64 {
    let counts = buckets.counts.iter();
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}
