//! What a webhook says when names try to do something.

use super::*;
use engine::decider::notify::of_alert;
use engine::identity::ServiceKey;
use engine::slo::{Severity, Slo};
use engine::slo_machine::AlertChange;
use engine::snapshot::AlertState;
use std::sync::Arc;

/// Scenario: a service called like an escape sequence, text that turns around, 10 kB.
/// Guarantees: title and text do nothing and are short; `service` is exact, so that programs can tell who is meant.
#[test]
fn hostile_names_do_nothing_in_words() {
    for name in [
        "\u{1b}[2J\u{7}",
        "\u{202e}exe.txt\u{2066}\u{200b}",
        &"n".repeat(10_000),
    ] {
        let service = ServiceKey {
            name: name.to_owned(),
            ..ServiceKey::default()
        };
        let slo = Slo::implicit(&service);
        let row = AlertRow {
            id: 1,
            slo_id: slo.id,
            slo: slo.name.clone(),
            service,
            team: String::new(),
            state: AlertState::Firing,
            severity: Severity::Page,
            tier: "page".to_owned(),
            since: Timestamp::EPOCH,
            fired_at: None,
            resolved_at: None,
            as_of: Timestamp::EPOCH,
            text: format!("{name} burns"),
            long_burn: 20.0,
            short_burn: 20.0,
            budget_remaining: 0.5,
        };
        let sent = of_alert(AlertChange::Fired, &Arc::new(row), Timestamp::EPOCH);
        let sent: Value = serde_json::from_slice(&body(&sent)).unwrap();
        let data = &sent["data"];
        assert_eq!(data["service"], name);
        for words in ["title", "text"] {
            let words = data[words].as_str().unwrap();
            assert_eq!(inert(words), words);
            assert!(words.len() <= TEXT_BYTES_MAX);
        }
        assert!(data["title"].as_str().unwrap().len() <= 3 * TITLE_BYTES_MAX);
    }
}
