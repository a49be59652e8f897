//! Names and numbers as shown. Names come from telemetry: nothing in them may do anything.

use engine::inert::visible;
use engine::slo::Ratio;
use engine::snapshot::SloRow;
use engine::time::Timestamp;

/// Longest name shown; the rest is cut.
pub const NAME_CHARS_MAX: usize = 80;
/// Longest sentence shown: it may quote several names.
pub const WORDS_CHARS_MAX: usize = 1_000;

/// `name` with characters that do not show or that turn the text around made visible, cut to [`NAME_CHARS_MAX`].
/// Escaping for HTML is maud's.
pub fn name(name: &str) -> String {
    if name.is_empty() {
        return "?".to_owned();
    }
    cut(name, NAME_CHARS_MAX)
}

/// A sentence that may quote names: the same, cut to [`WORDS_CHARS_MAX`].
pub fn words(text: &str) -> String {
    cut(text, WORDS_CHARS_MAX)
}

/// Lines to paste: every line by itself as [`words`] has it.
pub fn lines(text: &str) -> String {
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

/// `3 h of 30 d`.
pub fn observed(row: &SloRow, now: Timestamp) -> String {
    let period = duration(row.slo.period_secs);
    format!("{} of {period}", duration(row.observed_secs(now)))
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut shown: String = text.chars().take(chars_max).map(visible).collect();
    if text.chars().nth(chars_max).is_some() {
        shown.push('…');
    }
    shown
}

/// `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `-12,345`.
pub fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", count(number.unsigned_abs()))
}

/// `3 of 1,200`.
pub fn of(part: u64, all: u64) -> String {
    format!("{} of {}", count(part), count(all))
}

/// A number with `places` decimals, never `-0`.
pub fn decimal(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    match text.strip_prefix('-') {
        Some(rest) if !rest.contains(|digit| matches!(digit, '1'..='9')) => rest.to_owned(),
        _ => text,
    }
}

/// `64.2 %`, with more digits near 0 % and near 100 %: what is not whole never reads as whole.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let places = match percent.abs() {
        size if size > 0.0 && size < 0.1 => 3,
        size if size > 99.9 && size < 100.0 => 3,
        size if size >= 100.0 => 0,
        _ => 1,
    };
    format!("{} %", decimal(percent, places))
}

/// A percentage, or a dash without data.
pub fn percent_or_dash(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), percent)
}

/// `99.95 %`, every digit of a target: it is an integer.
pub fn target(ratio: Ratio) -> String {
    const PERCENT: u64 = 10_000_000;
    let (whole, rest) = (
        ratio.parts_per_billion / PERCENT,
        ratio.parts_per_billion % PERCENT,
    );
    let digits = format!("{whole}.{rest:07}");
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `14.4×`, or a dash without data.
pub fn burn(rate: Option<f64>) -> String {
    rate.map_or_else(
        || "–".to_owned(),
        |rate| match rate {
            rate if rate >= 100.0 => format!("{rate:.0}×"),
            rate if rate > 0.0 && rate < 0.1 => format!("{rate:.2}×"),
            rate => format!("{}×", decimal(rate, 1)),
        },
    )
}

/// `2 h 10 min`, two units at most.
pub fn duration(secs: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units
        .iter()
        .position(|(size, _)| secs >= *size)
        .unwrap_or(3);
    let (size, unit) = units[first];
    let mut out = format!("{} {unit}", secs / size);
    if let Some((next, next_unit)) = units.get(first + 1) {
        let rest = secs % size / next;
        if rest > 0 {
            out.push_str(&format!(" {rest} {next_unit}"));
        }
    }
    out
}

/// `2026-11-24 10:16:13 UTC`, or a dash for "never".
pub fn time(time: Timestamp) -> String {
    let text = query::wire::rfc3339(time);
    match text.get(..19) {
        Some(seconds) => format!("{} UTC", seconds.replace('T', " ")),
        None => "–".to_owned(),
    }
}

/// `10:16`, UTC.
pub fn hour_and_minute(time: Timestamp) -> String {
    query::wire::rfc3339(time)
        .get(11..16)
        .unwrap_or_default()
        .to_owned()
}

/// How long ago `then` was.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    if then == Timestamp::EPOCH {
        return "never".to_owned();
    }
    format!(
        "{} ago",
        duration(now.since(then) / engine::time::NANOS_PER_SEC)
    )
}
