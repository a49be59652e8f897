//! Critical paths against the expected results of CRISP's own test cases.

use engine::blame::Examiner;
use engine::span::kind;
use engine::trace::{FailureClass, TraceSpan};
use serde_json::Value;
use std::collections::BTreeMap;

/// A case's spans, and the operation of each as its expectations name it.
fn read(number: u32) -> (Vec<TraceSpan>, Vec<String>, BTreeMap<String, u64>) {
    let path = super::folder("crisp-testcases").join(format!("test_cases/{number}.json"));
    let case: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let trace = &case["data"][0];
    let mut services: Vec<String> = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    let number_in = |list: &mut Vec<String>, text: &Value| {
        let text = text.as_str().unwrap();
        let known = list.iter().position(|it| it == text);
        known.unwrap_or_else(|| {
            list.push(text.to_owned());
            list.len() - 1
        })
    };
    let mut spans: Vec<(TraceSpan, String)> = Vec::new();
    for span in trace["spans"].as_array().unwrap() {
        let process = span["processID"].as_str().unwrap();
        let service = &trace["processes"][process]["serviceName"];
        let references = span["references"].as_array().unwrap();
        let parent = references.iter().find(|it| it["refType"] == "CHILD_OF");
        let parent = parent.map(|it| number_in(&mut ids, &it["spanID"]) as u64 + 1);
        let start = span["startTime"].as_u64().unwrap();
        let operation = span["operationName"].as_str().unwrap();
        spans.push((
            TraceSpan {
                span_id: number_in(&mut ids, &span["spanID"]) as u64 + 1,
                parent_id: parent.unwrap_or(0),
                start,
                end: start + span["duration"].as_u64().unwrap(),
                actor: number_in(&mut services, service) as u32,
                peer: 0,
                route: 0,
                kind: kind::INTERNAL,
                class: FailureClass::Ok,
                flags: 0,
            },
            format!("[{}] {operation}", service.as_str().unwrap()),
        ));
    }
    spans.sort_by_key(|(span, _)| (span.start, span.span_id));
    let expected = match &case["testing"] {
        Value::Array(list) => list[0].clone(),
        testing => testing["opTimeExclusive"].clone(),
    };
    let (spans, operations) = spans.into_iter().unzip();
    (spans, operations, serde_json::from_value(expected).unwrap())
}

/// Scenario: CRISP's test cases 1 to 25: nesting, overlaps, children that overrun, begin after or outlive their parent.
/// Guarantees: the exclusive time of every operation on the critical path is the expected one.
#[test]
fn the_critical_path_is_that_of_crisp() {
    let mut examiner = Examiner::default();
    for number in 1..=25 {
        let (spans, operations, mut expected) = read(number);
        examiner.examine(&spans);
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for (operation, nanos) in operations.iter().zip(examiner.critical()) {
            *found.entry(operation.clone()).or_default() += nanos;
        }
        // Operations off the path, or with no time of their own, may be named with zero or not at all.
        found.retain(|_, nanos| *nanos > 0);
        expected.retain(|_, nanos| *nanos > 0);
        assert_eq!(found, expected, "case {number}");
    }
}
