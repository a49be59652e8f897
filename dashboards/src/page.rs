//! The frame of every page: head, navigation, banners, footer.

use crate::text;
use engine::snapshot::Snapshot;
use maud::{DOCTYPE, Markup, html};

const NAVIGATION: [(&str, &str); 5] = [
    ("/", "Fleet"),
    ("/gate", "Gate"),
    ("/alerts", "Alerts"),
    ("/events", "Events"),
    ("/health", "Health"),
];

/// A page with its banners.
pub fn frame(snapshot: &Snapshot, title: &str, current: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="5";
                title { (title) " · Tidegate" }
                link rel="stylesheet" href="/assets/tidegate.css";
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header {
                    a.brand href="/" { "Tidegate" }
                    nav aria-label="Pages" {
                        @for (path, name) in NAVIGATION {
                            @if path == current { a href=(path) aria-current="page" { (name) } } @else { a href=(path) { (name) } }
                        }
                    }
                }
                main id="main" { (banners(snapshot)) h1 { (title) } (body) }
                footer { "as of " (text::time(snapshot.as_of)) " · refreshed every 5 s · " a href="/v1/openapi.json" { "API" } " · " a href="/metrics" { "metrics" } }
            }
        }
    }
}

/// What everybody must know: recovering, refused definitions, missing counts.
fn banners(snapshot: &Snapshot) -> Markup {
    let status = &snapshot.status;
    let errors = status
        .problems
        .iter()
        .filter(|problem| problem.is_error)
        .count();
    html! {
        @if snapshot.is_recovering { p.banner.bad role="status" { "Recovering: the state is being loaded. The gate answers unknown." } }
        @if errors > 0 {
            div.banner.bad role="alert" {
                p { "The definitions were not taken: " (errors) " errors. Generation " (status.definitions_generation) " stays in force." }
                ul {
                    @for problem in status.problems.iter().take(20) {
                        li {
                            code { (text::words(&problem.place)) } " " code { (text::words(&problem.field)) } ": " (text::words(&problem.message))
                            @if !problem.hint.is_empty() { " – hint: " (text::words(&problem.hint)) }
                        }
                    }
                }
            }
        }
        @if let Some(gap) = status.gaps.last() {
            p.banner.warn { "Counts between " (text::time(gap.from)) " and " (text::time(gap.to)) " may be missing." }
        }
    }
}

/// The page for what is not there.
pub fn missing() -> Markup {
    let body = html! {
        p { "There is nothing at this address. What was here may have been folded away or restarted." }
        p { a href="/" { "To the fleet" } }
    };
    frame(&Snapshot::default(), "Not found", "", &body)
}

/// The verdict as a word with its mark: color is never the only sign.
pub fn verdict(word: &str, code: &str) -> Markup {
    let (class, mark) = match word {
        "halt" => ("bad", "■"),
        "proceed" => ("good", "▶"),
        "wait" => ("warn", "‖"),
        _ => ("dim", "?"),
    };
    html! { span class={ "tag " (class) } { (mark) " " (word.to_uppercase()) } " " span.code { (code) } }
}

/// Remaining budget as a bar with its number.
pub fn budget(remaining: Option<f64>) -> Markup {
    let width = remaining.unwrap_or(0.0).clamp(0.0, 1.0) * 100.0;
    let class = match remaining {
        None => "dim",
        Some(left) if left <= 0.0 => "bad",
        Some(left) if left < 0.25 => "warn",
        Some(_) => "good",
    };
    html! {
        span.budget {
            svg viewBox="0 0 100 8" width="100" height="8" aria-hidden="true" preserveAspectRatio="none" {
                rect.track x="0" y="0" width="100" height="8" {}
                rect class=(class) x="0" y="0" width=(format!("{width:.1}")) height="8" {}
            }
            " " span.num { (text::percent_or_dash(remaining)) }
        }
    }
}
