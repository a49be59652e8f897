//! A fleet made by hand: one service in each kind of trouble, and one whose names try to do something.

use engine::cascade::node::Node;
use engine::delta::{Connection, Fate, Mark, Marks, PeerId};
use engine::gate::answer::{
    Answer, Arm, Code, Evidence, Need, Phase, Process, ServiceGate, Verdict,
};
use engine::graph::history::EdgeCell;
use engine::graph::{EdgeRow, GraphView, NodeKind, NodeRow};
use engine::identity::{Identity, ServiceKey};
use engine::input::{Gap, Problem};
use engine::items::Signal;
use engine::slo::{Maturity, ServicePolicy, Severity, Slo, default_tiers};
use engine::snapshot::{
    AlertRow, AlertState, BurnState, Counts, Decision, EngineStatus, EventRow, Point, RevisionRow,
    ServiceRow, SliceRow, SloRow, Snapshot, TierRow, WindowRow,
};
use engine::source::{Sampling, SourceRow};
use engine::time::{NANOS_PER_SEC, Timestamp};
use std::sync::Arc;

/// Logical time of the sample.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Markup, a character that turns text around, and an attribute that would end.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\"><img onerror=x>🦑אבג";
const MINUTES: u64 = 180;

/// What differs between the services of the sample.
struct Case<'a> {
    name: &'a str,
    team: &'a str,
    versions: &'a [&'a str],
    code: Option<(Verdict, Code)>,
    bad_permille: u64,
    alert: Option<Severity>,
}

/// The whole sample.
pub(crate) fn snapshot() -> Snapshot {
    let long = "x".repeat(10_000);
    let calm = Case {
        name: "calm",
        team: "core",
        versions: &["31.0.2"],
        code: None,
        bad_permille: 0,
        alert: None,
    };
    let halted = (Verdict::Halt, Code::RegressionErrors);
    let waiting = (Verdict::Wait, Code::LowTraffic);
    let proceeding = (Verdict::Proceed, Code::Evidence);
    let cases = [
        Case {
            name: "halted",
            team: "checkout-team",
            versions: &["v2", "v1"],
            code: Some(halted),
            bad_permille: 2,
            ..calm
        },
        Case {
            name: "paging",
            team: "payments-team",
            bad_permille: 14,
            alert: Some(Severity::Page),
            ..calm
        },
        Case {
            name: "ticketing",
            bad_permille: 8,
            alert: Some(Severity::Ticket),
            ..calm
        },
        Case {
            name: "poor",
            versions: &["8.1", "8.0"],
            code: Some(waiting),
            bad_permille: 9,
            ..calm
        },
        Case {
            name: "passing",
            versions: &["v21", "v20"],
            code: Some(proceeding),
            bad_permille: 1,
            ..calm
        },
        Case {
            name: "anonymous",
            team: "",
            versions: &[""],
            ..calm
        },
        Case {
            name: HOSTILE,
            team: HOSTILE,
            versions: &[HOSTILE, &long],
            code: Some(waiting),
            ..calm
        },
        calm,
    ];
    let mut snapshot = Snapshot {
        as_of: NOW,
        ..Snapshot::default()
    };
    for case in &cases {
        add(&mut snapshot, case);
    }
    snapshot.decisions.reverse();
    snapshot.events = Arc::new(events());
    snapshot.status = Arc::new(status());
    snapshot.graph = Arc::new(graph(&snapshot));
    snapshot.store.bytes = 28 << 20;
    snapshot.store.bytes_max = 512 << 20;
    snapshot.store.held = engine::store::ItemCounts::new([204_942, 88_120, 51_007]);
    snapshot
}

fn add(snapshot: &mut Snapshot, case: &Case<'_>) {
    let identities: Vec<Identity> = case
        .versions
        .iter()
        .map(|version| identity(case.name, version))
        .collect();
    let (key, id) = (identities[0].service.clone(), identities[0].service_id);
    let slo = slo(case, &identities);
    if let Some(alert) = &slo.alert {
        snapshot.alerts.push(Arc::clone(alert));
    }
    let mut candidates = Vec::new();
    if let Some((verdict, code)) = case.code {
        candidates.push(record(snapshot, answer(&identities, verdict, code)));
    }
    let gate = ServiceGate {
        service_id: id,
        admit: answer(&identities, Verdict::Proceed, Code::Admitted),
        candidates,
        live: identities
            .iter()
            .map(|identity| identity.revision.id)
            .collect(),
        baseline: identities
            .iter()
            .skip(1)
            .map(|identity| identity.revision.id)
            .collect(),
    };
    let service = ServiceRow {
        id,
        policy: ServicePolicy {
            service: key.clone(),
            maturity: Maturity::Growth,
            team: case.team.to_owned(),
            level: engine::hand::Level::Observe,
            undo: false,
            implicit: case.team.is_empty(),
        },
        key,
        revisions: identities.iter().enumerate().map(revision).collect(),
        slos: vec![slo.slo.id],
        first_seen: before(MINUTES),
        last_seen: NOW,
    };
    snapshot.gates.insert(id, Arc::new(gate));
    snapshot.slos.insert(slo.slo.id, Arc::new(slo));
    snapshot.services.insert(id, Arc::new(service));
}

fn identity(name: &str, version: &str) -> Identity {
    let attributes = [
        ("service.name", name),
        ("service.version", version),
        ("service.namespace", "shop"),
        ("deployment.environment.name", "production"),
    ];
    Identity::resolve(|key| {
        attributes
            .iter()
            .find(|(known, value)| *known == key && !value.is_empty())
            .map(|(_, value)| *value)
    })
}

fn before(minutes: u64) -> Timestamp {
    NOW.minus(minutes * 60 * NANOS_PER_SEC)
}

fn revision((index, identity): (usize, &Identity)) -> RevisionRow {
    RevisionRow {
        revision: identity.revision.clone(),
        first_seen: before(if index == 0 { 25 } else { MINUTES }),
        last_seen: NOW,
        spans_last_minute: if index == 0 { 1_310 } else { 1_234_567 },
        instances: 1 + index as u64,
        is_live: true,
        is_known_good: index > 0,
        lag_secs: 0.4,
        sources: sources(&identity.revision.value, index),
        sdks: vec!["java 1.62.0".to_owned()],
    }
}

/// `halted` arrives late and tail-sampled, the others as they should; logs come beside spans.
fn sources(version: &str, index: usize) -> Vec<SourceRow> {
    let is_bad = version == "v2";
    let mut marks = Marks::default();
    marks.add(Mark::Entry, 900);
    let spans = SourceRow {
        signal: Signal::Traces,
        items_last_minute: if index == 0 { 1_310 } else { 1_234_567 },
        lag_nanos: Some(if is_bad { 31_000_000_000 } else { 400_000_000 }),
        is_late: is_bad,
        sampling: if is_bad {
            Sampling::Tail
        } else {
            Sampling::None
        },
        items: 6_000,
        marks,
        odd: 0,
        last_seen: NOW,
    };
    let records = SourceRow {
        signal: Signal::Logs,
        items_last_minute: 77,
        marks: Marks::default(),
        ..spans
    };
    vec![spans, records]
}

/// Minute by minute: calm, then a bump of failures 20 minutes ago.
fn history(case: &Case<'_>) -> Vec<Point> {
    let minutes = (0..MINUTES)
        .rev()
        .filter(|minute| !(60..64).contains(minute));
    let point = |minute: u64| {
        let total = 600 + minute % 7 * 11;
        let per_mille = if (12..24).contains(&minute) {
            case.bad_permille * 10
        } else {
            case.bad_permille / 3
        };
        let bad = total * per_mille / 1_000;
        Point {
            at: before(minute),
            counts: Counts {
                good: total - bad,
                bad,
            },
        }
    };
    minutes.map(point).collect()
}

fn slo(case: &Case<'_>, identities: &[Identity]) -> SloRow {
    let slo = Slo {
        display_name: format!("{} answers", case.name),
        tiers: default_tiers(),
        implicit: case.team.is_empty(),
        defined_at: "shop.yaml:18:9".to_owned(),
        ..Slo::implicit(&identities[0].service)
    };
    let history = history(case);
    let period = history.iter().fold(Counts::default(), |sum, point| Counts {
        good: sum.good + point.counts.good,
        bad: sum.bad + point.counts.bad,
    });
    let budget = slo.target.complement().as_f64();
    let burn = period.bad_ratio().map(|ratio| ratio / budget);
    let window = |window_secs| WindowRow {
        window_secs,
        counts: period,
        burn,
    };
    SloRow {
        budget_remaining: burn.map(|burn| 1.0 - burn),
        bad_allowed: (period.total() / 100) as i64 - period.bad as i64,
        windows: [300, 3_600, 21_600, slo.period_secs].map(window).to_vec(),
        tiers: slo
            .tiers
            .iter()
            .zip([
                BurnState::Critical,
                BurnState::Recovering,
                BurnState::Increasing,
                BurnState::Acceptable,
            ])
            .map(|(tier, state)| TierRow {
                name: tier.name.clone(),
                severity: tier.severity,
                factor_milli: tier.factor_milli,
                long_secs: tier.long_secs,
                short_secs: tier.short_secs,
                long_burn: burn,
                short_burn: burn,
                state,
                is_guarded: false,
                budget_share: burn,
            })
            .collect(),
        alert: case
            .alert
            .map(|severity| Arc::new(alert(&slo, case.team, severity))),
        exhausted_in_secs: burn
            .filter(|burn| *burn > 0.0)
            .map(|burn| if burn < 1.0 { 7_800 } else { 0 }),
        observed_since: before(MINUTES),
        last_event: NOW,
        is_stale: case.versions == [""],
        in_doubt: 0,
        mismatch: None,
        slices: identities
            .iter()
            .map(|identity| SliceRow {
                revision: identity.revision.id,
                windows: [300, 3_600, 21_600].map(window).to_vec(),
            })
            .collect(),
        history: Arc::new(history),
        period,
        slo: Arc::new(slo),
    }
}

fn alert(slo: &Slo, team: &str, severity: Severity) -> AlertRow {
    AlertRow {
        id: 5,
        slo_id: slo.id,
        slo: slo.name.clone(),
        service: slo.service.clone(),
        team: team.to_owned(),
        state: AlertState::Firing,
        severity,
        tier: "page-fast".to_owned(),
        since: before(21),
        fired_at: Some(before(20)),
        resolved_at: None,
        as_of: before(20),
        text: "at this rate the 30-day budget is gone in 2 h 10 min; 64 % left".to_owned(),
        long_burn: 15.2,
        short_burn: 21.0,
        budget_remaining: 0.64,
    }
}

fn answer(identities: &[Identity], verdict: Verdict, code: Code) -> Answer {
    let candidate = identities[0].revision.label();
    let process = |name: &str, log_e, threshold, meaning: &str| Process {
        name: name.to_owned(),
        log_e,
        threshold,
        meaning: meaning.to_owned(),
    };
    let is_halt = verdict == Verdict::Halt;
    let failed = if is_halt { 7 } else { 0 };
    let reason = format!(
        "{candidate} failed {failed} of 16 requests, the baseline 1 of 425 (0.2 %) in the same seconds"
    );
    Answer {
        verdict,
        code,
        service: ServiceKey::clone(&identities[0].service),
        reasons: vec![reason],
        candidate,
        candidate_id: Some(identities[0].revision.id),
        baseline: identities
            .iter()
            .skip(1)
            .map(|identity| identity.revision.label())
            .collect(),
        phase: Phase::Advance,
        notes: vec![
            "BASELINE_ASSUMED: the baseline is what was live when the candidate appeared"
                .to_owned(),
        ],
        counterfactual: if is_halt {
            "would not have halted if it had failed at most about 1 of its 16 requests".to_owned()
        } else {
            String::new()
        },
        need: Need {
            requests: if verdict == Verdict::Wait { 40 } else { 0 },
            seconds: Some(7),
        },
        evidence: Evidence {
            candidate: Arm { units: 16, failed },
            baseline: Arm {
                units: 425,
                failed: 1,
            },
            strata: 4,
            closed_until: before(24),
            processes: vec![
                process(
                    "errors_exact",
                    if is_halt { 14.63 } else { 0.4 },
                    5.3,
                    "fails more than the baseline in the same moments (exact test)",
                ),
                process(
                    "absolute",
                    1.83,
                    5.99,
                    "burns the budget by itself while the baseline does not",
                ),
                process(
                    "latency_share",
                    -0.000_1,
                    6.68,
                    "is slower than the baseline by more than a tenth",
                ),
                process(
                    "pass_absolute",
                    if is_halt { -3.55 } else { 4.1 },
                    3.69,
                    "fails less than the budget rate",
                ),
            ],
            tolerated_ratio: 1.5,
            alpha: 0.01,
            beta: 0.1,
            weight: 0.035,
            budget_remaining: Some(0.403),
            slo: "availability".to_owned(),
            ..Evidence::default()
        },
        decision_id: 0,
        as_of: before(23),
        valid_until: before(22),
        maturity: Maturity::Growth,
    }
}

/// The answer as recorded: a link of the chain.
fn record(snapshot: &mut Snapshot, mut answer: Answer) -> Answer {
    let number = snapshot.decisions.len() as u64 + 1;
    // The first link points at one that is no longer listed.
    let previous = snapshot
        .decisions
        .last()
        .map_or(0xfeed, |decision| decision.id);
    answer.decision_id = engine::hash::blake3_128("sample", &[&number.to_le_bytes()]);
    snapshot.decisions.push(Arc::new(Decision {
        id: answer.decision_id,
        previous,
        number,
        latched: answer.verdict == Verdict::Halt,
        answer: answer.clone(),
        cleared_reason: String::new(),
    }));
    answer
}

fn events() -> Vec<EventRow> {
    let row = |minutes, kind: &str, service: &str, text: &str| EventRow {
        at: before(minutes),
        kind: kind.to_owned(),
        service: service.to_owned(),
        text: text.to_owned(),
    };
    vec![
        row(
            20,
            "alert.firing",
            "paging",
            "at this rate the 30-day budget is gone in 2 h 10 min; 64 % left",
        ),
        row(
            23,
            "gate.halt",
            "halted",
            "v2 failed 7 of 16 requests (44 %)",
        ),
        row(25, "revision.first_seen", HOSTILE, HOSTILE),
        row(180, "definitions.loaded", "", "generation 3"),
    ]
}

/// Every service calls the next one; the last one calls a peer with a hostile name, and somebody unknown the first.
fn graph(snapshot: &Snapshot) -> GraphView {
    let mut view = GraphView {
        as_of: NOW,
        ..GraphView::default()
    };
    let services: Vec<_> = snapshot.services.values().collect();
    let mut chain: Vec<Option<Node>> = vec![None];
    for row in &services {
        let node = Node::Service(row.id);
        chain.push(Some(node));
        view.nodes.insert(
            node,
            NodeRow {
                node,
                kind: NodeKind::Service,
                name: row.key.name.clone(),
                namespace: row.key.namespace.clone(),
                environment: row.key.environment.clone(),
                claims: Vec::new(),
            },
        );
    }
    let peer = Node::Peer(PeerId(7));
    chain.push(Some(peer));
    view.nodes.insert(
        peer,
        NodeRow {
            node: peer,
            kind: NodeKind::Database,
            name: HOSTILE.to_owned(),
            namespace: String::new(),
            environment: String::new(),
            claims: Vec::new(),
        },
    );
    let mut slot = Vec::new();
    for (number, pair) in (0u32..).zip(chain.windows(2)) {
        let (source, Some(target)) = (pair[0], pair[1]) else {
            continue;
        };
        view.edges.push(EdgeRow {
            source,
            target,
            source_revision: None,
            target_revision: None,
            connection: Connection::Call,
        });
        let mut cell = EdgeCell::default();
        cell.requests[0] = 1_000;
        cell.requests[4] = i64::from(number % 3) * 40;
        cell.logical = 900;
        slot.push((number, Arc::new(cell)));
    }
    view.minutes.insert(NOW.secs() / 60, Arc::new(slot.clone()));
    view.seconds.insert(NOW.secs(), Arc::new(slot));
    view
}

fn status() -> EngineStatus {
    use engine::delta::Counter;
    let problem = |field: &str, message: &str, is_error| Problem {
        place: "slos/checkout.yaml:14:17".to_owned(),
        field: field.to_owned(),
        message: message.to_owned(),
        hint: "write 99.5 % as 0.995".to_owned(),
        is_error,
    };
    EngineStatus {
        counters: [
            (Counter::Items(Signal::Traces, Fate::Accepted), 204_942),
            (Counter::Items(Signal::Metrics, Fate::Accepted), 88_120),
            (Counter::Items(Signal::Logs, Fate::Accepted), 51_007),
            (Counter::Items(Signal::Traces, Fate::Rejected), 3),
            (Counter::Items(Signal::Traces, Fate::Excluded), 380),
            (Counter::Anomaly(0), 12),
        ]
        .into(),
        definitions_generation: 3,
        problems: vec![
            problem(
                "spec.objectives[0].target",
                "expected a ratio in [0, 1), got 99.5",
                true,
            ),
            problem("metadata.labels", "unknown label", false),
        ],
        definitions_loaded_at: before(180),
        gaps: vec![Gap {
            from: before(100),
            to: before(99),
        }],
        dedup_window_secs: 600,
        resources: 19,
        pending_effects: 1,
        open_spans: 5_100,
    }
}
