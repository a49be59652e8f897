//! Numbers as JSON spells them, read without a loss: 64-bit integers do not fit a double.

use crate::otlp::error::Problem;
use crate::otlp::schema::Holds;

/// The parts of a number: `-12.50e3` is negative, `12`, `50`, 3.
struct Parts<'a> {
    is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

/// Splits `text` if it follows the grammar of a JSON number (RFC 8259, section 6).
fn parts(text: &[u8]) -> Option<Parts<'_>> {
    let (is_negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (whole, rest) = digits(rest);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return None;
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        rest => (&rest[..0], rest),
    };
    if fraction.is_empty() && text.contains(&b'.') {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => exponent(rest)?,
        _ => return None,
    };
    Some(Parts {
        is_negative,
        whole,
        fraction,
        exponent,
    })
}

/// The digits that `text` begins with, and the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// An exponent behind its `e`; beyond what any value can have it is cut off.
fn exponent(text: &[u8]) -> Option<i64> {
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    let (all, rest) = digits(text);
    let value = all.iter().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000)
    });
    (!all.is_empty() && rest.is_empty()).then_some(sign * value)
}

/// An integer, also as `5.0` or `1e3`.
pub(super) fn integer(text: &[u8]) -> Result<i128, Problem> {
    let parts = parts(text).ok_or(Problem::NotAnInteger)?;
    let Parts {
        whole, fraction, ..
    } = parts;
    let zeros = |digits: &[u8]| digits.iter().rev().take_while(|d| **d == b'0').count();
    // Significant digits end with the last one that is not zero; what follows it goes into the exponent.
    let fraction = &fraction[..fraction.len() - zeros(fraction)];
    let cut = match fraction.is_empty() {
        true => zeros(whole),
        false => 0,
    };
    let whole = &whole[..whole.len() - cut];
    let scale = parts.exponent + cut as i64 - fraction.len() as i64;
    let significant = || whole.iter().chain(fraction).skip_while(|d| **d == b'0');
    let count = significant().count() as i64;
    if count == 0 {
        return Ok(0);
    }
    if scale < 0 {
        return Err(Problem::NotAnInteger);
    }
    if count + scale > 20 {
        return Err(Problem::OutOfRange);
    }
    let digits = significant().fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let value = digits * 10i128.pow(scale as u32);
    Ok(if parts.is_negative { -value } else { value })
}

/// A double; beyond its range it is infinite.
pub(super) fn double(text: &[u8]) -> Result<f64, Problem> {
    match text {
        b"NaN" => return Ok(f64::NAN),
        b"Infinity" => return Ok(f64::INFINITY),
        b"-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let number = parts(text).and_then(|_| std::str::from_utf8(text).ok()?.parse().ok());
    number.ok_or(Problem::NotADouble)
}

/// `value` as the word that a field of this type holds on the wire; `None` when it does not fit.
pub(super) fn encode(value: i128, holds: &Holds) -> Option<u64> {
    match holds {
        Holds::Uint32 | Holds::Fixed32 => u32::try_from(value).ok().map(u64::from),
        Holds::Int32 | Holds::Enum => i32::try_from(value).ok().map(|int| i64::from(int) as u64),
        Holds::Sint32 => i32::try_from(value)
            .ok()
            .map(|int| u64::from((int << 1 ^ int >> 31) as u32)),
        Holds::Uint64 | Holds::Fixed64 => u64::try_from(value).ok(),
        Holds::Int64 | Holds::Sfixed64 => i64::try_from(value).ok().map(|int| int as u64),
        Holds::Bool
        | Holds::Double
        | Holds::Bytes
        | Holds::Id
        | Holds::Text
        | Holds::Message(_) => None,
    }
}
