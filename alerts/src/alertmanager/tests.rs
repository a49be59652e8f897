//! Tests of the payload and of what is told when.

use super::payload::{Alert, OWN_LABELS};
use super::sender::Taken;
use super::{Alertmanager, ENDED_RESENT};
use engine::identity::ServiceKey;
use engine::slo::{Severity, SloId};
use engine::snapshot::{AlertRow, AlertState};
use engine::standing::Standing;
use engine::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn alertmanager() -> Alertmanager {
    Alertmanager {
        name: "main".to_owned(),
        urls: vec!["http://alertmanager:9093/team".to_owned()],
        resend: Duration::from_secs(60),
        hold: Duration::from_secs(3_600),
        token_file: None,
        labels: BTreeMap::from([("cluster".to_owned(), "eu-1".to_owned())]),
        pages: "https://tidegate.example.com/".to_owned(),
    }
}

fn row(service: &str) -> Arc<AlertRow> {
    Arc::new(AlertRow {
        id: 7,
        slo_id: SloId(11),
        slo: "answers".to_owned(),
        service: ServiceKey {
            environment: "production".to_owned(),
            name: service.to_owned(),
            ..ServiceKey::default()
        },
        team: "payments".to_owned(),
        state: AlertState::Firing,
        severity: Severity::Page,
        tier: "fast".to_owned(),
        since: NOW,
        fired_at: Some(NOW),
        resolved_at: None,
        as_of: NOW,
        text: "it burns\nand burns".to_owned(),
        long_burn: 20.0,
        short_burn: 30.0,
        budget_remaining: 0.5,
    })
}

fn standing() -> Standing {
    Standing {
        endpoints: vec!["main".to_owned()],
        ..Standing::of_alert(&row("shop"), Severity::Page, &[])
    }
}

#[test]
fn who_it_is_and_what_it_says() {
    let alert = Alert::of(&standing(), &alertmanager(), NOW.plus(5 * NANOS_PER_SEC));
    let expected = [
        ("alertname", "ErrorBudgetBurn"),
        ("cluster", "eu-1"),
        ("environment", "production"),
        ("service", "shop"),
        ("severity", "page"),
        ("slo", "answers"),
        ("sloth_id", "shop-answers"),
        ("sloth_service", "shop"),
        ("sloth_severity", "page"),
        ("sloth_slo", "answers"),
        ("team", "payments"),
    ];
    let labels: Vec<(&str, &str)> = alert
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(labels, expected, "an empty namespace is no label");
    assert!(
        labels
            .iter()
            .all(|(name, _)| *name == "cluster" || OWN_LABELS.contains(name))
    );
    assert_eq!(
        alert.annotations["summary"],
        "shop burns its error budget (answers, page)"
    );
    assert_eq!(alert.annotations["description"], "it burns\nand burns");
    assert_eq!(alert.starts_at, "2027-01-15T08:00:00.000Z");
    assert_eq!(alert.ends_at, "2027-01-15T09:00:05.000Z", "now and `hold`");
    let page = "https://tidegate.example.com/slo/0000000000000000000000000000000b";
    assert_eq!(alert.generator_url, page);
}

#[test]
fn new_words_never_change_who_it_is() {
    let first = Alert::of(&standing(), &alertmanager(), NOW);
    let later = AlertRow {
        text: "it burns more".to_owned(),
        tier: "slow".to_owned(),
        long_burn: 99.0,
        as_of: NOW.plus(NANOS_PER_SEC),
        ..AlertRow::clone(&row("shop"))
    };
    let later = Standing {
        began: NOW,
        ..Standing::of_alert(&Arc::new(later), Severity::Page, &[])
    };
    let later = Alert::of(&later, &alertmanager(), NOW.plus(60 * NANOS_PER_SEC));
    assert_eq!(first.labels, later.labels);
    assert_eq!(first.starts_at, later.starts_at);
    assert_ne!(first.annotations, later.annotations);
}

#[test]
fn hostile_names_are_inert_short_and_still_different() {
    let label = |name: &str| {
        let standing = Standing::of_alert(&row(name), Severity::Page, &[]);
        Alert::of(&standing, &alertmanager(), NOW).labels["service"].clone()
    };
    assert_eq!(label("a\u{202e}b\nc\u{7}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    assert_eq!(label("<script>🔥"), "<script>🔥");
    let long = "x".repeat(10_000);
    let (one, other) = (label(&format!("{long}1")), label(&format!("{long}2")));
    assert!(one.len() <= 256 && one.starts_with("xxx"), "{one}");
    assert_ne!(one, other);
}

#[test]
fn the_request_is_complete() {
    let folder = std::env::temp_dir().join(format!("tidegate-token-{}", std::process::id()));
    std::fs::write(&folder, "secret\n").unwrap();
    let to = Alertmanager {
        token_file: Some(folder.clone()),
        ..alertmanager()
    };
    let request = to.request(&to.urls[0], [&standing()], NOW).unwrap();
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(
        request.url.as_str(),
        "http://alertmanager:9093/team/api/v2/alerts"
    );
    assert_eq!(
        request.headers,
        [
            ("content-type", "application/json".to_owned()),
            ("authorization", "Bearer secret".to_owned())
        ]
    );
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body[0]["labels"]["service"], "shop");
    assert_eq!(
        body[0]["generatorURL"].as_str().map(|u| &u[..8]),
        Some("https://")
    );
    let missing = to.request(&to.urls[0], [&standing()], NOW).unwrap_err();
    assert!(missing.contains("cannot read the token file"), "{missing}");
}

#[test]
fn an_end_is_told_until_it_was_taken_and_a_while_longer() {
    let after = |duration: Duration| NOW.plus(duration.as_nanos() as u64);
    let (soon, late) = (after(Duration::from_secs(60)), after(ENDED_RESENT));
    let holds = standing();
    let ended = Standing {
        ended: Some(NOW),
        ..standing()
    };
    let mut taken = Taken::default();
    assert!(taken.is_due(1, &holds, late), "what holds is always told");
    assert!(taken.is_due(1, &ended, late), "nobody took the end yet");
    taken.note(1, &ended);
    assert!(
        taken.is_due(1, &ended, soon),
        "the receiver's clock may be late"
    );
    assert!(!taken.is_due(1, &ended, late));
    let again = Standing {
        ended: Some(soon),
        ..standing()
    };
    assert!(
        taken.is_due(1, &again, after(2 * ENDED_RESENT)),
        "another end"
    );
}
