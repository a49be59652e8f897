//! Known encodings of the answers.

use super::*;

#[test]
fn base64_is_unpadded_rfc_4648() {
    let cases = [
        ("", ""),
        ("f", "Zg"),
        ("fo", "Zm8"),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, encoded) in cases {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}

#[test]
fn nothing_rejected_and_nothing_to_say_is_an_unset_partial_success() {
    assert!(export_response(0, "").is_empty());
    assert_eq!(
        export_response(300, "x"),
        [0x0a, 6, 0x08, 0xac, 0x02, 0x12, 1, b'x']
    );
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    let long = "é".repeat(PARTIAL_MESSAGE_BYTES_MAX);
    let response = export_response(1, &long);
    assert!(response.len() <= PARTIAL_MESSAGE_BYTES_MAX + 16);
    assert_eq!(cut("aé", 2), "a");
}

#[test]
fn a_status_message_survives_headers() {
    assert_eq!(percent_encode("50% é\n"), "50%25 %C3%A9%0A");
}

#[test]
fn status_carries_its_details() {
    let details = Details {
        retry_secs: Some(1),
        violation: None,
    };
    let encoded = status(14, "full", &details);
    assert_eq!(encoded[..8], [0x08, 14, 0x12, 4, b'f', b'u', b'l', b'l']);
    assert_eq!(encoded[8], 0x1a);
    assert!(encoded.ends_with(&[0x12, 4, 0x0a, 2, 0x08, 1]));
    let json: serde_json::Value =
        serde_json::from_slice(&status_json(14, "full", &details)).expect("valid JSON");
    assert_eq!(json["details"][0]["retryDelay"], "1s");
}
