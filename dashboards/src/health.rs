//! Health: what arrives from every source and what is wrong with it, what became of it, what the engine holds. May the
//! numbers be trusted?

use crate::{page, text};
use engine::doctor::{self, Endpoints, Finding, Level, SignalReport, SourceReport};
use engine::items::Signal;
use engine::snapshot::Snapshot;
use maud::{Markup, html};
use query::wire::{ItemsBody, StatusBody, StoreBody};

/// Most findings shown, worst first; `/v1/doctor` has all.
const FINDINGS_MAX: usize = 50;

/// The page.
pub fn page(snapshot: &Snapshot, endpoints: &Endpoints) -> Markup {
    let status = StatusBody::of(snapshot);
    let reports = doctor::examine(snapshot, endpoints);
    let body = html! {
        section { h2 { "Sources" } (sources(snapshot, &reports)) (findings(&reports)) }
        div.columns {
            section { h2 { "What arrived" } (items(&status)) (anomalies(&status)) }
            section { h2 { "Engine" } (engine(snapshot, &status)) h2 { "Hot store" } (store(&status.store)) }
        }
        section { h2 { "Definitions" } (definitions(snapshot)) }
        section { h2 { "Times with missing counts" } (gaps(snapshot)) }
    };
    page::frame(snapshot, "Health", "/health", &body)
}

/// Every service as a source of telemetry.
fn sources(snapshot: &Snapshot, reports: &[SourceReport]) -> Markup {
    let services = reports
        .iter()
        .filter(|report| !report.service.name.is_empty());
    let more = services.clone().count().saturating_sub(crate::ROWS_MAX);
    html! {
        @if services.clone().next().is_none() { p.quiet { "None yet." } } @else {
            div.scroll { table.wide {
                thead { tr { th { "Source" } th { "Revisions" } th { "Signal" } th.num { "Last minute" } th.num { "Least lag" } th { "SDK" } th { "Last seen" } th { "Findings" } } }
                tbody { @for report in services.take(crate::ROWS_MAX) { (source(snapshot, report)) } }
            } }
            @if more > 0 { p.quiet { (more) " more: see " a href="/v1/doctor" { "/v1/doctor" } } }
        }
    }
}

fn source(snapshot: &Snapshot, report: &SourceReport) -> Markup {
    let key = &report.service;
    let place: Vec<&str> = [&key.environment, &key.namespace]
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let each = |of: &dyn Fn(&SignalReport) -> String| html! { @for signal in &report.signals { div { (of(signal)) } } };
    html! {
        tr {
            th.name scope="row" {
                a href={ "/service/" (query::wire::hex(key.id().0)) } { (text::name(&key.name)) }
                @if !place.is_empty() { div.quiet { (text::name(&place.join("/"))) } }
            }
            td.name { @for name in &report.revisions { div.rev { (text::name(name)) } } }
            td { (each(&|signal| signal.signal.name().to_owned())) }
            td.num { (each(&|signal| format!("{} {}", text::count(signal.items_last_minute), signal.signal.items()))) }
            td.num { (each(&|signal| signal.lag_secs.map_or_else(|| "–".to_owned(), |lag| format!("{} s", text::decimal(lag, 1))))) }
            td.name { @for name in &report.sdks { div { (text::name(name)) } } }
            td { (text::ago(snapshot.as_of, report.last_seen)) }
            td {
                @for finding in &report.findings { div { (tag(finding.level, finding.code)) } }
                @if report.findings.is_empty() { span.tag.good { "● none" } }
            }
        }
    }
}

fn tag(level: Level, code: &str) -> Markup {
    let (class, mark) = match level {
        Level::Error => ("bad", "■"),
        Level::Warning => ("warn", "!"),
        Level::Info => ("dim", "·"),
    };
    html! { span class={ "tag " (class) } { (mark) " " (code) } }
}

/// What was found, worst first, each with the lines that mend it.
fn findings(reports: &[SourceReport]) -> Markup {
    let mut found: Vec<&Finding> = reports.iter().flat_map(|report| &report.findings).collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    html! {
        @for finding in found.iter().take(FINDINGS_MAX) {
            details open[finding.level == Level::Error] {
                summary { (tag(finding.level, finding.code)) " " (text::words(&finding.message)) }
                pre { (text::lines(&finding.fix)) }
            }
        }
        @if found.len() > FINDINGS_MAX { p.quiet { (found.len() - FINDINGS_MAX) " more: see " a href="/v1/doctor" { "/v1/doctor" } } }
    }
}

/// What became of the items of each signal.
fn items(status: &StatusBody) -> Markup {
    let counters = &status.counters;
    let rows = [
        ("accepted", status.accepted, false),
        ("rejected one by one", status.rejected, true),
        ("dropped at a cap", status.dropped, true),
        (
            "health checks, excluded from SLIs",
            counters.excluded,
            false,
        ),
        ("duplicates, counted once", counters.duplicate, false),
        (
            "of intercepts and branches, outside the budget",
            counters.outside_budget,
            false,
        ),
        (
            "late beyond the allowed lateness, counted as corrections",
            counters.late,
            true,
        ),
        (
            "ending in the future, waiting for their time",
            counters.future,
            true,
        ),
    ];
    let others = [
        (
            "spans that joined a request counted already",
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
        div.scroll { table {
            thead { tr { th { "Items" } @for signal in Signal::ALL { th.num { (signal.items()) } } } }
            tbody {
                @for (name, items, is_trouble) in rows { tr { th scope="row" { (name) } @for number in [items.spans, items.points, items.records] { (amount(number, is_trouble)) } } }
                @for (name, number, is_trouble) in others { tr { th scope="row" { (name) } (amount(number, is_trouble)) td {} td {} } }
            }
        } }
    }
}

fn amount(number: u64, is_trouble: bool) -> Markup {
    html! { td.num { @if is_trouble && number > 0 { span.tag.warn { "! " (text::count(number)) } } @else { (text::count(number)) } } }
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
            dt { "Held" } dd { (by_signal(&store.held)) }
            dt { "Memory" } dd { (page::bar(share, "dim")) " " (mib(store.bytes)) " of " (mib(store.bytes_max)) " MiB" }
            dt { "Evicted, oldest first" } dd { (by_signal(&store.evicted)) }
        }
    }
}

fn by_signal(items: &ItemsBody) -> String {
    let counts = Signal::ALL
        .into_iter()
        .zip([items.spans, items.points, items.records]);
    let parts = counts.map(|(signal, count)| format!("{} {}", text::count(count), signal.items()));
    parts.collect::<Vec<_>>().join(", ")
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
