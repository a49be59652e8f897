//! Rollouts of the cluster: where each stands, what the gate says of it, what the hand did.

use crate::{page, text};
use engine::hand::{HandRow, HandState, RolloutRow};
use engine::snapshot::Snapshot;
use maud::{Markup, html};
use query::wire::hex;

/// The page.
pub fn page(snapshot: &Snapshot) -> Markup {
    let body = html! {
        (hand(&snapshot.hand))
        @if snapshot.rollouts.is_empty() { p.quiet { "No rollout is watched." } } @else {
            div.scroll { table.wide {
                thead { tr { th { "Rollout" } th { "Service" } th { "Candidate" } th { "Phase" } th { "Level" } th { "Verdict" } th { "Why" } th { "Hand" } } }
                tbody { @for row in snapshot.rollouts.iter().take(crate::ROWS_MAX) { (rollout(snapshot, row)) } }
            } }
            @if snapshot.rollouts.len() > crate::ROWS_MAX { p.quiet { (snapshot.rollouts.len() - crate::ROWS_MAX) " more: see " a href="/v1/rollouts" { "/v1/rollouts" } } }
        }
    };
    page::frame(snapshot, "Rollouts", "/rollouts", &body)
}

fn hand(row: &HandRow) -> Markup {
    let class = if row.is_armed || !row.is_watching {
        "quiet"
    } else {
        "banner warn"
    };
    html! {
        p class=(class) { "The hand is " (text::words(&row.words())) "." @if row.is_watching { " Highest level: " (row.max_level.name()) "; " (row.actions_recent) " actions in the last 10 min." } }
        @if row.is_watching && !row.is_synced { p.banner.warn { "The watch has not seen everything yet." } }
    }
}

fn rollout(snapshot: &Snapshot, row: &RolloutRow) -> Markup {
    html! {
        tr {
            td.name { (text::name(&row.object.name)) div.quiet { (row.object.kind.name()) " in " (text::name(&row.object.namespace)) } }
            td.name { (service(snapshot, row)) }
            td.name { (text::name(&row.candidate)) @if !row.revision_name.is_empty() && row.revision_name != row.candidate { div.rev { (text::name(&row.revision_name)) } } }
            td { (row.phase.name()) @if let Some(step) = row.step { div.quiet { "step " (step) " of " (row.steps) } } @if let Some(weight) = row.weight { div.quiet { (text::percent(f64::from(weight) / 10_000.0)) } } }
            td { (row.level.name()) }
            td { (page::verdict_word(row.verdict, row.code)) }
            td.why { (text::words(&row.reason)) @if row.decision_id != 0 { " " a href={ "/gate/" (hex(row.decision_id)) } { "decision" } } }
            td.why { (text::words(if row.words.is_empty() { row.hand.name() } else { &row.words })) @if row.hand != HandState::Watching { div.quiet { (page::when(row.hand_since)) } } }
        }
    }
}

fn service(snapshot: &Snapshot, row: &RolloutRow) -> Markup {
    html! {
        @match &row.service {
            Some(key) => { @if snapshot.services.contains_key(&key.id()) { a href={ "/service/" (hex(key.id().0)) } { (text::name(&key.name)) } } @else { (text::name(&key.name)) } }
            None => { span.quiet { (text::name(&row.service_name)) } }
        }
    }
}
