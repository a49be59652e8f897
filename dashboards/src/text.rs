//! Names and numbers as shown. Names come from telemetry: nothing in them may do anything.

use engine::time::Timestamp;

/// Longest name shown; the rest is cut.
pub const NAME_CHARS_MAX: usize = 80;

/// `name` with control, bidirectional and zero-width characters made visible, cut to [`NAME_CHARS_MAX`].
/// Escaping for HTML is maud's.
pub fn name(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME_CHARS_MAX).map(visible).collect();
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    if shown.is_empty() {
        "?".to_owned()
    } else {
        shown
    }
}

/// A sentence that may quote names: the same, without the cut.
pub fn words(text: &str) -> String {
    text.chars().map(visible).collect()
}

fn visible(character: char) -> char {
    match character {
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
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

/// `64.2 %`, with more digits near 0.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent.abs() {
        size if size > 0.0 && size < 0.1 => format!("{percent:.3} %"),
        size if size >= 100.0 => format!("{percent:.0} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A percentage, or a dash without data.
pub fn percent_or_dash(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), percent)
}

/// `14.4×`, or a dash without data.
pub fn burn(rate: Option<f64>) -> String {
    rate.map_or_else(
        || "–".to_owned(),
        |rate| {
            if rate >= 100.0 {
                format!("{rate:.0}×")
            } else {
                format!("{rate:.1}×")
            }
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

/// RFC 3339, or a dash for "never".
pub fn time(time: Timestamp) -> String {
    let text = query::wire::rfc3339(time);
    if text.is_empty() {
        "–".to_owned()
    } else {
        text
    }
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
