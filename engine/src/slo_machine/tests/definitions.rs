//! What a reload of the definitions does to state.

use super::rig::{Rig, START, definitions, service, slo, tier};
use crate::slo::{Severity, Sli, Slo, SpanSelector};
use crate::slo_machine::{AlertChange, SloMachine};
use crate::snapshot::AlertState;
use crate::time::Timestamp;

fn at(second: u64) -> Timestamp {
    Timestamp::from_secs(second)
}

/// Scenario: target, tiers and period change, the SLI does not; the period grows from 1 d to 30 d.
/// Guarantees: counts and a firing alert stay; new windows hold what was kept.
#[test]
fn counts_stay_while_the_sli_is_the_same() {
    let mut old = slo("availability", 999_000_000);
    old.period_secs = 86_400;
    old.tiers = vec![tier("page", Severity::Page, 14_400, 3_600)];
    let mut rig = Rig::new(std::slice::from_ref(&old));
    rig.fill(START, START + 7_200, 10);
    for second in START + 7_200..START + 7_300 {
        rig.count(second, 0, 10);
        rig.tick(second);
    }
    let fired = rig.row(0).alert.clone().expect("fires");
    let mut new = slo("availability", 995_000_000);
    new.tiers = vec![
        tier("page", Severity::Page, 1_000, 3_600),
        tier("slow", Severity::Ticket, 1_000, 4 * 86_400),
    ];
    let now = START + 7_300;
    rig.machine.set_definitions(at(now), &definitions(&[new]));
    assert!(rig.tick(now).is_empty());
    let row = rig.row(0);
    assert_eq!((row.period.good, row.period.bad), (72_000, 1_000));
    assert_eq!(
        row.windows.last().map(|window| window.counts.total()),
        Some(73_000)
    );
    let four_days = row
        .windows
        .iter()
        .find(|window| window.window_secs == 4 * 86_400)
        .expect("new window");
    assert_eq!(four_days.counts.bad, 1_000);
    assert_eq!(
        row.alert.as_ref().map(|alert| (alert.id, alert.state)),
        Some((fired.id, AlertState::Firing))
    );
    assert_eq!(row.observed_since, at(START));
}

/// Scenario: an SLO that fires is removed; another's SLI changes while it fires.
/// Guarantees: both alerts end with a message at the next tick; counts start anew.
#[test]
fn a_changed_sli_starts_anew() {
    let both = [
        slo("availability", 999_000_000),
        slo("removed", 999_000_000),
    ];
    let mut rig = Rig::new(&both);
    for second in START..START + 100 {
        rig.count(second, 0, 10);
        rig.tick(second);
    }
    assert_eq!(rig.machine.alerts().len(), 2);
    let mut changed = both[0].clone();
    changed.sli = Sli::Latency {
        selector: SpanSelector::default(),
        threshold_nanos: 1,
    };
    rig.machine
        .set_definitions(at(START + 100), &definitions(&[changed]));
    let told = rig.tick(START + 100);
    assert_eq!(
        told.iter()
            .map(|transition| transition.change)
            .collect::<Vec<_>>(),
        [AlertChange::Resolved; 2]
    );
    assert!(
        told.iter()
            .all(|transition| transition.row.state == AlertState::Resolved)
    );
    assert!(
        told[0]
            .row
            .text
            .contains("was removed or now measures something else")
    );
    assert_eq!(rig.row(0).period.total(), 0);
    assert_eq!(rig.machine.rows().len(), 1);
    assert_eq!(rig.machine.alerts().len(), 2, "listed as resolved");
    rig.count(START + 101, 1, 0);
    assert_eq!(
        rig.machine.losses().unknown_slo,
        1,
        "deltas of the removed SLO"
    );
}

/// Scenario: a service without a file is seen, gets a file, loses it again.
/// Guarantees: the implicit SLO is there exactly while no file defines one; it never alerts.
#[test]
fn the_implicit_slo_comes_and_goes() {
    let key = service("checkout");
    let implicit = Slo::implicit(&key);
    let mut machine = SloMachine::default();
    machine.ensure_implicit(at(START), &key);
    machine.ensure_implicit(at(START), &key);
    assert_eq!(machine.rows().keys().collect::<Vec<_>>(), [&implicit.id]);
    let named = slo("availability", 999_000_000);
    machine.set_definitions(at(START), &definitions(std::slice::from_ref(&named)));
    machine.ensure_implicit(at(START), &key);
    assert_eq!(machine.rows().keys().collect::<Vec<_>>(), [&named.id]);
    machine.set_definitions(at(START), &definitions(&[]));
    assert_eq!(machine.rows().keys().collect::<Vec<_>>(), [&implicit.id]);
    assert!(
        machine
            .row(implicit.id)
            .is_some_and(|row| row.slo.implicit && row.tiers.is_empty())
    );
}
