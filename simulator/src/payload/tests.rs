//! Payloads say what they claim: sizes, counts, unique ids, traces that hang together.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::HashSet;

fn decode(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).unwrap()
}

#[test]
fn rich_requests_have_the_promised_shape() {
    let mut payload = Payload::new(PayloadKind::Rich, 512, 1);
    let per_span = payload.bytes_per_span();
    assert!((557.0..577.0).contains(&per_span), "{per_span}");
    let request = decode(payload.next_request(1_700_000_000_000_000_000));
    assert_eq!(request.resource_spans.len(), 4);
    let resources = request
        .resource_spans
        .iter()
        .map(|group| group.resource.as_ref().unwrap());
    assert!(
        resources
            .clone()
            .all(|resource| resource.attributes.len() == 10)
    );
    let spans: Vec<_> = request
        .resource_spans
        .iter()
        .flat_map(|group| &group.scope_spans[0].spans)
        .collect();
    assert_eq!(spans.len(), 512);
    assert!(spans.iter().all(|span| span.attributes.len() == 12));
}

#[test]
fn minimal_spans_are_small() {
    let mut payload = Payload::new(PayloadKind::Minimal, 512, 1);
    let per_span = payload.bytes_per_span();
    assert!((133.0..153.0).contains(&per_span), "{per_span}");
    assert_eq!(decode(payload.next_request(1)).resource_spans.len(), 4);
}

#[test]
fn odd_batch_sizes_hold_exactly_that_many_spans() {
    for batch in [1, 3, 10, 11, 64] {
        let request = decode(Payload::new(PayloadKind::Minimal, batch, 1).next_request(1));
        let spans = request
            .resource_spans
            .iter()
            .map(|group| group.scope_spans[0].spans.len());
        assert_eq!(spans.sum::<usize>(), batch);
    }
}

/// Scenario: 100 requests on each of two connections.
/// Guarantees: no (trace, span) repeats; every parent of a span exists, but for the late ends of the first request.
#[test]
fn ids_are_unique_and_parents_exist() {
    let mut seen = HashSet::new();
    let mut parents = Vec::new();
    for connection in 0..2 {
        let mut payload = Payload::new(PayloadKind::Minimal, 64, connection);
        for _ in 0..100 {
            let request = decode(payload.next_request(1_700_000_000_000_000_000));
            for span in request
                .resource_spans
                .iter()
                .flat_map(|group| &group.scope_spans[0].spans)
            {
                assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
                assert!(seen.insert((span.trace_id.clone(), span.span_id.clone())));
                if !span.parent_span_id.is_empty() {
                    parents.push((span.trace_id.clone(), span.parent_span_id.clone()));
                }
            }
        }
    }
    let orphans = parents
        .iter()
        .filter(|parent| !seen.contains(*parent))
        .count();
    // 64 spans are six whole traces: one orphan each for the ends that arrive with the first request.
    assert_eq!(orphans, 2 * 6);
}
