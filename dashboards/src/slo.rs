//! One SLO: its budget in numbers and as charts, its windows, its revisions side by side.

use crate::chart::{Chart, Event};
use crate::{page, text};
use engine::slo::{Sli, SloId};
use engine::snapshot::{
    AlertState, BurnState, Counts, RevisionRow, SliceRow, SloRow, Snapshot, TierRow, WindowRow,
};
use engine::source::Sampling;
use engine::time::{NANOS_PER_SEC, Timestamp};
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
        h2 { "Alert tiers" }
        (tiers(row))
        h2 { "Revisions side by side" }
        (slices(snapshot, row))
        h2 { "Windows" }
        (windows(row))
    };
    let title = text::name(&row.slo.display_name);
    Some(page::frame(snapshot, &title, "", &body))
}

fn objective(row: &SloRow) -> String {
    let what = match &row.slo.sli {
        Sli::Availability { .. } => "of requests do not fail".to_owned(),
        Sli::Latency {
            threshold_nanos, ..
        } => format!(
            "of requests take at most {} ms",
            *threshold_nanos as f64 / 1e6
        ),
        Sli::Records { .. } => "of log records are good".to_owned(),
        Sli::Increments {
            part,
            at_most: Some(most),
            ..
        } => format!(
            "of {} are at most {}",
            text::words(&part.metric),
            most.value()
        ),
        Sli::Increments { total, .. } => format!("of {} are good", text::words(&total.metric)),
        Sli::Level {
            selector,
            op,
            threshold,
        } => format!(
            "of the points of {} are {} {}",
            text::words(&selector.metric),
            op.words(),
            threshold.value()
        ),
    };
    let period = text::duration(row.slo.period_secs);
    format!("{} {what}, over {period}", text::target(row.slo.target))
}

fn numbers(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let sampling = snapshot.sampling_of(&row.slo);
    let allowed = i64::try_from(row.period.bad)
        .unwrap_or(i64::MAX)
        .saturating_add(row.bad_allowed);
    html! {
        dl.facts {
            dt { "Budget left" } dd { (page::budget(row.budget_remaining)) }
            dt { "Bad events" } dd { strong { (text::count(row.period.bad)) } " of " (text::count(row.period.total())) " events; " (text::signed(allowed)) " allowed at the events seen so far, " (text::signed(row.bad_allowed)) " left" }
            dt { "Gone in" } dd { @match row.exhausted_in_secs { Some(0) => { "it is gone" } Some(secs) => { (text::duration(secs)) " at the burn rate of the last hour" } None => { "it does not burn" } } }
            dt { "Alert" } dd { @match &row.alert { Some(alert) if alert.state != AlertState::Inactive => { (page::alert(alert.state, alert.severity)) ": " (text::words(&alert.text)) } _ => { "inactive" } } }
            dt { "Observed" } dd { (text::observed(row, snapshot.as_of)) ", last event " (text::ago(snapshot.as_of, row.last_event)) }
            @if sampling != Sampling::None { dt { "Spans" } dd { span.tag.warn { "! " (sampling.name()) "-sampled" } " all numbers are those of the sample: " a href="/health" { "see health" } } }
            @if row.in_doubt > 0 { dt { "Measurement error" } dd { (text::count(row.in_doubt)) " of the bad events may be good: the threshold lies inside a bucket of the histogram" } }
            @if let Some(mismatch) = row.mismatch { dt { "Type" } dd { span.tag.bad { "■ TYPE_MISMATCH" } " " (text::words(&mismatch.words(&row.slo))) } }
            @if row.is_stale { dt { "Data" } dd { span.tag.warn { "! stale" } " no event for 5 min: the last state is carried" } }
            dt { "Defined" } dd { @if row.slo.implicit { "nowhere: the implicit SLO of a service without a file" } @else { code { (text::words(&row.slo.defined_at)) } } }
        }
    }
}

/// Per-minute counts of the observed minutes, gaps included.
pub(crate) fn minutes(snapshot: &Snapshot, row: &SloRow) -> Vec<Counts> {
    let now = snapshot.as_of.secs() / 60;
    let observed = now.saturating_sub(row.observed_since.secs() / 60) + 1;
    let shown = observed.clamp(*MINUTES.start(), *MINUTES.end());
    let first = now.saturating_sub(shown - 1);
    let mut minutes = vec![Counts::default(); shown as usize];
    for point in row.history.iter() {
        let index = (point.at.secs() / 60).checked_sub(first);
        if let Some(slot) = index.and_then(|index| minutes.get_mut(index as usize)) {
            *slot = point.counts;
        }
    }
    minutes
}

fn charts(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let minutes = minutes(snapshot, row);
    let span_secs = minutes.len() as u64 * 60;
    let start = snapshot.as_of.minus(span_secs * NANOS_PER_SEC);
    html! { div.charts { (budget_chart(snapshot, row, &minutes, start)) (burn_chart(snapshot, row, &minutes, start)) } }
}

fn budget_chart(snapshot: &Snapshot, row: &SloRow, minutes: &[Counts], start: Timestamp) -> Markup {
    let now = text::percent_or_dash(row.budget_remaining);
    let chart = Chart {
        title: "Budget burn-down",
        description: format!("{now} left now, of the budget that the events seen so far allow"),
        values: burn_down(row, minutes),
        until: snapshot.as_of,
        span_secs: minutes.len() as u64 * 60,
        range: (0.0, 1.0),
        mark: None,
        events: happened(snapshot, row, start),
        label: |value| format!("{} %", text::decimal(value * 100.0, 0)),
    };
    chart.draw()
}

fn burn_chart(snapshot: &Snapshot, row: &SloRow, minutes: &[Counts], start: Timestamp) -> Markup {
    let budget = row.slo.target.complement().as_f64();
    let burns: Vec<Option<f64>> = minutes
        .iter()
        .map(|counts| counts.bad_ratio().filter(|_| budget > 0.0))
        .map(|ratio| ratio.map(|ratio| ratio / budget))
        .collect();
    let last = burns.iter().rev().flatten().next().copied();
    let most = burns.iter().flatten().copied().max_by(f64::total_cmp);
    let chart = Chart {
        title: "Burn rate, minute by minute",
        description: format!(
            "last {}, most {}; 1× spends the budget exactly over the period",
            text::burn(last),
            text::burn(most)
        ),
        values: burns,
        until: snapshot.as_of,
        span_secs: minutes.len() as u64 * 60,
        range: (0.0, 2.0),
        mark: Some((1.0, "1×")),
        events: happened(snapshot, row, start),
        label: |value| format!("{value}×"),
    };
    chart.draw()
}

/// Remaining budget after each minute, of the budget that today's events allow, walked back from now: so the line
/// ends at the published number and falls only where bad events are. Empty before the first event.
pub(crate) fn burn_down(row: &SloRow, minutes: &[Counts]) -> Vec<Option<f64>> {
    let allowed = row.period.total() as f64 * row.slo.target.complement().as_f64();
    let mut counts = row.period;
    let mut left: Vec<Option<f64>> = Vec::with_capacity(minutes.len());
    for minute in minutes.iter().rev() {
        let is_observed = counts.total() > 0 && allowed > 0.0;
        left.push(is_observed.then(|| 1.0 - counts.bad as f64 / allowed));
        counts.bad = counts.bad.saturating_sub(minute.bad);
        counts.good = counts.good.saturating_sub(minute.good);
    }
    left.reverse();
    left
}

/// Revisions that appeared and decisions that latched since `start`, newest first.
fn happened(snapshot: &Snapshot, row: &SloRow, start: Timestamp) -> Vec<Event> {
    let service = snapshot.services.get(&row.slo.service_id);
    let revisions = service.into_iter().flat_map(|service| &service.revisions);
    let appeared = revisions.map(|revision| Event {
        at: revision.first_seen,
        label: format!("{} first seen", revision.revision.label()),
    });
    let decisions = snapshot.decisions.iter();
    let halted = decisions
        .filter(|decision| decision.latched && decision.answer.service == row.slo.service)
        .map(|decision| Event {
            at: decision.answer.as_of,
            label: format!("■ halt {}", decision.answer.candidate),
        });
    let mut events: Vec<Event> = appeared.chain(halted).collect();
    events.retain(|event| event.at >= start);
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events
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
            div.scroll { table {
                thead { tr { th { "Tier" } th { "Severity" } th { "State" } th.num { "Fires above" } th.num { "Long window" } th.num { "Burn" } th.num { "Short window" } th.num { "Burn" } th.num { "Budget burned" } } }
                tbody { @for row in &row.tiers { (tier(row)) } }
            } }
        }
    }
}

fn tier(tier: &TierRow) -> Markup {
    let (class, word) = state(tier.state);
    html! {
        tr {
            th.name scope="row" { (text::name(&tier.name)) }
            td { (tier.severity.name()) }
            td { span class={ "tag " (class) } { (word) } @if tier.is_guarded { div.quiet { "too little traffic to fire" } } }
            td.num { (tier.factor_milli as f64 / 1000.0) "×" }
            td.num { (text::duration(tier.long_secs)) }
            td.num { (text::burn(tier.long_burn)) }
            td.num { (text::duration(tier.short_secs)) }
            td.num { (text::burn(tier.short_burn)) }
            td.num { (text::percent_or_dash(tier.budget_share)) }
        }
    }
}

fn windows(row: &SloRow) -> Markup {
    html! {
        table {
            thead { tr { th.num { "Window" } th.num { "Bad of all" } th.num { "Bad share" } th.num { "Burn" } } }
            tbody { @for window in &row.windows { tr { th.num scope="row" { (text::duration(window.window_secs)) } (counts(window)) } } }
        }
    }
}

/// Three cells: bad of all, share, burn.
fn counts(window: &WindowRow) -> Markup {
    html! {
        td.num { (text::of(window.counts.bad, window.counts.total())) }
        td.num { (text::percent_or_dash(window.counts.bad_ratio())) }
        td.num { (text::burn(window.burn)) }
    }
}

fn slices(snapshot: &Snapshot, row: &SloRow) -> Markup {
    let Some(first) = row.slices.first() else {
        return html! { p.quiet { "No revision has served a request in the last 6 h." } };
    };
    html! {
        div.scroll { table.grouped {
            thead {
                tr { th rowspan="2" { "Revision" } @for window in &first.windows { th.group colspan="3" scope="colgroup" { "Last " (text::duration(window.window_secs)) } } }
                tr { @for _ in &first.windows { th.num { "Bad of all" } th.num { "Share" } th.num { "Burn" } } }
            }
            tbody { @for slice in &row.slices { (self::slice(snapshot, row, slice)) } }
        } }
    }
}

fn slice(snapshot: &Snapshot, row: &SloRow, slice: &SliceRow) -> Markup {
    let service = snapshot.services.get(&row.slo.service_id);
    let mut revisions = service.into_iter().flat_map(|service| &service.revisions);
    let revision = revisions.find(|row| row.revision.id == slice.revision);
    html! {
        tr {
            th.name scope="row" { @match revision { Some(row) => { (text::name(&row.revision.label())) (standing(row)) } None => { "?" } } }
            @for window in &slice.windows { (counts(window)) }
        }
    }
}

fn standing(row: &RevisionRow) -> Markup {
    html! {
        @if row.is_known_good { div.quiet { "✓ known good" } }
        @if !row.is_live { div.quiet { "gone" } }
    }
}
