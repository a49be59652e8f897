//! Tests of the state machine's table and of the words.

use super::words::{duration, factor, percent, period, target};
use super::{Alert, Reading, Step};
use crate::slo::{BurnTier, Ratio, Severity};
use crate::snapshot::{AlertRow, AlertState};
use crate::time::Timestamp;
use Reading::{Burns, Open, Over};

fn tiers() -> Vec<BurnTier> {
    let tier = |name: &str, severity, factor_milli, for_secs| BurnTier {
        name: name.to_owned(),
        severity,
        factor_milli,
        long_secs: 3_600,
        short_secs: 300,
        for_secs,
        targets: Vec::new(),
    };
    vec![
        tier("ticket", Severity::Ticket, 1_000, 0),
        tier("page", Severity::Page, 14_400, 0),
        tier("page-slow", Severity::Page, 6_000, 60),
    ]
}

/// An alert in the state that `readings` lead to, one tick a second from second 0.
struct Run {
    alert: Alert,
    second: u64,
}

impl Run {
    fn new() -> Self {
        let mut alert = Alert::default();
        alert.set_tiers(&tiers());
        Self { alert, second: 0 }
    }

    /// One tick; the row is entered as the machine does it.
    fn step(&mut self, readings: [Reading; 3]) -> Step {
        let now = Timestamp::from_secs(self.second);
        let step = self.alert.step(now, &tiers(), &readings);
        let (state, tier) = match step {
            Step::Same => (None, 0),
            Step::Dropped => {
                self.alert.drop_pending();
                (None, 0)
            }
            Step::Pending(tier) => (Some(AlertState::Pending), tier),
            Step::Fired(tier) | Step::Escalated(tier) | Step::Eased(tier) => {
                (Some(AlertState::Firing), tier)
            }
            Step::Resolved => (Some(AlertState::Resolved), 0),
        };
        if let Some(state) = state {
            let since = self.alert.since(now);
            self.alert.enter(row(state, &tiers()[tier], since, now));
        }
        self.second += 1;
        step
    }
}

fn row(state: AlertState, tier: &BurnTier, since: Timestamp, now: Timestamp) -> AlertRow {
    AlertRow {
        id: 1,
        slo_id: crate::slo::SloId(1),
        slo: "availability".to_owned(),
        service: crate::identity::ServiceKey::default(),
        team: String::new(),
        state,
        severity: tier.severity,
        tier: tier.name.clone(),
        since,
        fired_at: None,
        resolved_at: (state == AlertState::Resolved).then_some(now),
        as_of: now,
        text: String::new(),
        long_burn: 0.0,
        short_burn: 0.0,
        budget_remaining: 1.0,
    }
}

/// Scenario: every row of the module's table, as a walk.
/// Guarantees: each state moves as documented, open readings never end anything.
#[test]
fn the_table_holds() {
    type Walk = Vec<([Reading; 3], Step)>;
    let walks: [(&str, Walk); 7] = [
        (
            "inactive stays",
            vec![([Over; 3], Step::Same), ([Open; 3], Step::Same)],
        ),
        (
            "a ticket fires, escalates, eases, resolves",
            vec![
                ([Burns, Over, Over], Step::Fired(0)),
                ([Burns, Over, Over], Step::Same),
                ([Burns, Burns, Over], Step::Escalated(1)),
                ([Over, Burns, Over], Step::Same),
                ([Burns, Over, Over], Step::Eased(0)),
                ([Over, Over, Over], Step::Resolved),
                ([Over, Over, Over], Step::Same),
            ],
        ),
        (
            "open keeps a firing one",
            vec![
                ([Over, Burns, Over], Step::Fired(1)),
                ([Open, Open, Open], Step::Same),
                ([Over, Open, Over], Step::Same),
                ([Over, Over, Open], Step::Resolved),
            ],
        ),
        (
            "open starts nothing",
            vec![
                ([Open; 3], Step::Same),
                ([Open, Open, Burns], Step::Pending(2)),
            ],
        ),
        (
            "pending drops",
            vec![
                ([Over, Over, Burns], Step::Pending(2)),
                ([Over, Over, Open], Step::Same),
                ([Over, Over, Over], Step::Dropped),
            ],
        ),
        (
            "a page fires at once and is not outranked",
            vec![
                ([Burns, Burns, Burns], Step::Fired(1)),
                ([Burns, Burns, Burns], Step::Same),
            ],
        ),
        (
            "a resolved one fires again",
            vec![
                ([Burns, Over, Over], Step::Fired(0)),
                ([Over, Over, Over], Step::Resolved),
                ([Burns, Over, Over], Step::Fired(0)),
            ],
        ),
    ];
    for (name, walk) in walks {
        let mut run = Run::new();
        for (at, (readings, expected)) in walk.into_iter().enumerate() {
            assert_eq!(run.step(readings), expected, "{name}, step {at}");
        }
    }
}

/// Scenario: a tier with `for` of 60 s; once held all the time, once interrupted by an open and by a proven end.
/// Guarantees: it fires at 60 s; an open tick does not restart the clock, an end does.
#[test]
fn for_is_waited_out() {
    let mut run = Run::new();
    assert_eq!(run.step([Over, Over, Burns]), Step::Pending(2));
    for _ in 1..60 {
        assert_eq!(run.step([Over, Over, Burns]), Step::Same);
    }
    assert_eq!(run.step([Over, Over, Burns]), Step::Fired(2));
    assert_eq!(
        run.alert.current().map(|row| row.since),
        Some(Timestamp::EPOCH)
    );

    let mut run = Run::new();
    run.step([Over, Over, Burns]);
    for _ in 1..61 {
        assert_eq!(run.step([Over, Over, Open]), Step::Same, "open never fires");
    }
    assert_eq!(run.step([Over, Over, Burns]), Step::Fired(2));

    let mut run = Run::new();
    run.step([Over, Over, Burns]);
    assert_eq!(run.step([Over, Over, Over]), Step::Dropped);
    assert_eq!(run.step([Over, Over, Burns]), Step::Pending(2));
    assert_eq!(
        run.alert.current().map(|row| row.since),
        Some(Timestamp::from_secs(2))
    );
}

/// Scenario: numbers as people read them.
/// Guarantees: two units of time, exact targets, shares never rounded to 0 % or 100 %.
#[test]
fn numbers_read_well() {
    let durations = [
        (0, "0 s"),
        (45, "45 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (7_800, "2 h 10 min"),
        (7_201, "2 h"),
        (93_600, "1 d 2 h"),
        (30 * 86_400, "30 d"),
        (u64::MAX, "more than 10 years"),
    ];
    for (secs, text) in durations {
        assert_eq!(duration(secs), text);
    }
    let shares = [
        (0.0, "0 %"),
        (0.64, "64 %"),
        (0.1423, "14.2 %"),
        (0.001, "0.1 %"),
        (0.99996, "99.99 %"),
        (1.0, "100 %"),
        (1e-7, "less than 0.01 %"),
        (12.5, "1250 %"),
    ];
    for (share, text) in shares {
        assert_eq!(percent(share), text);
    }
    for (burn, text) in [
        (1_000.0, "1000"),
        (14.4, "14.4"),
        (10.0, "10"),
        (0.933, "0.93"),
        (3.0, "3"),
    ] {
        assert_eq!(factor(burn), text);
    }
    assert_eq!(target(Ratio::from_ppb(999_000_000)), "99.9 %");
    assert_eq!(target(Ratio::from_ppb(999_999_999)), "99.9999999 %");
    assert_eq!(target(Ratio::from_ppb(990_000_000)), "99 %");
    assert_eq!(period(30 * 86_400), "30-day");
    assert_eq!(period(3_600), "1-hour");
    assert_eq!(period(5_400), "90-minute");
}
