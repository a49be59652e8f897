//! Places in the code that log errors, as numbers.
//!
//! A place is told by the scope (the logger), then by the best of: the code attributes, the exception's type, the event
//! name, the body. Bodies carry ids, so words with a digit in them do not count. Like a route, the number depends on the text
//! alone: two places that share one are counted together.

use crate::hash::HashSeed;
use crate::items::Value;
use crate::log_record::LogBatch;

/// Distinct place numbers.
pub const PLACES: u64 = 4_096;

/// The least severity number that is an error (OTLP: ERROR).
const ERROR_NUMBER: u8 = 17;

/// Severity texts that are errors, where no number is sent.
const ERROR_TEXTS: [&str; 8] = [
    "alert",
    "critical",
    "emergency",
    "err",
    "error",
    "fatal",
    "panic",
    "severe",
];

/// What tells a line of code, by present and former names.
const CODE_KEYS: [&str; 7] = [
    "code.file.path",
    "code.filepath",
    "code.function",
    "code.function.name",
    "code.line.number",
    "code.lineno",
    "code.namespace",
];

/// Longest part of a body that is looked at, bytes.
const BODY_BYTES_MAX: usize = 256;

/// Says which records of a batch are errors: severity texts are read once per distinct one.
#[derive(Debug)]
pub(super) struct Errors<'a> {
    batch: &'a LogBatch,
    texts: Vec<bool>,
}

impl<'a> Errors<'a> {
    pub(super) fn new(batch: &'a LogBatch) -> Self {
        let texts = (0..batch.severity_texts.len()).map(|code| {
            let text = batch.severity_texts.text(code);
            ERROR_TEXTS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(text))
        });
        Self {
            batch,
            texts: texts.collect(),
        }
    }

    pub(super) fn is_error(&self, row: usize) -> bool {
        match self.batch.severity_number[row] {
            0 => self.texts[usize::from(self.batch.severity_text[row])],
            number => number >= ERROR_NUMBER,
        }
    }

    /// Whether any record is an error.
    pub(super) fn any(&self) -> bool {
        (0..self.batch.len()).any(|row| self.is_error(row))
    }
}

/// The number of the place where the record of `row` was logged, in `0..`[`PLACES`].
pub(super) fn place_number(seed: HashSeed, batch: &LogBatch, row: usize) -> u64 {
    let scope = &batch.items.scopes[usize::from(batch.items.scope[row])].name;
    let mut text = format!("{scope}\n");
    let before = text.len();
    for key in CODE_KEYS {
        if let Some(value) = batch.items.attribute(row, key) {
            tell(&mut text, key, value);
        }
    }
    if text.len() == before {
        tell_what(&mut text, batch, row);
    }
    seed.fingerprint(text.as_bytes()) % PLACES
}

/// What happened there, when nothing says where it was.
fn tell_what(text: &mut String, batch: &LogBatch, row: usize) {
    let event = batch.event_names.text(usize::from(batch.event_name[row]));
    if let Some(exception) = batch.items.attribute(row, "exception.type") {
        tell(text, "exception.type", exception);
    } else if !event.is_empty() {
        text.push_str(event);
    } else if let Some(body) = batch.bodies.get(row).as_text() {
        let body = &body[..body.floor_char_boundary(BODY_BYTES_MAX)];
        let words = body.split(|letter: char| !letter.is_alphanumeric());
        for word in words.filter(|word| !word.is_empty() && !varies(word)) {
            text.push_str(word);
            text.push(' ');
        }
    }
}

fn tell(text: &mut String, key: &str, value: Value<'_>) {
    let value = match value {
        Value::Text(value) => value.to_owned(),
        Value::Int(value) => value.to_string(),
        _ => return,
    };
    text.push_str(key);
    text.push('=');
    text.push_str(&value);
    text.push('\n');
}

/// Whether a word is likely to differ from record to record.
fn varies(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
