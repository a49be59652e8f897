//! The slow, obviously right twin of `engine::stats::exact`: big integers.
//!
//! An f64 is an integer times a power of two, so `N(w) = sum_j C(n_c, j) C(n_b, k - j) w^j` is a big integer times a
//! power of two, exactly.

use engine::stats::exact::Table;
use num_bigint::BigUint;

/// `w` as `numerator / 2^shift`.
pub(crate) fn dyadic(w: f64) -> (BigUint, u64) {
    let (mantissa, exponent) = libm::frexp(w);
    let mut numerator = (mantissa * (1u64 << 53) as f64) as u64;
    let mut shift = i64::from(53 - exponent);
    while numerator.is_multiple_of(2) && shift > 0 {
        numerator /= 2;
        shift -= 1;
    }
    assert!(shift >= 0, "weights below 2^53");
    (BigUint::from(numerator), shift as u64)
}

/// Possible failures of the candidate given the margins.
pub(crate) fn support(table: &Table) -> std::ops::RangeInclusive<u64> {
    let k = table.failed();
    k.saturating_sub(table.baseline)..=k.min(table.candidate)
}

fn choose(n: u64, k: u64) -> BigUint {
    (0..k).fold(BigUint::from(1u32), |value, i| value * (n - i) / (i + 1))
}

/// `h(j) w^j 2^(shift * highest)` for every j of the support: integers with a common denominator.
pub(crate) fn terms(table: &Table, w: f64) -> Vec<BigUint> {
    let (numerator, shift) = dyadic(w);
    let (low, high) = support(table).into_inner();
    let k = table.failed();
    let mut power = numerator.pow(low as u32);
    support(table)
        .map(|j| {
            let h = choose(table.candidate, j) * choose(table.baseline, k - j);
            let term = (h * &power) << (shift * (high - j));
            power *= &numerator;
            term
        })
        .collect()
}

/// `ln (a / b)` with error below 1e-15 relative to 1 + its size.
pub(crate) fn ln_quotient(a: &BigUint, b: &BigUint) -> f64 {
    // 80 bits of quotient.
    let shift = b.bits() as i64 - a.bits() as i64 + 80;
    let quotient = if shift >= 0 {
        (a << shift as u64) / b
    } else {
        (a >> (-shift) as u64) / b
    };
    let drop = quotient.bits().saturating_sub(53);
    let top = (&quotient >> drop).iter_u64_digits().next().unwrap_or(0);
    // Splitting off the power of two keeps the logarithm accurate near 1.
    let exponent = drop as i64 - shift;
    let value = top as f64;
    let bits = i64::from(libm::ilogb(value));
    let mantissa = libm::scalbn(value, -(bits as i32));
    let (mantissa, exponent) = if exponent + bits < 0 {
        (mantissa / 2.0, exponent + bits + 1)
    } else {
        (mantissa, exponent + bits)
    };
    libm::log(mantissa) + exponent as f64 * std::f64::consts::LN_2
}

/// `ln [P_w(x) / P_w0(x)]` of one table, exactly up to the last logarithm.
pub(crate) fn log_ratio(table: &Table, null: f64, w: f64) -> f64 {
    let sum = |w: f64| {
        let terms = terms(table, w);
        let at = &terms[(table.candidate_failed - support(table).start()) as usize];
        (terms.iter().sum::<BigUint>(), at.clone())
    };
    let ((all_null, at_null), (all, at)) = (sum(null), sum(w));
    ln_quotient(&(at * all_null), &(all * at_null))
}

/// The same for large tables: `S(w)` outward from `x` in 256-bit fixed point, every term rounded down.
pub(crate) fn log_ratio_large(table: &Table, null: f64, w: f64) -> f64 {
    ln_quotient(&sum_from_x(table, null), &sum_from_x(table, w))
}

/// `S(w) 2^256`, relative error below the number of terms times 2^-200.
fn sum_from_x(table: &Table, w: f64) -> BigUint {
    let (numerator, shift) = dyadic(w);
    let one = BigUint::from(1u32) << 256u32;
    let (low, high) = support(table).into_inner();
    let (k, x) = (table.failed(), table.candidate_failed);
    let mut sum = one.clone();
    let mut term = one.clone();
    for j in x..high {
        let up = BigUint::from(table.candidate - j) * (k - j) * &numerator;
        let down = BigUint::from(j + 1) * (table.baseline + j + 1 - k);
        term = ((term * up) >> shift) / down;
        sum += &term;
        if term.bits() + 120 < sum.bits() {
            break;
        }
    }
    let mut term = one;
    for j in (low + 1..=x).rev() {
        let up = BigUint::from(j) * (table.baseline + j - k);
        let down = BigUint::from(table.candidate - j + 1) * (k - j + 1) * &numerator;
        term = ((term * up) << shift) / down;
        sum += &term;
        if term.bits() + 120 < sum.bits() {
            break;
        }
    }
    sum
}
