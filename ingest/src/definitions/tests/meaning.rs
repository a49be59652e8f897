//! Good files and what they mean to the engine.

use super::*;
use engine::slo::{
    AttributeMatch, FailedRule, Maturity, Severity, Sli, SpanSelector, default_tiers,
};
use engine::span::kind;

fn matches(key: &str, patterns: &[&str]) -> AttributeMatch {
    let any_of = patterns
        .iter()
        .map(|pattern| (*pattern).to_owned())
        .collect();
    AttributeMatch {
        key: key.to_owned(),
        any_of,
        negated: false,
    }
}

fn server() -> SpanSelector {
    SpanSelector {
        kinds: vec![kind::SERVER],
        matches: Vec::new(),
    }
}

#[test]
fn the_good_file_says_everything() {
    let loaded = load(GOOD);
    assert_eq!(problems(&loaded), "");
    let definitions = loaded.definitions.unwrap();
    let policy = definitions.services.values().next().unwrap();
    assert_eq!(policy.maturity, Maturity::MissionCritical);
    assert_eq!(policy.team, "shop");
    assert_eq!(policy.service.environment, "production");
    let slo = definitions.slos.values().next().unwrap();
    assert_eq!(slo.service, policy.service);
    assert_eq!(slo.id, Slo::id_of(policy.service.id(), "availability"));
    assert_eq!(slo.display_name, "Checkout works");
    assert_eq!(slo.target.parts_per_billion, 999_000_000);
    assert_eq!(slo.period_secs, 30 * 86_400);
    assert_eq!(slo.tiers, default_tiers());
    assert_eq!(slo.defined_at, "a.yaml:13:9");
    assert_eq!(
        slo.sli,
        Sli::Availability {
            selector: server(),
            failed: FailedRule::Default
        }
    );
}

#[test]
fn targets_are_exact() {
    for (written, ppb) in [
        ("target: 0.999", 999_000_000),
        ("target: .99", 990_000_000),
        ("target: 0.999999999", 999_999_999),
        ("target: 0.9990000000000000000000", 999_000_000),
        ("targetPercent: 99.9", 999_000_000),
        ("targetPercent: 99.9999999", 999_999_999),
        ("targetPercent: 95", 950_000_000),
        // 0.07 * 1e9 is 70000000.00000001 in floats.
        ("targetPercent: 99.93", 999_300_000),
    ] {
        assert_eq!(
            one_slo(&with("target: 0.999", written))
                .target
                .parts_per_billion,
            ppb,
            "{written}"
        );
    }
}

#[test]
fn windows_of_every_unit() {
    for (written, secs) in [
        ("1h", 3_600),
        ("90m", 5_400),
        ("2w", 14 * 86_400),
        ("1M", 30 * 86_400),
        ("1Q", 90 * 86_400),
        ("1Y", 365 * 86_400),
        ("400d", 400 * 86_400),
    ] {
        let loaded = load(&with("30d", written));
        let definitions = loaded.definitions.unwrap_or_else(|| panic!("{written}"));
        assert_eq!(
            definitions.slos.values().next().unwrap().period_secs,
            secs,
            "{written}"
        );
    }
}

#[test]
fn ratios_reduce_to_a_selector_and_a_rule() {
    let route = || matches("http.route", &["/a", "/b*"]);
    let bad_code = || matches("http.response.status_code", &["5*"]);
    let not = |one: AttributeMatch| AttributeMatch {
        negated: true,
        ..one
    };
    let total = "{kind: server, match: {http.route: ['/b*', /a]}}";
    for (side, spec, rule) in [
        ("bad", "{failed: default}", FailedRule::Default),
        ("good", "{failed: default}", FailedRule::Default),
        (
            "bad",
            "{kind: server, match: {http.route: [/a, '/b*']}, failed: default}",
            FailedRule::Default,
        ),
        (
            "bad",
            "{match: {http.response.status_code: '5*'}}",
            FailedRule::Attributes(vec![bad_code()]),
        ),
        (
            "bad",
            "{failed: {http.response.status_code: 5*}}",
            FailedRule::Attributes(vec![bad_code()]),
        ),
        (
            "bad",
            "{match: {x: 1}, failed: {http.response.status_code: 5*}}",
            FailedRule::Attributes(vec![bad_code(), matches("x", &["1"])]),
        ),
        (
            "good",
            "{match: {http.response.status_code: '!5*'}}",
            FailedRule::Attributes(vec![bad_code()]),
        ),
        (
            "good",
            "{match: {http.response.status_code: 5*}}",
            FailedRule::Attributes(vec![not(bad_code())]),
        ),
        (
            "bad",
            "{match: {resource.zone: ['!a', '!b'], ok: true}}",
            FailedRule::Attributes(vec![
                matches("ok", &["true"]),
                not(matches("resource.zone", &["a", "b"])),
            ]),
        ),
    ] {
        let text = with("spec: {kind: server}", &format!("spec: {total}")).replace(
            "bad: {metricSource: {type: tidegate-spans, spec: {failed: default}}}",
            &format!("{side}: {{metricSource: {{type: tidegate-spans, spec: {spec}}}}}"),
        );
        let selector = SpanSelector {
            matches: vec![route()],
            ..server()
        };
        assert_eq!(
            one_slo(&text).sli,
            Sli::Availability {
                selector,
                failed: rule
            },
            "{side} {spec}"
        );
    }
}

const LATENCY: &str =
    "thresholdMetric: {metricSource: {type: tidegate-spans, spec: {match: {name: 'GET *'}}}}\n";

/// [`GOOD`] as a latency SLO with this objective.
fn latency(objective: &str) -> String {
    let (from, to) = (
        GOOD.find("ratioMetric").unwrap(),
        GOOD.find("  timeWindow").unwrap(),
    );
    format!("{}{LATENCY}{}", &GOOD[..from], &GOOD[to..]).replace("target: 0.999", objective)
}

#[test]
fn latency_thresholds_are_exact_nanoseconds() {
    for (objective, nanos) in [
        ("{op: lte, value: 0.3, target: 0.99}", 300_000_000),
        ("{op: lt, value: 0.3, target: 0.99}", 299_999_999),
        ("{op: lte, value: 0.000000001, target: 0.99}", 1),
        ("{op: lte, value: 2, target: 0.99}", 2_000_000_000),
    ] {
        let selector = SpanSelector {
            kinds: Vec::new(),
            matches: vec![matches("name", &["GET *"])],
        };
        assert_eq!(
            one_slo(&latency(objective)).sli,
            Sli::Latency {
                selector,
                threshold_nanos: nanos
            },
            "{objective}"
        );
    }
}

#[test]
fn several_objectives_are_several_slos() {
    let loaded = load(&latency(
        "{op: lte, value: 0.1, target: 0.95, displayName: Very fast}\n    - {op: lte, value: 1, target: 0.99}",
    ));
    assert_eq!(problems(&loaded), "");
    let definitions = loaded.definitions.unwrap();
    let mut names: Vec<_> = definitions
        .slos
        .values()
        .map(|slo| (slo.name.as_str(), slo.display_name.as_str()))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ("availability-2", "Checkout works (2)"),
            ("availability-very-fast", "Checkout works (Very fast)")
        ]
    );
}

const POLICY: &str = "\
apiVersion: openslo.com/v1
kind: AlertPolicy
metadata: {name: fast, annotations: {tidegate.dev/short-window: 10m}}
spec:
  conditions: [{conditionRef: burn}]
  notificationTargets: [{targetRef: oncall}]
---
apiVersion: openslo/v1
kind: AlertCondition
metadata: {name: burn}
spec:
  severity: page
  condition: {kind: burnrate, op: gt, threshold: 7.25, lookbackWindow: 1h, alertAfter: 5m}
---
apiVersion: openslo/v1
kind: AlertNotificationTarget
metadata: {name: oncall}
spec: {target: hook}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: errors}
spec:
  ratioMetric:
    total: {metricSource: {metricSourceRef: spans, spec: {}}}
    bad: {metricSource: {metricSourceRef: spans, spec: {failed: default}}}
";

#[test]
fn references_across_files_in_any_order() {
    let slo = with(
        "  indicator:\n    spec:\n      ratioMetric:\n        total: {metricSource: {type: tidegate-spans, spec: {kind: server}}}\n        bad: {metricSource: {type: tidegate-spans, spec: {failed: default}}}\n",
        "  indicatorRef: errors\n  alertPolicies:\n    - alertPolicyRef: fast\n    - kind: AlertPolicy\n      metadata: {name: slow}\n      spec:\n        conditions: [{metadata: {name: c}, spec: {severity: ticket, condition: {threshold: 1, lookbackWindow: 3d}}}]\n        notificationTargets: [{metadata: {name: mail}, spec: {target: hook2}}]\n",
    );
    let source = "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: spans}\nspec: {type: tidegate-spans}\n";
    let options = LoadOptions {
        endpoints: vec!["hook".to_owned(), "hook2".to_owned()],
        ..LoadOptions::default()
    };
    for files in [
        [
            ("a.yaml", slo.as_str()),
            ("b.yaml", POLICY),
            ("c.yaml", source),
        ],
        [("a.yaml", source), ("b.yaml", POLICY), ("c.yaml", &slo)],
    ] {
        let loaded = load_files_of(&files, &options);
        let warnings: Vec<&str> = loaded
            .problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        assert_eq!(
            warnings,
            ["expected no DataSource, got one: spans are received, nothing is fetched"]
        );
        let definitions = loaded.definitions.unwrap();
        let tiers = &definitions.slos.values().next().unwrap().tiers;
        let fast = &tiers[0];
        assert_eq!(
            (fast.name.as_str(), fast.severity, fast.factor_milli),
            ("fast", Severity::Page, 7_250)
        );
        assert_eq!(
            (fast.long_secs, fast.short_secs, fast.for_secs),
            (3_600, 600, 300)
        );
        assert_eq!(fast.targets, ["oncall"]);
        let slow = &tiers[1];
        assert_eq!(
            (
                slow.severity,
                slow.factor_milli,
                slow.long_secs,
                slow.short_secs
            ),
            (Severity::Ticket, 1_000, 259_200, 21_600)
        );
        let targets: Vec<_> = definitions
            .targets
            .iter()
            .map(|(name, target)| (name.as_str(), target.as_str()))
            .collect();
        assert_eq!(targets, [("mail", "hook2"), ("oncall", "hook")]);
    }
}

/// Guarantees: documents, a YAML sequence, JSON, and aliases with merge keys mean the same.
#[test]
fn every_form_of_a_file_means_the_same() {
    let sequence: String = GOOD
        .split("---\n")
        .map(|document| {
            document
                .lines()
                .enumerate()
                .fold(String::new(), |text, (index, line)| {
                    text + if index == 0 { "- " } else { "  " } + line + "\n"
                })
        })
        .collect();
    let json = r#"[{"apiVersion":"openslo/v1","kind":"Service","metadata":{"name":"checkout","labels":{"team":["shop"]},
	"annotations":{"tidegate.dev/environment":"production","tidegate.dev/maturity":"mission-critical"}},"spec":{}},
	{"apiVersion":"openslo/v1","kind":"SLO","metadata":{"name":"availability","displayName":"Checkout works"},
	"spec":{"service":"checkout","indicator":{"spec":{"ratioMetric":{"total":{"metricSource":{"type":"tidegate-spans","spec":{"kind":"server"}}},
	"bad":{"metricSource":{"type":"tidegate-spans","spec":{"failed":"default"}}}}}},
	"timeWindow":[{"duration":"30d","isRolling":true}],"budgetingMethod":"Occurrences","objectives":[{"target":0.999}]}}]"#;
    let merged = with("{kind: server}", "&s {kind: server}")
        .replace("spec: {failed: default}", "spec: {<<: *s, failed: default}");
    let expected = load(GOOD).definitions.unwrap();
    for text in [
        sequence.as_str(),
        json,
        &merged,
        &format!("\u{feff}{GOOD}"),
        &GOOD.replace('\n', "\r\n"),
        &format!("---\n{GOOD}---\n# nothing\n...\n"),
    ] {
        let loaded = load(text);
        assert_eq!(problems(&loaded), "", "{text}");
        let mut definitions = (*loaded.definitions.unwrap()).clone();
        for (id, slo) in &mut definitions.slos {
            slo.defined_at = expected.slos[id].defined_at.clone();
        }
        assert_eq!(definitions, *expected, "{text}");
    }
}

#[test]
fn default_tiers_that_cannot_fire_are_left_out_with_a_warning() {
    let loaded = load(&with("target: 0.999", "target: 0.9"));
    assert_eq!(
        problems(&loaded),
        "warning: a.yaml:16:3: spec: expected all four default alert tiers to be able to fire, got 1 that cannot: page-fast\n  hint: the burn rate cannot exceed 10 and windows cannot exceed the period; write `alertPolicies` that fit\n"
    );
    assert_eq!(
        loaded
            .definitions
            .unwrap()
            .slos
            .values()
            .next()
            .unwrap()
            .tiers,
        default_tiers()[1..]
    );
}

/// Guarantees: the example files are good, strictly.
#[test]
fn the_examples_are_valid() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slos");
    let options = LoadOptions {
        strict: true,
        endpoints: vec!["oncall".to_owned()],
        ..LoadOptions::default()
    };
    let loaded = load_dir(&directory, &options);
    assert_eq!(problems(&loaded), "");
    let definitions = loaded.definitions.unwrap();
    let names: std::collections::BTreeSet<&str> = definitions
        .slos
        .values()
        .map(|slo| slo.name.as_str())
        .collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [
            "checkout-availability",
            "checkout-latency",
            "mailer-delivery",
            "mailer-duration",
            "mailer-queue",
            "recommendations-availability"
        ]
    );
    let maturities: std::collections::BTreeSet<&str> = definitions
        .services
        .values()
        .map(|policy| policy.maturity.name())
        .collect();
    assert_eq!(
        maturities.into_iter().collect::<Vec<_>>(),
        ["mission-critical", "prototype"]
    );
    assert_eq!(definitions.targets["on-call"], "oncall");
}
