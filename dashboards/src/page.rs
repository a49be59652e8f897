//! The frame of every page, and the small parts that several pages show.

use crate::text;
use engine::gate::answer::{Answer, Code, Verdict};
use engine::input::Problem;
use engine::slo::Severity;
use engine::snapshot::{AlertState, Snapshot};
use engine::time::Timestamp;
use maud::{DOCTYPE, Markup, html};

/// Most problems listed in the banner; the health page has all.
const BANNER_PROBLEMS_MAX: usize = 20;

const NAVIGATION: [(&str, &str); 8] = [
    ("/", "Fleet"),
    ("/graph", "Graph"),
    ("/gate", "Gate"),
    ("/incidents", "Incidents"),
    ("/rollouts", "Rollouts"),
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
                    span.quiet.clock { "as of " (when(snapshot.as_of)) }
                }
                main id="main" { (banners(snapshot)) h1 { (title) } (body) }
                footer { "refreshed every 5 s · " a href="/v1/openapi.json" { "API" } " · " a href="/metrics" { "metrics" } }
            }
        }
    }
}

/// What everybody must know: recovering, refused definitions, missing counts.
fn banners(snapshot: &Snapshot) -> Markup {
    let status = &snapshot.status;
    let (errors, warnings): (Vec<&Problem>, Vec<&Problem>) =
        status.problems.iter().partition(|problem| problem.is_error);
    html! {
        @if snapshot.is_recovering { p.banner.bad role="status" { strong { "Recovering" } ": the state is being loaded. The gate answers unknown." } }
        @if !errors.is_empty() {
            div.banner.bad role="alert" {
                p { strong { "The definitions were not taken" } ": " (plural(errors.len(), "error")) ". Generation " (status.definitions_generation) " stays in force." }
                ul { @for problem in errors.iter().take(BANNER_PROBLEMS_MAX) { li { (problem_line(problem)) } } }
                @if errors.len() > BANNER_PROBLEMS_MAX { p { a href="/health" { "all " (errors.len()) } } }
            }
        }
        @if !warnings.is_empty() { p.banner.warn { (plural(warnings.len(), "warning")) " in the definitions: " a href="/health" { "see health" } } }
        @if let Some(gap) = status.gaps.last() {
            p.banner.warn {
                strong { "Gap" } ": counts between " (when(gap.from)) " and " (when(gap.to)) " may be missing."
                @if status.gaps.len() > 1 { " " a href="/health" { (status.gaps.len() - 1) " more" } }
            }
        }
    }
}

/// A problem of a definitions file: place, field, what, hint.
pub fn problem_line(problem: &Problem) -> Markup {
    html! {
        code { (text::words(&problem.place)) } " " code { (text::words(&problem.field)) } ": " (text::words(&problem.message))
        @if !problem.hint.is_empty() { br; span.quiet { "hint: " (text::words(&problem.hint)) } }
    }
}

/// `1 error`, `2 errors`.
pub fn plural(number: usize, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {noun}{end}", text::count(number as u64))
}

/// A time as people read it, and as machines do.
pub fn when(time: Timestamp) -> Markup {
    html! {
        @if time == Timestamp::EPOCH { span.quiet { "–" } }
        @else { time datetime=(query::wire::rfc3339(time)) { (text::time(time)) } }
    }
}

/// The page for what is not there.
pub fn missing(snapshot: &Snapshot) -> Markup {
    let body = html! {
        p { "There is nothing at this address. What was here may have been folded away, or the program restarted without its data." }
        p { a href="/" { "To the fleet" } }
    };
    frame(snapshot, "Not found", "", &body)
}

/// The verdict as a word with its mark: color is never the only sign.
pub fn verdict(answer: &Answer) -> Markup {
    verdict_word(answer.verdict, answer.code)
}

/// The same without an answer.
pub fn verdict_word(verdict: Verdict, code: Code) -> Markup {
    let (class, mark) = match verdict {
        Verdict::Halt => ("bad", "■"),
        Verdict::Proceed => ("good", "▶"),
        Verdict::Wait => ("warn", "‖"),
        Verdict::Unknown => ("dim", "?"),
    };
    html! { span class={ "tag " (class) } { (mark) " " (verdict.name().to_uppercase()) } " " span.code { (code.name()) } }
}

/// The state of an alert as a word with its mark.
pub fn alert(state: AlertState, severity: Severity) -> Markup {
    let (class, mark) = match (state, severity) {
        (AlertState::Firing, Severity::Page) => ("bad", "▲"),
        (AlertState::Firing, Severity::Ticket) => ("warn", "△"),
        (AlertState::Pending, _) => ("warn", "◔"),
        (AlertState::Resolved, _) => ("good", "✓"),
        (AlertState::Inactive, _) => ("dim", "–"),
    };
    html! { span class={ "tag " (class) } { (mark) " " (state.name()) @if state != AlertState::Inactive { " " (severity.name()) } } }
}

/// A share of a whole as a bar; the number beside it says the same.
pub fn bar(share: f64, class: &str) -> Markup {
    let width = share.clamp(0.0, 1.0) * 100.0;
    html! {
        svg.bar viewBox="0 0 100 8" width="100" height="8" aria-hidden="true" preserveAspectRatio="none" {
            rect.track x="0" y="0" width="100" height="8" {}
            rect class=(class) x="0" y="0" width=(format!("{width:.1}")) height="8" {}
        }
    }
}

/// Remaining budget as a bar with its number.
pub fn budget(remaining: Option<f64>) -> Markup {
    let (class, word) = match remaining {
        None => ("dim", ""),
        Some(left) if left <= 0.0 => ("bad", "spent"),
        Some(left) if left < 0.25 => ("warn", "low"),
        Some(_) => ("good", ""),
    };
    html! {
        span.budget {
            (bar(remaining.unwrap_or(0.0), class)) " "
            span.num { (text::percent_or_dash(remaining)) }
            @if !word.is_empty() { " " span class={ "tag " (class) } { (word) } }
        }
    }
}
