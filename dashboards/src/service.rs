//! One service: SLOs, revisions side by side, and what the gate says of each candidate.

use crate::{decisions, page, text};
use engine::identity::ServiceId;
use engine::snapshot::{RevisionRow, Snapshot};
use maud::{Markup, html};

/// The page; `None` when there is no such service.
pub fn page(snapshot: &Snapshot, id: ServiceId) -> Option<Markup> {
    let service = snapshot.services.get(&id)?;
    let slos = service.slos.iter().filter_map(|slo| snapshot.slos.get(slo));
    let body = html! {
        p.quiet { (service.policy.maturity.name()) @if service.policy.implicit { " (implicit: no file names this service)" } @if !service.policy.team.is_empty() { ", team " (text::name(&service.policy.team)) } ", last span " (text::ago(snapshot.as_of, service.last_seen)) }
        h2 { "SLOs" }
        table {
            thead { tr { th { "SLO" } th.num { "Target" } th { "Budget left" } th.num { "Bad of all" } th { "Alert" } } }
            tbody { @for row in slos {
                tr {
                    th scope="row" { a href={ "/slo/" (query::wire::hex(row.slo.id.0)) } { (text::name(&row.slo.display_name)) } }
                    td.num { (text::percent(row.slo.target.as_f64())) }
                    td { (page::budget(row.budget_remaining)) }
                    td.num { (text::count(row.period.bad)) " of " (text::count(row.period.total())) }
                    td { (row.alert.as_ref().map_or("inactive", |alert| alert.state.name())) }
                }
            } }
        }
        h2 { "Gate" }
        @match snapshot.gates.get(&id) {
            Some(gate) => {
                @if gate.candidates.is_empty() { p.quiet { "No candidate: a revision that appears later than the others becomes one by itself." } }
                @for answer in &gate.candidates { (decisions::answer(answer)) }
                details { summary { "May a new rollout start? " (page::verdict(gate.admit.verdict.name(), gate.admit.code.name())) } @for reason in &gate.admit.reasons { p { (text::words(reason)) } } }
            }
            None => { p.quiet { "Nothing yet." } }
        }
        h2 { "Revisions" }
        (revisions(snapshot, &service.revisions))
    };
    Some(page::frame(
        snapshot,
        &text::name(&service.key.name),
        "",
        &body,
    ))
}

fn revisions(snapshot: &Snapshot, rows: &[RevisionRow]) -> Markup {
    html! {
        table {
            thead { tr { th { "Revision" } th { "Told by" } th { "First seen" } th { "Last seen" } th.num { "Instances" } th.num { "Spans, 1 min" } th.num { "Lag" } th { "" } } }
            tbody { @for row in rows {
                tr {
                    th scope="row" { (text::name(&row.revision.value)) }
                    td { @for (source, value) in &row.revision.attributes { div { span.quiet { (source.attribute()) } " " (text::name(value)) } } @if row.revision.attributes.is_empty() { "nothing: REVISION_UNKNOWN" } }
                    td { (text::time(row.first_seen)) }
                    td { (text::ago(snapshot.as_of, row.last_seen)) }
                    td.num { (row.instances) }
                    td.num { (text::count(row.spans_last_minute)) }
                    td.num { (format!("{:.1} s", row.lag_secs)) }
                    td { @if row.is_known_good { span.tag.good { "✓ known good" } } @else if !row.is_live { span.quiet { "gone" } } }
                }
            } }
        }
    }
}
