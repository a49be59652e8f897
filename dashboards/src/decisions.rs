//! Gate decisions with their evidence.

use crate::{page, text};
use engine::gate::answer::{Answer, Arm, Process};
use engine::snapshot::{Decision, Snapshot};
use maud::{Markup, html};
use query::wire::hex;

/// The list, newest first.
pub fn list(snapshot: &Snapshot) -> Markup {
    let body = html! {
        @if snapshot.decisions.is_empty() { p.quiet { "No decision yet: the first one is recorded when a candidate is seen." } } @else {
            p.quiet { "Newest first. Each decision holds the hash of the one before it." }
            table {
                thead { tr { th.num { "#" } th { "When" } th { "Service" } th { "Candidate" } th { "Verdict" } th { "Why" } } }
                tbody { @for decision in snapshot.decisions.iter().take(crate::ROWS_MAX) {
                    tr {
                        td.num { a href={ "/gate/" (hex(decision.id)) } { (decision.number) } }
                        td { (text::time(decision.answer.as_of)) }
                        td { (text::name(&decision.answer.service.name)) }
                        td { (text::name(&decision.answer.candidate)) }
                        td { (page::verdict(decision.answer.verdict.name(), decision.answer.code.name())) @if decision.latched { " " span.tag.bad { "latched" } } }
                        td { (text::words(decision.answer.reasons.first().map_or("", String::as_str))) }
                    }
                } }
            }
        }
    };
    page::frame(snapshot, "Gate decisions", "/gate", &body)
}

/// One decision; `None` when it is not among the newest 1,000.
pub fn page(snapshot: &Snapshot, id: u128) -> Option<Markup> {
    let decision = snapshot
        .decisions
        .iter()
        .find(|decision| decision.id == id)?;
    let body = html! {
        (answer(&decision.answer))
        @if !decision.cleared_reason.is_empty() { p { "Latch cleared: " (text::words(&decision.cleared_reason)) } }
        (chain(decision))
    };
    Some(page::frame(
        snapshot,
        &format!("Decision {}", decision.number),
        "/gate",
        &body,
    ))
}

fn chain(decision: &Decision) -> Markup {
    html! {
        dl.facts {
            dt { "Decision" } dd { code { (hex(decision.id)) } }
            dt { "Before it" } dd { @if decision.previous == 0 { "none: the first" } @else { a href={ "/gate/" (hex(decision.previous)) } { code { (hex(decision.previous)) } } } }
        }
    }
}

/// One answer: verdict, reasons, what would change it, evidence.
pub fn answer(answer: &Answer) -> Markup {
    let evidence = &answer.evidence;
    html! {
        section.answer {
            h3 { (page::verdict(answer.verdict.name(), answer.code.name())) " " (text::name(&answer.service.name)) " " (text::name(&answer.candidate)) }
            @for reason in &answer.reasons { p { (text::words(reason)) } }
            @if !answer.counterfactual.is_empty() { p.counterfactual { (text::words(&answer.counterfactual)) } }
            @if answer.need.requests > 0 {
                p { "Needs about " (text::count(answer.need.requests)) " more requests" @if let Some(secs) = answer.need.seconds { ", about " (text::duration(secs)) " at today's rate" } "." }
            }
            @if evidence.candidate.units + evidence.baseline.units > 0 {
                table {
                    thead { tr { th { "Arm" } th.num { "Requests" } th.num { "Failed" } th.num { "Share" } } }
                    tbody {
                        (arm(&format!("candidate {}", answer.candidate), &evidence.candidate))
                        (arm(&format!("baseline {}", answer.baseline.join(", ")), &evidence.baseline))
                    }
                }
            }
            @if !evidence.processes.is_empty() {
                table {
                    thead { tr { th { "Evidence" } th { "" } th.num { "ln e" } th.num { "decides at" } th { "of what" } } }
                    tbody { @for row in &evidence.processes { (process(row)) } }
                }
            }
            p.quiet {
                (evidence.strata) " strata closed until " (text::time(evidence.closed_until)) "; false halt below " (text::percent(evidence.alpha))
                ", tolerated odds ratio " (evidence.tolerated_ratio) ", candidate's share " (text::percent(evidence.weight)) ", clock difference " (format!("{:.1} s", evidence.clock_skew_secs)) "."
            }
            @for note in &answer.notes { p.quiet { (text::words(note)) } }
        }
    }
}

fn arm(name: &str, arm: &Arm) -> Markup {
    html! { tr { th scope="row" { (text::name(name)) } td.num { (text::count(arm.units)) } td.num { (text::count(arm.failed)) } td.num { (text::percent_or_dash(arm.failed_ratio())) } } }
}

fn process(process: &Process) -> Markup {
    let share = if process.threshold > 0.0 {
        (process.log_e / process.threshold).clamp(0.0, 1.0)
    } else {
        0.0
    };
    html! {
        tr {
            th scope="row" { code { (process.name) } }
            td {
                svg viewBox="0 0 100 8" width="100" height="8" aria-hidden="true" preserveAspectRatio="none" {
                    rect.track x="0" y="0" width="100" height="8" {}
                    rect class=(if process.has_crossed() { "bad" } else { "dim" }) x="0" y="0" width=(format!("{:.1}", share * 100.0)) height="8" {}
                }
            }
            td.num { (format!("{:.2}", process.log_e)) @if process.has_crossed() { " ✓" } }
            td.num { (format!("{:.2}", process.threshold)) }
            td { (text::words(&process.meaning)) }
        }
    }
}
