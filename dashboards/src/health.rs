//! The engine's own health: what arrived, what became of it, what it holds. May the numbers be trusted?

use crate::{page, text};
use engine::snapshot::Snapshot;
use maud::{Markup, html};
use query::wire::{StatusBody, StoreBody};

/// The page.
pub fn page(snapshot: &Snapshot) -> Markup {
    let status = StatusBody::of(snapshot);
    let body = html! {
        div.columns {
            section { h2 { "Spans" } (spans(&status)) (anomalies(&status)) }
            section { h2 { "Engine" } (engine(snapshot, &status)) h2 { "Hot store" } (store(&status.store)) }
        }
        section { h2 { "Definitions" } (definitions(snapshot)) }
        section { h2 { "Times with missing counts" } (gaps(snapshot)) }
    };
    page::frame(snapshot, "Own health", "/health", &body)
}

fn spans(status: &StatusBody) -> Markup {
    let counters = &status.counters;
    let rows = [
        ("accepted", status.accepted.spans, false),
        ("rejected one by one", status.rejected.spans, true),
        ("dropped at a cap", status.dropped.spans, true),
        (
            "health checks, excluded from SLIs",
            counters.excluded.spans,
            false,
        ),
        ("duplicates, counted once", counters.duplicate.spans, false),
        (
            "of intercepts and branches, outside the budget",
            counters.outside_budget.spans,
            false,
        ),
        (
            "late beyond the allowed lateness, counted as corrections",
            counters.late.spans,
            true,
        ),
        (
            "ending in the future, waiting for their time",
            counters.future.spans,
            true,
        ),
        (
            "joined to a request counted already",
            counters.collapsed_spans,
            false,
        ),
        (
            "table entries evicted by a cap",
            counters.evicted_keys,
            true,
        ),
    ];
    html! {
        table { tbody { @for (name, number, is_trouble) in rows {
            tr { th scope="row" { (name) } td.num { @if is_trouble && number > 0 { span.tag.warn { "! " (text::count(number)) } } @else { (text::count(number)) } } }
        } } }
    }
}

fn anomalies(status: &StatusBody) -> Markup {
    let anomalies = &status.counters.anomalies;
    html! {
        h2 { "Accepted although odd" }
        @if anomalies.is_empty() { p.quiet { "None." } } @else {
            table { tbody { @for (kind, number) in anomalies { tr { th scope="row" { code { (kind) } } td.num { (text::count(*number)) } } } } }
        }
    }
}

fn engine(snapshot: &Snapshot, status: &StatusBody) -> Markup {
    html! {
        dl.facts {
            dt { "State" } dd { @if snapshot.is_recovering { span.tag.bad { "? recovering" } } @else { span.tag.good { "● ready" } } ", version " (status.version) }
            dt { "Last tick" } dd { (page::when(snapshot.as_of)) }
            dt { "Services, SLOs, instances" } dd { (text::count(status.services)) ", " (text::count(status.slos)) ", " (text::count(status.resources)) }
            dt { "Revision unknown" } dd { @if status.revision_unknown.is_empty() { "no service" } @else { (status.revision_unknown.iter().take(20).map(|name| text::name(name)).collect::<Vec<_>>().join(", ")) } }
            dt { "A span sent twice counts once within" } dd { @if status.dedup_window_seconds == 0 { "unknown" } @else { (text::duration(status.dedup_window_seconds)) } }
            dt { "Notifications to deliver" } dd { (text::count(status.pending_notifications)) }
        }
    }
}

fn store(store: &StoreBody) -> Markup {
    let share = if store.bytes_max > 0 {
        store.bytes as f64 / store.bytes_max as f64
    } else {
        0.0
    };
    let mib = |bytes: u64| text::decimal(bytes as f64 / 1_048_576.0, 1);
    html! {
        dl.facts {
            dt { "Spans held" } dd { (text::count(store.held.spans)) }
            dt { "Memory" } dd { (page::bar(share, "dim")) " " (mib(store.bytes)) " of " (mib(store.bytes_max)) " MiB" }
            dt { "Evicted, oldest first" } dd { (text::count(store.evicted.spans)) " spans" }
        }
    }
}

fn definitions(snapshot: &Snapshot) -> Markup {
    let status = &snapshot.status;
    html! {
        p { "Generation " (status.definitions_generation) " in force, loaded " (page::when(status.definitions_loaded_at)) "; " (page::plural(status.problems.len(), "problem")) " in the last load." }
        @if !status.problems.is_empty() {
            ul { @for problem in status.problems.iter().take(crate::ROWS_MAX) {
                li { @if problem.is_error { span.tag.bad { "■ error" } } @else { span.tag.warn { "! warning" } } " " (page::problem_line(problem)) }
            } }
        }
    }
}

fn gaps(snapshot: &Snapshot) -> Markup {
    let gaps = &snapshot.status.gaps;
    html! {
        @if gaps.is_empty() { p.quiet { "None." } } @else {
            ul { @for gap in gaps.iter().rev().take(crate::ROWS_MAX) {
                li { (page::when(gap.from)) " to " (page::when(gap.to)) " (" (text::duration(gap.to.since(gap.from) / engine::time::NANOS_PER_SEC)) ")" }
            } }
        }
    }
}
