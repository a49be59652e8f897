//! YAML (and JSON, its subset) as a tree in which every value knows its line and column and keeps its own text.
//!
//! Built from the parser's events instead of through serde: serde stops at the first problem and turns `0.999`
//! into a float before anybody can read the decimal text; here a file's every problem is collected and nothing is
//! converted. Aliases and merge keys are expanded inside the node budget, so a "billion laughs" ends at a named line.

use serde_saphyr::granit_parser::{self, ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Largest file, bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of lists and maps.
pub const DEPTH_MAX: usize = 32;
/// Most values in one file, each alias counted as what it stands for.
pub const NODES_MAX: usize = 50_000;

/// A place in a file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// A value and where it starts (for an alias: where its anchor's value starts, which is where to mend it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Start of the value.
    pub at: Position,
    /// The value.
    pub value: Value,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Any other scalar: its text after unescaping, and whether it was written without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Unquoted: a number or boolean when it looks like one.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in the order written; keys are unique.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key starts.
    pub at: Position,
    /// The value.
    pub value: Node,
}

/// Something that makes a file no valid YAML, or bigger than allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Position,
    /// Expected, then got.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

/// A parsed file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The documents before the first syntax error; empty documents are left out.
    pub documents: Vec<Node>,
    /// What is wrong with the file as YAML.
    pub faults: Vec<Fault>,
    /// False when the rest of the file could not be read.
    pub complete: bool,
}

impl Value {
    /// What it is, for "expected ..., got ...".
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Scalar { text, .. } => format!("`{}`", shorten(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

/// `text` as it can stand in a one-line message: control characters escaped, at most 60 characters.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(printable).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}

fn printable(c: char) -> Vec<char> {
    if c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}

/// Parses a whole file. Never fails: what is wrong is in [`Tree::faults`]. O(bytes + expanded nodes).
pub fn parse(bytes: &[u8]) -> Tree {
    let source = match readable(bytes) {
        Ok(source) => source,
        Err(fault) => {
            return Tree {
                faults: vec![fault],
                ..Tree::default()
            };
        }
    };
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(source, options) {
        let flow = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => builder.stop(syntax(&error, source)),
        };
        if flow.is_break() {
            return builder.tree;
        }
    }
    builder.tree.complete = true;
    builder.tree
}

fn readable(bytes: &[u8]) -> Result<&str, Fault> {
    let first = Position { line: 1, column: 1 };
    if bytes.len() > BYTES_MAX {
        return Err(Fault {
            at: first,
            message: format!(
                "expected at most {BYTES_MAX} bytes (1 MiB), got {}",
                bytes.len()
            ),
            hint: "split it into several files".to_owned(),
        });
    }
    std::str::from_utf8(bytes).map_err(|error| Fault {
        at: position_of(&bytes[..error.valid_up_to()]),
        message: format!(
            "expected UTF-8, got the byte 0x{:02x}",
            bytes[error.valid_up_to()]
        ),
        hint: "save the file as UTF-8".to_owned(),
    })
}

/// The position just after `before`, which is valid UTF-8.
fn position_of(before: &[u8]) -> Position {
    let line_start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    Position {
        line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
        column: String::from_utf8_lossy(&before[line_start..])
            .chars()
            .count()
            + 1,
    }
}

fn position(span: &Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}

fn syntax(error: &ScanError, source: &str) -> Fault {
    let mark = error.marker();
    let mut at = Position {
        line: mark.line().max(1),
        column: mark.col() + 1,
    };
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(at);
    }
    let message = error.info();
    let hint = if let Some(tab) = tab_near(source, at, message.contains("tab")) {
        at = tab;
        "indent with spaces; YAML allows no tabs there"
    } else if message.contains("mapping values are not allowed") {
        "quote a value that holds `: `, or mend the indentation"
    } else {
        ""
    };
    Fault {
        at,
        message: format!("expected valid YAML, got: {message}"),
        hint: hint.to_owned(),
    }
}

/// The first tab in an indentation: of the line of the error, or (`is_about_tabs`) of one below. The parser reports
/// the start of what the tab spoils, which may be lines above it.
fn tab_near(source: &str, at: Position, is_about_tabs: bool) -> Option<Position> {
    let lines = source.lines().enumerate().skip(at.line - 1);
    let tab = |(index, line): (usize, &str)| {
        let tab = line
            .chars()
            .take_while(|c| c.is_whitespace())
            .position(|c| c == '\t')?;
        Some(Position {
            line: index + 1,
            column: tab + 1,
        })
    };
    lines
        .take(if is_about_tabs { usize::MAX } else { 1 })
        .find_map(tab)
}

/// An open list or map.
struct Frame {
    at: Position,
    anchor: usize,
    kind: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Where each key was first written.
        seen: BTreeMap<String, Position>,
        /// The key whose value comes next; `None` inside when that value is to be thrown away.
        key: Option<(Option<String>, Position)>,
        /// Values of `<<`.
        merges: Vec<Node>,
    },
}

#[derive(Default)]
struct Builder {
    tree: Tree,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl Builder {
    fn stop(&mut self, fault: Fault) -> ControlFlow<()> {
        self.tree.faults.push(fault);
        ControlFlow::Break(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> ControlFlow<()> {
        let at = position(&span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                // `match: {k: !/health}` is YAML for a tagged empty value: refused, or the condition would be lost.
                if let Some(tag) = tag.filter(|tag| tag.is_custom()) {
                    let at = span.tag_start.map_or(at, |m| Position {
                        line: m.line(),
                        column: m.col() + 1,
                    });
                    self.tree.faults.push(Fault {
                        at,
                        message: format!(
                            "expected a plain value, got the YAML tag `{}`",
                            shorten(&tag.original())
                        ),
                        hint: "put a value that starts with `!` in quotes".to_owned(),
                    });
                }
                let value = scalar(text.into_owned(), style);
                self.add(Node { at, value }, anchor, 1)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Open::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(
                at,
                anchor,
                Open::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                    merges: Vec::new(),
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) => {
                    let (node, count) = (node.clone(), count(node));
                    if self.stack.len() + depth(&node) > DEPTH_MAX {
                        return self.stop(too_deep(at));
                    }
                    self.add_at(node, 0, count, at)
                }
                None => self.stop(Fault {
                    at,
                    message:
                        "expected an alias of a finished value, got one of a value it stands in"
                            .to_owned(),
                    hint: "write the value out".to_owned(),
                }),
            },
            Event::DocumentStart(..) => {
                self.anchors.clear();
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn open(&mut self, at: Position, anchor: usize, kind: Open) -> ControlFlow<()> {
        if self.stack.len() >= DEPTH_MAX {
            return self.stop(too_deep(at));
        }
        self.stack.push(Frame { at, anchor, kind });
        ControlFlow::Continue(())
    }

    fn close(&mut self) -> ControlFlow<()> {
        let Some(frame) = self.stack.pop() else {
            return ControlFlow::Continue(());
        };
        let value = match frame.kind {
            Open::List(items) => Value::List(items),
            Open::Map {
                mut entries,
                mut seen,
                merges,
                ..
            } => {
                for merge in merges {
                    self.merge(&merge, &mut entries, &mut seen);
                }
                Value::Map(entries)
            }
        };
        self.add(
            Node {
                at: frame.at,
                value,
            },
            frame.anchor,
            1,
        )
    }

    /// Adds the keys of a `<<` value that are not there yet.
    fn merge(
        &mut self,
        from: &Node,
        entries: &mut Vec<Entry>,
        seen: &mut BTreeMap<String, Position>,
    ) {
        match &from.value {
            Value::Map(more) => {
                for entry in more.iter().filter(|entry| !entry.key.is_empty()) {
                    if !seen.contains_key(&entry.key) {
                        seen.insert(entry.key.clone(), entry.at);
                        entries.push(entry.clone());
                    }
                }
            }
            Value::List(items) => items
                .iter()
                .for_each(|item| self.merge(item, entries, seen)),
            Value::Null | Value::Scalar { .. } => self.tree.faults.push(Fault {
                at: from.at,
                message: format!("expected a map to merge, got {}", from.value.describe()),
                hint: String::new(),
            }),
        }
    }

    fn add(&mut self, node: Node, anchor: usize, cost: usize) -> ControlFlow<()> {
        let at = node.at;
        self.add_at(node, anchor, cost, at)
    }

    /// Puts a finished value where it belongs. `at` is where it is used, `cost` how many values it adds.
    fn add_at(&mut self, node: Node, anchor: usize, cost: usize, at: Position) -> ControlFlow<()> {
        self.nodes += cost;
        if anchor != 0 {
            self.nodes += count(&node);
        }
        if self.nodes > NODES_MAX {
            return self.stop(Fault {
                at,
                message: format!(
                    "expected at most {NODES_MAX} values in a file, aliases expanded, got more"
                ),
                hint: "split the file, or use fewer aliases".to_owned(),
            });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None if node.value == Value::Null => {}
            None => self.tree.documents.push(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map {
                entries,
                seen,
                key,
                merges,
            }) => match key.take() {
                None => *key = Some((self.tree.key(node, seen, at), at)),
                Some((Some(name), _)) if name == "<<" => merges.push(node),
                Some((Some(name), at)) => entries.push(Entry {
                    key: name,
                    at,
                    value: node,
                }),
                Some((None, _)) => {}
            },
        }
        ControlFlow::Continue(())
    }
}

impl Tree {
    /// The text of a key; `None` (and a fault) when it is no text or was there before.
    fn key(
        &mut self,
        node: Node,
        seen: &mut BTreeMap<String, Position>,
        at: Position,
    ) -> Option<String> {
        let Value::Scalar { text, .. } = node.value else {
            self.faults.push(Fault {
                at,
                message: format!("expected a text key, got {}", node.value.describe()),
                hint: String::new(),
            });
            return None;
        };
        if let Some(first) = seen.get(&text) {
            self.faults.push(Fault {
                at,
                message: format!(
                    "expected each key once, got `{}` again (first at {}:{})",
                    shorten(&text),
                    first.line,
                    first.column
                ),
                hint: "remove one of them".to_owned(),
            });
            return None;
        }
        if text != "<<" {
            seen.insert(text.clone(), at);
        }
        Some(text)
    }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar { text, plain }
    }
}

fn too_deep(at: Position) -> Fault {
    Fault {
        at,
        message: format!("expected at most {DEPTH_MAX} levels of nesting, got more"),
        hint: String::new(),
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| 1 + count(&entry.value))
                .sum::<usize>()
        }
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 0,
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| depth(&entry.value))
                .max()
                .unwrap_or(0)
        }
    }
}

/// A path as it can stand in a message.
pub(super) fn shorten_path(path: &str) -> String {
    path.chars().flat_map(printable).collect()
}
