//! One service: SLOs, what the gate says of each candidate, revisions side by side.

use crate::{decisions, fleet, page, text};
use engine::identity::{RevisionKind, ServiceId};
use engine::snapshot::{AlertState, RevisionRow, ServiceRow, SloRow, Snapshot};
use engine::source::Sampling;
use maud::{Markup, html};

/// The page; `None` when there is no such service.
pub fn page(snapshot: &Snapshot, id: ServiceId) -> Option<Markup> {
    let service = snapshot.services.get(&id)?;
    let body = html! {
        (about(snapshot, service))
        h2 { "SLOs" }
        (slos(snapshot, service))
        h2 { "Gate" }
        (gate(snapshot, id))
        h2 { "Revisions" }
        (revisions(snapshot, service))
    };
    Some(page::frame(
        snapshot,
        &text::name(&service.key.name),
        "",
        &body,
    ))
}

fn about(snapshot: &Snapshot, service: &ServiceRow) -> Markup {
    let policy = &service.policy;
    html! {
        (fleet::place(service))
        p.quiet {
            (policy.maturity.name()) @if policy.implicit { " (implicit: no file names this service)" }
            @if !policy.team.is_empty() { ", team " (text::name(&policy.team)) }
            ", first seen " (page::when(service.first_seen)) ", last span " (text::ago(snapshot.as_of, service.last_seen))
        }
    }
}

fn slos(snapshot: &Snapshot, service: &ServiceRow) -> Markup {
    let rows = service.slos.iter().filter_map(|id| snapshot.slos.get(id));
    html! {
        @if service.slos.is_empty() { p.quiet { "None." } } @else {
            div.scroll { table {
                thead { tr { th { "SLO" } th.num { "Target" } th { "Budget left" } th.num { "Observed" } th.num { "Bad of all" } th.num { "Still allowed" } th { "Alert" } } }
                tbody { @for row in rows { (slo(snapshot, row)) } }
            } }
        }
    }
}

fn slo(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let sampling = snapshot.sampling_of(&row.slo);
    html! {
        tr {
            th.name scope="row" { a href={ "/slo/" (query::wire::hex(row.slo.id.0)) } { (text::name(&row.slo.display_name)) } }
            td.num { (text::target(row.slo.target)) }
            td { (page::budget(row.budget_remaining)) @if sampling != Sampling::None { div.quiet { (sampling.name()) "-sampled" } } }
            td.num { (text::observed(row, snapshot.as_of)) }
            td.num { (text::of(row.period.bad, row.period.total())) }
            td.num { (text::signed(row.bad_allowed)) }
            td { @match &row.alert { Some(alert) if alert.state != AlertState::Inactive => { (page::alert(alert.state, alert.severity)) } _ => { span.quiet { "inactive" } } } }
        }
    }
}

fn gate(snapshot: &Snapshot, id: ServiceId) -> Markup {
    let Some(gate) = snapshot.gates.get(&id) else {
        return html! { p.quiet { "No answer yet." } };
    };
    html! {
        p { "May a new rollout start? " (page::verdict(&gate.admit)) }
        ul { @for reason in &gate.admit.reasons { li { (text::words(reason)) } } }
        @if gate.candidates.is_empty() { p.quiet { "No candidate: a revision that appears later than the others becomes one by itself." } }
        @for answer in &gate.candidates { (decisions::answer(snapshot, answer)) }
    }
}

fn revisions(snapshot: &Snapshot, service: &ServiceRow) -> Markup {
    html! {
        @if service.revisions.is_empty() { p.quiet { "None has been seen yet." } } @else {
            div.scroll { table {
                thead { tr { th { "Revision" } th { "Role" } th { "Told by" } th { "First seen" } th { "Last seen" } th.num { "Instances" } th.num { "Spans, 1 min" } th.num { "Lag" } } }
                tbody { @for row in &service.revisions { (revision(snapshot, service, row)) } }
            } }
        }
    }
}

fn revision(snapshot: &Snapshot, service: &ServiceRow, row: &RevisionRow) -> Markup {
    html! {
        tr {
            th.name scope="row" { (text::name(&row.revision.label())) }
            td { (role(snapshot, service, row)) }
            td.name {
                @for (source, value) in &row.revision.attributes { div { span.quiet { (source.attribute()) } " " (text::name(value)) } }
                @if row.revision.attributes.is_empty() { span.tag.warn { "? REVISION_UNKNOWN" } }
            }
            td { (page::when(row.first_seen)) }
            td { (text::ago(snapshot.as_of, row.last_seen)) }
            td.num { (text::count(row.instances)) }
            td.num { (text::count(row.spans_last_minute)) }
            td.num { (text::decimal(row.lag_secs, 1)) " s" }
        }
    }
}

/// What the revision is to the gate, one word a line.
fn role(snapshot: &Snapshot, service: &ServiceRow, row: &RevisionRow) -> Markup {
    let id = row.revision.id;
    let gate = snapshot.gates.get(&service.id);
    let is_baseline = gate.is_some_and(|gate| gate.baseline.contains(&id));
    let mut answers = gate.into_iter().flat_map(|gate| &gate.candidates);
    let is_candidate = answers.any(|answer| answer.candidate_id == Some(id));
    html! {
        @if is_candidate { div { "candidate" } }
        @if is_baseline { div { "baseline" } }
        @if row.is_known_good { div.tag.good { "✓ known good" } }
        @match row.revision.kind {
            RevisionKind::Release => {}
            RevisionKind::Intercept => { div { "intercept, outside the budget" } }
            RevisionKind::Branch => { div { "branch, outside the budget" } }
        }
        @if !row.is_live { div.quiet { "gone" } }
    }
}
