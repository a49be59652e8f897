//! Exact (Clopper-Pearson) one-sided bounds on a probability.

/// Smallest p that is not refuted by seeing as few as `events` of `n`, at `confidence`: the upper bound.
pub(crate) fn upper(events: u64, n: u64, confidence: f64) -> f64 {
    bisect(|p| at_most(events, n, p) > 1.0 - confidence)
}

/// The lower bound; 0 when nothing was seen.
pub(crate) fn lower(events: u64, n: u64, confidence: f64) -> f64 {
    if events == 0 {
        return 0.0;
    }
    bisect(|p| 1.0 - at_most(events - 1, n, p) < 1.0 - confidence)
}

fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

/// P(X <= events) for X binomial.
fn at_most(events: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 || events >= n {
        return if events >= n { 1.0 } else { 0.0 };
    }
    let choose = |k: u64| {
        libm::lgamma(n as f64 + 1.0)
            - libm::lgamma(k as f64 + 1.0)
            - libm::lgamma((n - k) as f64 + 1.0)
    };
    (0..=events)
        .map(|k| libm::exp(choose(k) + k as f64 * libm::log(p) + (n - k) as f64 * libm::log1p(-p)))
        .sum::<f64>()
        .min(1.0)
}

/// Scenario: textbook cases. Guarantees: the bounds that judge the other tests are right.
#[test]
fn bounds_are_clopper_pearson() {
    assert!((upper(0, 3_000, 0.95) - 0.000_998).abs() < 1e-5);
    assert!((lower(18, 20, 0.95) - 0.717).abs() < 1e-3);
    assert!((upper(0, 100, 0.95) - 0.0295).abs() < 1e-4);
}
