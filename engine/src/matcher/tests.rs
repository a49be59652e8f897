//! Patterns, masks and selectors against small batches.

use super::pattern::Patterns;
use super::*;
use crate::hash::HashSeed;
use crate::identity::ServiceKey;
use crate::slo::{ExclusionRule, Slo};
use crate::span_rows::{SpanRow, batch, resource};
use crate::time::Timestamp;

fn rule(key: &str, any_of: &[&str]) -> AttributeMatch {
    AttributeMatch {
        key: key.to_owned(),
        any_of: any_of.iter().map(|text| (*text).to_owned()).collect(),
        negated: false,
    }
}

fn row(kind: u8) -> SpanRow {
    let sender = resource(&[("service.name", "checkout"), ("cloud.region", "eu-1")]);
    SpanRow::new(&sender, (1, 1), (1_000, 3_000), kind)
}

fn batch_of(rows: &[SpanRow]) -> SpanBatch {
    batch(HashSeed(1, 2), Timestamp::from_secs(1), rows)
}

/// Which rows a condition holds for.
fn rows_of(rule: &AttributeMatch, rows: &[SpanRow]) -> Vec<bool> {
    let mask = Condition::compile(rule).evaluate(&batch_of(rows));
    (0..rows.len()).map(|row| mask.contains(row)).collect()
}

#[test]
fn wildcards_stand_for_any_run() {
    let table = [
        ("/health/*", "/health/live", true),
        ("/health/*", "/health", false),
        ("*", "", true),
        ("*b*", "abc", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abcdef", false),
        ("*aab", "aaaab", true),
        ("a**b", "ab", true),
        ("ab", "abc", false),
        ("é*", "été", true),
    ];
    for (pattern, text, expected) in table {
        let patterns = Patterns::new(&[pattern.to_owned()]);
        assert_eq!(
            patterns.match_text(text.as_bytes()),
            expected,
            "{pattern} on {text}"
        );
    }
}

#[test]
fn numbers_match_by_their_decimal_text() {
    let rows = [
        row(2).with("code", 503),
        row(2).with("code", "503"),
        row(2).with("code", 503.0),
        row(2).with("code", 50),
        row(2).with("code", true),
        row(2),
    ];
    let held = rows_of(&rule("code", &["503"]), &rows);
    assert_eq!(held, [true, true, true, false, false, false]);
    let held = rows_of(&rule("code", &["5*", "true"]), &rows);
    assert_eq!(held, [true, true, true, true, true, false]);
}

#[test]
fn a_negated_condition_holds_where_the_attribute_is_absent() {
    let rows = [
        row(2).with("tier", "free"),
        row(2).with("tier", "paid"),
        row(2),
    ];
    let mut condition = rule("tier", &["free"]);
    condition.negated = true;
    assert_eq!(rows_of(&condition, &rows), [false, true, true]);
}

#[test]
fn names_and_resources_are_read() {
    let rows = [row(2).named("GET /a"), row(2).named("POST /a")];
    assert_eq!(rows_of(&rule("name", &["GET *"]), &rows), [true, false]);
    assert_eq!(
        rows_of(&rule("resource.cloud.region", &["eu-*"]), &rows),
        [true, true]
    );
    assert_eq!(
        rows_of(&rule("resource.cloud.zone", &["*"]), &rows),
        [false, false]
    );
}

#[test]
fn raw_columns_match_like_dictionaries() {
    let rows: Vec<SpanRow> = (0..600)
        .map(|index| row(2).with("url.path", format!("/item/{index}").as_str()))
        .collect();
    let held = rows_of(&rule("url.path", &["/item/7", "/item/5*"]), &rows);
    let expected = |index: usize| index == 7 || index.to_string().starts_with('5');
    assert!((0..600).all(|index| held[index] == expected(index)));
}

#[test]
fn health_checks_are_left_out_by_default() {
    let rows = [
        row(2).with("http.route", "/healthz"),
        row(2).with("http.target", "/actuator/health/db"),
        row(2).with("rpc.service", "grpc.health.v1.Health"),
        row(2).named("grpc.health.v1.Health/Check"),
        row(2).with("http.route", "/healthcare"),
        row(2).named("GET /"),
    ];
    let batch = batch_of(&rows);
    let matcher = Matcher::compile(&Definitions::default());
    let view = matcher.view(&batch);
    let excluded: Vec<bool> = (0..rows.len()).map(|row| view.is_excluded(row)).collect();
    assert_eq!(excluded, [true, true, true, true, false, false]);
    assert!(!ExclusionRule::default().any_of.is_empty());
}

fn slo(name: &str, sli: Sli) -> Slo {
    let service = ServiceKey {
        name: "checkout".to_owned(),
        ..ServiceKey::default()
    };
    let mut slo = Slo::implicit(&service);
    slo.id = Slo::id_of(slo.service_id, name);
    slo.implicit = false;
    slo.sli = sli;
    slo
}

/// What the only SLO of `sli` says of each row.
fn judged(sli: Sli, rows: &[SpanRow]) -> Vec<Option<bool>> {
    let slo = slo("one", sli);
    let service = slo.service_id;
    let mut definitions = Definitions::default();
    definitions.slos.insert(slo.id, slo);
    let matcher = Matcher::compile(&definitions);
    let batch = batch_of(rows);
    let mut view = matcher.view(&batch);
    let measure = &matcher.measures_of(service).list[0];
    (0..rows.len())
        .map(|row| view.judge(measure, row))
        .collect()
}

#[test]
fn no_kinds_means_entry_spans() {
    let sli = Sli::Availability {
        selector: SpanSelector::default(),
        failed: FailedRule::Default,
    };
    let rows: Vec<SpanRow> = (0..8).map(row).collect();
    let events = judged(sli, &rows);
    let expected = |kind: usize| (kind == 2 || kind == 5).then_some(false);
    assert!((0..8).all(|kind| events[kind] == expected(kind)));
}

#[test]
fn a_failed_rule_replaces_the_house_table() {
    let sli = Sli::Availability {
        selector: SpanSelector {
            kinds: vec![kind::CLIENT],
            matches: vec![rule("peer.service", &["bank"])],
        },
        failed: FailedRule::Attributes(vec![
            rule("answer", &["declined"]),
            rule("retry", &["false"]),
        ]),
    };
    let bank = || row(3).with("peer.service", "bank");
    let rows = [
        bank().with("answer", "declined").with("retry", false),
        bank().with("answer", "declined").with("retry", true),
        bank().with_status(2),
        row(3).with("answer", "declined"),
    ];
    assert_eq!(
        judged(sli, &rows),
        [Some(true), Some(false), Some(false), None]
    );
}

#[test]
fn the_latency_threshold_is_inclusive_and_exact() {
    let sli = Sli::Latency {
        selector: SpanSelector::default(),
        threshold_nanos: 2_000,
    };
    let lasting = |nanos: u64| {
        let mut row = row(2);
        row.end = row.start + nanos;
        row
    };
    let mut backwards = row(2);
    backwards.end = 1;
    let rows = [lasting(1_999), lasting(2_000), lasting(2_001), backwards];
    assert_eq!(
        judged(sli, &rows),
        [Some(false), Some(false), Some(true), None]
    );
}

#[test]
fn services_without_definitions_get_the_implicit_sli() {
    let matcher = Matcher::compile(&Definitions::default());
    let measures = matcher.measures_of(ServiceId(7));
    assert_eq!(measures.list.len(), 1);
    assert_eq!(measures.list[0].slo, None);
    assert_eq!(measures.kinds, ENTRY_KINDS);
}
