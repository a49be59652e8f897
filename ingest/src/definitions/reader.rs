//! Reading a YAML tree field by field, collecting every problem with its place and path.

use super::yaml::{Entry, Fault, Node, Position, Value, shorten};
use engine::input::Problem;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Every problem found so far. Shared by all fields that are being read; single-threaded.
#[derive(Debug, Default)]
pub struct Report {
    found: RefCell<BTreeSet<Found>>,
    strict: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    file: String,
    at: Option<Position>,
    field: String,
    message: String,
    hint: String,
    is_error: bool,
}

impl Report {
    /// An empty report; in a strict one warnings are errors.
    pub fn new(strict: bool) -> Self {
        Self {
            strict,
            ..Self::default()
        }
    }

    /// A problem of a whole file (it cannot be opened), or of YAML syntax.
    pub fn fault(&self, file: &str, fault: Fault) {
        self.push(file, Some(fault.at), "", fault.message, fault.hint, true);
    }

    /// A problem of a file or directory as such.
    pub fn file_error(&self, file: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.push(file, None, "", message.into(), hint.into(), true);
    }

    fn push(
        &self,
        file: &str,
        at: Option<Position>,
        field: &str,
        message: String,
        hint: String,
        is_error: bool,
    ) {
        self.found.borrow_mut().insert(Found {
            file: file.to_owned(),
            at,
            field: field.to_owned(),
            message,
            hint,
            is_error: is_error || self.strict,
        });
    }

    /// Whether anything found is an error.
    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|found| found.is_error)
    }

    /// Everything found, by file, line and column.
    pub fn into_problems(self) -> Vec<Problem> {
        let found = self.found.into_inner();
        found
            .into_iter()
            .map(|found| Problem {
                place: match found.at {
                    Some(at) if at.line > 0 => format!("{}:{}:{}", found.file, at.line, at.column),
                    _ => found.file,
                },
                field: found.field,
                message: found.message,
                hint: found.hint,
                is_error: found.is_error,
            })
            .collect()
    }
}

/// A value being read: where it is, what it is called, and where problems go.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// File name as shown.
    pub file: &'a str,
    /// Path from the document's root, such as `spec.objectives[0].target`.
    pub path: String,
    /// The value.
    pub node: &'a Node,
    /// Where its key starts; the value itself when it has none.
    pub key_at: Position,
    report: &'a Report,
}

impl<'a> Field<'a> {
    /// The root of a document.
    pub fn root(file: &'a str, node: &'a Node, report: &'a Report) -> Self {
        Self {
            file,
            path: String::new(),
            node,
            key_at: node.at,
            report,
        }
    }

    /// A value called `path`. A value without a line (a flag's) has the position 0:0, and `file` alone is its place.
    pub fn named(file: &'a str, path: &str, node: &'a Node, report: &'a Report) -> Self {
        Self {
            file,
            path: path.to_owned(),
            node,
            key_at: node.at,
            report,
        }
    }

    /// `file:line:column` of the value.
    pub fn place(&self) -> String {
        format!(
            "{}:{}:{}",
            self.file, self.node.at.line, self.node.at.column
        )
    }

    /// Reports an error: `message` says expected, then got.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.at(self.node.at, &self.path, message.into(), hint.into(), true);
    }

    /// Reports an error of the key, not of its value.
    pub fn key_error(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.at(self.key_at, &self.path, message.into(), hint.into(), true);
    }

    /// Reports a warning.
    pub fn warn(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.at(self.node.at, &self.path, message.into(), hint.into(), false);
    }

    /// Reports "expected `what`, got (the value)".
    pub fn expected(&self, what: &str, hint: impl Into<String>) {
        self.error(
            format!("expected {what}, got {}", self.node.value.describe()),
            hint,
        );
    }

    /// Reports that this is valid OpenSLO which Tidegate does not evaluate yet.
    pub fn later(&self, what: &str, hint: impl Into<String>) {
        self.error(format!("comes later: {what}"), hint);
    }

    fn at(&self, at: Position, path: &str, message: String, hint: String, is_error: bool) {
        self.report
            .push(self.file, Some(at), path, message, hint, is_error);
    }

    /// The text of a scalar, however it is quoted; a problem otherwise.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.expected("text", "");
                None
            }
        }
    }

    /// The text of a scalar that is not empty.
    pub fn name(&self) -> Option<&'a str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.expected("a name", "");
            return None;
        }
        Some(text)
    }

    /// The text of an unquoted scalar; quoted numbers are accepted with a warning.
    pub fn number_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain } => {
                if !plain {
                    self.warn(
                        format!("expected a number, got the quoted text `{}`", shorten(text)),
                        "remove the quotes",
                    );
                }
                Some(text)
            }
            _ => {
                self.expected("a number", "");
                None
            }
        }
    }

    /// `true` or `false`; a problem otherwise.
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Scalar { text, .. } if text == "true" => Some(true),
            Value::Scalar { text, .. } if text == "false" => Some(false),
            _ => {
                self.expected("`true` or `false`", "");
                None
            }
        }
    }

    /// The items of a list; a problem otherwise.
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let Value::List(items) = &self.node.value else {
            self.expected("a list", "");
            return None;
        };
        let field = |(index, node): (usize, &'a Node)| Self {
            path: format!("{}[{index}]", self.path),
            node,
            key_at: node.at,
            ..self.clone()
        };
        Some(items.iter().enumerate().map(field).collect())
    }

    /// The fields of a map; a problem otherwise.
    pub fn map(&self) -> Option<Fields<'a>> {
        let Value::Map(entries) = &self.node.value else {
            self.expected("a map", "");
            return None;
        };
        Some(Fields {
            of: self.clone(),
            entries,
            known: Vec::new(),
        })
    }

    fn child(&self, entry: &'a Entry) -> Self {
        Self {
            path: self.path_of(&entry.key),
            node: &entry.value,
            key_at: entry.at,
            ..self.clone()
        }
    }

    fn path_of(&self, key: &str) -> String {
        let simple = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        match (self.path.is_empty(), simple) {
            (true, true) => key.to_owned(),
            (false, true) => format!("{}.{key}", self.path),
            (_, false) => format!("{}[\"{}\"]", self.path, shorten(key)),
        }
    }
}

/// The fields of a map being read; remembers which were asked for, to name those nobody knows.
#[derive(Debug)]
pub struct Fields<'a> {
    /// The map itself.
    pub of: Field<'a>,
    entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The field called `key`; `None` when it is absent or null.
    pub fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.value.value != Value::Null).then(|| self.of.child(entry))
    }

    /// The field called `key`; a problem when it is absent or null.
    pub fn require(&mut self, key: &'static str, what: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            let empty = self.entries.iter().find(|entry| entry.key == key);
            let at = empty.map_or(self.of.node.at, |entry| entry.value.at);
            let path = self.of.path_of(key);
            let message = format!("expected {what}, got nothing");
            self.of.at(at, &path, message, String::new(), true);
        }
        field
    }

    /// Whether `key` is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.key == key && entry.value.value != Value::Null)
    }

    /// All entries: for maps with free keys.
    pub fn all(&self) -> Vec<(&'a str, Field<'a>)> {
        let field = |entry: &'a Entry| (entry.key.as_str(), self.of.child(entry));
        self.entries.iter().map(field).collect()
    }

    /// Names the fields that nobody asked for: as errors when `closed`, as warnings otherwise.
    pub fn finish(self, closed: bool) {
        for entry in self
            .entries
            .iter()
            .filter(|entry| !self.known.contains(&entry.key.as_str()))
        {
            let path = self.of.path_of(&entry.key);
            let hint = match nearest(&entry.key, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let message = format!("expected a known field, got `{}`", shorten(&entry.key));
            self.of.at(entry.at, &path, message, hint, closed);
        }
    }
}

/// The known word that `word` is most likely a slip of: at most 2 edits away, and less than half of it.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word: String = word.chars().take(64).collect();
    let scored = known
        .iter()
        .map(|&candidate| (edits(&word, candidate), candidate));
    let (distance, best) = scored.min()?;
    (distance <= 2 && distance * 2 < best.len()).then_some(best)
}

/// Levenshtein distance over lower-cased characters, transpositions counting two. O(n m).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
