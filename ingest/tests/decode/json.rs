//! OTLP/JSON: the JSON and the protobuf form of one request give the same columns, byte for byte.

use crate::differential::check;
use crate::model::{RECEIVED, SEED};
use crate::observe::representation;
use crate::spell::Speller;
use crate::subject::Subject;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoder, Format};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;

/// Whatever decodes `body`, as text: columns, rejected items, counts; or the error.
fn decoded(form: (Signal, Format), body: &[u8]) -> Result<String, DecodeError> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let decoded = decoder.decode(form, body, Timestamp(RECEIVED), SEED);
    decoded.map(|decoded| representation(&decoded))
}

fn both_forms_give_identical_columns<S: Subject>() {
    check((S::any(), any::<u64>()), |(request, dice)| {
        let body = request.encode_to_vec();
        // As it is read: protobuf encoders leave out a negative zero.
        let json = S::decode(&*body).unwrap().spell(&mut Speller(dice));
        let rows = decoded((S::SIGNAL, Format::Json), json.as_bytes());
        let expected = decoded((S::SIGNAL, Format::Protobuf), &body);
        prop_assert_eq!(rows, expected, "{}", json);
        Ok(())
    });
}

/// Cut, overwritten and inserted bytes: refused or accepted, never a panic, and an offset inside the body.
fn mutations_are_refused_with_a_place_or_accepted<S: Subject>() {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0u8..3);
    check(
        (S::any(), any::<u64>(), vec(edit, 1..4)),
        |(request, dice, edits)| {
            let mut body = request.spell(&mut Speller(dice)).into_bytes();
            for (place, byte, kind) in edits {
                let at = place.index(body.len());
                match kind {
                    0 => body[at] = byte,
                    1 => body.insert(at, br#"{}[],:"0123456789-.eE\ntfu"#[usize::from(byte % 26)]),
                    _ => body.truncate(at.max(1)),
                }
            }
            match decoded((S::SIGNAL, Format::Json), &body) {
                Err(DecodeError::Malformed { offset, .. }) => prop_assert!(offset <= body.len()),
                Err(other) => prop_assert!(false, "{other}"),
                Ok(_) => {}
            }
            Ok(())
        },
    );
}

#[test]
fn traces_in_json_and_protobuf_give_identical_columns() {
    both_forms_give_identical_columns::<ExportTraceServiceRequest>();
}

#[test]
fn metrics_in_json_and_protobuf_give_identical_columns() {
    both_forms_give_identical_columns::<ExportMetricsServiceRequest>();
}

#[test]
fn logs_in_json_and_protobuf_give_identical_columns() {
    both_forms_give_identical_columns::<ExportLogsServiceRequest>();
}

#[test]
fn mutated_json_is_refused_with_a_place_or_accepted() {
    mutations_are_refused_with_a_place_or_accepted::<ExportTraceServiceRequest>();
    mutations_are_refused_with_a_place_or_accepted::<ExportMetricsServiceRequest>();
    mutations_are_refused_with_a_place_or_accepted::<ExportLogsServiceRequest>();
}
