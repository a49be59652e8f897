//! Alerts and events, newest first.

use crate::{page, text};
use engine::snapshot::{AlertRow, EventRow, Snapshot};
use maud::{Markup, html};
use query::wire::hex;

/// Alerts, newest transition first.
pub fn alerts(snapshot: &Snapshot) -> Markup {
    let body = html! {
        @if snapshot.alerts.is_empty() { p.quiet { "No alert is pending or firing, and none was resolved in the last 24 h." } } @else {
            div.scroll { table.wide {
                thead { tr { th { "State" } th { "Service" } th { "SLO" } th { "In words" } th.num { "Long" } th.num { "Short" } th.num { "Budget left" } th { "Began" } th { "Fired" } th { "Resolved" } } }
                tbody { @for row in snapshot.alerts.iter().take(crate::ROWS_MAX) { (alert(snapshot, row)) } }
            } }
        }
    };
    page::frame(snapshot, "Alerts", "/alerts", &body)
}

fn alert(snapshot: &Snapshot, row: &AlertRow) -> Markup {
    let service = row.service.id();
    html! {
        tr {
            td { (page::alert(row.state, row.severity)) div.quiet { (text::name(&row.tier)) } }
            td.name {
                @if snapshot.services.contains_key(&service) { a href={ "/service/" (hex(service.0)) } { (text::name(&row.service.name)) } } @else { (text::name(&row.service.name)) }
                @if !row.team.is_empty() { div.quiet { (text::name(&row.team)) } }
            }
            td.name { @if snapshot.slos.contains_key(&row.slo_id) { a href={ "/slo/" (hex(row.slo_id.0)) } { (text::name(&row.slo)) } } @else { (text::name(&row.slo)) } }
            td.why { (text::words(&row.text)) }
            td.num { (text::burn(Some(row.long_burn))) }
            td.num { (text::burn(Some(row.short_burn))) }
            td.num { (text::percent(row.budget_remaining)) }
            td { (page::when(row.since)) }
            td { @match row.fired_at { Some(at) => { (page::when(at)) } None => { "–" } } }
            td { @match row.resolved_at { Some(at) => { (page::when(at)) } None => { "–" } } }
        }
    }
}

/// What happened, newest first.
pub fn events(snapshot: &Snapshot) -> Markup {
    let body = html! {
        @if snapshot.events.is_empty() { p.quiet { "Nothing has happened yet." } } @else {
            div.scroll { table {
                thead { tr { th { "When" } th { "What" } th { "Service" } th { "In words" } } }
                tbody { @for row in snapshot.events.iter().take(crate::ROWS_MAX) { (event(row)) } }
            } }
            @if snapshot.events.len() > crate::ROWS_MAX { p.quiet { (snapshot.events.len() - crate::ROWS_MAX) " more: see " a href="/v1/events" { "/v1/events" } } }
        }
    };
    page::frame(snapshot, "Events", "/events", &body)
}

fn event(row: &EventRow) -> Markup {
    html! {
        tr {
            td { (page::when(row.at)) }
            td { code { (text::name(&row.kind)) } }
            td.name { @if row.service.is_empty() { span.quiet { "–" } } @else { (text::name(&row.service)) } }
            td.why { (text::words(&row.text)) }
        }
    }
}
