//! Statements 1-22: OTLP over gRPC. (18 and 21 come with TLS and shutdown.)

use crate::payload::{Payload, SIGNALS, Signal, field, in_item};
use crate::target::{Answer, Target, WAYS, Way, check, check_all};
use crate::wire::{TRACES, framed, gzip};

const LIMIT: usize = 64 << 20;
const RESOURCE_EXHAUSTED: u32 = 8;
const INVALID_ARGUMENT: u32 = 3;
const UNIMPLEMENTED: u32 = 12;

/// A valid request of one item whose unknown field makes it exactly `bytes` long.
fn padded(signal: Signal, bytes: usize) -> Vec<u8> {
    let mut body = Payload::new(signal, 1, 0).protobuf;
    // Field 15, a length of four bytes, zeros.
    let content = bytes - body.len() - 5;
    assert!((1 << 21..1 << 28).contains(&content));
    body.extend_from_slice(&field(15, &vec![0; content]));
    assert_eq!(body.len(), bytes);
    body
}

#[test]
fn s01_export_is_answered_with_the_matching_response() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            let answer = target.export(Way::Grpc, &Payload::new(signal, 2, 0)).await;
            assert!(answer.is_clean(), "{signal:?}: {answer:?}");
        }
        [2, 2, 2]
    });
}

#[test]
fn s02_none_and_gzip_are_accepted() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            for encoding in ["identity", "gzip"] {
                let plain = Payload::new(signal, 1, 0).protobuf;
                let body = match encoding {
                    "gzip" => gzip(&plain),
                    _ => plain,
                };
                let answer = target.send((Way::Grpc, signal), encoding, &body).await;
                assert!(answer.is_clean(), "{signal:?} {encoding}: {answer:?}");
            }
        }
        [2, 2, 2]
    });
}

#[test]
fn s03_an_unknown_encoding_is_unimplemented_and_names_the_known_ones() {
    check(async |target: &Target| {
        let client = target.grpc().await;
        for signal in SIGNALS {
            let body = framed(1, &Payload::new(signal, 1, 0).protobuf);
            let headers = [("grpc-encoding", "lzma")];
            let answer = client.raw(signal.method(), &headers, body).await;
            assert_eq!(answer.code, UNIMPLEMENTED, "{answer:?}");
            let known = &answer.headers["grpc-accept-encoding"];
            assert!(known.to_str().unwrap().contains("gzip"), "{known:?}");
        }
        [0; 3]
    });
}

#[test]
fn s04_every_gzip_member_is_decoded() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            let members = |other: &[u8]| {
                let first = Payload::new(signal, 1, 0).protobuf;
                [gzip(&first), gzip(other)].concat()
            };
            let good = members(&Payload::new(signal, 2, 0).protobuf);
            let answer = target.send((Way::Grpc, signal), "gzip", &good).await;
            let all = answer.is_clean();
            // What is in the second one is looked at: it makes the whole message invalid.
            let bad = members(&[0x0a, 0x7f]);
            let answer = target.send((Way::Grpc, signal), "gzip", &bad).await;
            let refused = matches!(answer, Answer::Refused { .. });
            assert!(all && refused, "{signal:?}: {answer:?}");
        }
        [3, 3, 3]
    });
}

/// 64 MiB and one byte, plain.
#[test]
fn s05_a_message_over_the_limit_is_resource_exhausted_without_retry_info() {
    check(async |target: &Target| {
        let body = padded(Signal::Traces, LIMIT + 1);
        let answer = target
            .send((Way::Grpc, Signal::Traces), "identity", &body)
            .await;
        assert!(
            answer.is_refused_for_good(RESOURCE_EXHAUSTED, 0),
            "{answer:?}"
        );
        [0; 3]
    });
}

#[test]
fn s06_a_message_over_the_limit_after_decompression_is_the_same() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            let body = gzip(&padded(signal, LIMIT + 1));
            let answer = target.send((Way::Grpc, signal), "gzip", &body).await;
            assert!(
                answer.is_refused_for_good(RESOURCE_EXHAUSTED, 0),
                "{signal:?}: {answer:?}"
            );
        }
        [0; 3]
    });
}

#[test]
fn s07_the_default_limit_is_64_mib() {
    check(async |target: &Target| {
        for encoding in ["identity", "gzip"] {
            let plain = padded(Signal::Traces, LIMIT);
            let body = match encoding {
                "gzip" => gzip(&plain),
                _ => plain,
            };
            let answer = target
                .send((Way::Grpc, Signal::Traces), encoding, &body)
                .await;
            assert!(answer.is_clean(), "{encoding}: {answer:?}");
        }
        [2, 0, 0]
    });
}

#[test]
fn s08_full_success_leaves_partial_success_unset() {
    check_all(async |target: &Target, way, signal| {
        let answer = target.export(way, &Payload::new(signal, 3, 0)).await;
        assert!(
            answer.has_no_partial_success(),
            "{way:?} {signal:?}: {answer:?}"
        );
        3
    });
}

#[test]
fn s09_an_empty_request_succeeds() {
    check_all(async |target: &Target, way, signal| {
        let body: &[u8] = match way {
            Way::Json => b"{}",
            Way::Grpc | Way::Protobuf => b"",
        };
        let answer = target.send((way, signal), "identity", body).await;
        assert!(answer.is_clean(), "{way:?} {signal:?}: {answer:?}");
        0
    });
}

#[test]
fn s10_empty_envelopes_succeed() {
    check_all(async |target: &Target, way, signal| {
        let [resources, scopes, items] = signal.levels();
        let bodies = match way {
            Way::Json => [
                format!(r#"{{"{resources}":[]}}"#),
                format!(r#"{{"{resources}":[{{}}]}}"#),
                format!(r#"{{"{resources}":[{{"{scopes}":[{{}}]}}]}}"#),
                format!(r#"{{"{resources}":[{{"{scopes}":[{{"{items}":[]}}]}}]}}"#),
            ]
            .map(String::into_bytes)
            .to_vec(),
            Way::Grpc | Way::Protobuf => vec![field(1, &[]), field(1, &field(2, &[]))],
        };
        for body in bodies {
            let answer = target.send((way, signal), "identity", &body).await;
            assert!(answer.is_clean(), "{way:?} {signal:?}: {answer:?}");
        }
        0
    });
}

/// What is odd but acceptable is accepted, and a message about it rejects nothing.
#[test]
fn s12_a_warning_rejects_nothing() {
    check_all(async |target: &Target, way, signal| {
        let odd = match (way, signal) {
            (Way::Json, _) => return 0,
            // An attribute whose key is an index into a table that does not exist.
            (_, Signal::Traces) => field(9, &[0x18, 7]),
            (_, Signal::Metrics) => field(12, &[0x18, 7]),
            (_, Signal::Logs) => field(6, &[0x18, 7]),
        };
        let body = Payload::new(signal, 1, 0).protobuf;
        // The odd field goes to the end of the only item, whose length, its scope's and its resource's grow by its own.
        let grow = odd.len() as u8;
        let mut body = body;
        for length in [1, 3, 5] {
            body[length] += grow;
        }
        body.extend_from_slice(&odd);
        let answer = target.send((way, signal), "identity", &body).await;
        assert_eq!(answer.rejected(), 0, "{way:?} {signal:?}: {answer:?}");
        1
    });
}

#[test]
fn s13_undecodable_protobuf_is_invalid_argument_with_details() {
    check(async |target: &Target| {
        let client = target.grpc().await;
        for signal in SIGNALS {
            for body in [&[0x0a, 0x7f][..], b"\xff\xff\xff", &in_item(&[0x02, 0])] {
                let answer = client.raw(signal.method(), &[], framed(0, body)).await;
                assert_eq!(answer.code, INVALID_ARGUMENT, "{signal:?}: {answer:?}");
                let violation = answer.status.violation().expect("BadRequest details");
                assert!(!violation.field.is_empty() && !violation.description.is_empty());
                assert_eq!(answer.status.retry_secs(), None);
            }
        }
        [0; 3]
    });
}

/// Every permanent fault of these tests, over every transport.
#[test]
fn s16_no_permanent_fault_is_answered_retryably() {
    check_all(async |target: &Target, way, signal| {
        let good = Payload::new(signal, 1, 0);
        let invalid: &[u8] = match way {
            Way::Json => b"[",
            Way::Grpc | Way::Protobuf => &[0x0a, 0x7f],
        };
        let large = gzip(&vec![0; LIMIT + 1]);
        let faults = [
            ("invalid", "identity", invalid.to_vec()),
            ("not gzip", "gzip", good.body(way).to_vec()),
            ("unknown encoding", "lzma", good.body(way).to_vec()),
            ("too large", "gzip", large),
        ];
        for (name, encoding, body) in faults {
            let answer = target.send((way, signal), encoding, &body).await;
            let Answer::Refused { is_retryable, .. } = answer else {
                panic!("{way:?} {signal:?} {name}: {answer:?}");
            };
            assert!(!is_retryable, "{way:?} {signal:?} {name}: {answer:?}");
        }
        0
    });
}

#[test]
fn s17_a_hundred_concurrent_calls_are_answered_and_never_mixed() {
    check(async |target: &Target| {
        let client = target.grpc().await;
        let calls = (0..100usize).map(|number| {
            let client = client.clone();
            let signal = SIGNALS[number % 3];
            // How many are rejected tells the answers apart.
            let bad = number / 3;
            let body = framed(0, &Payload::new(signal, 1, bad).protobuf);
            tokio::spawn(async move {
                let answer = client.raw(signal.method(), &[], body).await;
                (answer.rejected(), bad as i64)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            let (got, expected) = call.await.unwrap();
            // Others may reject nothing.
            assert!(got == expected || (got == 0 && !target.is_tidegate()));
        }
        [34, 33, 33]
    });
}

#[test]
fn s19_answers_stay_small() {
    check_all(async |target: &Target, way, signal| {
        let answer = target.export(way, &Payload::new(signal, 0, 10_000)).await;
        if let Answer::Accepted {
            partial: Some((rejected, message)),
        } = answer
        {
            assert!(rejected == 10_000 || !target.is_tidegate());
            assert!(message.len() <= 16 << 10, "{} bytes", message.len());
        }
        0
    });
}

/// Unknown fields of every wire type but groups (case 6 of the catalogue) at every level, and enum values that do not exist.
#[test]
fn s20_unknown_fields_and_enum_values_are_no_error() {
    check(async |target: &Target| {
        let unknown = [
            &[0xf8, 0x3f, 7][..],
            &[0xf9, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xfa, 0x3f, 2, 1, 1],
            &[0xfd, 0x3f, 0, 0, 0, 0],
        ]
        .concat();
        let mut counts = [0; 3];
        for way in WAYS.into_iter().filter(|way| *way != Way::Json) {
            for (index, signal) in SIGNALS.into_iter().enumerate() {
                let good = Payload::new(signal, 1, 0).protobuf;
                let item = &good[6..];
                let odd = match signal {
                    Signal::Traces => vec![0x30, 99],
                    // A sum of an aggregation temporality that does not exist is judged by statement 71.
                    Signal::Metrics => vec![],
                    Signal::Logs => vec![0x10, 99],
                };
                let item = field(2, &[item, &odd, &unknown].concat());
                let scope = field(2, &[&item[..], &unknown].concat());
                let body = [field(1, &[&scope[..], &unknown].concat()), unknown.clone()].concat();
                let answer = target.send((way, signal), "identity", &body).await;
                assert!(answer.is_clean(), "{way:?} {signal:?}: {answer:?}");
                counts[index] += 1;
            }
        }
        counts
    });
}

#[test]
fn s22_what_is_not_supported_is_unimplemented() {
    check(async |target: &Target| {
        let client = target.grpc().await;
        for path in [
            "/opentelemetry.proto.collector.nothing.v1.NothingService/Export",
            &TRACES.replace("Export", "Import"),
        ] {
            let answer = client.raw(path, &[], framed(0, &[])).await;
            assert_eq!(answer.code, UNIMPLEMENTED, "{path}: {answer:?}");
        }
        [0; 3]
    });
}
