//! The fleet, worst first.

use crate::{page, text};
use engine::doctor::{self, Endpoints};
use engine::gate::answer::{Answer, Verdict};
use engine::registry::is_revision_unknown;
use engine::slo::Severity;
use engine::snapshot::{AlertRow, AlertState, RevisionRow, ServiceRow, SloRow, Snapshot};
use maud::{Markup, html};
use std::cmp::Ordering;
use std::sync::Arc;

/// Window of the burn column, s.
const BURN_WINDOW_SECS: u64 = 3_600;
/// Most services whose environment line is printed.
const UNKNOWN_MAX: usize = 10;

/// One line of the table: a service with what decides its place.
struct Line<'a> {
    service: &'a ServiceRow,
    slos: Vec<&'a Arc<SloRow>>,
    answer: Option<&'a Answer>,
    budget: Option<f64>,
    alert: Option<&'a AlertRow>,
}

impl<'a> Line<'a> {
    fn new(snapshot: &'a Snapshot, service: &'a ServiceRow) -> Self {
        let ids = service.slos.iter();
        let slos: Vec<_> = ids.filter_map(|id| snapshot.slos.get(id)).collect();
        let alerts = slos.iter().filter_map(|row| row.alert.as_deref());
        Self {
            answer: worst_answer(snapshot, service),
            budget: slos
                .iter()
                .filter_map(|row| row.budget_remaining)
                .min_by(f64::total_cmp),
            alert: alerts
                .filter(|alert| alert.state == AlertState::Firing)
                .max_by_key(|alert| alert.severity),
            service,
            slos,
        }
    }

    fn is_halted(&self) -> bool {
        self.answer
            .is_some_and(|answer| answer.verdict == Verdict::Halt)
    }

    fn severity(&self) -> Option<Severity> {
        self.alert.map(|alert| alert.severity)
    }

    /// Halted first, then paging, then ticketing, then the least budget, then by name.
    fn compare(&self, other: &Self) -> Ordering {
        let trouble = |line: &Self| (line.is_halted(), line.severity());
        let budget = |line: &Self| line.budget.unwrap_or(f64::INFINITY);
        trouble(other)
            .cmp(&trouble(self))
            .then(budget(self).total_cmp(&budget(other)))
            .then(self.service.key.cmp(&other.service.key))
    }

    fn burn_1h(&self) -> Option<f64> {
        let burns = self.slos.iter().filter_map(|row| {
            let mut windows = row.windows.iter();
            windows
                .find(|window| window.window_secs == BURN_WINDOW_SECS)?
                .burn
        });
        burns.max_by(f64::total_cmp)
    }

    fn gone_in(&self) -> Option<u64> {
        let times = self.slos.iter().filter_map(|row| row.exhausted_in_secs);
        times.min()
    }

    fn live(&self) -> impl Iterator<Item = &'a RevisionRow> {
        self.service.revisions.iter().filter(|row| row.is_live)
    }

    fn is_revision_unknown(&self) -> bool {
        self.live().any(|row| is_revision_unknown(&row.revision))
    }
}

/// The worst answer among live candidates, of the newest on a tie; without a live one, the newest candidate's.
fn worst_answer<'a>(snapshot: &'a Snapshot, service: &ServiceRow) -> Option<&'a Answer> {
    let gate = snapshot.gates.get(&service.id)?;
    let is_live = |answer: &&Answer| {
        let id = answer.candidate_id;
        id.is_some_and(|id| gate.live.contains(&id))
    };
    let rank = |answer: &&Answer| match answer.verdict {
        Verdict::Halt => 0,
        Verdict::Unknown => 1,
        Verdict::Wait => 2,
        Verdict::Proceed => 3,
    };
    let live = gate.candidates.iter().filter(is_live).min_by_key(rank);
    live.or(gate.candidates.first())
}

/// The page.
pub fn page(snapshot: &Snapshot, endpoints: &Endpoints) -> Markup {
    let services = snapshot.services.values();
    let mut lines: Vec<Line<'_>> = services
        .map(|service| Line::new(snapshot, service))
        .collect();
    lines.sort_by(Line::compare);
    let body = html! {
        @if lines.is_empty() { (first_minute(snapshot, endpoints)) } @else {
            (summary(&lines))
            div.scroll { table.wide {
                caption.hidden { "Services, worst first" }
                thead { tr { th { "Service" } th { "Gate" } th { "Alert" } th { "Budget left" } th.num { "Burn 1 h" } th.num { "Gone in" } th { "Live revisions" } th { "Team" } } }
                tbody { @for line in lines.iter().take(crate::ROWS_MAX) { (row(line)) } }
            } }
            @if lines.len() > crate::ROWS_MAX { p.quiet { (lines.len() - crate::ROWS_MAX) " more: see " a href="/v1/services" { "/v1/services" } } }
            (unknown_revisions(&lines))
        }
    };
    page::frame(snapshot, "Fleet", "/", &body)
}

/// The fleet in one sentence.
fn summary(lines: &[Line<'_>]) -> Markup {
    let count = |is: &dyn Fn(&Line<'_>) -> bool| lines.iter().filter(|line| is(line)).count();
    let halted = count(&|line| line.is_halted());
    let paging = count(&|line| line.severity() == Some(Severity::Page));
    let spent = count(&|line| line.budget.is_some_and(|left| left <= 0.0));
    let parts = [
        ("■", halted, "halted"),
        ("▲", paging, "paging"),
        ("!", spent, "out of budget"),
    ];
    html! {
        p.summary {
            (page::plural(lines.len(), "service")) ", worst first: "
            @for (index, (mark, number, word)) in parts.into_iter().enumerate() {
                @if index > 0 { ", " }
                @if number > 0 { span.tag.bad { (mark) " " (number) " " (word) } } @else { span.quiet { "0 " (word) } }
            }
        }
    }
}

fn row(line: &Line<'_>) -> Markup {
    let policy = &line.service.policy;
    html! {
        tr {
            th.name scope="row" {
                a href={ "/service/" (query::wire::hex(line.service.id.0)) } { (text::name(&line.service.key.name)) }
                (place(line.service))
            }
            td { @match line.answer { Some(answer) => { (page::verdict(answer)) div.quiet.name { (text::name(&answer.candidate)) } } None => { span.quiet { "no candidate" } } } }
            td { @match line.alert { Some(alert) => { (page::alert(alert.state, alert.severity)) } None => { span.quiet { "–" } } } }
            td { (page::budget(line.budget)) }
            td.num { (text::burn(line.burn_1h())) }
            td.num { @match line.gone_in() { Some(0) => { "gone" } Some(secs) => { (text::duration(secs)) } None => { "–" } } }
            td.name { @for row in line.live() { div.rev { @if is_revision_unknown(&row.revision) { span.tag.warn { "? REVISION_UNKNOWN" } } @else { (text::name(&row.revision.label())) } } } }
            td.name {
                @if policy.team.is_empty() { span.quiet { "no team" } } @else { (text::name(&policy.team)) }
                div.quiet { (policy.maturity.name()) @if policy.implicit { ", implicit SLO" } }
            }
        }
    }
}

/// Environment and namespace, below the name.
pub fn place(service: &ServiceRow) -> Markup {
    let key = &service.key;
    let parts = [&key.tenant, &key.environment, &key.namespace];
    let place: Vec<&str> = parts
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    html! { @if !place.is_empty() { div.quiet { (text::name(&place.join("/"))) } } }
}

fn unknown_revisions(lines: &[Line<'_>]) -> Markup {
    let unknown: Vec<&Line<'_>> = lines
        .iter()
        .filter(|line| line.is_revision_unknown())
        .collect();
    html! {
        @if !unknown.is_empty() {
            section.banner.warn {
                h2 { "REVISION_UNKNOWN: " (page::plural(unknown.len(), "service")) }
                p { "Nothing tells their revisions apart, so the gate cannot answer for them. Start each with its line:" }
                pre { @for line in unknown.iter().take(UNKNOWN_MAX) { "OTEL_RESOURCE_ATTRIBUTES=service.name=" (text::name(&line.service.key.name)) ",service.version=<version or image tag>\n" } }
            }
        }
    }
}

fn first_minute(snapshot: &Snapshot, endpoints: &Endpoints) -> Markup {
    let reports = doctor::examine(snapshot, endpoints);
    let findings = reports.iter().flat_map(|report| &report.findings);
    html! {
        p { "No span has arrived yet. Point an OpenTelemetry SDK or Collector here:" }
        @for finding in findings.filter(|finding| finding.code == "NO_TELEMETRY") { pre { (text::lines(&finding.fix)) } }
        p { "Every service then has an implicit SLO (availability 99 %) and a gate from its first span on." }
    }
}
