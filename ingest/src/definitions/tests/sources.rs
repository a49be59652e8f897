//! Metric and log sources: what they mean, and one line per mistake.

use super::*;
use engine::metric::Instrument;
use engine::slo::{AttributeMatch, Decimal, Op, PointSelector, Side, Sli};

fn file(indicator: &str, objective: &str) -> String {
    format!(
        "\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: a}}
spec:
  service: checkout
  indicator:
    spec:
      {indicator}
  timeWindow: [{{duration: 30d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives:
    - {objective}
---
apiVersion: openslo/v1
kind: Service
metadata: {{name: checkout}}
"
    )
}

/// A ratio of `side` to `total`, each the `spec` of a source of this type.
fn ratio(source: &str, total: &str, side: &str, spec: &str) -> String {
    let of = |spec: &str| format!("{{metricSource: {{type: {source}, spec: {spec}}}}}");
    let indicator = format!(
        "ratioMetric: {{total: {}, {side}: {}}}",
        of(total),
        of(spec)
    );
    file(&indicator, "target: 0.99")
}

fn threshold(source: &str, spec: &str, objective: &str) -> String {
    let indicator = format!("thresholdMetric: {{metricSource: {{type: {source}, spec: {spec}}}}}");
    file(&indicator, objective)
}

fn matching(key: &str, patterns: &[&str]) -> AttributeMatch {
    AttributeMatch {
        key: key.to_owned(),
        any_of: patterns.iter().map(|text| (*text).to_owned()).collect(),
        negated: false,
    }
}

fn points(metric: &str, instruments: &[Instrument], matches: &[AttributeMatch]) -> PointSelector {
    PointSelector {
        metric: metric.to_owned(),
        instruments: instruments.to_vec(),
        matches: matches.to_vec(),
    }
}

#[test]
fn records_are_good_or_bad_by_what_is_added_to_the_total() {
    let total = "{match: {resource.k8s.namespace.name: shop}}";
    let bad = "{match: {severity_text: [FATAL, ERROR], resource.k8s.namespace.name: shop}}";
    for (word, side) in [("bad", Side::Bad), ("good", Side::Good)] {
        let slo = one_slo(&ratio("tidegate-logs", total, word, bad));
        let expected = Sli::Records {
            selector: vec![matching("resource.k8s.namespace.name", &["shop"])],
            part: vec![matching("severity_text", &["ERROR", "FATAL"])],
            side,
        };
        assert_eq!(slo.sli, expected);
    }
}

#[test]
fn ratios_of_metrics_inherit_from_their_total() {
    let same = one_slo(&ratio(
        "tidegate-metrics",
        "{metric: http.server.request.duration, instrument: [histogram, exponential_histogram], match: {http.route: /a}}",
        "bad",
        "{match: {http.response.status_code: '5*'}}",
    ));
    let types = [Instrument::Histogram, Instrument::ExponentialHistogram];
    let name = "http.server.request.duration";
    let code = matching("http.response.status_code", &["5*"]);
    let route = matching("http.route", &["/a"]);
    let expected = Sli::Increments {
        total: points(name, &types, std::slice::from_ref(&route)),
        part: points(name, &types, &[code, route]),
        at_most: None,
        side: Side::Bad,
    };
    assert_eq!(same.sli, expected);
    let other = one_slo(&ratio(
        "tidegate-metrics",
        "{metric: jobs.done, instrument: counter, match: {queue: mail}}",
        "bad",
        "{metric: jobs.failed, instrument: counter}",
    ));
    let expected = Sli::Increments {
        total: points(
            "jobs.done",
            &[Instrument::Counter],
            &[matching("queue", &["mail"])],
        ),
        part: points("jobs.failed", &[Instrument::Counter], &[]),
        at_most: None,
        side: Side::Bad,
    };
    assert_eq!(other.sli, expected);
}

#[test]
fn a_histogram_is_good_up_to_a_value_in_either_form() {
    let spec = "{metric: rpc.server.duration, instrument: histogram}";
    let selector = points("rpc.server.duration", &[Instrument::Histogram], &[]);
    let expected = Sli::Increments {
        total: selector.clone(),
        part: selector,
        at_most: Some(Decimal::new(0.3)),
        side: Side::Good,
    };
    let ratio = one_slo(&ratio("tidegate-metrics", spec, "good", "{le: 0.3}"));
    assert_eq!(ratio.sli, expected);
    let objective = "{op: lte, value: 0.30, target: 0.99}";
    let threshold = one_slo(&threshold("tidegate-metrics", spec, objective));
    assert_eq!(threshold.sli, expected);
}

#[test]
fn a_gauge_is_compared_with_any_decimal() {
    let spec = "{metric: queue.length, instrument: gauge, match: {queue: mail}}";
    for (op, value, read, threshold_value) in [
        ("lt", "1000", Op::Below, 1_000.0),
        ("lte", "-0.5", Op::AtMost, -0.5),
        ("gte", "0", Op::AtLeast, 0.0),
        ("gt", "1e2", Op::Above, 100.0),
    ] {
        let objective = format!("{{op: {op}, value: {value}, target: 0.99}}");
        let text = threshold("tidegate-metrics", spec, &objective);
        if value.contains('e') {
            assert!(problems(&load(&text)).contains("write a plain decimal number"));
            continue;
        }
        let expected = Sli::Level {
            selector: points(
                "queue.length",
                &[Instrument::Gauge],
                &[matching("queue", &["mail"])],
            ),
            op: read,
            threshold: Decimal::new(threshold_value),
        };
        assert_eq!(one_slo(&text).sli, expected);
    }
}

const SOURCE: &str = "spec.indicator.spec.thresholdMetric.metricSource";
const TOTAL: &str = "spec.indicator.spec.ratioMetric.total.metricSource";

/// The only problem of a file, without its place.
fn problem(text: &str) -> String {
    let loaded = load(text);
    assert!(loaded.definitions.is_none(), "{text}");
    let all = problems(&loaded);
    let (place, rest) = all.trim_end().split_once(": spec.").unwrap();
    assert!(place.starts_with("error: a.yaml:"), "{all}");
    format!("spec.{rest}")
}

#[test]
fn mistakes_in_metric_ratios_are_named() {
    let counter = "{metric: m, instrument: counter}";
    let bad = |total: &str, spec: &str| problem(&ratio("tidegate-metrics", total, "bad", spec));
    let good = |total: &str, spec: &str| problem(&ratio("tidegate-metrics", total, "good", spec));
    let part = |word: &str| format!("spec.indicator.spec.ratioMetric.{word}.metricSource.spec");
    assert_eq!(
        bad("{metric: m, instrument: gauge}", "{match: {a: b}}"),
        format!(
            "{TOTAL}.spec.instrument: expected `counter`, `histogram` or `exponential_histogram` in a ratio, got `gauge`: the value of a gauge is no count of events\n  hint: use `thresholdMetric`: its points are good or bad by `op` and `value`"
        )
    );
    assert_eq!(
        bad(
            "{metric: m, instrument: [counter, summary]}",
            "{match: {a: b}}"
        ),
        format!(
            "{TOTAL}.spec.instrument: expected `counter`, `histogram` or `exponential_histogram` in a ratio, got `summary`: a summary holds quantiles, not events\n  hint: send a histogram instead"
        )
    );
    assert_eq!(
        bad("{metric: m, instrument: conter}", "{match: {a: b}}"),
        format!(
            "{TOTAL}.spec.instrument: expected `counter`, `histogram`, `exponential_histogram`, `gauge`, `updowncounter` or `summary`, got `conter`\n  hint: did you mean `counter`?"
        )
    );
    assert_eq!(
        bad("{metric: m}", "{match: {a: b}}"),
        format!(
            "{TOTAL}.spec: expected `instrument`: `counter`, `histogram`, `exponential_histogram`, `gauge`, `updowncounter` or `summary`, got none\n  hint: points of another type are not counted, and the SLO says so"
        )
    );
    assert_eq!(
        bad("{instrument: counter}", "{match: {a: b}}"),
        format!("{TOTAL}.spec: expected `metric`: the name of a metric as it is sent, got none")
    );
    assert_eq!(
        bad(counter, "{}"),
        format!(
            "{}: expected `bad` to say which events of `total` are bad, got no difference\n  hint: add a `match`, or another `metric`, or in `good` of a histogram an `le`",
            part("bad")
        )
    );
    assert_eq!(
        bad(counter, "{metric: errors}"),
        format!(
            "{}: expected `instrument`: `counter`, `histogram`, `exponential_histogram`, `gauge`, `updowncounter` or `summary`, got none\n  hint: points of another type are not counted, and the SLO says so",
            part("bad")
        )
    );
    assert_eq!(
        good(counter, "{le: 0.3}"),
        format!(
            "{}.le: expected `le` only of `histogram` and `exponential_histogram`, got it of `counter`",
            part("good")
        )
    );
    let histogram = "{metric: m, instrument: histogram}";
    assert_eq!(
        bad(histogram, "{le: 0.3}"),
        format!(
            "{}.le: expected `le` in `good`, got it in `bad`: events up to it would be the bad ones\n  hint: say `good` with this `le`",
            part("bad")
        )
    );
    assert_eq!(
        good(histogram, "{le: 0}"),
        format!(
            "{}.le: expected a number above 0, in the metric's own unit, got `0`",
            part("good")
        )
    );
    assert_eq!(
        good("{metric: m, instrument: histogram, le: 1}", "{le: 0.3}"),
        format!(
            "{TOTAL}.spec.le: expected no `le` under `total`, got one\n  hint: move it to `good`"
        )
    );
    assert_eq!(
        good(
            "{metric: m, instrument: histogram, kind: server}",
            "{le: 0.3}"
        ),
        format!(
            "{TOTAL}.spec.kind: expected a known field, got `kind`\n  hint: known here: metric, instrument, match, le"
        )
    );
}

#[test]
fn mistakes_in_thresholds_are_named() {
    let of = |spec: &str, objective: &str| problem(&threshold("tidegate-metrics", spec, objective));
    let all = "{op: lte, value: 1, target: 0.99}";
    assert_eq!(
        of("{metric: m, instrument: counter}", all),
        format!(
            "{SOURCE}.spec.instrument: expected `gauge`, or `histogram` and `exponential_histogram`, in a thresholdMetric, got `counter`\n  hint: a counter has no values to compare: use `ratioMetric`"
        )
    );
    assert_eq!(
        of("{metric: m, instrument: [gauge, histogram]}", all),
        format!(
            "{SOURCE}.spec.instrument: expected `gauge`, or `histogram` and `exponential_histogram`, in a thresholdMetric, got `gauge` or `histogram`"
        )
    );
    assert_eq!(
        of("{metric: m, instrument: histogram, le: 3}", all),
        format!(
            "{SOURCE}.spec.le: expected no `le` in a thresholdMetric, got one\n  hint: write it as the `value` of the objective"
        )
    );
    let (gauge, histogram) = (
        "{metric: m, instrument: gauge}",
        "{metric: m, instrument: histogram}",
    );
    let objective = "spec.objectives[0]";
    assert_eq!(
        of(gauge, "{value: 1, target: 0.99}"),
        format!(
            "{objective}: expected `op`: lte, lt, gte or gt, how a good value compares to `value`, got nothing"
        )
    );
    assert_eq!(
        of(gauge, "{op: gt, target: 0.99}"),
        format!(
            "{objective}: expected `value`: what is compared with, in the metric's own unit, got nothing"
        )
    );
    assert_eq!(
        of(gauge, "{op: eq, value: 1, target: 0.99}"),
        format!("{objective}.op: expected `lte`, `lt`, `gte` or `gt`, got `eq`")
    );
    assert_eq!(
        of(gauge, "{op: gt, value: many, target: 0.99}"),
        format!(
            "{objective}.value: expected a number, such as 0.3, got `many`\n  hint: write a plain decimal number"
        )
    );
    assert_eq!(
        of(histogram, "{op: lt, value: 1, target: 0.99}"),
        format!(
            "{objective}.op: expected `lte` of a histogram, got `lt`: its buckets hold the events up to their bound\n  hint: write `op: lte`"
        )
    );
    assert_eq!(
        of(histogram, "{op: lte, value: -1, target: 0.99}"),
        format!("{objective}.value: expected a number above 0, in the metric's own unit, got `-1`")
    );
}

#[test]
fn mistakes_in_log_sources_are_named() {
    let total = "{match: {a: b}}";
    assert_eq!(
        problem(&ratio("tidegate-logs", total, "bad", total)),
        "spec.indicator.spec.ratioMetric.bad.metricSource.spec: expected `bad` to say which records of `total` are bad, got no difference\n  hint: add a `match`, such as `{severity_text: [ERROR, FATAL]}`"
    );
    assert_eq!(
        problem(&ratio("tidegate-logs", "{matches: {a: b}}", "bad", total)),
        format!(
            "{TOTAL}.spec.matches: expected a known field, got `matches`\n  hint: did you mean `match`?"
        )
    );
    assert_eq!(
        problem(&threshold(
            "tidegate-logs",
            "{}",
            "{op: lte, value: 1, target: 0.99}"
        )),
        format!(
            "{SOURCE}.spec: expected spans or metrics in a thresholdMetric, got log records: they are counted, not measured\n  hint: use `ratioMetric` with `total` and `bad`"
        )
    );
}
