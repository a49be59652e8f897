//! The fleet, worst first.

use crate::{page, text};
use engine::gate::answer::{Answer, Verdict};
use engine::registry::is_revision_unknown;
use engine::slo::Severity;
use engine::snapshot::{AlertState, ServiceRow, SloRow, Snapshot};
use maud::{Markup, html};
use std::cmp::Ordering;
use std::sync::Arc;

/// One line of the table: a service with what decides its place.
struct Line<'a> {
    service: &'a ServiceRow,
    slos: Vec<&'a Arc<SloRow>>,
    answer: Option<&'a Answer>,
    budget: Option<f64>,
    alert: Option<Severity>,
}

impl<'a> Line<'a> {
    fn new(snapshot: &'a Snapshot, service: &'a ServiceRow) -> Self {
        let slos: Vec<_> = service
            .slos
            .iter()
            .filter_map(|id| snapshot.slos.get(id))
            .collect();
        let firing = slos
            .iter()
            .filter_map(|row| row.alert.as_ref())
            .filter(|alert| alert.state == AlertState::Firing);
        Self {
            answer: snapshot
                .gates
                .get(&service.id)
                .and_then(|gate| gate.candidates.first()),
            budget: slos
                .iter()
                .filter_map(|row| row.budget_remaining)
                .min_by(f64::total_cmp),
            alert: firing.map(|alert| alert.severity).max(),
            service,
            slos,
        }
    }

    /// Halted first, then paging, then ticketing, then waiting, then the least budget, then by name.
    fn compare(&self, other: &Self) -> Ordering {
        let trouble = |line: &Self| {
            let is_halted = line
                .answer
                .is_some_and(|answer| answer.verdict == Verdict::Halt);
            (is_halted, line.alert)
        };
        let budget = |line: &Self| line.budget.unwrap_or(f64::INFINITY);
        trouble(other)
            .cmp(&trouble(self))
            .then(budget(self).total_cmp(&budget(other)))
            .then(self.service.key.cmp(&other.service.key))
    }

    fn burn_1h(&self) -> Option<f64> {
        let burns = self.slos.iter().filter_map(|row| {
            row.windows
                .iter()
                .find(|window| window.window_secs == 3_600)?
                .burn
        });
        burns.max_by(f64::total_cmp)
    }
}

/// The page.
pub fn page(snapshot: &Snapshot) -> Markup {
    let mut lines: Vec<Line<'_>> = snapshot
        .services
        .values()
        .map(|service| Line::new(snapshot, service))
        .collect();
    lines.sort_by(Line::compare);
    let body = html! {
        @if lines.is_empty() { (first_minute()) } @else {
            table {
                caption.quiet { (lines.len()) " services, worst first" }
                thead { tr { th { "Service" } th { "Team" } th { "Live revisions" } th { "Budget left" } th.num { "Burn 1 h" } th { "Alert" } th { "Gate" } } }
                tbody { @for line in lines.iter().take(crate::ROWS_MAX) { (row(line)) } }
            }
            @if lines.len() > crate::ROWS_MAX { p.quiet { (lines.len() - crate::ROWS_MAX) " more: see /v1/services" } }
            (unknown_revisions(&lines))
        }
    };
    page::frame(snapshot, "Fleet", "/", &body)
}

fn row(line: &Line<'_>) -> Markup {
    let key = &line.service.key;
    let place: Vec<&str> = [key.environment.as_str(), key.namespace.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    html! {
        tr {
            th scope="row" {
                a href={ "/service/" (query::wire::hex(line.service.id.0)) } { (text::name(&key.name)) }
                @if !place.is_empty() { " " span.quiet { (text::name(&place.join("/"))) } }
            }
            td { (text::name(if line.service.policy.team.is_empty() { "–" } else { &line.service.policy.team })) " " span.quiet { (line.service.policy.maturity.name()) @if line.service.policy.implicit { ", implicit" } } }
            td { @for revision in line.service.revisions.iter().filter(|row| row.is_live) { span.rev { (text::name(&revision.revision.label())) } " " } }
            td { (page::budget(line.budget)) }
            td.num { (text::burn(line.burn_1h())) }
            td { @match line.alert { Some(severity) => { span.tag.bad { "▲ " (severity.name()) } } None => { span.quiet { "–" } } } }
            td { @match line.answer { Some(answer) => { (page::verdict(answer.verdict.name(), answer.code.name())) } None => { span.quiet { "no candidate" } } } }
        }
    }
}

fn unknown_revisions(lines: &[Line<'_>]) -> Markup {
    let unknown: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| {
            line.service
                .revisions
                .iter()
                .any(|row| row.is_live && is_revision_unknown(&row.revision))
        })
        .collect();
    html! {
        @if !unknown.is_empty() {
            section.banner.warn {
                h2 { "REVISION_UNKNOWN" }
                p { "Nothing tells the revisions of these services apart, so that the gate cannot answer for them: "
                    @for line in unknown.iter().take(20) { strong { (text::name(&line.service.key.name)) } " " } }
                p { "Start them with:" }
                pre { "OTEL_RESOURCE_ATTRIBUTES=service.version=<your version or image tag>" }
            }
        }
    }
}

fn first_minute() -> Markup {
    html! {
        p { "No span has arrived yet. Point an OpenTelemetry SDK or Collector here:" }
        pre { "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317\nOTEL_RESOURCE_ATTRIBUTES=service.version=<your version or image tag>" }
        p { "Every service then has an implicit SLO (availability 99 %) and a gate from its first span on." }
    }
}
