//! One alert per SLO from its first burn to its end, through the machine.

use super::rig::{Rig, START, slo, tier};
use crate::input::Gap;
use crate::slo::{Severity, Sli, Slo, SpanSelector};
use crate::slo_machine::AlertChange;
use crate::snapshot::{AlertState, BurnState};
use crate::time::Timestamp;

const ONSET: u64 = START + 8 * 3_600;

/// A page tier over 1 h and a ticket tier over 6 h, 100 requests a second for eight hours.
fn rig() -> Rig {
    let mut availability = slo("availability", 999_000_000);
    availability.tiers = vec![
        tier("ticket", Severity::Ticket, 3_000, 21_600),
        tier("page", Severity::Page, 14_400, 3_600),
    ];
    availability.tiers[0].targets = vec!["chat".to_owned()];
    availability.tiers[1].targets = vec!["pager".to_owned()];
    let mut rig = Rig::new(&[availability]);
    rig.fill(START, ONSET, 100);
    rig.tick(ONSET - 1);
    rig
}

/// Lets seconds pass with `bad` of 100 requests failing; the transitions with the second they came at.
fn pass(rig: &mut Rig, from: u64, secs: u64, bad: i64) -> Vec<(u64, AlertChange, Severity)> {
    let mut seen = Vec::new();
    for second in from..from + secs {
        rig.count(second, 100 - bad, bad);
        let moved = rig.tick(second);
        seen.extend(
            moved
                .iter()
                .map(|transition| (second, transition.change, transition.row.severity)),
        );
    }
    seen
}

/// Scenario: a slow burn becomes an outage, becomes a slow burn again, ends.
/// Guarantees: fired as a ticket, escalated to a page once, eased without a message, resolved once; one id throughout;
/// each message goes to the tiers that fire, the last one to whoever was told.
#[test]
fn one_alert_escalates_eases_and_resolves() {
    let mut rig = rig();
    let onset = ONSET;
    let slow = pass(&mut rig, onset, 7_000, 1);
    assert_eq!(slow.len(), 1, "{slow:?}");
    assert_eq!(
        (slow[0].1, slow[0].2),
        (AlertChange::Fired, Severity::Ticket)
    );
    let first = rig.row(0).alert.clone().expect("an alert");
    assert_eq!(
        (first.state, first.tier.as_str()),
        (AlertState::Firing, "ticket")
    );

    let mut outage = Vec::new();
    for second in onset + 7_000..onset + 7_100 {
        rig.count(second, 0, 100);
        outage.extend(rig.tick(second));
    }
    assert_eq!(outage.len(), 1);
    assert_eq!(outage[0].change, AlertChange::Escalated);
    assert_eq!(outage[0].row.id, first.id);
    assert_eq!(outage[0].row.since, first.since);
    assert_eq!(outage[0].targets, ["chat", "pager"]);

    let calm = pass(&mut rig, onset + 7_100, 600, 1);
    assert_eq!(calm, [], "easing is silent");
    let eased = rig.row(0).alert.clone().expect("an alert");
    assert_eq!(
        (eased.state, eased.severity),
        (AlertState::Firing, Severity::Ticket)
    );
    assert_eq!(eased.id, first.id);

    let mut end = Vec::new();
    for second in onset + 7_700..onset + 7_700 + 2_000 {
        rig.count(second, 100, 0);
        end.extend(rig.tick(second));
    }
    assert_eq!(end.len(), 1);
    assert_eq!(end[0].change, AlertChange::Resolved);
    assert_eq!(end[0].row.id, first.id);
    assert_eq!(
        end[0].targets,
        ["chat", "pager"],
        "whoever was told hears of the end"
    );
    assert_eq!(rig.machine.alerts().len(), 1, "listed as resolved");
    let resolved = end[0].row.as_of.secs();
    rig.tick(resolved + 86_400);
    assert_eq!(rig.machine.alerts().len(), 1);
    rig.tick(resolved + 86_402);
    assert!(rig.machine.alerts().is_empty(), "for 24 h");
    assert_eq!(rig.row(0).alert, None);
}

/// Scenario: an outage of 2 min ends, but exporters are 2 min late, then silent, then back; a gap is reported.
/// Guarantees: the alert fires on incomplete windows and resolves only when the windows that say so are complete.
#[test]
fn an_incomplete_window_fires_and_never_resolves() {
    let mut availability = slo("availability", 999_000_000);
    availability.tiers = vec![tier("page", Severity::Page, 14_400, 3_600)];
    let mut rig = Rig::new(&[availability]);
    rig.fill(START, ONSET, 100);
    let onset = ONSET;
    let mut fired = 0;
    for second in onset..onset + 120 {
        rig.count(second, 0, 100);
        fired += rig.tick_with_watermark(second, None).len();
    }
    assert_eq!(
        fired, 1,
        "fires although nothing is known about completeness"
    );
    let clean = onset + 120;
    for second in clean..clean + 400 {
        rig.count(second, 100, 0);
        assert!(
            rig.tick_with_watermark(second, Some(second - 120))
                .is_empty(),
            "telemetry is late"
        );
    }
    let gap = Gap {
        from: Timestamp::from_secs(clean + 390),
        to: Timestamp::from_secs(clean + 399),
    };
    rig.machine.gap(gap);
    assert!(
        rig.tick(clean + 401).is_empty(),
        "counts are missing in the short window"
    );
    let mut resolved = None;
    for second in clean + 402..clean + 900 {
        rig.count(second, 100, 0);
        if !rig.tick_with_watermark(second, Some(second - 6)).is_empty() {
            resolved = Some(second);
            break;
        }
    }
    let left = clean + 399 + 300 - 1;
    assert_eq!(
        resolved,
        Some(left),
        "as soon as the gap has left the short window"
    );
}

/// Scenario: everything fails, then no request arrives any more, for hours; then good ones do.
/// Guarantees: silence does not resolve; the row says that it is stale.
#[test]
fn silence_does_not_resolve() {
    let mut rig = rig();
    let onset = ONSET;
    for second in onset..onset + 120 {
        rig.count(second, 0, 100);
        rig.tick(second);
    }
    for minute in 0..600 {
        assert!(rig.tick(onset + 120 + minute * 60).is_empty());
    }
    let row = rig.row(0);
    assert!(row.is_stale);
    assert_eq!(
        row.alert.as_ref().map(|alert| alert.state),
        Some(AlertState::Firing)
    );
    let back = onset + 120 + 36_000;
    let end = pass(&mut rig, back, 30, 0);
    assert_eq!(end.len(), 1);
    assert_eq!(end[0].1, AlertChange::Resolved);
    assert!(!rig.row(0).is_stale);
}

/// Scenario: a tier with `for: 1 min`; a burn of 40 s, a pause, a burn of 2 min.
/// Guarantees: pending is shown and not told; it ends silently; the second burn fires after a minute.
#[test]
fn a_tier_with_for_waits() {
    let mut availability = slo("availability", 999_000_000);
    availability.tiers = vec![tier("page", Severity::Page, 14_400, 3_600)];
    availability.tiers[0].long_secs = 600;
    availability.tiers[0].short_secs = 10;
    availability.tiers[0].for_secs = 60;
    let mut rig = Rig::new(&[availability]);
    let onset = START + 3_600;
    rig.fill(START, onset, 100);
    assert_eq!(pass(&mut rig, onset, 40, 100), []);
    let row = rig.row(0);
    let pending = row.alert.as_ref().expect("pending");
    assert_eq!(pending.state, AlertState::Pending);
    assert_eq!(pending.fired_at, None);
    assert!(
        pending.text.ends_with("Fires when it lasts 1 min."),
        "{}",
        pending.text
    );
    assert_eq!(rig.machine.alerts().len(), 1);
    assert_eq!(pass(&mut rig, onset + 40, 60, 0), []);
    assert_eq!(rig.row(0).alert, None);
    assert!(rig.machine.alerts().is_empty());
    let again = pass(&mut rig, onset + 100, 120, 100);
    assert_eq!(again.len(), 1);
    assert!((160..=162).contains(&(again[0].0 - onset)), "{again:?}");
}

/// Scenario: an outage fires, then late good events turn its numbers harmless.
/// Guarantees: the present numbers change; the recorded transition does not.
#[test]
fn late_events_change_numbers_not_transitions() {
    let mut rig = rig();
    let onset = ONSET;
    let mut fired = None;
    for second in onset..onset + 60 {
        rig.count(second, 0, 100);
        fired = fired.or(rig.tick(second).pop());
    }
    let fired = fired.expect("fires").row;
    rig.count_at(onset + 60, onset + 10, 1, 10_000_000, 0);
    rig.tick_with_watermark(onset + 60, None);
    let row = rig.row(0);
    assert_eq!(row.tiers[1].state, BurnState::Acceptable);
    assert_eq!(row.alert.as_deref(), Some(&*fired));
}

/// Scenario: a total outage of the canary beside a healthy baseline; a burn that all share; a latency SLO.
/// Guarantees: the text says what fails, how fast, how long is left, how much is left, and whose fault it is.
#[test]
fn the_text_says_it_in_words() {
    let mut rig = rig();
    let onset = ONSET;
    let mut texts = Vec::new();
    for second in onset..onset + 2_000 {
        rig.count_at(second, second, 1, 95, 0);
        rig.count_at(second, second, 2, 0, 5);
        texts.extend(
            rig.tick(second)
                .into_iter()
                .map(|transition| transition.row.text.clone()),
        );
    }
    let expected = "checkout (shop, production): 5 % of requests failed in the last 5 min: 50x what availability (99.9 %) \
        allows, 14.4x over 1 h. The budget of the 8 h 17 min observed so far is spent; 73.8 % overspent. Revision v2 \
        carries it: 1500 of its 1500 requests in the last 5 min, against 0 of 28500 of the others.";
    assert_eq!(texts, [expected]);
}

/// The same for a latency SLO with a budget that lasts, and for revisions that burn alike.
#[test]
fn the_text_of_a_latency_slo_counts_down() {
    let mut latency: Slo = slo("latency", 990_000_000);
    latency.sli = Sli::Latency {
        selector: SpanSelector::default(),
        threshold_nanos: 300_000_000,
    };
    let mut rig = Rig::new(&[latency]);
    let onset = START + 30 * 86_400;
    rig.fill(START, onset, 100);
    rig.tick(onset - 1);
    let mut texts = Vec::new();
    for second in onset..onset + 1_400 {
        rig.count_at(second, second, 1, 30, 20);
        rig.count_at(second, second, 2, 30, 20);
        texts.extend(
            rig.tick(second)
                .into_iter()
                .map(|transition| transition.row.text.clone()),
        );
    }
    let expected = "checkout (shop, production): 40 % of requests took longer than 300 ms in the last 5 min: 40x what latency \
        (99 %) allows, 14.4x over 1 h. At this rate the 30-day budget is gone in 17 h 38 min; 98 % left. Both revisions burn \
        alike: not one release alone.";
    assert_eq!(texts, [expected]);
}
