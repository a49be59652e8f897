//! What there is to tell: samples of every event, alerts that fire right now, and a marked test.

use clap::ValueEnum;
use engine::alert::AlertChange;
use engine::decider::notify;
use engine::gate::answer::{Answer, Arm, Code, Evidence, Need, Phase, Verdict};
use engine::identity::{RevisionId, ServiceKey};
use engine::input::Notification;
use engine::slo::{Maturity, Severity, Slo, SloId};
use engine::snapshot::{AlertRow, AlertState, Decision};
use engine::standing::Standing;
use engine::time::{NANOS_PER_SEC, Timestamp};
use query::wire::AlertBody;
use std::sync::Arc;

/// Service of `tidegate alerts test`.
pub(super) const TEST_SERVICE: &str = "tidegate-test";

/// The events that people hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Event {
    /// A ticket begins
    #[default]
    #[value(name = "alert.firing")]
    Firing,
    /// The ticket becomes a page
    #[value(name = "alert.escalated")]
    Escalated,
    /// It is over
    #[value(name = "alert.resolved")]
    Resolved,
    /// A revision is halted
    #[value(name = "gate.halt")]
    Halt,
    /// Somebody cleared the halt
    #[value(name = "gate.latch_cleared")]
    Cleared,
}

impl Event {
    /// As in messages and in `events` of the configuration.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Firing => "alert.firing",
            Self::Escalated => "alert.escalated",
            Self::Resolved => "alert.resolved",
            Self::Halt => "gate.halt",
            Self::Cleared => "gate.latch_cleared",
        }
    }

    /// Every event, in the order of a story.
    pub(super) const ALL: [Self; 5] = [
        Self::Firing,
        Self::Escalated,
        Self::Resolved,
        Self::Halt,
        Self::Cleared,
    ];
}

/// One thing to tell, for both kinds of endpoints.
#[derive(Debug, Clone)]
pub(super) struct Occasion {
    /// For webhooks: the change.
    pub(super) notification: Notification,
    /// For Alertmanagers: what stands after it.
    pub(super) standings: Vec<Standing>,
}

impl Occasion {
    /// A sample of `event`.
    pub(super) fn sample(event: Event, now: Timestamp) -> Self {
        let ticket = alert(now, Severity::Ticket, AlertState::Firing, SAMPLE);
        match event {
            Event::Firing => Self::firing(&ticket, AlertChange::Fired, now),
            Event::Escalated => {
                let page = alert(now, Severity::Page, AlertState::Firing, SAMPLE);
                let mut told = Self::firing(&page, AlertChange::Escalated, now);
                let ticket = Standing::of_alert(&page, Severity::Ticket, &[]);
                told.standings.insert(0, ticket);
                told
            }
            Event::Resolved => {
                let resolved = alert(now, Severity::Ticket, AlertState::Resolved, SAMPLE);
                Self::resolved(&ticket, &resolved, now)
            }
            Event::Halt | Event::Cleared => Self::gate(event, SAMPLE, now),
        }
    }

    /// An alert that fires right now, from what the API says of it; `None` when a field cannot be read.
    pub(super) fn live(body: &AlertBody, now: Timestamp) -> Option<Self> {
        let service = ServiceKey {
            tenant: String::new(),
            environment: body.environment.clone(),
            namespace: body.namespace.clone(),
            name: body.service.clone(),
        };
        let severity = if body.severity == Severity::Page.name() {
            Severity::Page
        } else {
            Severity::Ticket
        };
        let row = AlertRow {
            id: u128::from_str_radix(&body.id, 16).ok()?,
            slo_id: SloId(u128::from_str_radix(&body.slo_id, 16).ok()?),
            slo: body.slo.clone(),
            service,
            team: body.team.clone(),
            state: AlertState::Firing,
            severity,
            tier: body.tier.clone(),
            since: time(&body.since)?,
            fired_at: time(&body.fired_at),
            resolved_at: None,
            as_of: time(&body.as_of)?,
            text: body.text.clone(),
            long_burn: body.long_burn_rate,
            short_burn: body.short_burn_rate,
            budget_remaining: body.budget_remaining,
        };
        Some(Self::firing(&Arc::new(row), AlertChange::Fired, now))
    }

    /// A marked test of `severity`: it fires, and is over at once.
    pub(super) fn test(severity: Severity, now: Timestamp) -> [Self; 2] {
        let fires = alert(now, severity, AlertState::Firing, TEST);
        let over = alert(now, severity, AlertState::Resolved, TEST);
        [
            Self::firing(&fires, AlertChange::Fired, now).marked(),
            Self::resolved(&fires, &over, now).marked(),
        ]
    }

    /// A marked test of one `event`, for an endpoint that wants nothing else.
    pub(super) fn test_of(event: Event, severity: Severity, now: Timestamp) -> Self {
        let [fires, over] = Self::test(severity, now);
        match event {
            Event::Firing => fires,
            Event::Resolved => over,
            Event::Escalated => {
                let row = alert(now, Severity::Page, AlertState::Firing, TEST);
                Self::firing(&row, AlertChange::Escalated, now).marked()
            }
            Event::Halt | Event::Cleared => Self::gate(event, TEST, now).marked(),
        }
    }

    fn firing(row: &Arc<AlertRow>, change: AlertChange, now: Timestamp) -> Self {
        Self {
            notification: notify::of_alert(change, row, now),
            standings: vec![Standing::of_alert(row, row.severity, &[])],
        }
    }

    fn resolved(fired: &Arc<AlertRow>, row: &Arc<AlertRow>, now: Timestamp) -> Self {
        let standing = Standing {
            text: row.text.clone(),
            ended: Some(now),
            ..Standing::of_alert(fired, fired.severity, &[])
        };
        Self {
            notification: notify::of_alert(AlertChange::Resolved, row, now),
            standings: vec![standing],
        }
    }

    fn gate(event: Event, story: Story, now: Timestamp) -> Self {
        let halt = Arc::new(decision(story, now, ""));
        let standing = Standing::of_halt(&halt, story.team);
        if event == Event::Halt {
            return Self {
                notification: notify::of_latch(&halt, now),
                standings: vec![standing],
            };
        }
        let cleared = Arc::new(decision(story, now, "a false alarm: the load test (jane)"));
        let standing = Standing {
            text: format!("cleared: {}", cleared.cleared_reason),
            ended: Some(now),
            ..standing
        };
        Self {
            notification: notify::of_latch(&cleared, now),
            standings: vec![standing],
        }
    }

    /// Says in the first word that it is a test.
    fn marked(mut self) -> Self {
        let mark = |title: &mut String| *title = format!("TEST, nothing is wrong: {title}");
        mark(&mut self.notification.title);
        self.standings
            .iter_mut()
            .for_each(|one| mark(&mut one.title));
        self
    }
}

/// Whom a sample is about.
#[derive(Debug, Clone, Copy)]
struct Story {
    service: &'static str,
    namespace: &'static str,
    environment: &'static str,
    team: &'static str,
    slo: &'static str,
    text: &'static str,
    over: &'static str,
}

const SAMPLE: Story = Story {
    service: "checkout",
    namespace: "shop",
    environment: "production",
    team: "payments",
    slo: "checkout-availability",
    text: "checkout (shop, production): 0.72 % of requests failed in the last 2 h: 7.2x what Orders go through (99.9 %) allows, 3.4x over 1 d. At this rate the 30-day budget is gone in 2 d 14 h; 64 % left.",
    over: "checkout (shop, production): Orders go through no longer burns: 0.1x over the last 2 h. It burned for 47 min and took 3.1 % of the 30-day budget; 64 % left.",
};

const TEST: Story = Story {
    service: TEST_SERVICE,
    namespace: "",
    environment: "",
    team: "",
    slo: "test",
    text: "This is a test, made by `tidegate alerts test`. Nothing is wrong, and it is over at once.",
    over: "This is a test, made by `tidegate alerts test`. Nothing was wrong, and it is over.",
};

impl Story {
    fn key(self) -> ServiceKey {
        ServiceKey {
            tenant: String::new(),
            environment: self.environment.to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.service.to_owned(),
        }
    }
}

fn alert(now: Timestamp, severity: Severity, state: AlertState, story: Story) -> Arc<AlertRow> {
    let is_over = state == AlertState::Resolved;
    let service = story.key();
    let slo_id = Slo::id_of(service.id(), story.slo);
    let tier = if severity == Severity::Page {
        "page-fast"
    } else {
        "ticket-fast"
    };
    Arc::new(AlertRow {
        id: slo_id.0.rotate_left(64),
        slo_id,
        slo: story.slo.to_owned(),
        service,
        team: story.team.to_owned(),
        state,
        severity,
        tier: tier.to_owned(),
        since: now,
        fired_at: Some(now),
        resolved_at: is_over.then_some(now),
        as_of: now,
        text: if is_over { story.over } else { story.text }.to_owned(),
        long_burn: if is_over { 2.9 } else { 3.4 },
        short_burn: if is_over { 0.1 } else { 7.2 },
        budget_remaining: 0.64,
    })
}

/// A latched Halt, or with a `reason` its clearing.
fn decision(story: Story, now: Timestamp, reason: &str) -> Decision {
    let answer = Answer {
        verdict: Verdict::Halt,
        code: Code::RegressionErrors,
        service: story.key(),
        candidate: "v2".to_owned(),
        candidate_id: Some(RevisionId(2)),
        baseline: vec!["v1".to_owned()],
        phase: Phase::Advance,
        reasons: vec![
            "v2 failed 10 of 22 requests (45 %), v1 failed 1 of 528 requests (0.2 %) in the same seconds"
                .to_owned(),
        ],
        notes: Vec::new(),
        counterfactual: "would not have halted if v2 had failed at most about 1 of its 22 requests"
            .to_owned(),
        need: Need::default(),
        evidence: Evidence {
            candidate: Arm {
                units: 22,
                failed: 10,
            },
            baseline: Arm {
                units: 528,
                failed: 1,
            },
            ..Evidence::default()
        },
        decision_id: 0,
        as_of: now,
        valid_until: now.plus(10 * NANOS_PER_SEC),
        maturity: Maturity::Growth,
    };
    Decision {
        id: story.key().id().0,
        previous: 0,
        number: 1,
        answer,
        latched: reason.is_empty(),
        cleared_reason: reason.to_owned(),
    }
}

/// RFC 3339 as the API writes it.
fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}
