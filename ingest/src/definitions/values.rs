//! Numbers and durations from their decimal text, exactly: no float is made of a target or a latency. Thresholds of
//! metrics are doubles, because what they are compared with is.

use super::reader::Field;
use engine::slo::{Decimal, RATIO_ONE, Ratio};

/// Seconds in a minute, an hour, a day.
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Shortest and longest rolling window, s.
pub const WINDOW_RANGE: (u64, u64) = (HOUR, 400 * DAY);

/// Why a decimal text could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// Not `digits[.digits]`.
    NotDecimal,
    /// It starts with `-`.
    Negative,
    /// More digits after the point than can be kept exactly.
    TooPrecise,
    /// Too large for the integer.
    TooLarge,
}

/// `text` times `10^scale` as an integer: `decimal("99.95", 7)` is 999 500 000. O(length).
///
/// # Errors
/// See [`DecimalError`]; trailing zeros after the point are never too precise.
pub fn decimal(text: &str, scale: usize) -> Result<u64, DecimalError> {
    if text.starts_with('-') {
        return Err(DecimalError::Negative);
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(DecimalError::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale {
        return Err(DecimalError::TooPrecise);
    }
    let padding = scale - fraction.len();
    let all = whole
        .bytes()
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', padding));
    let next = |sum: u64, byte: u8| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'));
    all.into_iter()
        .try_fold(0u64, next)
        .ok_or(DecimalError::TooLarge)
}

/// A target as a ratio in [0, 1): `0.999`.
pub fn target(field: &Field<'_>) -> Option<Ratio> {
    let text = field.number_text()?;
    let what = "a ratio in [0, 1)";
    match decimal(text, 9) {
        Ok(ppb) if ppb < RATIO_ONE => return Some(checked_target(field, ppb)),
        Ok(RATIO_ONE) => field.expected(
            what,
            "a target of 100 % leaves no budget; choose a smaller one",
        ),
        Ok(_) if decimal(text, 7).is_ok_and(|ppb| ppb < RATIO_ONE) => {
            field.expected(what, format!("write `targetPercent: {text}`"));
        }
        outcome => field.expected(what, number_hint(text, outcome.err(), 9)),
    }
    None
}

/// A target in percent, in [0, 100): `99.9`.
pub fn target_percent(field: &Field<'_>) -> Option<Ratio> {
    let text = field.number_text()?;
    let what = "a percentage in [0, 100)";
    match decimal(text, 7) {
        Ok(ppb) if ppb < RATIO_ONE => {
            if ppb > 0 && ppb < RATIO_ONE / 100 {
                field.warn(
                    format!(
                        "expected a percentage such as 99.9, got `{text}`, which is less than 1 %"
                    ),
                    format!("for a ratio write `target: {text}`"),
                );
            }
            return Some(checked_target(field, ppb));
        }
        Ok(RATIO_ONE) => field.expected(
            what,
            "a target of 100 % leaves no budget; choose a smaller one",
        ),
        outcome => field.expected(what, number_hint(text, outcome.err(), 7)),
    }
    None
}

fn checked_target(field: &Field<'_>, ppb: u64) -> Ratio {
    if ppb == 0 {
        field.warn(
            "expected a target above 0, got one that can never be missed",
            "",
        );
    }
    Ratio::from_ppb(ppb)
}

/// A burn-rate threshold in thousandths: `14.4` is 14 400; finer ones are rounded with a warning.
pub fn factor_milli(field: &Field<'_>) -> Option<u64> {
    let text = field.number_text()?;
    let what = "a burn rate above 0, such as 14.4";
    let milli = match (decimal(text, 3), decimal(text, 9)) {
        (Ok(milli), _) => milli,
        (Err(DecimalError::TooPrecise), Ok(nano)) => {
            let milli = (nano + 500_000) / 1_000_000;
            let rounded = format!("{}.{:03}", milli / 1000, milli % 1000);
            field.warn(
                format!("expected at most 3 decimals, got `{text}`, read as {rounded}"),
                "",
            );
            milli
        }
        (outcome, _) => {
            field.expected(what, number_hint(text, outcome.err(), 3));
            return None;
        }
    };
    if milli == 0 || milli > 1_000_000_000_000 {
        field.expected(what, "");
        return None;
    }
    Some(milli)
}

/// A latency threshold in seconds as nanoseconds: `0.3` is 300 000 000.
pub fn seconds_as_nanos(field: &Field<'_>) -> Option<u64> {
    let text = field.number_text()?;
    match decimal(text, 9) {
        Ok(nanos) if nanos > 0 => {
            if nanos >= 60_000_000_000 {
                let hint = format!("for {text} ms divide by 1000");
                field.warn(
                    format!("expected a duration in seconds, got `{text}`, a minute or more"),
                    hint,
                );
            }
            Some(nanos)
        }
        outcome => {
            field.expected(
                "a duration in seconds above 0, such as 0.3",
                number_hint(text, outcome.err(), 9),
            );
            None
        }
    }
}

/// A decimal such as `0.3` or `-5` as the nearest double: what a sender's bound or value of the same decimal is.
pub fn number(field: &Field<'_>) -> Option<Decimal> {
    let text = field.number_text()?;
    let digits = text.trim_start_matches(['-', '+']);
    let is_decimal = text.len() - digits.len() <= 1 && {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        !(whole.is_empty() && fraction.is_empty()) && are_digits(whole) && are_digits(fraction)
    };
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
    match value {
        Some(value) if is_decimal => Some(Decimal::new(value)),
        _ => {
            field.expected("a number, such as 0.3", "write a plain decimal number");
            None
        }
    }
}

fn number_hint(text: &str, error: Option<DecimalError>, decimals: usize) -> String {
    match error {
        Some(_) if text.ends_with('%') => {
            "write the number without `%`: `targetPercent` for percent".to_owned()
        }
        Some(DecimalError::TooPrecise) => {
            format!("use at most {decimals} decimals, they are kept exactly")
        }
        Some(DecimalError::NotDecimal) => "write a plain decimal number".to_owned(),
        _ => String::new(),
    }
}

/// Seconds of `text`: a whole number and `s`, `m`, `h`, `d`, `w`, `M` (30 d), `Q` (90 d) or `Y` (365 d).
/// `m` is minutes and `M` months, as in OpenSLO (`s` is ours). `None` when it is none of that or overflows.
pub fn duration_secs(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let number = &text[..text.len() - unit.len_utf8()];
    let secs = match unit {
        's' => 1,
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        'w' => 7 * DAY,
        'M' => 30 * DAY,
        'Q' => 90 * DAY,
        'Y' => 365 * DAY,
        _ => return None,
    };
    decimal(number, 0)
        .ok()
        .filter(|_| !number.contains('.'))?
        .checked_mul(secs)
}

/// A duration field of at least `min` and at most `max` seconds.
pub fn duration(field: &Field<'_>, min: u64, max: u64) -> Option<u64> {
    let text = field.text()?;
    let what = || {
        format!(
            "a duration from {} to {}, such as `30d`",
            show_secs(min),
            show_secs(max)
        )
    };
    match duration_secs(text) {
        Some(secs) if (min..=max).contains(&secs) => Some(secs),
        Some(_)
            if text.ends_with('m')
                && duration_secs(&text.replace('m', "M")).is_some_and(|s| s <= max)
                && min >= HOUR =>
        {
            field.expected(
                &what(),
                format!(
                    "`m` is minutes; for months write `{}`",
                    text.replace('m', "M")
                ),
            );
            None
        }
        Some(_) => {
            field.expected(&what(), "");
            None
        }
        None => {
            field.expected(
                &what(),
                "a whole number and one unit: m (minutes), h, d, w, M (30 days), Q, Y",
            );
            None
        }
    }
}

/// The bucket that windows of this length are made of, s (1 s to 1 h, 1 min to 6 h, 10 min to 3 d, 1 h beyond).
pub const fn bucket_secs(window_secs: u64) -> u64 {
    if window_secs <= HOUR {
        1
    } else if window_secs <= 6 * HOUR {
        MINUTE
    } else if window_secs <= 3 * DAY {
        10 * MINUTE
    } else {
        HOUR
    }
}

/// Seconds in the largest unit that divides them: `3600` is `1h`.
pub fn show_secs(secs: u64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (1, "s")];
    let fitting = units
        .iter()
        .find(|(unit, _)| secs >= *unit && secs.is_multiple_of(*unit));
    fitting.map_or_else(
        || "0s".to_owned(),
        |(unit, name)| format!("{}{name}", secs / unit),
    )
}
