//! Valid requests: every row and every count as the model says, whatever was decoded before.

use crate::model::{RECEIVED, SEED};
use crate::observe::{observed, representation};
use crate::subject::Subject;
use engine::time::Timestamp;
use ingest::otlp::{DecodeLimits, Decoded, Decoder, Format};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

fn cases(usual: u32, long: u32) -> ProptestConfig {
    let cases = match std::env::var_os("TIDEGATE_LONG") {
        Some(_) => long,
        None => usual,
    };
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs `test` on random `values`.
pub(crate) fn check<V: Strategy>(values: V, test: impl Fn(V::Value) -> TestCaseResult) {
    let mut runner = TestRunner::new(cases(300, 20_000));
    if let Err(failure) = runner.run(&values, test) {
        panic!("{failure}");
    }
}

fn small_limits() -> DecodeLimits {
    DecodeLimits {
        attributes_per_span: 3,
        events_per_span: 2,
        links_per_span: 2,
        key_bytes_max: 11,
        value_bytes_max: 17,
        body_bytes_max: 23,
        trace_state_bytes_max: 13,
        ..DecodeLimits::default()
    }
}

fn rows_are_what_the_model_says<S: Subject>() {
    check(S::any(), |request| {
        let body = request.encode_to_vec();
        // As it is read: encoders leave out a negative zero, too.
        let request = S::decode(&*body).unwrap();
        for limits in [DecodeLimits::default(), small_limits()] {
            let mut decoder = Decoder::new(limits);
            let outcome = observed(&mut decoder, S::SIGNAL, &body).unwrap();
            prop_assert_eq!(outcome, request.expected(&limits));
        }
        Ok(())
    });
}

/// The whole output, representation included, is a function of the request alone.
fn history_changes_nothing<S: Subject>() {
    let decode = |decoder: &mut Decoder, body: &[u8]| -> Option<Decoded> {
        let kind = (S::SIGNAL, Format::Protobuf);
        decoder.decode(kind, body, Timestamp(RECEIVED), SEED).ok()
    };
    check((vec(S::any(), 0..4), S::any()), |(before, request)| {
        let mut seasoned = Decoder::new(DecodeLimits::default());
        for earlier in before {
            let mut bytes = earlier.encode_to_vec();
            prop_assert!(decode(&mut seasoned, &bytes).is_some());
            bytes.extend_from_slice(&[0x0a, 0x7f]);
            prop_assert!(decode(&mut seasoned, &bytes).is_none());
        }
        let body = request.encode_to_vec();
        let fresh = decode(&mut Decoder::new(DecodeLimits::default()), &body);
        let one = decode(&mut seasoned, &body).as_ref().map(representation);
        prop_assert_eq!(one, fresh.as_ref().map(representation));
        Ok(())
    });
}

/// Concatenated requests are one request (protobuf merges), so both must give the same rows.
fn concatenation_is_addition<S: Subject>() {
    check(vec(S::any(), 0..4), |parts| {
        let body: Vec<u8> = parts.iter().flat_map(S::encode_to_vec).collect();
        let whole = S::decode(&*body).unwrap();
        let limits = DecodeLimits::default();
        let outcome = observed(&mut Decoder::new(limits), S::SIGNAL, &body).unwrap();
        prop_assert_eq!(outcome, whole.expected(&limits));
        Ok(())
    });
}

#[test]
fn spans_are_what_the_model_says() {
    rows_are_what_the_model_says::<ExportTraceServiceRequest>();
}

#[test]
fn points_are_what_the_model_says() {
    rows_are_what_the_model_says::<ExportMetricsServiceRequest>();
}

#[test]
fn records_are_what_the_model_says() {
    rows_are_what_the_model_says::<ExportLogsServiceRequest>();
}

#[test]
fn history_changes_no_request() {
    history_changes_nothing::<ExportTraceServiceRequest>();
    history_changes_nothing::<ExportMetricsServiceRequest>();
    history_changes_nothing::<ExportLogsServiceRequest>();
}

#[test]
fn concatenated_requests_are_one() {
    concatenation_is_addition::<ExportTraceServiceRequest>();
    concatenation_is_addition::<ExportMetricsServiceRequest>();
    concatenation_is_addition::<ExportLogsServiceRequest>();
}
