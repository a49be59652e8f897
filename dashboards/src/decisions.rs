//! Gate decisions with their evidence.

use crate::{page, text};
use engine::gate::answer::{Answer, Arm, Evidence, Process};
use engine::snapshot::{Decision, Snapshot};
use maud::{Markup, html};
use query::wire::hex;

/// Hex digits of an id in a list: enough to tell links apart.
const ID_DIGITS: usize = 8;

/// The list, newest first.
pub fn list(snapshot: &Snapshot) -> Markup {
    let body = html! {
        @if snapshot.decisions.is_empty() { p.quiet { "No decision yet: the first one is recorded when a candidate is seen." } } @else {
            p.quiet { "Newest first. Each decision holds the hash of the one before it." }
            div.scroll { table.wide {
                thead { tr { th.num { "#" } th { "When" } th { "Service, candidate" } th { "Verdict" } th { "Why" } th.num { "Candidate failed" } th.num { "Baseline failed" } th { "Hash, after which" } } }
                tbody { @for decision in snapshot.decisions.iter().take(crate::ROWS_MAX) { (row(snapshot, decision)) } }
            } }
            @if snapshot.decisions.len() > crate::ROWS_MAX { p.quiet { (snapshot.decisions.len() - crate::ROWS_MAX) " more: see " a href="/v1/decisions" { "/v1/decisions" } } }
        }
    };
    page::frame(snapshot, "Gate decisions", "/gate", &body)
}

fn row(snapshot: &Snapshot, decision: &Decision) -> Markup {
    let answer = &decision.answer;
    let failed = |arm: &Arm| html! { @if arm.units == 0 { "–" } @else { (text::of(arm.failed, arm.units)) div.quiet { (text::percent_or_dash(arm.failed_ratio())) } } };
    html! {
        tr {
            td.num { a href={ "/gate/" (hex(decision.id)) } { (decision.number) } }
            td { (page::when(answer.as_of)) div.quiet { (answer.phase.name()) } }
            td.name { (service(snapshot, answer)) div.rev { (text::name(&answer.candidate)) } }
            td { (page::verdict(answer)) (latch(decision)) }
            td.why {
                @for reason in &answer.reasons { div { (text::words(reason)) } }
                @if !answer.counterfactual.is_empty() { div.counterfactual { (text::words(&answer.counterfactual)) } }
            }
            td.num { (failed(&answer.evidence.candidate)) }
            td.num { (failed(&answer.evidence.baseline)) }
            td { code { (short(decision.id)) } div.quiet { @if decision.previous == 0 { "the first" } @else { "after " code { (short(decision.previous)) } } } }
        }
    }
}

fn short(id: u128) -> String {
    hex(id).chars().take(ID_DIGITS).collect()
}

fn latch(decision: &Decision) -> Markup {
    html! {
        @if decision.latched { div.tag.bad { "⊗ latched" } }
        @if !decision.cleared_reason.is_empty() { div { "latch cleared: " (text::words(&decision.cleared_reason)) } }
    }
}

/// The name of the service asked about, as a link while it is known.
fn service(snapshot: &Snapshot, answer: &Answer) -> Markup {
    let id = answer.service.id();
    html! {
        @if snapshot.services.contains_key(&id) { a href={ "/service/" (hex(id.0)) } { (text::name(&answer.service.name)) } }
        @else { (text::name(&answer.service.name)) }
    }
}

/// One decision; `None` when it is not among the newest 1,000.
pub fn page(snapshot: &Snapshot, id: u128) -> Option<Markup> {
    let mut decisions = snapshot.decisions.iter();
    let decision = decisions.find(|decision| decision.id == id)?;
    let body = html! { (answer(snapshot, &decision.answer)) (latch(decision)) (chain(snapshot, decision)) };
    let title = format!("Decision {}", decision.number);
    Some(page::frame(snapshot, &title, "/gate", &body))
}

fn chain(snapshot: &Snapshot, decision: &Decision) -> Markup {
    let after = snapshot
        .decisions
        .iter()
        .find(|other| other.previous == decision.id);
    let listed = |id| {
        snapshot
            .decisions
            .iter()
            .any(|other: &std::sync::Arc<Decision>| other.id == id)
    };
    let answer = &decision.answer;
    html! {
        h2 { "Record" }
        dl.facts {
            dt { "Decided" } dd { (page::when(answer.as_of)) ", to be relied on until " (page::when(answer.valid_until)) }
            dt { "Asked" } dd { (answer.phase.name()) ", trade-off " (answer.maturity.name()) }
            dt { "Hash" } dd { code { (hex(decision.id)) } }
            dt { "The one before" } dd {
                @if decision.previous == 0 { "none: the first" }
                @else if listed(decision.previous) { a href={ "/gate/" (hex(decision.previous)) } { code { (hex(decision.previous)) } } }
                @else { code { (hex(decision.previous)) } ", no longer listed" }
            }
            dt { "The one after" } dd { @match after { Some(after) => { a href={ "/gate/" (hex(after.id)) } { code { (hex(after.id)) } } } None => { "none yet" } } }
        }
    }
}

/// One answer: verdict, reasons, what would change it, evidence.
pub fn answer(snapshot: &Snapshot, answer: &Answer) -> Markup {
    let mut decisions = snapshot.decisions.iter();
    let recorded = decisions.find(|decision| decision.id == answer.decision_id);
    html! {
        section.answer {
            h3 { (page::verdict(answer)) " " (service(snapshot, answer)) " " (text::name(&answer.candidate)) }
            ul { @for reason in &answer.reasons { li { (text::words(reason)) } } }
            @if !answer.counterfactual.is_empty() { p.counterfactual { (text::words(&answer.counterfactual)) } }
            @if answer.need.requests > 0 {
                p { "Needs about " (text::count(answer.need.requests)) " more requests" @if let Some(secs) = answer.need.seconds { ", about " (text::duration(secs)) " at today's rate" } "." }
            }
            (arms(answer))
            (processes(&answer.evidence))
            (conditions(&answer.evidence))
            @for note in &answer.notes { p.quiet { (text::words(note)) } }
            @if let Some(decision) = recorded { p { a href={ "/gate/" (hex(decision.id)) } { "Decision " (decision.number) } } }
        }
    }
}

fn arms(answer: &Answer) -> Markup {
    let evidence = &answer.evidence;
    html! {
        @if evidence.candidate.units + evidence.baseline.units > 0 {
            table {
                caption.hidden { "Both arms over the same moments" }
                thead { tr { th { "Arm" } th { "Revision" } th.num { "Requests" } th.num { "Failed" } th.num { "Share" } th.num { "Late, 1 min" } } }
                tbody {
                    (arm("candidate", &answer.candidate, &evidence.candidate, evidence.late_candidate))
                    (arm("baseline", &answer.baseline.join(", "), &evidence.baseline, evidence.late_baseline))
                }
            }
        }
    }
}

fn arm(role: &str, name: &str, arm: &Arm, late: f64) -> Markup {
    html! { tr { th scope="row" { (role) } td.name { (text::name(name)) } td.num { (text::count(arm.units)) } td.num { (text::count(arm.failed)) } td.num { (text::percent_or_dash(arm.failed_ratio())) } td.num { (text::percent(late)) } } }
}

fn processes(evidence: &Evidence) -> Markup {
    html! {
        @if !evidence.processes.is_empty() {
            div.scroll { table {
                caption.hidden { "Evidence against its thresholds" }
                thead { tr { th { "Evidence" } th { "Toward its threshold" } th.num { "ln e" } th.num { "Decides at" } th { "Of what" } } }
                tbody { @for row in &evidence.processes { (process(row)) } }
            } }
        }
    }
}

fn process(process: &Process) -> Markup {
    let share = if process.threshold > 0.0 {
        process.log_e / process.threshold
    } else {
        0.0
    };
    // Evidence for the candidate is good news when it crosses, evidence against it bad.
    let crossed = if process.name.starts_with("pass_") {
        "good"
    } else {
        "bad"
    };
    let class = if process.has_crossed() {
        crossed
    } else {
        "dim"
    };
    html! {
        tr {
            th scope="row" { code { (text::name(&process.name)) } }
            td { (page::bar(share, class)) @if process.has_crossed() { " " span class={ "tag " (class) } { "✓ crossed" } } }
            td.num { (text::decimal(process.log_e, 2)) }
            td.num { (text::decimal(process.threshold, 2)) }
            td { (text::words(&process.meaning)) }
        }
    }
}

/// Under which bounds and conditions the evidence was gathered.
fn conditions(evidence: &Evidence) -> Markup {
    html! {
        p.quiet {
            (text::count(evidence.strata)) " strata closed until " (page::when(evidence.closed_until))
            "; false halt below " (text::percent(evidence.alpha)) @if evidence.beta > 0.0 { ", false pass below " (text::percent(evidence.beta)) }
            "; tolerated odds ratio " (evidence.tolerated_ratio) ", candidate's share " (text::percent(evidence.weight))
            ", clock difference " (text::decimal(evidence.clock_skew_secs, 1)) " s"
            @if !evidence.slo.is_empty() { "; budget left " (text::percent_or_dash(evidence.budget_remaining)) " of " (text::name(&evidence.slo)) }
            "."
        }
    }
}
