//! One line per mistake: what is changed in the good file, and the message it gets.

use super::*;

/// (replaced, by, message without `a.yaml:`). Every one is an error.
const ERRORS: &[(&str, &str, &str)] = &[
    (
        "target: 0.999",
        "target: 99.9",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `99.9`\n  hint: write `targetPercent: 99.9`",
    ),
    (
        "target: 0.999",
        "target: 1",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `1`\n  hint: a target of 100 % leaves no budget; choose a smaller one",
    ),
    (
        "target: 0.999",
        "targetPercent: 100",
        "26:22: spec.objectives[0].targetPercent: expected a percentage in [0, 100), got `100`\n  hint: a target of 100 % leaves no budget; choose a smaller one",
    ),
    (
        "target: 0.999",
        "target: NaN",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `NaN`\n  hint: write a plain decimal number",
    ),
    (
        "target: 0.999",
        "target: -0.5",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `-0.5`",
    ),
    (
        "target: 0.999",
        "target: 99.9%",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `99.9%`\n  hint: write the number without `%`: `targetPercent` for percent",
    ),
    (
        "target: 0.999",
        "target: 0.9999999999",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `0.9999999999`\n  hint: use at most 9 decimals, they are kept exactly",
    ),
    (
        "target: 0.999",
        "target: 9e-1",
        "26:15: spec.objectives[0].target: expected a ratio in [0, 1), got `9e-1`\n  hint: write a plain decimal number",
    ),
    (
        "target: 0.999",
        "target: [0.9]",
        "26:15: spec.objectives[0].target: expected a number, got a list",
    ),
    (
        "target: 0.999",
        "{target: 0.9, targetPercent: 90}",
        "26:36: spec.objectives[0].targetPercent: expected one of `target` and `targetPercent`, got both\n  hint: keep one",
    ),
    (
        "target: 0.999",
        "displayName: Good",
        "26:7: spec.objectives[0]: expected `target` or `targetPercent`, got neither",
    ),
    (
        "target: 0.999",
        "{target: 0.9, indicatorRef: x}",
        "26:35: spec.objectives[0].indicatorRef: comes later: composite SLOs (an indicator or weight inside an objective)\n  hint: write one SLO for each indicator",
    ),
    (
        "- target: 0.999",
        "[]",
        "26:5: spec.objectives: expected 1 to 16 objectives, got 0",
    ),
    (
        "30d",
        "-30d",
        "23:18: spec.timeWindow[0].duration: expected a duration from 1h to 400d, such as `30d`, got `-30d`\n  hint: a whole number and one unit: m (minutes), h, d, w, M (30 days), Q, Y",
    ),
    (
        "30d",
        "30 days",
        "23:18: spec.timeWindow[0].duration: expected a duration from 1h to 400d, such as `30d`, got `30 days`\n  hint: a whole number and one unit: m (minutes), h, d, w, M (30 days), Q, Y",
    ),
    (
        "30d",
        "1m",
        "23:18: spec.timeWindow[0].duration: expected a duration from 1h to 400d, such as `30d`, got `1m`\n  hint: `m` is minutes; for months write `1M`",
    ),
    (
        "30d",
        "401d",
        "23:18: spec.timeWindow[0].duration: expected a duration from 1h to 400d, such as `30d`, got `401d`",
    ),
    (
        "30d, isRolling: true",
        "30d, isRolling: false",
        "23:34: spec.timeWindow[0].isRolling: comes later: calendar windows\n  hint: write `isRolling: true`",
    ),
    (
        "30d, isRolling: true",
        "1M, calendar: {timeZone: UTC}",
        "23:32: spec.timeWindow[0].calendar: comes later: calendar windows\n  hint: use a rolling window: `isRolling: true`, without `calendar`",
    ),
    (
        "30d, isRolling: true}",
        "30d, isRolling: true}\n    - {duration: 7d, isRolling: true}",
        "23:5: spec.timeWindow: expected exactly one time window, got 2\n  hint: write one SLO for each window",
    ),
    (
        "Occurrences",
        "Timeslices",
        "24:20: spec.budgetingMethod: comes later: the budgeting method `Timeslices`\n  hint: use `budgetingMethod: Occurrences`, without `timeSliceTarget` and `timeSliceWindow`",
    ),
    (
        "Occurrences",
        "Occurences",
        "24:20: spec.budgetingMethod: expected `Occurrences`, got `Occurences`\n  hint: did you mean `Occurrences`?",
    ),
    (
        "kind: server",
        "kind: servers",
        "20:67: spec.indicator.spec.ratioMetric.total.metricSource.spec.kind: expected a span kind: server, client, consumer, producer or internal, got `servers`",
    ),
    (
        "{kind: server}",
        "{kind: server, matches: {a: b}}",
        "20:75: spec.indicator.spec.ratioMetric.total.metricSource.spec.matches: expected a known field, got `matches`\n  hint: did you mean `match`?",
    ),
    (
        "{kind: server}",
        "{match: {http.route: [a, '!b']}}",
        "20:81: spec.indicator.spec.ratioMetric.total.metricSource.spec.match[\"http.route\"]: expected all or none of the patterns to start with `!`, got a mix\n  hint: `[\"!a\", \"!b\"]` means neither a nor b",
    ),
    (
        "{kind: server}",
        "{match: {http.route: []}}",
        "20:81: spec.indicator.spec.ratioMetric.total.metricSource.spec.match[\"http.route\"]: expected 1 to 64 patterns, got 0",
    ),
    (
        "{kind: server}",
        "{match: {http.route: !/health }}",
        "20:81: expected a plain value, got the YAML tag `!/health`\n  hint: put a value that starts with `!` in quotes\nerror: a.yaml:20:89: spec.indicator.spec.ratioMetric.total.metricSource.spec.match[\"http.route\"]: expected text, got nothing",
    ),
    (
        "{kind: server}",
        "{failed: default}",
        "20:69: spec.indicator.spec.ratioMetric.total.metricSource.spec.failed: expected no `failed` under `total`, got one\n  hint: move it to `bad`",
    ),
    (
        "{failed: default}",
        "{}",
        "21:58: spec.indicator.spec.ratioMetric.bad.metricSource.spec: expected `bad` to say which events of `total` are bad, got no difference\n  hint: add `failed: default`",
    ),
    (
        "{failed: default}",
        "{failed: always}",
        "21:67: spec.indicator.spec.ratioMetric.bad.metricSource.spec.failed: expected `default` or a map of attribute conditions, got `always`",
    ),
    (
        "{failed: default}",
        "{kind: client, failed: default}",
        "21:58: spec.indicator.spec.ratioMetric.bad.metricSource.spec: expected the same `kind` in `bad` and `total`, got different ones\n  hint: remove `kind` from `bad`: it takes that of `total`",
    ),
    (
        "{failed: default}",
        "{match: {a: b}, failed: default}",
        "21:82: spec.indicator.spec.ratioMetric.bad.metricSource.spec.failed: expected either `failed` or more `match` entries than `total` in `bad`, got both\n  hint: keep one: a rule cannot be combined with conditions",
    ),
    (
        "bad: {metricSource: {type: tidegate-spans, spec: {failed: default}",
        "good: {metricSource: {type: tidegate-spans, spec: {match: {a: b, c: d}}",
        "21:59: spec.indicator.spec.ratioMetric.good.metricSource.spec: expected at most one `match` entry more than `total` in `good`, got several: their opposite is no list of conditions\n  hint: say what is `bad` instead",
    ),
    (
        "        bad:",
        "        raw:",
        "21:14: spec.indicator.spec.ratioMetric.raw: comes later: raw ratios (`raw`, `rawType`)\n  hint: give `total` and `bad` instead",
    ),
    (
        "        total:",
        "        good:",
        "20:9: spec.indicator.spec.ratioMetric.total: expected a metric source of all events, got nothing\nerror: a.yaml:20:15: spec.indicator.spec.ratioMetric.good: expected one of `good` and `bad`, got both\n  hint: keep one: the other follows from `total`",
    ),
    (
        "type: tidegate-spans, spec: {kind",
        "type: Prometheus, spec: {query: 'sum(rate(http_requests_total[{{.window}}]))', kind",
        "20:38: spec.indicator.spec.ratioMetric.total.metricSource.type: comes later: PromQL (the metric source `Prometheus`)\n  hint: measure the requests themselves: `type: tidegate-spans` with `spec: {kind, match, failed}`, or `tidegate-metrics`",
    ),
    (
        "type: tidegate-spans, spec: {kind",
        "type: Datadog, spec: {kind",
        "20:38: spec.indicator.spec.ratioMetric.total.metricSource.type: comes later: the metric source `Datadog`; today Tidegate measures what it receives itself: spans, metrics and logs\n  hint: write `type: tidegate-spans`, `tidegate-metrics` or `tidegate-logs`",
    ),
    (
        "type: tidegate-spans, spec: {kind: server}",
        "type: tidegate-logs, spec: {}",
        "21:14: spec.indicator.spec.ratioMetric.bad: expected the same type of metric source as in `total`, got another\n  hint: measure both from spans, both from metrics or both from logs",
    ),
    (
        "type: tidegate-spans, spec: {kind: server}",
        "type: tidegate-metric, spec: {}",
        "20:38: spec.indicator.spec.ratioMetric.total.metricSource.type: comes later: the metric source `tidegate-metric`; today Tidegate measures what it receives itself: spans, metrics and logs\n  hint: did you mean `tidegate-metrics`?",
    ),
    (
        "  indicator:\n    spec:",
        "  indicatorRef: x\n  indicator:\n    spec:",
        "17:17: spec.indicatorRef: expected one of `indicator` and `indicatorRef`, got both\n  hint: keep one",
    ),
    (
        "mission-critical",
        "mission-crtical",
        "8:28: metadata.annotations[\"tidegate.dev/maturity\"]: expected prototype, growth or mission-critical, got `mission-crtical`\n  hint: did you mean `mission-critical`?",
    ),
    (
        "tidegate.dev/maturity",
        "tidegate.dev/maturty",
        "8:5: metadata.annotations[\"tidegate.dev/maturty\"]: expected a known `tidegate.dev/` annotation, got `tidegate.dev/maturty`\n  hint: did you mean `tidegate.dev/maturity`?",
    ),
    (
        "kind: SLO",
        "kind: Slo",
        "11:7: kind: expected a kind of OpenSLO v1 (Service, SLI, SLO, AlertPolicy, AlertCondition, AlertNotificationTarget, DataSource), got `Slo`\n  hint: did you mean `SLO`?",
    ),
    (
        "kind: SLO\n",
        "",
        "10:1: kind: expected an OpenSLO kind, got nothing",
    ),
    (
        "apiVersion: openslo/v1\nkind: SLO",
        "apiVersion: openslo/v1alpha\nkind: SLO",
        "10:13: apiVersion: comes later: OpenSLO v1alpha\n  hint: write it as `apiVersion: openslo/v1`",
    ),
    (
        "apiVersion: openslo/v1\nkind: SLO",
        "apiVersion: sloth.slok.dev/v1\nkind: SLO",
        "10:13: apiVersion: comes later: Sloth's PrometheusServiceLevel\n  hint: write it as `apiVersion: openslo/v1`",
    ),
    (
        "apiVersion: openslo/v1\nkind: SLO",
        "version: prometheus/v1\nkind: SLO",
        "10:10: version: comes later: Sloth files\n  hint: write it as `apiVersion: openslo/v1`",
    ),
    (
        "apiVersion: openslo/v1\nkind: SLO",
        "apiVersion: pyrra.dev/v1alpha1\nkind: SLO",
        "10:13: apiVersion: comes later: Pyrra's ServiceLevelObjective\n  hint: write it as `apiVersion: openslo/v1`",
    ),
    (
        "  name: availability\n",
        "",
        "13:3: metadata.name: expected a name, got nothing",
    ),
    (
        "  service: checkout",
        "  service: [a]",
        "16:12: spec.service: expected text, got a list",
    ),
    (
        "  displayName: Checkout works",
        "  name: again",
        "14:3: expected each key once, got `name` again (first at 13:3)\n  hint: remove one of them",
    ),
    (
        "  displayName: Checkout works",
        "\tdisplayName: x",
        "14:1: expected valid YAML, got: while scanning a plain scalar, found a tab\n  hint: indent with spaces; YAML allows no tabs there",
    ),
    (
        "Checkout works",
        "a: b",
        "14:17: expected valid YAML, got: mapping values are not allowed in this context\n  hint: quote a value that holds `: `, or mend the indentation",
    ),
    (
        "Checkout works",
        "*nowhere",
        "14:16: expected valid YAML, got: while parsing node, found unknown anchor",
    ),
    (
        "  labels: {team: shop}",
        "  labels: {team: shop",
        "6:14: expected valid YAML, got: while parsing a flow mapping, did not find expected ',' or '}'",
    ),
];

/// Where a message ends in "got `value`", that value (or its key) must stand at the place.
fn check_place(text: &str, problem: &engine::input::Problem) {
    let Some((_, got)) = problem.message.rsplit_once("got `") else {
        return;
    };
    let Some(value) = got.strip_suffix('`') else {
        return;
    };
    let place: Vec<usize> = problem
        .place
        .split(':')
        .skip(1)
        .map(|part| part.parse().unwrap())
        .collect();
    let line = text.lines().nth(place[0] - 1).unwrap();
    let rest: String = line.chars().skip(place[1] - 1).collect();
    assert!(
        rest.trim_start_matches('"').starts_with(value),
        "{problem:?} is not at `{rest}`"
    );
}

#[test]
fn each_mistake_has_its_message() {
    let mut wrong: Vec<String> = Vec::new();
    for (from, to, expected) in ERRORS {
        let text = with(from, to);
        let loaded = load(&text);
        loaded
            .problems
            .iter()
            .for_each(|problem| check_place(&text, problem));
        let got = problems(&loaded);
        let errors: String = got
            .lines()
            .scan(false, |in_error, line| {
                if !line.starts_with("  hint") {
                    *in_error = line.starts_with("error");
                }
                Some(if *in_error {
                    format!("{line}\n")
                } else {
                    String::new()
                })
            })
            .collect();
        if !errors.starts_with(&format!("error: a.yaml:{expected}")) {
            wrong.push(format!(
                "{from} -> {to}\nexpected:\nerror: a.yaml:{expected}\ngot:\n{errors}"
            ));
        }
        assert!(loaded.definitions.is_none());
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// (replaced, by, message): accepted, and refused with the same message when strict.
const WARNINGS: &[(&str, &str, &str)] = &[
    (
        "  budgetingMethod: Occurrences\n",
        "",
        "a.yaml:16:3: spec: expected `budgetingMethod: Occurrences`, got none\n  hint: read as `Occurrences`\n",
    ),
    (
        "  timeWindow:\n    - {duration: 30d, isRolling: true}\n",
        "",
        "a.yaml:16:3: spec: expected `timeWindow`, got none\n  hint: read as a rolling window of 30d\n",
    ),
    (
        ", isRolling: true",
        "",
        "a.yaml:23:7: spec.timeWindow[0]: expected `isRolling: true`, got nothing\n  hint: read as a rolling window\n",
    ),
    (
        "isRolling: true",
        "isRolling: true, calendar: {startTime: x}",
        "a.yaml:23:50: spec.timeWindow[0].calendar: expected no `calendar` in a rolling window, got one\n  hint: it is ignored\n",
    ),
    (
        "target: 0.999",
        "{target: 0.999, op: gt}",
        "a.yaml:26:27: spec.objectives[0].op: expected no `op` beside a ratioMetric, got one\n  hint: it is ignored\n",
    ),
    (
        "target: 0.999",
        "{target: 0.999, timeSliceWindow: 1m}",
        "a.yaml:26:40: spec.objectives[0].timeSliceWindow: expected no `timeSliceWindow` with `Occurrences`, got one\n  hint: it is ignored\n",
    ),
    (
        "target: 0.999",
        "target: \"0.999\"",
        "a.yaml:26:15: spec.objectives[0].target: expected a number, got the quoted text `0.999`\n  hint: remove the quotes\n",
    ),
    (
        "name: availability",
        "name: Availability_1",
        "a.yaml:13:9: metadata.name: expected a name of at most 63 lower-case letters, digits and `-`, got `Availability_1`\n  hint: other OpenSLO tools refuse it\n",
    ),
    (
        "  service: checkout",
        "  service: chekout",
        "a.yaml:16:12: spec.service: expected a Service called `chekout`, got none\n  hint: did you mean `checkout`? Otherwise add a document with `kind: Service`\n",
    ),
    (
        "  service: checkout",
        "  service: checkout\n  descripton: x",
        "a.yaml:17:3: spec.descripton: expected a known field, got `descripton`\n  hint: did you mean `description`?\n",
    ),
    (
        "target: 0.999",
        "targetPercent: 0.999",
        "a.yaml:26:22: spec.objectives[0].targetPercent: expected a percentage such as 99.9, got `0.999`, which is less than 1 %\n  hint: for a ratio write `target: 0.999`\n",
    ),
];

#[test]
fn each_warning_is_an_error_when_strict() {
    let mut wrong: Vec<String> = Vec::new();
    for (from, to, expected) in WARNINGS {
        let text = with(from, to);
        let lenient = load(&text);
        if !problems(&lenient).contains(&format!("warning: {expected}")) {
            wrong.push(format!(
                "{from} -> {to}\nexpected:\n{expected}\ngot:\n{}",
                problems(&lenient)
            ));
            continue;
        }
        assert!(
            lenient.definitions.is_some(),
            "{from} -> {to}: {}",
            problems(&lenient)
        );
        let strict = load_files_of(
            &[("a.yaml", &text)],
            &LoadOptions {
                strict: true,
                ..LoadOptions::default()
            },
        );
        assert!(problems(&strict).contains(&format!("error: {expected}")));
        assert!(strict.definitions.is_none());
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// (field of the policy replaced, by, message).
const POLICIES: &[(&str, &str, &str)] = &[
    (
        "threshold: 14.4",
        "threshold: 1000",
        "error: a.yaml:28:7: spec.alertPolicies[0]: expected a burn rate below 1000, got 1000: it can never be exceeded with this target\n  hint: use a smaller threshold (it is at a.yaml:38:56), or a higher target\n",
    ),
    (
        "threshold: 14.4",
        "threshold: fast",
        "error: a.yaml:38:56: spec.conditions[0].spec.condition.threshold: expected a burn rate above 0, such as 14.4, got `fast`\n  hint: write a plain decimal number\n",
    ),
    (
        "threshold: 14.4",
        "threshold: 0",
        "error: a.yaml:38:56: spec.conditions[0].spec.condition.threshold: expected a burn rate above 0, such as 14.4, got `0`\n",
    ),
    (
        "threshold: 14.4",
        "threshold: 0.9333",
        "warning: a.yaml:38:56: spec.conditions[0].spec.condition.threshold: expected at most 3 decimals, got `0.9333`, read as 0.933\n",
    ),
    (
        "lookbackWindow: 1h",
        "lookbackWindow: 40d",
        "error: a.yaml:38:78: spec.conditions[0].spec.condition.lookbackWindow: expected a duration from 1m to 30d, such as `30d`, got `40d`\n",
    ),
    (
        "lookbackWindow: 1h",
        "lookbackWindow: 4321m",
        "error: a.yaml:38:78: spec.conditions[0].spec.condition.lookbackWindow: expected a multiple of 1h for a window of this length, got `4321m`\n  hint: windows are made of whole buckets\n",
    ),
    (
        "short-window: 5m",
        "short-window: 1h",
        "error: a.yaml:32:65: metadata.annotations[\"tidegate.dev/short-window\"]: expected a duration from 1s to 3599s, such as `30d`, got `1h`\n",
    ),
    (
        "short-window",
        "shortwindow",
        "error: a.yaml:32:38: metadata.annotations[\"tidegate.dev/shortwindow\"]: expected a known `tidegate.dev/` annotation, got `tidegate.dev/shortwindow`\n  hint: did you mean `tidegate.dev/short-window`?\n",
    ),
    (
        "op: gt",
        "op: lte",
        "warning: a.yaml:38:41: spec.conditions[0].spec.condition.op: expected `gt`, got `lte`, which would alert while the service is healthy\n  hint: read as `gt`\n",
    ),
    (
        "severity: page",
        "severity: Critical",
        "warning: a.yaml:37:19: spec.conditions[0].spec.severity: expected `page` or `ticket`, got `Critical`\n  hint: read as `page`\n",
    ),
    (
        "severity: page",
        "severity: info",
        "warning: a.yaml:37:19: spec.conditions[0].spec.severity: expected `page` or `ticket`, got `info`\n  hint: read as `ticket`\n",
    ),
    (
        "  notificationTargets: [{metadata: {name: t}, spec: {target: hook}}]\n",
        "",
        "warning: a.yaml:34:3: spec: expected `notificationTargets`, got none\n  hint: alerts go to every configured webhook and Alertmanager\n",
    ),
    (
        "[{metadata: {name: t}, spec: {target: hook}}]",
        "[{targetRef: nobody}]",
        "error: a.yaml:39:37: spec.notificationTargets[0].targetRef: expected the name of an existing AlertNotificationTarget, got `nobody`\n  hint: add a document with `kind: AlertNotificationTarget` and this name\n",
    ),
    (
        "alertPolicyRef: fast",
        "alertPolicyRef: fastt",
        "error: a.yaml:28:23: spec.alertPolicies[0].alertPolicyRef: expected the name of an existing AlertPolicy, got `fastt`\n  hint: did you mean `fast`?\n",
    ),
    (
        "- alertPolicyRef: fast",
        "- alertPolicyRef: fast\n    - alertPolicyRef: fast",
        "error: a.yaml:29:7: spec.alertPolicies[1]: expected each policy once, got `fast` again\n",
    ),
    (
        "- alertPolicyRef: fast",
        "- fast",
        "error: a.yaml:28:7: spec.alertPolicies[0]: expected a map, got `fast`\n",
    ),
];

#[test]
fn each_mistake_of_a_policy_has_its_message() {
    let policy = "  alertPolicies:
    - alertPolicyRef: fast
---
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: fast, annotations: {tidegate.dev/short-window: 5m}}
spec:
  conditions:
    - spec:
        severity: page
        condition: {kind: burnrate, op: gt, threshold: 14.4, lookbackWindow: 1h}
  notificationTargets: [{metadata: {name: t}, spec: {target: hook}}]
";
    let good = format!("{GOOD}{policy}").replace(
        "    - spec:\n        severity",
        "    - metadata: {name: c}\n      spec:\n        severity",
    );
    assert_eq!(problems(&load(&good)), "");
    let mut wrong: Vec<String> = Vec::new();
    for (from, to, expected) in POLICIES {
        assert!(good.contains(from), "{from}");
        let got = problems(&load(&good.replacen(from, to, 1)));
        if !got.contains(expected) {
            wrong.push(format!(
                "{from} -> {to}\nexpected:\n{expected}\ngot:\n{got}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Scenario: a directory with several files, each with its own mistakes, and two SLOs of one id.
/// Guarantees: all are named at once, in the order of files and lines; both places of the duplicate are named.
#[test]
fn all_problems_of_all_files_at_once() {
    let twice = with("0.999", "0.99");
    let bad = "apiVersion: openslo/v1\nkind: Service\nmetadata: {nam: x}\n---\napiVersion: openslo/v1\nkind: Thing\nmetadata: {name: x}\n";
    let broken = "apiVersion: openslo/v1\nkind: [\n";
    let loaded = load_files_of(
        &[
            ("b.yaml", &twice),
            ("a.yaml", GOOD),
            ("d.yaml", broken),
            ("c.yaml", bad),
        ],
        &LoadOptions::default(),
    );
    assert!(loaded.definitions.is_none());
    let places: Vec<&str> = loaded
        .problems
        .iter()
        .map(|problem| problem.place.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "a.yaml:4:9",
            "a.yaml:13:9",
            "c.yaml:3:11",
            "c.yaml:3:12",
            "c.yaml:6:7",
            "d.yaml:2:7"
        ]
    );
    assert_eq!(
        loaded.problems[0].message,
        "expected each Service once, got `checkout` again (first at b.yaml:4:9)"
    );
    assert_eq!(
        loaded.problems[1].message,
        "expected each SLO of service `production/checkout` once, got `availability` again (first at b.yaml:13:9)"
    );
}

#[test]
fn json_takes_the_place_apart() {
    let loaded = load(&with("target: 0.999", "target: 99.9"));
    let json = show::loaded_json(&loaded);
    assert_eq!(
        json,
        serde_json::json!({"valid": false, "slos": 0, "problems": [{
            "severity": "error", "file": "a.yaml", "line": 26, "column": 15, "field": "spec.objectives[0].target",
            "message": "expected a ratio in [0, 1), got `99.9`", "hint": "write `targetPercent: 99.9`"}]})
    );
    assert_eq!(show::summary(&loaded), "1 error, 0 warnings");
    assert_eq!(
        show::summary(&load(GOOD)),
        "1 SLO of 1 service; 0 errors, 0 warnings"
    );
}
