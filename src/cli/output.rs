//! How commands print: tables for people, JSON for programs, color only where it is wanted.

/// For names from telemetry: nothing in them may move the cursor.
pub(crate) use engine::inert::inert;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use std::io::IsTerminal;

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
}

/// Whether to color: on a terminal, unless NO_COLOR is set (no-color.org).
pub(crate) fn is_colored(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text` in an ANSI color when colors are on.
pub(crate) fn colored(text: &str, ansi: &str) -> String {
    if is_colored(&std::io::stdout()) {
        format!("\u{1b}[{ansi}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// The verdict as shown: HALT red, PROCEED green, others yellow.
pub(crate) fn verdict(word: &str) -> String {
    let ansi = match word {
        "halt" => "1;31",
        "proceed" => "1;32",
        _ => "1;33",
    };
    colored(&word.to_uppercase(), ansi)
}

/// A plain table.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Prints a line to standard output; a closed pipe (`| head`) is not an error.
pub(crate) fn say(text: impl AsRef<str>) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{}", text.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a line to standard error.
pub(crate) fn complain(text: impl AsRef<str>) {
    use std::io::Write;
    // Nothing is left to tell anybody when standard error is gone.
    drop(writeln!(std::io::stderr().lock(), "{}", text.as_ref()));
}

/// Longest name in a table, characters.
const NAME_CHARS_MAX: usize = 60;

/// Longest sentence, which may quote several names, characters.
const WORDS_CHARS_MAX: usize = 1_000;

/// A name from telemetry for a table: [`inert`] and cut.
pub(crate) fn short(name: &str) -> String {
    cut(name, NAME_CHARS_MAX)
}

/// A sentence that may quote names: [`inert`] and cut.
pub(crate) fn words(text: &str) -> String {
    cut(text, WORDS_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut shown: String = text.chars().take(chars_max).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    inert(&shown)
}

/// `3 h`, `2 d 4 h`: two units at most.
pub(crate) fn duration(secs: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = secs;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{} {unit}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}
