//! Pages rendered from a snapshot built by hand.

#[path = "../examples/page/sample.rs"]
mod sample;

use super::*;
use crate::chart::{Chart, Event};
use arc_swap::ArcSwap;
use axum::body::Body;
use axum::http::Request;
use engine::slo::Ratio;
use sample::{HOSTILE, NOW};
use std::collections::BTreeSet;
use std::sync::Arc;
use tower::ServiceExt;

async fn ask(snapshot: &Snapshot, path: &str, accept: &str) -> Response {
    let (control, _inputs) = tokio::sync::mpsc::channel(1);
    let (reload, _asked) = tokio::sync::mpsc::channel(1);
    let state = ApiState {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot.clone())),
        control,
        reload,
        receivers: Arc::new(Vec::new),
        sql: query::sql::Sql::default(),
        token: None,
        endpoints: Arc::default(),
    };
    let request = Request::get(path).header(header::ACCEPT, accept);
    let request = request.body(Body::empty()).unwrap();
    let served = query::api::router(state.clone(), pages(state));
    served.oneshot(request).await.unwrap()
}

async fn get(snapshot: &Snapshot, path: &str) -> (StatusCode, String, String) {
    let response = ask(snapshot, path, "text/html").await;
    let status = response.status();
    let policy = response.headers().get(header::CONTENT_SECURITY_POLICY);
    let policy = policy.map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), 1 << 22).await;
    let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
    (status, policy, body)
}

/// Targets of all links of a page.
fn links(html: &str) -> Vec<String> {
    let targets = html.split("href=\"").skip(1);
    targets
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// The first tag that is closed out of order or never closed.
fn unbalanced(html: &str) -> Option<String> {
    const VOID: [&str; 4] = ["meta", "link", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    for part in html.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        let name = tag.split(' ').next().unwrap_or_default();
        if let Some(closed) = name.strip_prefix('/') {
            if open.pop() != Some(closed) {
                return Some(tag.to_owned());
            }
        } else if !VOID.contains(&name) {
            open.push(name);
        }
    }
    open.pop().map(str::to_owned)
}

/// Scenario: every page, reached by following links from the fleet, with hostile names in the data.
/// Guarantees: every link leads somewhere, the policy forbids scripts, nothing hostile survives, every tag is closed
/// in order (the charts' included), and no page is blown up by a long name.
#[tokio::test]
async fn every_page_is_reachable_inert_and_well_formed() {
    let snapshot = sample::snapshot();
    let (mut seen, mut waiting) = (BTreeSet::new(), vec!["/".to_owned()]);
    while let Some(path) = waiting.pop() {
        if path.starts_with('#') || !seen.insert(path.clone()) {
            continue;
        }
        let (status, policy, html) = get(&snapshot, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let is_no_page = ["/assets", "/v1", "/metrics"]
            .iter()
            .any(|other| path.starts_with(other));
        if is_no_page {
            continue;
        }
        assert_eq!(policy, CSP, "{path}");
        for hostile in [
            "<script",
            "<img",
            "\u{202e}",
            "style=",
            "onerror=x>",
            &"x".repeat(100),
        ] {
            assert!(!html.contains(hostile), "{path}: {hostile}");
        }
        assert_eq!(unbalanced(&html), None, "{path}");
        for landmark in [
            "<header>",
            "<nav aria-label",
            "<main id=\"main\">",
            "<h1>",
            "class=\"skip\"",
        ] {
            assert_eq!(html.matches(landmark).count(), 1, "{path}: {landmark}");
        }
        waiting.extend(links(&html));
    }
    let own = snapshot.services.len() + snapshot.slos.len() + snapshot.decisions.len();
    let pages = own + snapshot.graph.nodes.len() + 12;
    assert_eq!(seen.len(), pages, "{seen:?}");
}

/// Scenario: a halted candidate, a page, a ticket, budgets of all sizes.
/// Guarantees: worst first; what the gate cannot tell apart has its line to paste.
#[tokio::test]
async fn the_fleet_is_worst_first() {
    let (_, _, html) = get(&sample::snapshot(), "/").await;
    let place = |name: &str| html.find(&format!(">{name}</a>")).unwrap();
    let order = ["halted", "paging", "ticketing", "poor", "passing", "calm"];
    let places = order.map(place);
    assert!(places.is_sorted(), "{places:?}");
    assert!(html.contains("■ 1 halted") && html.contains("▲ 1 paging"));
    assert!(html.contains("OTEL_RESOURCE_ATTRIBUTES=service.name=anonymous,service.version="));
}

/// Scenario: a newer candidate that passes beside an older one that is live and halted.
/// Guarantees: the fleet shows the halted one; when that one is gone, the newer.
#[tokio::test]
async fn a_newer_candidate_does_not_hide_a_halted_one() {
    let mut snapshot = sample::snapshot();
    let (id, gate) = snapshot
        .gates
        .iter()
        .find(|(_, gate)| {
            gate.candidates
                .iter()
                .any(|answer| answer.candidate == "v2")
        })
        .unwrap();
    let (id, mut gate) = (*id, engine::gate::answer::ServiceGate::clone(gate));
    let halted = gate.candidates[0].candidate_id.unwrap();
    let mut newer = gate.candidates[0].clone();
    newer.verdict = engine::gate::answer::Verdict::Proceed;
    newer.candidate_id = gate.live.last().copied();
    gate.candidates.insert(0, newer);
    snapshot.gates.insert(id, Arc::new(gate.clone()));
    assert!(get(&snapshot, "/").await.2.contains("■ 1 halted"));
    gate.live.retain(|live| *live != halted);
    snapshot.gates.insert(id, Arc::new(gate));
    assert!(get(&snapshot, "/").await.2.contains("0 halted"));
}

/// Scenario: refused definitions, a gap, a program that is recovering.
/// Guarantees: every page says so, with place and hint; without them there is no banner.
#[tokio::test]
async fn banners_say_what_everybody_must_know() {
    let mut snapshot = sample::snapshot();
    snapshot.is_recovering = true;
    for path in ["/", "/alerts", "/nowhere"] {
        let (_, _, html) = get(&snapshot, path).await;
        for said in [
            "Recovering",
            "slos/checkout.yaml:14:17",
            "write 99.5 % as 0.995",
            "may be missing",
        ] {
            assert!(html.contains(said), "{path}: {said}");
        }
    }
    let (_, _, html) = get(&Snapshot::default(), "/").await;
    assert!(!html.contains("banner") && html.contains("No span has arrived yet"));
}

/// Scenario: ids that do not exist or are no ids, an address that is nothing.
/// Guarantees: a page that says so for browsers, problem details for programs, status 404 for both.
#[tokio::test]
async fn what_is_not_there_is_said() {
    let snapshot = sample::snapshot();
    for path in [
        "/slo/00",
        "/service/zz",
        "/gate/1234567890123456789012345678901234567890",
        "/nowhere/at/all",
    ] {
        let (status, policy, html) = get(&snapshot, path).await;
        assert_eq!(
            (status, policy.as_str()),
            (StatusCode::NOT_FOUND, CSP),
            "{path}"
        );
        assert!(html.contains("Not found"), "{path}");
    }
    assert_eq!(
        ask(&snapshot, "/-/healthy", "*/*").await.status(),
        StatusCode::OK
    );
    let response = ask(&snapshot, "/v1/nowhere", "application/json").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
}

/// Scenario: an SLO whose failures all fell into a few minutes.
/// Guarantees: the burn-down ends at the published number and never rises.
#[test]
fn the_burn_down_ends_at_the_published_number() {
    let snapshot = sample::snapshot();
    for row in snapshot.slos.values() {
        let left = slo::burn_down(row, &slo::minutes(&snapshot, row));
        let last = left.last().copied().flatten().unwrap();
        assert!((last - row.budget_remaining.unwrap()).abs() < 1e-9);
        let falling: Vec<f64> = left.iter().flatten().rev().copied().collect();
        assert!(falling.is_sorted(), "{}", row.slo.display_name);
    }
}

/// Scenario: values that no scale was made for.
/// Guarantees: a chart that is well formed, with finite coordinates and few grid lines.
#[test]
fn charts_bear_any_value() {
    let rows = [
        vec![],
        vec![None],
        vec![Some(0.0)],
        vec![Some(f64::INFINITY), None, Some(f64::NAN)],
        vec![Some(-3e12), Some(1e-12)],
        vec![Some(1e300); 360],
    ];
    for values in rows {
        let chart = Chart {
            title: HOSTILE,
            description: HOSTILE.to_owned(),
            values,
            until: NOW,
            span_secs: 600,
            range: (0.0, 1.0),
            mark: Some((1.0, "1×")),
            events: vec![
                Event {
                    at: NOW,
                    label: HOSTILE.to_owned()
                };
                20
            ],
            label: |value| format!("{value}"),
        };
        let svg = chart.draw().into_string();
        assert_eq!(unbalanced(&svg), None);
        assert!(!svg.contains("inf") && !svg.contains("NaN"), "{svg}");
        assert!(svg.matches("class=\"grid\"").count() <= 8, "{svg}");
    }
}

#[test]
fn numbers_read_well() {
    assert_eq!(text::count(1_234_567), "1,234,567");
    assert_eq!(text::signed(-1_234), "-1,234");
    assert_eq!(text::duration(7_800), "2 h 10 min");
    assert_eq!(text::duration(0), "0 s");
    assert_eq!(text::percent(0.000_12), "0.012 %");
    assert_eq!(text::percent(0.999_7), "99.970 %");
    assert_eq!(text::percent(-1.784), "-178 %");
    assert_eq!(text::target(Ratio::from_ppb(999_500_000)), "99.95 %");
    assert_eq!(text::target(Ratio::from_ppb(990_000_000)), "99 %");
    assert_eq!(text::decimal(-0.000_1, 2), "0.00");
    assert_eq!(text::decimal(-0.3, 1), "-0.3");
    assert_eq!(text::time(NOW), "2027-01-15 08:00:00 UTC");
}

#[test]
fn names_are_cut_and_nothing_in_them_hides() {
    let long = text::name(&"x".repeat(10_000));
    assert_eq!(long.chars().count(), text::NAME_CHARS_MAX + 1);
    assert!(text::words(&"é".repeat(10_000)).chars().count() <= text::WORDS_CHARS_MAX + 1);
    for hidden in [
        '\0',
        '\u{1b}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{e0041}',
    ] {
        assert_eq!(text::name(&format!("a{hidden}b")), "a\u{fffd}b");
    }
    assert_eq!(text::name("каса 🦑 עגלה"), "каса 🦑 עגלה");
}
