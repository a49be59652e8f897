//! What stands, through the whole core: rows begin and end with their conditions and never change who they are.

use engine::decider::Decider;
use engine::folder::FolderLimits;
use engine::hash::HashSeed;
use engine::identity::ServiceKey;
use engine::input::{DefinitionsLoaded, Gap, Input, LatchCleared};
use engine::machine::{Engine, EngineConfig};
use engine::slo::{BurnTier, Definitions, Ratio, ServicePolicy, Severity, Slo};
use engine::snapshot::Snapshot;
use engine::span::{kind, status};
use engine::span_rows::{SpanRow, batch, resource};
use engine::standing::{ENDED_KEPT_SECS, ENDED_MAX, Standing, Standings};
use engine::time::{NANOS_PER_MILLI, NANOS_PER_SEC, Timestamp};
use std::sync::Arc;

const SEED: HashSeed = HashSeed(11, 13);
const START: u64 = 1_700_000_000;
/// Requests a second of each revision.
const RATE: u64 = 66;

fn key() -> ServiceKey {
    ServiceKey {
        name: "checkout".to_owned(),
        ..ServiceKey::default()
    }
}

/// Availability 99 % of `checkout`; a ticket from a burn of 2, a page from one of 20, over a minute.
fn definitions(alertmanagers: &[&str], team: &str, targets: &[&str]) -> Input {
    let tier = |name: &str, severity, factor_milli| BurnTier {
        name: name.to_owned(),
        severity,
        factor_milli,
        long_secs: 60,
        short_secs: 5,
        for_secs: 0,
        targets: targets.iter().map(|&name| name.to_owned()).collect(),
    };
    let slo = Slo {
        id: Slo::id_of(key().id(), "answers"),
        name: "answers".to_owned(),
        target: Ratio::from_ppb(990_000_000),
        tiers: vec![
            tier("ticket", Severity::Ticket, 2_000),
            tier("page", Severity::Page, 20_000),
        ],
        implicit: false,
        ..Slo::implicit(&key())
    };
    let policy = ServicePolicy {
        team: team.to_owned(),
        level: engine::hand::Level::Observe,
        undo: false,
        ..Definitions::default().policy_of(&key())
    };
    let definitions = Definitions {
        slos: [(slo.id, slo)].into(),
        services: [(key().id(), policy)].into(),
        endpoints: vec!["hook".to_owned()],
        alertmanagers: alertmanagers.iter().map(|&name| name.to_owned()).collect(),
        ..Definitions::default()
    };
    Input::Definitions(DefinitionsLoaded {
        definitions: Some(Arc::new(definitions)),
        problems: Vec::new(),
    })
}

struct Run {
    engine: Engine,
    second: u64,
    snapshot: Snapshot,
}

impl Run {
    fn new(decider: Decider, second: u64) -> Self {
        let config = EngineConfig {
            seed: SEED,
            folders: 1,
            limits: FolderLimits {
                keys_per_shard: 4_096,
                units_per_shard: 4_096,
                ..FolderLimits::default()
            },
            store_bytes: 1 << 20,
        };
        Self {
            engine: Engine::new(&config, decider),
            second,
            snapshot: Snapshot::default(),
        }
    }

    fn tell(&mut self, input: Input) {
        let now = Timestamp::from_secs(self.second);
        self.engine.apply(now, input, &mut Vec::new());
    }

    /// Seconds in which every `fails_every`th request fails (0 = none).
    fn serve(&mut self, version: &str, seconds: u64, fails_every: u64) {
        let resource = resource(&[("service.name", "checkout"), ("service.version", version)]);
        for _ in 0..seconds {
            let rows: Vec<SpanRow> = (0..RATE)
                .map(|number| {
                    let id = u64::from(resource.hash as u32) << 32
                        | (self.second - START) << 12
                        | number;
                    let end = self.second * NANOS_PER_SEC + number * (NANOS_PER_SEC / RATE);
                    let row = SpanRow::new(
                        &resource,
                        (u128::from(id) << 7 | 1, id | 1),
                        (end - 5 * NANOS_PER_MILLI, end),
                        kind::SERVER,
                    );
                    if fails_every > 0 && number.is_multiple_of(fails_every) {
                        row.with_status(status::ERROR)
                    } else {
                        row
                    }
                })
                .collect();
            self.second += 1;
            let received = Timestamp::from_secs(self.second);
            let spans = batch(SEED, received, &rows);
            self.engine.fold(Arc::new(spans.into()));
            self.snapshot = self.engine.tick(received, &mut Vec::new());
        }
    }

    fn rows(&self) -> Vec<Arc<Standing>> {
        let standings = &self.snapshot.standings;
        let mut rows: Vec<_> = standings.rows().map(|(_, row)| Arc::clone(row)).collect();
        rows.sort_by_key(|row| row.severity);
        rows
    }

    /// Severity, and whether it still holds, of every row.
    fn severities(&self) -> Vec<(Severity, bool)> {
        let rows = self.rows();
        rows.iter()
            .map(|row| (row.severity, row.ended.is_none()))
            .collect()
    }
}

/// Scenario: a service fails 3 % of its requests, then half of them, then 3 %, then none; its team changes meanwhile.
/// Guarantees: the ticket stands from beginning to end; the page joins it and ends when only the ticket remains; who a row
/// is never changes; what did not change is shared with the view before.
#[test]
fn a_page_joins_its_ticket_and_each_ends_with_its_condition() {
    let mut run = Run::new(Decider::default(), START);
    run.tell(definitions(&["main"], "payments", &[]));
    run.serve("v1", 90, 33);
    assert_eq!(run.severities(), [(Severity::Ticket, true)]);
    let ticket = run.rows().remove(0);
    assert_eq!(ticket.endpoints, ["main"]);

    let before = Arc::clone(&run.snapshot.standings);
    run.serve("v1", 1, 33);
    assert!(Arc::ptr_eq(&before, &run.snapshot.standings));

    run.tell(definitions(&["main"], "checkout-team", &[]));
    run.serve("v1", 40, 2);
    assert_eq!(
        run.severities(),
        [(Severity::Ticket, true), (Severity::Page, true)]
    );
    let rows = run.rows();
    assert_eq!(rows[0].team, "payments", "as when it began");
    assert_eq!(rows[0].began, ticket.began);
    assert_eq!(rows[0].id(), ticket.id());
    assert_ne!(rows[0].text, ticket.text, "its words are the newest");
    assert_eq!(rows[1].team, "checkout-team");
    assert!(rows[1].began > ticket.began);

    run.serve("v1", 12, 33);
    assert_eq!(
        run.severities(),
        [(Severity::Ticket, true), (Severity::Page, false)]
    );
    run.serve("v1", 12, 0);
    assert_eq!(
        run.severities(),
        [(Severity::Ticket, false), (Severity::Page, false)]
    );
    let over = run.rows().remove(0);
    assert_eq!(over.began, ticket.began);
    assert!(over.text.contains("no longer burns"), "{}", over.text);
}

/// Scenario: an alert fires and the process stops; it comes back from its checkpoint with a gap and without telemetry; an
/// Alertmanager is added, then its policy names another one.
/// Guarantees: it stands all the time, is there before the first tick, and whoever was shown it stays.
#[test]
fn it_stands_through_a_restart_and_new_definitions() {
    let mut run = Run::new(Decider::default(), START);
    run.tell(definitions(&[], "payments", &[]));
    run.serve("v1", 30, 2);
    assert!(run.rows()[0].endpoints.is_empty(), "nobody is configured");
    let bytes = postcard::to_stdvec(run.engine.decider()).unwrap();
    let restored: Decider = postcard::from_bytes(&bytes).unwrap();
    let mut again = Run::new(restored, run.second + 3_600);
    let first = again.engine.snapshot();
    assert_eq!(first.standings, run.snapshot.standings);
    let gap = Gap {
        from: Timestamp::from_secs(run.second),
        to: Timestamp::from_secs(again.second),
    };
    again.tell(Input::Gap(gap));
    again.tell(definitions(&["main"], "payments", &[]));
    for _ in 0..100 {
        again.second += 1;
        let now = Timestamp::from_secs(again.second);
        again.snapshot = again.engine.tick(now, &mut Vec::new());
    }
    assert_eq!(
        again.severities(),
        [(Severity::Ticket, true), (Severity::Page, true)],
        "silence ends nothing"
    );
    assert_eq!(again.rows()[0].endpoints, ["main"]);
    again.tell(definitions(&["main", "other"], "payments", &["other"]));
    again.serve("v1", 2, 2);
    assert!(again.rows()[0].endpoints.contains(&"main".to_owned()));
    assert_eq!(again.rows()[0].ended, None);
}

/// Scenario: a canary is halted, then its latch is cleared with a reason; an SLO that fires is removed.
/// Guarantees: the Halt stands until it is cleared, and says why it ended; the alert of the removed SLO ends.
#[test]
fn a_halt_stands_until_it_is_cleared() {
    let mut run = Run::new(Decider::default(), START);
    run.tell(definitions(&["main"], "payments", &[]));
    run.serve("v1", 20, 0);
    let halts = |run: &Run| -> Vec<Arc<Standing>> {
        let mut rows = run.rows();
        rows.retain(|row| row.halted().is_some());
        rows
    };
    let mut seconds = 0;
    while halts(&run).is_empty() {
        run.second -= u64::from(seconds > 0);
        run.serve("v1", 1, 0);
        run.second -= 1;
        run.serve("v2", 1, 2);
        run.second += 1;
        seconds += 1;
        assert!(seconds < 60, "no halt");
    }
    let halt = halts(&run).remove(0);
    assert_eq!((halt.ended, halt.team.as_str()), (None, "payments"));
    assert!(halt.title.starts_with("HALT checkout v2"), "{}", halt.title);
    run.tell(Input::Override(LatchCleared {
        id: "1".to_owned(),
        service: "checkout".to_owned(),
        namespace: String::new(),
        environment: String::new(),
        candidate: "v2".to_owned(),
        reason: "a load test".to_owned(),
        author: String::new(),
    }));
    run.serve("v1", 1, 0);
    let over = halts(&run).remove(0);
    assert!(over.ended.is_some());
    assert_eq!(over.text, "cleared: a load test");
    assert_eq!(over.id(), halt.id());

    run.serve("v1", 20, 2);
    assert!(run.severities().contains(&(Severity::Page, true)));
    run.tell(Input::Definitions(DefinitionsLoaded {
        definitions: Some(Arc::default()),
        problems: Vec::new(),
    }));
    run.serve("v1", 1, 0);
    assert!(run.rows().iter().all(|row| row.ended.is_some()));
}

/// Scenario: more ends than are kept; a day passes.
/// Guarantees: the oldest ends leave first, what holds stays, after a day no end is left.
#[test]
fn ends_are_bounded() {
    let mut run = Run::new(Decider::default(), START);
    run.tell(definitions(&["main"], "payments", &[]));
    run.serve("v1", 30, 2);
    let pattern = Standing::clone(&run.rows()[0]);
    let mut standings = Standings::default();
    standings.begin(pattern.clone());
    for number in 0..ENDED_MAX as u64 + 5 {
        let other = Standing {
            team: format!("team {number}"),
            ..pattern.clone()
        };
        let id = other.id();
        standings.begin(other);
        standings.end(id, pattern.began.plus(number), "");
    }
    for id in standings.forgotten(pattern.began) {
        standings.forget(id);
    }
    assert_eq!(standings.rows().count(), ENDED_MAX + 1);
    let first = Standing {
        team: "team 4".to_owned(),
        ..pattern.clone()
    };
    assert!(standings.rows().all(|(id, _)| id != first.id()));
    let day = pattern.began.plus((ENDED_KEPT_SECS + 1) * NANOS_PER_SEC);
    for id in standings.forgotten(day.plus(ENDED_MAX as u64 + 5)) {
        standings.forget(id);
    }
    assert_eq!(standings.rows().count(), 1, "what holds stays");
}
