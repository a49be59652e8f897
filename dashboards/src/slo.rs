//! One SLO: its budget in numbers and as charts, its windows, its revisions side by side.

use crate::chart::Chart;
use crate::{page, text};
use engine::slo::{Sli, SloId};
use engine::snapshot::{BurnState, Counts, SloRow, Snapshot};
use engine::time::NANOS_PER_SEC;
use maud::{Markup, html};

/// Minutes of history the charts show: what was observed, within these bounds.
const MINUTES: std::ops::RangeInclusive<u64> = 10..=360;

/// The page; `None` when there is no such SLO.
pub fn page(snapshot: &Snapshot, id: SloId) -> Option<Markup> {
    let row = snapshot.slos.get(&id)?;
    let body = html! {
        p { a href={ "/service/" (query::wire::hex(row.slo.service_id.0)) } { (text::name(&row.slo.service.name)) } ": " (objective(row)) }
        (numbers(snapshot, row))
        (charts(snapshot, row))
        h2 { "Windows" }
        (tiers(row))
        h2 { "Revisions side by side" }
        (slices(snapshot, row))
    };
    Some(page::frame(
        snapshot,
        &text::name(&row.slo.display_name),
        "",
        &body,
    ))
}

fn objective(row: &SloRow) -> String {
    let what = match row.slo.sli {
        Sli::Availability { .. } => "of requests do not fail".to_owned(),
        Sli::Latency {
            threshold_nanos, ..
        } => format!(
            "of requests take at most {} ms",
            threshold_nanos as f64 / 1e6
        ),
    };
    format!(
        "{} {what}, over {}",
        text::percent(row.slo.target.as_f64()),
        text::duration(row.slo.period_secs)
    )
}

fn numbers(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let observed = snapshot.as_of.since(row.observed_since) / NANOS_PER_SEC;
    html! {
        dl.facts {
            dt { "Budget left" } dd { (page::budget(row.budget_remaining)) }
            dt { "Bad of all events" } dd { (text::count(row.period.bad)) " of " (text::count(row.period.total())) }
            dt { "Bad events still allowed" } dd { (row.bad_allowed) " at the events seen so far" }
            dt { "Observed" } dd { @if row.period.total() == 0 { "nothing yet" } @else { (text::duration(observed.min(row.slo.period_secs))) " of " (text::duration(row.slo.period_secs)) } }
            dt { "Gone in" } dd { @match row.exhausted_in_secs { Some(0) => { "it is gone" } Some(secs) => { (text::duration(secs)) " at the burn rate of the last hour" } None => { "it does not burn" } } }
            dt { "Alert" } dd { @match &row.alert { Some(alert) => { (alert.state.name()) ": " (text::words(&alert.text)) } None => { "inactive" } } }
            @if row.is_stale { dt { "Data" } dd { "no event for 5 min: the last state is carried" } }
            @if row.slo.implicit { dt { "Defined" } dd { "nowhere: the implicit SLO of a service without a file" } } @else { dt { "Defined" } dd { code { (text::words(&row.slo.defined_at)) } } }
        }
    }
}

/// Per-minute counts of the observed minutes, gaps included.
fn minutes(snapshot: &Snapshot, row: &SloRow) -> Vec<Counts> {
    let now = snapshot.as_of.secs() / 60;
    let observed = now.saturating_sub(row.observed_since.secs() / 60) + 1;
    let shown = observed.clamp(*MINUTES.start(), *MINUTES.end());
    let first = now.saturating_sub(shown - 1);
    let mut minutes = vec![Counts::default(); shown as usize];
    for point in row.history.iter() {
        let minute = point.at.secs() / 60;
        if let Some(slot) = minute
            .checked_sub(first)
            .and_then(|index| minutes.get_mut(index as usize))
        {
            *slot = point.counts;
        }
    }
    minutes
}

fn charts(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let budget = row.slo.target.complement().as_f64();
    let minutes = minutes(snapshot, row);
    let span_secs = minutes.len() as u64 * 60;
    let burns: Vec<Option<f64>> = minutes
        .iter()
        .map(|counts| counts.bad_ratio().map(|ratio| ratio / budget))
        .collect();
    let left = burn_down(row, &minutes, budget);
    let last = |values: &[Option<f64>]| values.iter().rev().flatten().next().copied();
    let burn = Chart {
        title: "Burn rate per minute",
        description: format!(
            "last {}, 1× spends the budget exactly over the period",
            text::burn(last(&burns))
        ),
        values: burns,
        span_secs,
        mark: Some((1.0, "1×")),
        label: |value| format!("{value:.1}×"),
    };
    let down = Chart {
        title: "Budget left",
        description: format!("now {}", text::percent_or_dash(row.budget_remaining)),
        values: left,
        span_secs,
        mark: None,
        label: |value| format!("{:.0} %", value * 100.0),
    };
    html! { div.charts { (down.draw()) (burn.draw()) } }
}

/// Remaining budget after each minute, walked back from now: what the later minutes spent is given back.
fn burn_down(row: &SloRow, minutes: &[Counts], budget: f64) -> Vec<Option<f64>> {
    let (mut bad, mut total) = (row.period.bad as f64, row.period.total() as f64);
    let mut left: Vec<Option<f64>> = minutes
        .iter()
        .rev()
        .map(|counts| {
            let value = (total > 0.0 && budget > 0.0).then(|| 1.0 - bad / (total * budget));
            bad -= counts.bad as f64;
            total -= counts.total() as f64;
            value
        })
        .collect();
    left.reverse();
    left
}

const fn state(state: BurnState) -> (&'static str, &'static str) {
    match state {
        BurnState::Critical => ("bad", "■ Critical"),
        BurnState::Recovering => ("warn", "↘ Recovering"),
        BurnState::Increasing => ("warn", "↗ Increasing"),
        BurnState::Acceptable => ("good", "● Acceptable"),
    }
}

fn tiers(row: &SloRow) -> Markup {
    html! {
        @if row.tiers.is_empty() { p.quiet { "No alert tiers: this SLO never alerts." } } @else {
            table {
                thead { tr { th { "Tier" } th { "Severity" } th.num { "Fires above" } th.num { "Long window" } th.num { "Burn" } th.num { "Short window" } th.num { "Burn" } th.num { "Budget burned in it" } th { "State" } } }
                tbody { @for tier in &row.tiers {
                    @let (class, word) = state(tier.state);
                    tr {
                        th scope="row" { (text::name(&tier.name)) }
                        td { (tier.severity.name()) }
                        td.num { (tier.factor_milli as f64 / 1000.0) "×" }
                        td.num { (text::duration(tier.long_secs)) } td.num { (text::burn(tier.long_burn)) }
                        td.num { (text::duration(tier.short_secs)) } td.num { (text::burn(tier.short_burn)) }
                        td.num { (text::percent_or_dash(tier.budget_share)) }
                        td { span class={ "tag " (class) } { (word) } @if tier.is_guarded { " " span.quiet { "too little traffic to fire" } } }
                    }
                } }
            }
        }
        table {
            thead { tr { th { "Window" } th.num { "Bad of all" } th.num { "Burn" } } }
            tbody { @for window in &row.windows { tr { th scope="row" { (text::duration(window.window_secs)) } td.num { (text::count(window.counts.bad)) " of " (text::count(window.counts.total())) } td.num { (text::burn(window.burn)) } } } }
        }
    }
}

fn slices(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let service = snapshot.services.get(&row.slo.service_id);
    let name = |id| {
        let revision =
            service.and_then(|service| service.revisions.iter().find(|row| row.revision.id == id));
        revision.map_or_else(|| "?".to_owned(), |row| text::name(&row.revision.label()))
    };
    let first = row.slices.first();
    html! {
        @if let Some(first) = first {
            table {
                thead { tr { th { "Revision" } @for window in &first.windows { th.num { (text::duration(window.window_secs)) } th.num { "Burn" } } } }
                tbody { @for slice in &row.slices {
                    tr {
                        th scope="row" { (name(slice.revision)) }
                        @for window in &slice.windows { td.num { (text::count(window.counts.bad)) " of " (text::count(window.counts.total())) } td.num { (text::burn(window.burn)) } }
                    }
                } }
            }
        } @else { p.quiet { "No revision has served a request in the last 6 h." } }
    }
}
