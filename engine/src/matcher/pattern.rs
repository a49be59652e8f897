//! Patterns over the text form of a value: exact text, or `*` for any run of characters.

use crate::items::{Value, ValueKind};
use std::fmt::Write;

/// A list of patterns of which any may hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Patterns {
    exact: Vec<String>,
    /// Bit n: some exact pattern has n bytes (63 and more share a bit). Most text is told apart by this alone.
    lengths: u64,
    wild: Vec<String>,
}

impl Patterns {
    /// Sorts the patterns by what they need.
    pub(super) fn new(any_of: &[String]) -> Self {
        let (wild, mut exact): (Vec<String>, Vec<String>) = any_of
            .iter()
            .cloned()
            .partition(|pattern| pattern.contains('*'));
        exact.sort_unstable();
        let lengths = exact
            .iter()
            .fold(0, |bits, pattern| bits | length_bit(pattern.as_bytes()));
        Self {
            exact,
            lengths,
            wild,
        }
    }

    /// Whether `text` matches one of them. O(log exact + wild * length).
    pub(super) fn match_text(&self, text: &[u8]) -> bool {
        let known = self.lengths & length_bit(text) != 0;
        known
            && self
                .exact
                .binary_search_by(|pattern| pattern.as_bytes().cmp(text))
                .is_ok()
            || self
                .wild
                .iter()
                .any(|pattern| matches_wild(pattern.as_bytes(), text))
    }

    /// Whether a stored value matches: numbers by their decimal text, booleans as `true` and `false`. Bytes and
    /// nested values have no text: only a pattern of nothing but `*` ("it is there") matches them.
    pub(super) fn match_value(&self, kind: ValueKind, bytes: &[u8], scratch: &mut String) -> bool {
        if kind == ValueKind::Text {
            return self.match_text(bytes);
        }
        scratch.clear();
        let written = match Value::read(kind, bytes) {
            Value::Int(int) => write!(scratch, "{int}"),
            Value::Double(double) => write!(scratch, "{double}"),
            Value::Bool(flag) => write!(scratch, "{flag}"),
            Value::Empty => Ok(()),
            Value::Text(_) | Value::Bytes(_) | Value::Nested(_) => return self.accepts_anything(),
        };
        written.is_ok() && self.match_text(scratch.as_bytes())
    }

    fn accepts_anything(&self) -> bool {
        self.wild
            .iter()
            .any(|pattern| pattern.bytes().all(|byte| byte == b'*'))
    }
}

fn length_bit(text: &[u8]) -> u64 {
    1 << text.len().min(63)
}

/// Greedy matching with one point to fall back to: O(pattern * text) at worst, no recursion.
fn matches_wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut fallback: Option<(usize, usize)> = None;
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            fallback = Some((at, read));
            at += 1;
        } else if pattern.get(at) == Some(&text[read]) {
            at += 1;
            read += 1;
        } else if let Some((star, from)) = fallback {
            fallback = Some((star, from + 1));
            at = star + 1;
            read = from + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
