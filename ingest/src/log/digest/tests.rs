//! The digest tells requests apart in everything that decides, for every signal.

use super::*;
use crate::otlp::{DecodeLimits, Decoder, Format};
use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use std::collections::BTreeSet;

const RECEIVED: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// The digest of the OTLP/JSON `body`.
fn digest_of(signal: Signal, body: &str) -> u128 {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let kind = (signal, Format::Json);
    let decoded = decoder
        .decode(kind, body.as_bytes(), RECEIVED, HashSeed(1, 2))
        .unwrap();
    assert!(
        !decoded.batches.is_empty() && decoded.rejected.is_empty(),
        "{body}: {decoded:?}"
    );
    let batches: Vec<_> = decoded.batches.into_iter().map(Arc::new).collect();
    columns_digest(&batches)
}

/// Every variant has a digest of its own, and the same one again.
fn all_different(signal: Signal, variants: &[String]) {
    let digests: BTreeSet<u128> = variants
        .iter()
        .map(|body| digest_of(signal, body))
        .collect();
    assert_eq!(digests.len(), variants.len());
    assert_eq!(
        digest_of(signal, &variants[0]),
        digest_of(signal, &variants[0])
    );
}

#[test]
fn points_are_told_apart() {
    let sum = |temporality: u8, point: &str| {
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","sum":{{
            "aggregationTemporality":{temporality},"isMonotonic":true,"dataPoints":[{{{point}}}]}}}}]}}]}}]}}"#
        )
    };
    let histogram = |kind: &str, point: &str| {
        format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","{kind}":{{
            "aggregationTemporality":1,"dataPoints":[{{"timeUnixNano":"{}",{point}}}]}}}}]}}]}}]}}"#,
            RECEIVED.0
        )
    };
    let time = RECEIVED.0;
    all_different(
        Signal::Metrics,
        &[
            sum(1, &format!(r#""timeUnixNano":"{time}","asInt":"1""#)),
            sum(2, &format!(r#""timeUnixNano":"{time}","asInt":"1""#)),
            sum(1, &format!(r#""timeUnixNano":"{time}","asInt":"2""#)),
            sum(1, &format!(r#""timeUnixNano":"{time}","asDouble":1"#)),
            sum(1, &format!(r#""timeUnixNano":"{}","asInt":"1""#, time - 1)),
            sum(
                1,
                &format!(r#""startTimeUnixNano":"5","timeUnixNano":"{time}","asInt":"1""#),
            ),
            sum(
                1,
                &format!(r#""timeUnixNano":"{time}","asInt":"1","flags":1"#),
            ),
            sum(
                1,
                &format!(
                    r#""timeUnixNano":"{time}","asInt":"1","attributes":[{{"key":"k","value":{{"intValue":1}}}}]"#
                ),
            ),
            histogram(
                "histogram",
                r#""count":2,"bucketCounts":[1,1],"explicitBounds":[1]"#,
            ),
            histogram(
                "histogram",
                r#""count":2,"bucketCounts":[2,0],"explicitBounds":[1]"#,
            ),
            histogram(
                "histogram",
                r#""count":2,"bucketCounts":[1,1],"explicitBounds":[2]"#,
            ),
            histogram(
                "exponentialHistogram",
                r#""count":1,"scale":3,"positive":{"offset":1,"bucketCounts":[1]}"#,
            ),
            histogram(
                "exponentialHistogram",
                r#""count":1,"scale":4,"positive":{"offset":1,"bucketCounts":[1]}"#,
            ),
            histogram(
                "exponentialHistogram",
                r#""count":1,"scale":3,"positive":{"offset":2,"bucketCounts":[1]}"#,
            ),
            histogram(
                "exponentialHistogram",
                r#""count":1,"scale":3,"negative":{"offset":1,"bucketCounts":[1]}"#,
            ),
            histogram(
                "exponentialHistogram",
                r#""count":1,"scale":3,"zeroCount":1"#,
            ),
            histogram("summary", r#""count":1,"sum":2"#),
            histogram(
                "summary",
                r#""count":1,"sum":2,"quantileValues":[{"quantile":0.5,"value":1}]"#,
            ),
        ],
    );
}

#[test]
fn records_are_told_apart() {
    let record = |fields: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{{fields}}}]}}]}}]}}"#)
    };
    let trace = "01".repeat(16);
    all_different(
        Signal::Logs,
        &[
            record(""),
            record(r#""severityNumber":9"#),
            record(r#""severityText":"INFO""#),
            record(r#""eventName":"INFO""#),
            record(r#""body":{"stringValue":"a"}"#),
            record(r#""body":{"intValue":1}"#),
            record(&format!(r#""traceId":"{trace}""#)),
            record(&format!(r#""timeUnixNano":"{}""#, RECEIVED.0 - 1)),
            record(&format!(r#""observedTimeUnixNano":"{}""#, RECEIVED.0 - 1)),
            record(r#""attributes":[{"key":"k","value":{"intValue":1}}]"#),
            record(r#""flags":1"#),
        ],
    );
}
