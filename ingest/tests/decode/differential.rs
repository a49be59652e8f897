//! Valid requests: every row and every count as the model says, whatever was decoded before.

use crate::generate::request;
use crate::model::{RECEIVED, SEED, expected};
use crate::observe::{observed, representation};
use engine::time::Timestamp;
use ingest::otlp::{DecodeLimits, Decoder};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

pub(crate) fn cases(usual: u32, long: u32) -> ProptestConfig {
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

fn small_limits() -> DecodeLimits {
    DecodeLimits {
        attributes_per_span: 3,
        events_per_span: 2,
        links_per_span: 2,
        key_bytes_max: 11,
        value_bytes_max: 17,
        trace_state_bytes_max: 13,
        ..DecodeLimits::default()
    }
}

proptest! {
    #![proptest_config(cases(300, 20_000))]

    #[test]
    fn rows_are_what_the_model_says(request in request()) {
        for limits in [DecodeLimits::default(), small_limits()] {
            let mut decoder = Decoder::new(limits);
            let outcome = observed(&mut decoder, &request.encode_to_vec()).unwrap();
            prop_assert_eq!(outcome, expected(&request, &limits));
        }
    }

    /// The whole output, representation included, is a function of the request alone.
    #[test]
    fn history_changes_nothing(before in proptest::collection::vec(request(), 0..4), request in request()) {
        let body = request.encode_to_vec();
        let mut seasoned = Decoder::new(DecodeLimits::default());
        for earlier in before {
            let mut bytes = earlier.encode_to_vec();
            seasoned.decode_traces(&bytes, Timestamp(RECEIVED), SEED).unwrap();
            bytes.extend_from_slice(&[0x0a, 0x7f]);
            seasoned.decode_traces(&bytes, Timestamp(RECEIVED), SEED).unwrap_err();
        }
        let mut fresh = Decoder::new(DecodeLimits::default());
        let one = seasoned.decode_traces(&body, Timestamp(RECEIVED), SEED).unwrap();
        let other = fresh.decode_traces(&body, Timestamp(RECEIVED), SEED).unwrap();
        prop_assert_eq!(representation(&one), representation(&other));
    }

    /// Concatenated requests are one request (protobuf merges), so both must give the same rows.
    #[test]
    fn concatenation_is_addition(parts in proptest::collection::vec(request(), 0..4)) {
        let body: Vec<u8> = parts.iter().flat_map(Message::encode_to_vec).collect();
        let whole = ExportTraceServiceRequest::decode(&*body).unwrap();
        let limits = DecodeLimits::default();
        let outcome = observed(&mut Decoder::new(limits), &body).unwrap();
        prop_assert_eq!(outcome, expected(&whole, &limits));
    }
}
