//! One test per row of the table, from the attributes that real senders use.

use super::*;
use crate::hash::HashSeed;
use crate::span_rows::{RowValue, SpanRow, batch, resource};
use crate::time::Timestamp;

/// Whether a span of `kind` with `status` and these attributes failed.
fn failed(kind: u8, status: u8, attributes: &[(&str, RowValue)]) -> bool {
    let sender = resource(&[("service.name", "checkout")]);
    let mut row = SpanRow::new(&sender, (1, 1), (1, 2), kind).with_status(status);
    for (key, value) in attributes {
        row.attributes.push(((*key).to_owned(), value.clone()));
    }
    let batch = batch(HashSeed(1, 2), Timestamp(3), &[row]);
    let mut outcomes = Outcomes::default();
    outcomes.read(&batch);
    outcomes.is_failed(&batch, 0)
}

fn server(attributes: &[(&str, RowValue)]) -> bool {
    failed(kind::SERVER, status::UNSET, attributes)
}

fn client(attributes: &[(&str, RowValue)]) -> bool {
    failed(kind::CLIENT, status::UNSET, attributes)
}

const HTTP: &str = "http.response.status_code";
const HTTP_OLD: &str = "http.status_code";

#[test]
fn status_ok_is_final() {
    assert!(!failed(kind::SERVER, status::OK, &[(HTTP, 500.into())]));
    assert!(!failed(kind::CLIENT, status::OK, &[("error", true.into())]));
}

#[test]
fn status_error_fails_with_nothing_else_said() {
    for every in [
        kind::UNSPECIFIED,
        kind::INTERNAL,
        kind::SERVER,
        kind::CLIENT,
        kind::PRODUCER,
        kind::CONSUMER,
    ] {
        assert!(failed(every, status::ERROR, &[]));
        assert!(!failed(every, status::UNSET, &[]));
    }
    assert!(failed(kind::SERVER, status::ERROR, &[(HTTP, 200.into())]));
}

#[test]
fn grpc_faults_fail_on_both_sides() {
    for code in [2, 4, 12, 13, 14, 15] {
        assert!(server(&[("rpc.grpc.status_code", code.into())]), "{code}");
        assert!(client(&[("rpc.grpc.status_code", code.into())]), "{code}");
    }
}

#[test]
fn grpc_errors_of_the_caller_fail_on_its_side_only() {
    for code in [1, 3, 5, 6, 7, 8, 9, 10, 11, 16] {
        let said = [
            ("rpc.grpc.status_code", code.into()),
            ("error.type", "x".into()),
        ];
        assert!(!server(&said), "{code}");
        assert!(client(&said), "{code}");
    }
    assert!(!client(&[("rpc.grpc.status_code", 0.into())]));
}

#[test]
fn grpc_codes_are_read_under_all_their_names() {
    for key in [
        "rpc.grpc.status_code",
        "rpc.status_code",
        "rpc.response.status_code",
        "grpc.status_code",
    ] {
        for fault in [
            "14",
            "UNAVAILABLE",
            "Unavailable",
            "DEADLINE_EXCEEDED",
            "DeadlineExceeded",
        ] {
            assert!(server(&[(key, fault.into())]), "{key} {fault}");
        }
        assert!(!server(&[(key, "OK".into())]));
        assert!(client(&[(key, "CANCELED".into())]) && client(&[(key, "CANCELLED".into())]));
        assert!(!client(&[(key, 200.into())]), "another RPC system's number");
        assert!(!client(&[(key, "".into())]));
    }
}

#[test]
fn http_5xx_fails_in_every_spelling() {
    for key in [HTTP, HTTP_OLD] {
        for code in [RowValue::from(500), "503".into(), 599.0.into(), 502.into()] {
            assert!(server(&[(key, code.clone())]) && client(&[(key, code)]));
        }
        for code in [
            RowValue::from(200),
            "302".into(),
            99_999.into(),
            "5xx".into(),
            500.5.into(),
        ] {
            assert!(!server(&[(key, code.clone())]) && !client(&[(key, code)]));
        }
    }
}

#[test]
fn http_4xx_is_no_failure_of_the_server() {
    for code in [400, 404, 429, 499] {
        let said = [
            (HTTP, code.into()),
            ("error.type", "404".into()),
            ("error", "true".into()),
        ];
        assert!(!server(&said), "{code}");
    }
}

#[test]
fn http_4xx_fails_for_the_client() {
    assert!(client(&[(HTTP, 404.into())]) && client(&[(HTTP_OLD, "429".into())]));
}

#[test]
fn a_caller_that_left_is_no_failure_of_the_server() {
    let said = [
        (HTTP_OLD, "0".into()),
        ("response_flags", "DC".into()),
        ("error", "true".into()),
    ];
    assert!(!server(&said));
    assert!(client(&said));
}

#[test]
fn no_response_fails() {
    assert!(server(&[(HTTP_OLD, "0".into())]));
    assert!(
        client(&[(HTTP_OLD, 0.into())]),
        "Envoy's attempt that timed out"
    );
}

#[test]
fn an_error_type_fails() {
    assert!(client(&[(
        "error.type",
        "java.net.ConnectException".into()
    )]));
    assert!(server(&[
        ("error.type", "panic".into()),
        (HTTP, 200.into())
    ]));
    assert!(!server(&[("error.type", "".into())]));
}

#[test]
fn envoy_flags_of_the_upstream_fail() {
    for flags in ["UF", "UT", "UC", "UH", "UO", "URX,UF", "DC,UT"] {
        assert!(client(&[("response_flags", flags.into())]), "{flags}");
    }
    for flags in ["-", "", "NR", "RL", "FI"] {
        assert!(!client(&[("response_flags", flags.into())]), "{flags}");
    }
}

#[test]
fn the_error_tag_fails() {
    assert!(client(&[("error", "true".into())]) && server(&[("error", true.into())]));
    assert!(!client(&[("error", "false".into())]) && !client(&[("error", false.into())]));
}

#[test]
fn messaging_kinds_have_sides() {
    assert_eq!(Side::of(kind::CONSUMER), Side::Server);
    assert_eq!(Side::of(kind::PRODUCER), Side::Client);
    assert_eq!(Side::of(200), Side::Server);
}

#[test]
fn every_rule_decides_some_span() {
    for (index, rule) in RULES.iter().enumerate() {
        let side = rule.side.unwrap_or(Side::Server);
        let first = RULES.iter().position(|earlier| {
            earlier.side.is_none_or(|wanted| wanted == side)
                && rule.signals & earlier.signals == earlier.signals
        });
        assert_eq!(first, Some(index), "{} is never reached", rule.name);
    }
}
