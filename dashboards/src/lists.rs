//! Alerts, events, and the engine's own health.

use crate::{page, text};
use engine::snapshot::{AlertState, Snapshot};
use maud::{Markup, html};
use query::wire::{StatusBody, hex};

/// Alerts, newest transition first.
pub fn alerts(snapshot: &Snapshot) -> Markup {
    let body = html! {
        @if snapshot.alerts.is_empty() { p.quiet { "No alert is pending or firing, and none was resolved in the last 24 h." } } @else {
            table {
                thead { tr { th { "State" } th { "Service" } th { "SLO" } th { "Since" } th { "In words" } } }
                tbody { @for alert in snapshot.alerts.iter().take(crate::ROWS_MAX) {
                    tr {
                        td { span class=(if alert.state == AlertState::Firing { "tag bad" } else { "tag dim" }) { (alert.state.name()) } " " (alert.severity.name()) }
                        td { (text::name(&alert.service.name)) }
                        td { a href={ "/slo/" (hex(alert.slo_id.0)) } { (text::name(&alert.slo)) } }
                        td { (text::time(alert.since)) }
                        td { (text::words(&alert.text)) }
                    }
                } }
            }
        }
    };
    page::frame(snapshot, "Alerts", "/alerts", &body)
}

/// What happened, newest first.
pub fn events(snapshot: &Snapshot) -> Markup {
    let body = html! {
        table {
            thead { tr { th { "When" } th { "What" } th { "Service" } th { "" } } }
            tbody { @for event in snapshot.events.iter().take(crate::ROWS_MAX) {
                tr { td { (text::time(event.at)) } td { code { (event.kind) } } td { (text::name(&event.service)) } td { (text::words(&event.text)) } }
            } }
        }
    };
    page::frame(snapshot, "Events", "/events", &body)
}

/// The engine itself: what arrived, what became of it, what it holds.
pub fn health(snapshot: &Snapshot) -> Markup {
    let status = StatusBody::of(snapshot);
    let counters = &status.counters;
    let spans = [
        ("accepted", status.accepted.spans),
        ("rejected one by one", status.rejected.spans),
        ("dropped at a cap", status.dropped.spans),
        ("health checks, left out of SLIs", counters.excluded_spans),
        ("seen before, counted once", counters.duplicate_spans),
        (
            "of intercepts and branches, outside the budget",
            counters.outside_budget_spans,
        ),
        (
            "later than the allowed lateness, counted as corrections",
            counters.late_spans,
        ),
        ("waiting for their time", counters.future_spans),
        (
            "joined to a request counted already",
            counters.collapsed_spans,
        ),
    ];
    let body = html! {
        h2 { "Spans" }
        table { tbody { @for (name, number) in spans { tr { th scope="row" { (name) } td.num { (text::count(number)) } } } } }
        @if !counters.anomalies.is_empty() {
            h2 { "Accepted although odd" }
            table { tbody { @for (kind, number) in &counters.anomalies { tr { th scope="row" { code { (kind) } } td.num { (text::count(*number)) } } } } }
        }
        h2 { "Engine" }
        dl.facts {
            dt { "State" } dd { (status.state) }
            dt { "Version" } dd { (status.version) }
            dt { "Services, SLOs, instances" } dd { (status.services) ", " (status.slos) ", " (status.resources) }
            dt { "Definitions" } dd { "generation " (status.definitions_generation) ", " (status.problems.len()) " problems" }
            dt { "Hot store" } dd { (text::count(status.store.spans)) " spans, " (text::count(status.store.bytes / 1024)) " of " (text::count(status.store.bytes_max / 1024)) " KiB, " (text::count(status.store.evicted_spans)) " spans left" }
            dt { "A span sent twice counts once within" } dd { (text::duration(status.dedup_window_seconds)) }
            dt { "Notifications to deliver" } dd { (status.pending_notifications) }
            dt { "Times with missing counts" } dd { @if status.gaps.is_empty() { "none" } @for gap in &status.gaps { div { (gap.from) " to " (gap.to) } } }
        }
    };
    page::frame(snapshot, "Own health", "/health", &body)
}
