//! Proposals from traffic made by hand, read back by the same code that reads definitions.

use super::propose::{proposal, refuses, slug};
use super::yaml;
use ingest::definitions::{LoadOptions, Source, load_sources};
use query::wire::{LatencyBody, RouteBody, TrafficBody};
use std::collections::BTreeSet;

fn traffic(service: &str, requests: u64, failed: u64) -> TrafficBody {
    let latency = [
        (Some(0.011), requests - requests / 100),
        (Some(0.352), requests / 100),
    ];
    TrafficBody {
        service: service.to_owned(),
        namespace: String::new(),
        environment: "production".to_owned(),
        observed_seconds: 3_000,
        sampled: String::new(),
        defined: false,
        routes: vec![RouteBody {
            route: "/cart".to_owned(),
            requests,
            failed,
            latency: latency
                .map(|(le_seconds, count)| LatencyBody { le_seconds, count })
                .to_vec(),
        }],
    }
}

/// Scenario: traffic of all sizes and failure rates.
/// Guarantees: the target is the highest of the ladder that was kept with room, and never above what the traffic can say.
#[test]
fn targets_are_what_was_kept() {
    for (requests, failed, target, is_kept) in [
        (15_000, 0, 9_990, true),
        (1_000_000, 0, 9_995, true),
        (100_000, 60, 9_950, true),
        (100_000, 40, 9_990, true),
        (1_000, 0, 9_900, true),
        (50, 0, 9_900, true),
        (1_000, 40, 9_500, true),
        (1_000, 400, 9_500, false),
    ] {
        let body = traffic("cart", requests, failed);
        let made = proposal(&body, "cart".to_owned());
        assert_eq!(
            made.availability,
            (target, is_kept),
            "{failed} of {requests}"
        );
    }
}

/// Scenario: one request in a hundred takes up to 352 ms.
/// Guarantees: the threshold is a round number above what 99.5 % stayed within.
#[test]
fn thresholds_are_round_and_kept() {
    let body = traffic("cart", 10_000, 0);
    assert_eq!(
        proposal(&body, "cart".to_owned()).latency,
        Some((400_000, 9_900))
    );
}

/// Scenario: names that try to be YAML, shell, markup, or to turn the text around.
/// Guarantees: every file is valid, strictly, says exactly that name, and shows nothing that does something.
#[test]
fn hostile_names_are_only_names() {
    let names = [
        "plain",
        "a\"b: [c]\n- d",
        "<script>alert(1)</script>",
        "\u{202e}evil\u{2066}\u{e0041}",
        "=cmd|' /C calc'!A0",
        "🦑\u{1b}[31m\u{7}\u{85}",
        "# {{ }} %YAML",
    ];
    let mut taken = BTreeSet::new();
    for name in names {
        let mut body = traffic(name, 5_000, 1);
        body.routes[0].route = name.to_owned();
        let text = yaml::file(&proposal(&body, slug(&body, &mut taken)));
        let source = Source {
            name: "proposed.yaml".to_owned(),
            bytes: text.clone().into_bytes(),
        };
        let loaded = load_sources(
            &[source],
            &LoadOptions {
                strict: true,
                ..LoadOptions::default()
            },
        );
        assert!(loaded.problems.is_empty(), "{:?}\n{text}", loaded.problems);
        let definitions = loaded.definitions.unwrap();
        assert_eq!(definitions.slos.len(), 2);
        assert!(
            definitions
                .slos
                .values()
                .all(|slo| slo.service.name == name),
            "{text}"
        );
        let is_shown = |letter: char| letter == '\n' || engine::inert::visible(letter) == letter;
        assert!(text.chars().all(is_shown), "{text}");
    }
    assert_eq!(taken.len(), names.len());
}

/// Scenario: services that have files, no name, or hardly any traffic.
/// Guarantees: they are left out, and why is said.
#[test]
fn what_cannot_be_proposed_is_said() {
    let mut defined = traffic("cart", 5_000, 0);
    defined.defined = true;
    for body in [
        defined,
        traffic("unknown_service:java", 5_000, 0),
        traffic("cart", 7, 0),
    ] {
        assert!(refuses(&body).is_some(), "{body:?}");
    }
    assert_eq!(refuses(&traffic("cart", 5_000, 0)), None);
}
