//! Statements 44-60: OTLP/JSON. `ingest/tests/decode/json.rs` compares whole columns; here speaks the wire.

use crate::payload::{Payload, SIGNALS, Signal, in_json, now, serial};
use crate::target::{Target, Way, check, check_all};

/// The members of an item of `signal` that make it acceptable.
fn members(signal: Signal) -> String {
    let (serial, time) = (serial(), now());
    match signal {
        Signal::Traces => format!(
            r#""traceId":"{:032x}","spanId":"{serial:016x}","startTimeUnixNano":"{time}","endTimeUnixNano":"{time}""#,
            u128::from(serial) << 64 | 1
        ),
        Signal::Metrics => format!(
            r#""name":"m{serial}","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","asInt":"1"}}]}}"#
        ),
        Signal::Logs => format!(r#""timeUnixNano":"{time}","eventName":"r{serial}""#),
    }
}

/// A request of one good item with further members.
fn with(signal: Signal, more: &str) -> String {
    in_json(signal, &format!("{{{},{more}}}", members(signal)))
}

/// A request of one metric with one data point of these members; the kind of metric is `kind`.
fn with_point(kind: &str, point: &str) -> String {
    let (serial, time) = (serial(), now());
    let more = match kind {
        "gauge" | "summary" => "",
        _ => r#""aggregationTemporality":2,"#,
    };
    in_json(
        Signal::Metrics,
        &format!(
            r#"{{"name":"m{serial}","{kind}":{{{more}"dataPoints":[{{"timeUnixNano":"{time}",{point}}}]}}}}"#
        ),
    )
}

async fn accepts(target: &Target, signal: Signal, text: &str) {
    let answer = target.json(signal, text).await;
    assert!(answer.is_clean(), "{text}: {answer:?}");
}

async fn refuses(target: &Target, signal: Signal, text: &str) {
    let answer = target.json(signal, text).await;
    assert!(answer.is_refused_for_good(3, 400), "{text}: {answer:?}");
}

/// Nothing of a request that names the id wrongly is counted.
#[test]
fn s44_ids_are_hexadecimal_of_any_case() {
    check(async |target: &Target| {
        let (time, hex) = (now(), |digit: &str, pairs: usize| digit.repeat(pairs));
        let span = |trace: &str, span: &str| {
            in_json(
                Signal::Traces,
                &format!(r#"{{"traceId":"{trace}","spanId":"{span}","endTimeUnixNano":{time}}}"#),
            )
        };
        for pair in ["ab", "AB", "aB"] {
            accepts(target, Signal::Traces, &span(&hex(pair, 16), &hex(pair, 8))).await;
        }
        let good = hex("ab", 8);
        for bad in [
            "q6urq6urq6urq6urq6urqw==",
            &format!("0x{}", hex("ab", 15)),
            &hex("ab", 16)[1..],
            &format!("{}a", hex("ab", 16)),
            &hex("zz", 16),
        ] {
            refuses(target, Signal::Traces, &span(bad, &good)).await;
            let record = format!(r#""traceId":"{bad}""#);
            refuses(target, Signal::Logs, &with(Signal::Logs, &record)).await;
        }
        refuses(
            target,
            Signal::Traces,
            &span(&hex("ab", 16), "q6urq6urq6s="),
        )
        .await;
        // Of the wrong length: that span is rejected and no other; refusing them all would do as well.
        let answer = target
            .json(Signal::Traces, &span(&hex("ab", 15), &good))
            .await;
        match target.is_tidegate() {
            true => assert_eq!(answer.rejected(), 1),
            false => assert!(!answer.is_clean(), "{answer:?}"),
        }
        [3, 0, 0]
    });
}

#[test]
fn s45_enums_are_integers() {
    check(async |target: &Target| {
        for (signal, member, known, name) in [
            (Signal::Traces, "kind", "2", "SPAN_KIND_SERVER"),
            (Signal::Logs, "severityNumber", "9", "SEVERITY_NUMBER_INFO"),
        ] {
            accepts(
                target,
                signal,
                &with(signal, &format!(r#""{member}":{known}"#)),
            )
            .await;
            accepts(
                target,
                signal,
                &with(signal, &format!(r#""{member}":9999"#)),
            )
            .await;
            refuses(
                target,
                signal,
                &with(signal, &format!(r#""{member}":"{name}""#)),
            )
            .await;
        }
        let status = |code: &str| with(Signal::Traces, &format!(r#""status":{{"code":{code}}}"#));
        accepts(target, Signal::Traces, &status("2")).await;
        refuses(target, Signal::Traces, &status(r#""STATUS_CODE_ERROR""#)).await;
        let sum = with_point("sum", r#""asInt":1"#);
        accepts(target, Signal::Metrics, &sum).await;
        let name = r#":"AGGREGATION_TEMPORALITY_CUMULATIVE""#;
        refuses(target, Signal::Metrics, &sum.replace(":2", name)).await;
        [3, 1, 2]
    });
}

#[test]
fn s46_unknown_members_are_ignored_at_every_depth() {
    check(async |target: &Target| {
        let noise = r#""x":{"y":[1,null,{"z":"\u00e9"}]}"#;
        for signal in SIGNALS {
            let [resources, scopes, items] = signal.levels();
            let attribute = format!(
                r#""attributes":[{{{noise},"key":"k","value":{{{noise},"arrayValue":{{{noise},"values":[{{{noise},"intValue":"1"}}]}}}}}}]"#
            );
            let own = match signal {
                Signal::Metrics => noise.to_owned(),
                _ => attribute.clone(),
            };
            let item = members(signal).replace(
                r#""dataPoints":[{"#,
                &format!(r#"{noise},"dataPoints":[{{{attribute},"#),
            );
            let text = format!(
                r#"{{{noise},"{resources}":[{{{noise},"resource":{{{noise},{attribute}}},"{scopes}":[{{{noise},"scope":{{{noise}}},"{items}":[{{{item},{noise},{own}}}]}}]}}]}}"#
            );
            // A member twice is a fault of its own (57), and an unknown one is none.
            let text = text.replacen(&format!("{noise},{noise}"), noise, 1);
            accepts(target, signal, &text).await;
        }
        [1, 1, 1]
    });
}

#[test]
fn s47_snake_case_keys_are_unknown() {
    check(async |target: &Target| {
        for (signal, key) in
            SIGNALS
                .into_iter()
                .zip(["resource_spans", "resource_metrics", "resource_logs"])
        {
            let [camel, ..] = signal.levels();
            let text = in_json(signal, &format!("{{{}}}", members(signal)));
            accepts(target, signal, &text.replace(camel, key)).await;
        }
        // Ignored, not refused: whatever is written in it.
        accepts(
            target,
            Signal::Traces,
            &with(Signal::Traces, r#""trace_id":5"#),
        )
        .await;
        accepts(
            target,
            Signal::Logs,
            &with(Signal::Logs, r#""severity_number":"x""#),
        )
        .await;
        [1, 0, 1]
    });
}

#[test]
fn s48_64_bit_integers_are_numbers_or_strings() {
    check(async |target: &Target| {
        let time = now();
        let value = |int: &str| {
            with(
                Signal::Traces,
                &format!(r#""attributes":[{{"key":"k","value":{{"intValue":{int}}}}}]"#),
            )
        };
        for int in [
            "5",
            r#""5""#,
            "9007199254740993",
            r#""-9223372036854775808""#,
        ] {
            accepts(target, Signal::Traces, &value(int)).await;
        }
        for int in ["9223372036854775808", r#""1x""#, r#""""#] {
            refuses(target, Signal::Traces, &value(int)).await;
        }
        let point = |counts: &str| {
            with_point(
                "histogram",
                &format!(r#""count":{counts},"bucketCounts":[{counts}]"#),
            )
        };
        for count in ["18446744073709551615", r#""18446744073709551615""#, "7"] {
            accepts(target, Signal::Metrics, &point(count)).await;
        }
        refuses(target, Signal::Metrics, &point("18446744073709551616")).await;
        for time in [time.to_string(), format!("\"{time}\"")] {
            let text = in_json(Signal::Logs, &format!(r#"{{"timeUnixNano":{time}}}"#));
            accepts(target, Signal::Logs, &text).await;
        }
        [4, 3, 2]
    });
}

#[test]
fn s49_32_bit_integers_are_numbers_or_strings() {
    check(async |target: &Target| {
        for (signal, member) in [
            (Signal::Traces, "flags"),
            (Signal::Traces, "droppedAttributesCount"),
            (Signal::Traces, "kind"),
            (Signal::Logs, "flags"),
            (Signal::Logs, "severityNumber"),
        ] {
            let is_enum = ["kind", "severityNumber"].contains(&member);
            for int in ["3", r#""3""#] {
                // Of an enum that is Tidegate's own kindness.
                if is_enum && int != "3" && !target.is_tidegate() {
                    continue;
                }
                accepts(
                    target,
                    signal,
                    &with(signal, &format!(r#""{member}":{int}"#)),
                )
                .await;
            }
            for int in ["4294967296", r#""x""#, "{}"] {
                refuses(
                    target,
                    signal,
                    &with(signal, &format!(r#""{member}":{int}"#)),
                )
                .await;
            }
        }
        for scale in ["-2", r#""-2""#] {
            let point = format!(
                r#""scale":{scale},"count":1,"positive":{{"offset":"-1","bucketCounts":["1"]}}"#
            );
            accepts(
                target,
                Signal::Metrics,
                &with_point("exponentialHistogram", &point),
            )
            .await;
        }
        [6, 2, 4]
    });
}

#[test]
fn s50_doubles_may_be_strings_names_and_integers() {
    check(async |target: &Target| {
        let doubles = [
            r#""NaN""#,
            r#""Infinity""#,
            r#""-Infinity""#,
            r#""1.5""#,
            "2",
            "-0.0",
            "1e400",
        ];
        for double in doubles {
            // Beyond the range is infinite for Tidegate, and may be a fault.
            if double == "1e400" && !target.is_tidegate() {
                continue;
            }
            let more =
                format!(r#""attributes":[{{"key":"k","value":{{"doubleValue":{double}}}}}]"#);
            accepts(target, Signal::Traces, &with(Signal::Traces, &more)).await;
            accepts(target, Signal::Logs, &with(Signal::Logs, &more)).await;
            // Every metric keeps its other points: none is lost with a spelling.
            let point = format!(r#""asDouble":{double}"#);
            accepts(target, Signal::Metrics, &with_point("gauge", &point)).await;
        }
        for double in ["NaN", r#""x""#, "true"] {
            let more =
                format!(r#""attributes":[{{"key":"k","value":{{"doubleValue":{double}}}}}]"#);
            refuses(target, Signal::Traces, &with(Signal::Traces, &more)).await;
        }
        [7, 7, 7]
    });
}

#[test]
fn s51_integral_floats_are_integers() {
    check(async |target: &Target| {
        for (int, is_integral) in [
            ("5.0", true),
            ("1e3", true),
            (r#""1e3""#, true),
            ("5.5", false),
        ] {
            let text = with(Signal::Traces, &format!(r#""flags":{int}"#));
            let point = with_point("gauge", &format!(r#""asInt":{int}"#));
            let record = with(Signal::Logs, &format!(r#""severityNumber":{int}"#));
            for (signal, text) in SIGNALS.into_iter().zip([text, point, record]) {
                match is_integral {
                    true => accepts(target, signal, &text).await,
                    false => refuses(target, signal, &text).await,
                }
            }
        }
        [3, 3, 3]
    });
}

#[test]
fn s52_null_is_an_absent_member() {
    check(async |target: &Target| {
        let span = r#""parentSpanId":null,"kind":null,"flags":null,"attributes":null,"events":null,"status":null"#;
        accepts(target, Signal::Traces, &with(Signal::Traces, span)).await;
        let point = r#""asInt":1,"asDouble":null,"flags":null,"attributes":null,"exemplars":null"#;
        accepts(target, Signal::Metrics, &with_point("gauge", point)).await;
        let record = r#""body":null,"traceId":null,"attributes":[{"key":"k","value":null}]"#;
        accepts(target, Signal::Logs, &with(Signal::Logs, record)).await;
        for signal in SIGNALS {
            let [resources, scopes, _] = signal.levels();
            accepts(target, signal, &format!(r#"{{"{resources}":null}}"#)).await;
            let text = format!(r#"{{"{resources}":[{{"resource":null,"{scopes}":null}}]}}"#);
            accepts(target, signal, &text).await;
        }
        [1, 1, 1]
    });
}

#[test]
fn s53_bytes_are_base64_of_either_alphabet_padded_or_not() {
    check(async |target: &Target| {
        let value = |text: &str| {
            format!(r#""attributes":[{{"key":"k","value":{{"bytesValue":"{text}"}}}}]"#)
        };
        for signal in [Signal::Traces, Signal::Logs] {
            for text in ["+/8=", "+/8", "-_8=", "-_8", ""] {
                accepts(target, signal, &with(signal, &value(text))).await;
            }
            refuses(target, signal, &with(signal, &value("!"))).await;
        }
        [5, 0, 5]
    });
}

#[test]
fn s54_empty_lists_may_leave_out_their_values() {
    check(async |target: &Target| {
        for list in [
            r#"{"arrayValue":{}}"#,
            r#"{"kvlistValue":{}}"#,
            r#"{"arrayValue":{"values":[]}}"#,
        ] {
            let more = format!(r#""attributes":[{{"key":"k","value":{list}}}]"#);
            accepts(target, Signal::Traces, &with(Signal::Traces, &more)).await;
            accepts(
                target,
                Signal::Logs,
                &with(Signal::Logs, &format!(r#""body":{list}"#)),
            )
            .await;
        }
        [3, 0, 3]
    });
}

#[test]
fn s55_an_empty_value_is_a_value() {
    check(async |target: &Target| {
        for attribute in [
            r#"{"key":"k","value":{}}"#,
            r#"{"key":"k"}"#,
            r#"{"key":"k","value":null}"#,
        ] {
            let more = format!(r#""attributes":[{attribute}]"#);
            accepts(target, Signal::Traces, &with(Signal::Traces, &more)).await;
            accepts(target, Signal::Logs, &with(Signal::Logs, &more)).await;
            let point = format!(r#""asInt":1,{more}"#);
            accepts(target, Signal::Metrics, &with_point("gauge", &point)).await;
        }
        [3, 3, 3]
    });
}

#[test]
fn s56_two_members_of_one_oneof_are_refused() {
    check(async |target: &Target| {
        let value = r#""attributes":[{"key":"k","value":{"intValue":1,"stringValue":"a"}}]"#;
        refuses(target, Signal::Traces, &with(Signal::Traces, value)).await;
        refuses(target, Signal::Logs, &with(Signal::Logs, value)).await;
        let point = with_point("gauge", r#""asInt":1,"asDouble":1"#);
        refuses(target, Signal::Metrics, &point).await;
        let twice = with(Signal::Metrics, r#""sum":{}"#);
        refuses(target, Signal::Metrics, &twice).await;
        [0; 3]
    });
}

/// Tidegate refuses what it knows and ignores what it does not; last wins would do as well.
#[test]
fn s57_a_key_twice_is_refused_or_the_last_one_wins() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            let known = match signal {
                Signal::Metrics => r#""unit":"a","unit":"b""#,
                Signal::Traces => r#""name":"a","name":"b""#,
                Signal::Logs => r#""severityText":"a","severityText":"b""#,
            };
            let answer = target.json(signal, &with(signal, known)).await;
            assert!(
                answer.is_clean() || answer.is_refused_for_good(3, 400),
                "{answer:?}"
            );
            assert!(!target.is_tidegate() || !answer.is_clean());
            accepts(target, signal, &with(signal, r#""x":1,"x":2"#)).await;
        }
        [1, 1, 1]
    });
}

#[test]
fn s58_the_top_level_is_an_object() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            for text in ["[]", "\"x\"", "5", "null", "true", "", "{}{}", "\u{feff}{}"] {
                refuses(target, signal, text).await;
            }
        }
        [0; 3]
    });
}

/// The shapes of the examples that come with the protocol: every kind of metric, an event, nested values. The files
/// themselves are read in the corpus lane (`ingest/tests/json_corpus.rs`).
#[test]
fn s59_examples_of_the_protocol_are_decoded() {
    check(async |target: &Target| {
        let attributes = r#""attributes":[{"key":"my.scope.attribute","value":{"stringValue":"some scope attribute"}}]"#;
        let scope = format!(r#""scope":{{"name":"my.library","version":"1.0.0",{attributes}}}"#);
        let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]}"#;
        let around = |signal: Signal, items: &str| {
            let [resources, scopes, list] = signal.levels();
            format!(
                r#"{{"{resources}":[{{{resource},"{scopes}":[{{{scope},"{list}":[{items}]}}]}}]}}"#
            )
        };
        let time = now();
        let span = format!(
            r#"{{{},"parentSpanId":"EEE19B7EC3C1B173","name":"I'm a server span","kind":2,{attributes}}}"#,
            members(Signal::Traces)
        );
        accepts(target, Signal::Traces, &around(Signal::Traces, &span)).await;
        let point = format!(r#""startTimeUnixNano":"{time}","timeUnixNano":"{time}",{attributes}"#);
        let metrics = [
            format!(
                r#"{{"name":"my.counter","unit":"1","description":"I am a Counter","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{{"asDouble":5,{point}}}]}}}}"#
            ),
            format!(
                r#"{{"name":"my.gauge","unit":"1","gauge":{{"dataPoints":[{{"asDouble":10,{point}}}]}}}}"#
            ),
            format!(
                r#"{{"name":"my.histogram","histogram":{{"aggregationTemporality":1,"dataPoints":[{{"count":2,"sum":2,"bucketCounts":[1,1],"explicitBounds":[1],"min":0,"max":2,{point}}}]}}}}"#
            ),
            format!(
                r#"{{"name":"my.exponential.histogram","exponentialHistogram":{{"aggregationTemporality":1,"dataPoints":[{{"count":3,"sum":10,"scale":0,"zeroCount":1,"positive":{{"offset":1,"bucketCounts":[0,2]}},"min":0,"max":5,"zeroThreshold":0,{point}}}]}}}}"#
            ),
        ];
        accepts(
            target,
            Signal::Metrics,
            &around(Signal::Metrics, &metrics.join(",")),
        )
        .await;
        let record = format!(
            r#"{{"timeUnixNano":"{time}","observedTimeUnixNano":"{time}","severityNumber":10,"severityText":"Information","traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","body":{{"stringValue":"Example log record"}},"attributes":[{{"key":"map.attribute","value":{{"kvlistValue":{{"values":[{{"key":"some.map.key","value":{{"arrayValue":{{"values":[{{"boolValue":true}},{{"doubleValue":637.704}}]}}}}}}]}}}}}}]}}"#
        );
        accepts(target, Signal::Logs, &around(Signal::Logs, &record)).await;
        [1, 4, 1]
    });
}

/// The same mix of good and bad items, in either form, has the same fate. Columns are compared in `ingest/tests/decode`.
#[test]
fn s60_json_and_protobuf_forms_are_one_request() {
    check_all(async |target: &Target, way, signal| {
        let answer = target.export(way, &Payload::new(signal, 3, 2)).await;
        let in_json = target.export(Way::Json, &Payload::new(signal, 3, 2)).await;
        assert_eq!(answer.rejected(), in_json.rejected(), "{way:?} {signal:?}");
        6
    });
}
