//! Incidents: the list, and one with its timeline: lanes in the order in which it reached them.

use crate::{page, text};
use engine::cascade::incident::State;
use engine::cascade::row::{IncidentRow, Named, SuspectRow};
use engine::snapshot::{AlertRow, Snapshot};
use engine::time::{NANOS_PER_SEC, Timestamp};
use maud::{Markup, html};
use query::wire::hex;
use std::sync::Arc;

/// Most lanes drawn; the others are counted.
const LANES_MAX: usize = 24;
const WIDTH: f64 = 880.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 16.0;
const LANE: f64 = 22.0;
const TOP: f64 = 26.0;
/// A second before it began is shown, too.
const BEFORE_NANOS: u64 = 5 * NANOS_PER_SEC;
/// Steps of the time axis, s.
const STEPS: [u64; 9] = [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600];

/// Newest first.
pub fn list(snapshot: &Snapshot) -> Markup {
    let rows = snapshot
        .incidents
        .iter()
        .filter(|row| row.merged_into.is_none());
    let rows: Vec<&Arc<IncidentRow>> = rows.take(crate::ROWS_MAX).collect();
    let body = html! {
        @if rows.is_empty() { p.quiet { "No incident in the last 24 h." } } @else {
            div.scroll { table.wide {
                thead { tr { th { "State" } th { "What" } th { "Scope" } th { "Trigger" } th.num { "Victims" } th.num { "Alerts" } th { "Began" } th { "Resolved" } } }
                tbody { @for row in rows { (line(row)) } }
            } }
        }
    };
    page::frame(snapshot, "Incidents", "/incidents", &body)
}

fn line(row: &IncidentRow) -> Markup {
    html! {
        tr {
            td { (state(row)) }
            td.why { a href={ "/incident/" (hex(row.id)) } { (text::words(&row.title)) } }
            td { (row.scope.name().replace('_', " ")) @if row.sustained.is_some() { div { b { "sustained" } } } }
            td { (row.trigger.name()) }
            td.num { (row.victims.len()) }
            td.num { (row.alerts.len()) }
            td { (page::when(row.began_at)) }
            td { @match row.resolved_at { Some(at) => { (page::when(at)) } None => { "–" } } }
        }
    }
}

fn state(row: &IncidentRow) -> Markup {
    let (class, mark) = match row.state {
        State::Opened | State::Growing => ("bad", "▲"),
        State::Contained => ("warn", "△"),
        State::Resolved => ("good", "✓"),
    };
    html! { span class={ "tag " (class) } { (mark) " " (row.state.name()) } @if row.is_learning { div.quiet { "learning" } } }
}

/// One incident; `None` when there is none of this id.
pub fn page(snapshot: &Snapshot, id: u128) -> Option<Markup> {
    let row = snapshot.incidents.iter().find(|row| row.id == id)?;
    if let Some(into) = row.merged_into {
        let body = html! { p { "It became part of " a href={ "/incident/" (hex(into)) } { "another incident" } "." } };
        return Some(page::frame(snapshot, "Incident", "/incidents", &body));
    }
    let body = html! {
        p { (state(row)) " " b { (text::words(&row.title)) } }
        pre.why { (text::lines(&row.text)) }
        h2 { "How it spread" }
        (timeline(row))
        h2 { "Suspects" }
        (suspects(snapshot, row))
        @if !row.changes.is_empty() {
            h2 { "Likely changes" }
            ul { @for change in &row.changes { li { (page::when(change.at)) " " code { (text::name(&change.kind)) } " " (text::words(&change.text)) } } }
        }
        @if !row.victims.is_empty() {
            h2 { "Victims" }
            p { @for (place, victim) in row.victims.iter().enumerate() { @if place > 0 { ", " } (linked(snapshot, victim)) } }
        }
        @let alerts = alerts_of(snapshot, row);
        @if !alerts.is_empty() {
            h2 { "Alerts it explains" }
            ul { @for alert in alerts { li { (page::alert(alert.state, alert.severity)) " " (text::name(&alert.service.name)) ", " (text::name(&alert.slo)) ": " (text::words(&alert.text)) } } }
        }
    };
    Some(page::frame(snapshot, "Incident", "/incidents", &body))
}

fn alerts_of<'a>(snapshot: &'a Snapshot, row: &IncidentRow) -> Vec<&'a Arc<AlertRow>> {
    let alerts = snapshot.alerts.iter();
    alerts
        .filter(|alert| row.alerts.contains(&alert.id))
        .collect()
}

fn linked(snapshot: &Snapshot, who: &Named) -> Markup {
    let known = who
        .node
        .service()
        .filter(|id| snapshot.services.contains_key(id));
    html! {
        @match known {
            Some(id) => { a href={ "/service/" (hex(id.0)) } { (text::name(&who.service.name)) } }
            None => { (text::name(&who.service.name)) }
        }
    }
}

fn suspects(snapshot: &Snapshot, row: &IncidentRow) -> Markup {
    let is_culprit = |suspect: &SuspectRow| {
        row.culprits
            .iter()
            .any(|one| one.who.node == suspect.who.node)
    };
    html! {
        div.scroll { table {
            thead { tr { th { "Who" } th { "Revision" } th { "What" } th { "Failures" } th.num { "Suspicion" } th { "" } } }
            tbody { @for suspect in &row.candidates {
                tr {
                    td.name { (linked(snapshot, &suspect.who)) @if suspect.who.kind() == "peer" { div.quiet { "sends no telemetry" } } }
                    td.name { (text::name(&suspect.revision)) }
                    td { (suspect.channel.name().replace('_', " ")) }
                    td { (suspect.class.name()) }
                    td.num { (text::percent(suspect.score)) }
                    td { @if is_culprit(suspect) { b { "culprit" } } }
                }
            } }
        } }
    }
}

/// Lanes by onset, drawn on the server.
pub fn timeline(row: &IncidentRow) -> Markup {
    let lanes = &row.onset[..row.onset.len().min(LANES_MAX)];
    let Some(first) = lanes.iter().map(|lane| lane.at).min() else {
        return html! { p.quiet { "No service was reached yet." } };
    };
    let from = first.minus(BEFORE_NANOS);
    let until = lanes
        .iter()
        .map(|lane| lane.until)
        .max()
        .unwrap_or(first)
        .max(first.plus(NANOS_PER_SEC));
    let span = until.since(from).max(1) as f64;
    let x = |at: Timestamp| LEFT + at.since(from) as f64 / span * (WIDTH - LEFT - RIGHT);
    let height = TOP + LANE * lanes.len() as f64 + 8.0;
    let step = step(until.since(from) / NANOS_PER_SEC);
    let ticks: Vec<u64> = (0..=until.since(first) / NANOS_PER_SEC / step)
        .map(|tick| tick * step)
        .collect();
    let described: Vec<String> = lanes
        .iter()
        .map(|lane| {
            format!(
                "{} after {} s",
                text::name(&lane.who.service.name),
                lane.at.since(first) / NANOS_PER_SEC
            )
        })
        .collect();
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label={ "In this order: " (described.join(", ")) } {
            @for tick in &ticks {
                @let at = x(first.plus(tick * NANOS_PER_SEC));
                line.grid x1=(coordinate(at)) x2=(coordinate(at)) y1=(TOP - 4.0) y2=(height) {}
                text x=(coordinate(at)) y="14" text-anchor="middle" { "+" (tick) " s" }
            }
            @for change in &row.changes {
                @if change.at >= from && change.at <= until {
                    line.change x1=(coordinate(x(change.at))) x2=(coordinate(x(change.at))) y1=(TOP - 4.0) y2=(height) { title { (text::words(&change.text)) } }
                }
            }
            @for (place, lane) in lanes.iter().enumerate() {
                @let y = TOP + LANE * place as f64;
                text x=(LEFT - 8.0) y=(y + 14.0) text-anchor="end" { (short(&lane.who.service.name)) @if lane.is_culprit { " (culprit)" } }
                rect class=(if lane.is_culprit { "lane culprit" } else { "lane" }) x=(coordinate(x(lane.at))) y=(y + 3.0) width=(coordinate((x(lane.until) - x(lane.at)).max(3.0))) height=(LANE - 8.0) {
                    title { (text::name(&lane.who.service.name)) ": " (text::time(lane.at)) " to " (text::time(lane.until)) }
                }
            }
        }
        @if row.onset.len() > LANES_MAX { p.quiet { (row.onset.len() - LANES_MAX) " more services" } }
    }
}

/// A step that gives at most ten ticks.
fn step(secs: u64) -> u64 {
    let fits = |step: &u64| secs / step <= 10;
    STEPS.into_iter().find(fits).unwrap_or((secs / 10).max(1))
}

/// A name that fits beside its lane.
fn short(name: &str) -> String {
    let shown = text::name(name);
    if shown.chars().count() <= 24 {
        return shown;
    }
    let cut: String = shown.chars().take(23).collect();
    format!("{cut}…")
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}
