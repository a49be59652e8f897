//! OTLP/JSON: the JSON and the protobuf form of one request give the same columns, byte for byte.

use crate::differential::cases;
use crate::generate::spans as request;
use crate::model::{RECEIVED, SEED};
use crate::observe::representation;
use crate::spell::Speller;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoder, Format};
use proptest::prelude::*;
use prost::Message;

/// Whatever decodes `body`, as text: columns, rejected items, counts; or the error.
fn decoded(form: (Signal, Format), body: &[u8]) -> Result<String, DecodeError> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let decoded = decoder.decode(form, body, Timestamp(RECEIVED), SEED);
    decoded.map(|decoded| representation(&decoded))
}

fn same_in_both_forms(signal: Signal, json: &str, protobuf: &[u8]) -> Result<(), TestCaseError> {
    let rows = decoded((signal, Format::Json), json.as_bytes());
    prop_assert_eq!(
        rows,
        decoded((signal, Format::Protobuf), protobuf),
        "{}",
        json
    );
    Ok(())
}

proptest! {
    #![proptest_config(cases(300, 20_000))]

    #[test]
    fn traces_in_json_and_protobuf_give_identical_columns(request in request(), dice in any::<u64>()) {
        let json = Speller(dice).traces(&request);
        same_in_both_forms(Signal::Traces, &json, &request.encode_to_vec())?;
    }

    /// Cut, overwritten and inserted bytes: refused or accepted, never a panic, and an offset inside the body.
    #[test]
    fn mutated_json_is_refused_with_a_place_or_accepted(
        request in request(),
        dice in any::<u64>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let mut body = Speller(dice).traces(&request).into_bytes();
        for (place, byte, kind) in edits {
            let at = place.index(body.len());
            match kind {
                0 => body[at] = byte,
                1 => body.insert(at, br#"{}[],:"0123456789-.eE\ntfu"#[usize::from(byte % 26)]),
                _ => body.truncate(at.max(1)),
            }
        }
        match decoded((Signal::Traces, Format::Json), &body) {
            Err(DecodeError::Malformed { offset, .. }) => prop_assert!(offset <= body.len()),
            Err(other) => prop_assert!(false, "{other}"),
            Ok(_) => {}
        }
    }
}
