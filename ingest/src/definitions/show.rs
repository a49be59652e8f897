//! Problems as people and programs read them.

use engine::input::{DefinitionsLoaded, Problem};
use serde_json::{Value, json};
use std::fmt::Write;

/// One problem as text: `error: FILE:LINE:COLUMN: FIELD: MESSAGE`, and a second line `hint: ...` when there is one.
pub fn problem_text(problem: &Problem) -> String {
    let word = if problem.is_error { "error" } else { "warning" };
    let mut text = format!("{word}: {}: ", problem.place);
    if !problem.field.is_empty() {
        text.push_str(&problem.field);
        text.push_str(": ");
    }
    text.push_str(&problem.message);
    if !problem.hint.is_empty() {
        text.push_str("\n  hint: ");
        text.push_str(&problem.hint);
    }
    text
}

/// All problems as text, one after the other, each ended by a line break.
pub fn problems_text(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut all, problem| {
        all.push_str(&problem_text(problem));
        all.push('\n');
        all
    })
}

/// What was read, in one line: `3 SLOs of 2 services; 0 errors, 1 warning`.
pub fn summary(loaded: &DefinitionsLoaded) -> String {
    let count = |number: usize, word: &str| {
        format!("{number} {word}{}", if number == 1 { "" } else { "s" })
    };
    let errors = loaded
        .problems
        .iter()
        .filter(|problem| problem.is_error)
        .count();
    let warnings = loaded.problems.len() - errors;
    let mut text = String::new();
    if let Some(definitions) = &loaded.definitions {
        let slos = definitions.slos.values();
        let mut services: Vec<_> = slos
            .map(|slo| slo.service_id)
            .chain(definitions.services.keys().copied())
            .collect();
        services.sort();
        services.dedup();
        let slos = count(definitions.slos.len(), "SLO");
        // Writing to a String cannot fail.
        write!(text, "{slos} of {}; ", count(services.len(), "service")).unwrap_or_default();
    }
    text + &format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}

/// One problem as JSON; `file`, `line` and `column` are taken apart.
pub fn problem_json(problem: &Problem) -> Value {
    let mut parts = problem.place.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u64>().ok());
    let (file, line, column) = match (file, number(line), number(column)) {
        (Some(file), Some(line), Some(column)) => (file, Some(line), Some(column)),
        _ => (problem.place.as_str(), None, None),
    };
    json!({
        "severity": if problem.is_error { "error" } else { "warning" },
        "file": file,
        "line": line,
        "column": column,
        "field": problem.field,
        "message": problem.message,
        "hint": problem.hint,
    })
}

/// The whole outcome as JSON: `{valid, slos, problems[]}`.
pub fn loaded_json(loaded: &DefinitionsLoaded) -> Value {
    json!({
        "valid": loaded.definitions.is_some(),
        "slos": loaded.definitions.as_ref().map_or(0, |definitions| definitions.slos.len()),
        "problems": loaded.problems.iter().map(problem_json).collect::<Vec<_>>(),
    })
}
