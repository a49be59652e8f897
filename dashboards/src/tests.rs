//! Pages rendered from snapshots built by hand.

use super::*;
use arc_swap::ArcSwap;
use axum::body::Body;
use axum::http::Request;
use engine::gate::answer::{Answer, Code, Evidence, Need, Phase, ServiceGate, Verdict};
use engine::identity::{Identity, ServiceKey};
use engine::slo::{Maturity, ServicePolicy, Slo};
use engine::snapshot::{Counts, Decision, Point, RevisionRow, ServiceRow, SloRow, Snapshot};
use engine::time::Timestamp;
use std::sync::Arc;
use tower::ServiceExt;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\"><img onerror=x>";

fn answer(key: &ServiceKey, verdict: Verdict) -> Answer {
    Answer {
        verdict,
        code: if verdict == Verdict::Halt {
            Code::RegressionErrors
        } else {
            Code::LowTraffic
        },
        service: key.clone(),
        candidate: HOSTILE.to_owned(),
        candidate_id: None,
        baseline: vec!["v1".to_owned()],
        phase: Phase::Advance,
        reasons: vec![format!("{HOSTILE} failed 3 of 4 requests")],
        notes: Vec::new(),
        counterfactual: "would proceed if it did not fail".to_owned(),
        need: Need {
            requests: 40,
            seconds: Some(7),
        },
        evidence: Evidence::default(),
        decision_id: 9,
        as_of: NOW,
        valid_until: NOW,
        maturity: Maturity::Growth,
    }
}

fn service(snapshot: &mut Snapshot, name: &str, remaining: f64, verdict: Verdict) {
    let identity = Identity::resolve(|key| (key == "service.name").then_some(name));
    let slo = Slo::implicit(&identity.service);
    let row = SloRow {
        period: Counts {
            good: 900,
            bad: 100,
        },
        budget_remaining: Some(remaining),
        bad_allowed: -3,
        windows: Vec::new(),
        tiers: Vec::new(),
        alert: None,
        exhausted_in_secs: Some(7_800),
        observed_since: NOW.minus(10_800 * 1_000_000_000),
        last_event: NOW,
        is_stale: false,
        slices: Vec::new(),
        history: Arc::new(vec![Point {
            at: NOW.minus(120_000_000_000),
            counts: Counts { good: 9, bad: 1 },
        }]),
        slo: Arc::new(slo),
    };
    let revision = RevisionRow {
        revision: identity.revision.clone(),
        first_seen: NOW,
        last_seen: NOW,
        spans_last_minute: 1_234_567,
        instances: 2,
        is_live: true,
        is_known_good: false,
        lag_secs: 0.4,
    };
    let policy = ServicePolicy {
        service: identity.service.clone(),
        maturity: Maturity::Growth,
        team: HOSTILE.to_owned(),
        implicit: true,
    };
    let service = ServiceRow {
        id: identity.service_id,
        key: identity.service.clone(),
        policy,
        revisions: vec![revision],
        slos: vec![row.slo.id],
        first_seen: NOW,
        last_seen: NOW,
    };
    let gate = ServiceGate {
        service_id: identity.service_id,
        admit: answer(&identity.service, Verdict::Wait),
        candidates: vec![answer(&identity.service, verdict)],
        live: Vec::new(),
        baseline: Vec::new(),
    };
    let decision = Decision {
        id: 9,
        previous: 0,
        number: 1,
        answer: answer(&identity.service, verdict),
        latched: true,
        cleared_reason: String::new(),
    };
    snapshot.decisions.push(Arc::new(decision));
    snapshot.gates.insert(identity.service_id, Arc::new(gate));
    snapshot.slos.insert(row.slo.id, Arc::new(row));
    snapshot
        .services
        .insert(identity.service_id, Arc::new(service));
}

fn sample() -> Snapshot {
    let mut snapshot = Snapshot {
        as_of: NOW,
        ..Snapshot::default()
    };
    service(&mut snapshot, "calm", 0.9, Verdict::Wait);
    service(&mut snapshot, "poor", 0.1, Verdict::Wait);
    service(&mut snapshot, "halted", 0.95, Verdict::Halt);
    service(&mut snapshot, HOSTILE, 0.99, Verdict::Wait);
    snapshot
}

async fn get(snapshot: &Snapshot, path: &str) -> (StatusCode, String, String) {
    let (control, _inputs) = tokio::sync::mpsc::channel(1);
    let (reload, _asked) = tokio::sync::mpsc::channel(1);
    let state = ApiState {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot.clone())),
        control,
        reload,
        receivers: Arc::new(Vec::new),
        token: None,
    };
    let response = pages(state)
        .oneshot(Request::get(path).body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let policy = response
        .headers()
        .get(header::CONTENT_SECURITY_POLICY)
        .map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 1 << 22)
        .await
        .unwrap();
    (
        status,
        policy.unwrap_or_default(),
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

/// Targets of all links of a page.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// Scenario: every page, reached by following links from the fleet, with hostile names in the data.
/// Guarantees: every link leads somewhere, the policy forbids scripts, nothing hostile survives, tags are balanced.
#[tokio::test]
async fn every_page_is_reachable_inert_and_well_formed() {
    let snapshot = sample();
    let mut seen = std::collections::BTreeSet::new();
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        if path.starts_with('#')
            || path.starts_with("/v1")
            || path == "/metrics"
            || !seen.insert(path.clone())
        {
            continue;
        }
        let (status, policy, html) = get(&snapshot, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        if path.starts_with("/assets") {
            continue;
        }
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(
            !html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'),
            "{path}"
        );
        for tag in ["svg", "table", "section", "main", "tr", "figure", "dl"] {
            let opened = html.matches(&format!("<{tag}>")).count()
                + html.matches(&format!("<{tag} ")).count();
            assert_eq!(
                opened,
                html.matches(&format!("</{tag}>")).count(),
                "{path}: {tag}"
            );
        }
        waiting.extend(links(&html));
    }
    assert!(seen.len() >= 14, "{seen:?}");
}

/// Scenario: a halted candidate, an almost spent budget, and calm services.
/// Guarantees: worst first.
#[tokio::test]
async fn the_fleet_is_worst_first() {
    let (_, _, html) = get(&sample(), "/").await;
    let place = |name: &str| html.find(&format!(">{name}</a>")).unwrap();
    assert!(place("halted") < place("poor") && place("poor") < place("calm"));
    assert!(html.contains("REVISION_UNKNOWN") && html.contains("OTEL_RESOURCE_ATTRIBUTES"));
}

/// Scenario: ids that do not exist or are no ids.
/// Guarantees: a page that says so, status 404.
#[tokio::test]
async fn what_is_not_there_is_said() {
    for path in [
        "/slo/00",
        "/service/zz",
        "/gate/1234567890123456789012345678901234567890",
    ] {
        let (status, _, html) = get(&sample(), path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(html.contains("Not found"));
    }
}

#[test]
fn numbers_read_well() {
    assert_eq!(text::count(1_234_567), "1,234,567");
    assert_eq!(text::duration(7_800), "2 h 10 min");
    assert_eq!(text::duration(0), "0 s");
    assert_eq!(text::percent(0.000_12), "0.012 %");
    assert_eq!(
        text::name(&"x".repeat(10_000)).chars().count(),
        text::NAME_CHARS_MAX + 1
    );
}
