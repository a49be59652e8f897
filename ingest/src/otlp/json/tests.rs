//! Spellings one by one, against what a protobuf sender would have sent; whole requests are compared in `tests/decode`.

use super::*;

/// Transcodes `{"resourceSpans":[{"scopeSpans":[{"spans":[SPAN]}]}]}`; the bytes of the span.
fn span(span: &str) -> Result<Vec<u8>, (Problem, String, usize)> {
    let body = in_request(span);
    let out = transcode(Signal::Traces, body.as_bytes(), &DecodeLimits::default());
    // Three keys, and three lengths of one byte: these spans are short.
    out.map(|bytes| bytes[6..].to_vec()).map_err(malformed)
}

fn in_request(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

const IN_SPAN: &str = "resourceSpans[0].scopeSpans[0].spans[0]";

fn malformed(error: DecodeError) -> (Problem, String, usize) {
    match error {
        DecodeError::Malformed {
            problem,
            path,
            offset,
        } => (problem, path, offset),
        other => panic!("{other}"),
    }
}

/// The bytes of the value of a span's only attribute.
fn value(value: &str) -> Result<Vec<u8>, Problem> {
    let out = span(&format!(r#"{{"attributes":[{{"value":{value}}}]}}"#));
    out.map(|bytes| bytes[4..].to_vec())
        .map_err(|error| error.0)
}

/// The fields of a histogram's only point.
fn point(point: &str) -> Result<Vec<u8>, Problem> {
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
    );
    let out = transcode(Signal::Metrics, body.as_bytes(), &DecodeLimits::default());
    out.map(|bytes| bytes[10..].to_vec())
        .map_err(|error| malformed(error).0)
}

#[test]
fn ids_are_hexadecimal_of_any_case() {
    let bytes = [&[0x0a, 16][..], &[0xab; 16], &[0x12, 8], &[0xcd; 8]].concat();
    let sent = format!(
        r#"{{"traceId":"{}","spanId":"{}"}}"#,
        "aB".repeat(16),
        "Cd".repeat(8)
    );
    assert_eq!(span(&sent), Ok(bytes));
    for bad in ["abc", "0xab", "q80=", "+A", "a\u{e9}"] {
        let (problem, path, _) = span(&format!(r#"{{"traceId":"{bad}"}}"#)).unwrap_err();
        assert_eq!(problem, Problem::NotHexadecimal, "{bad}");
        assert_eq!(path, format!("{IN_SPAN}.traceId"));
    }
    assert_eq!(span(r#"{"parentSpanId":""}"#), Ok(vec![]));
}

#[test]
fn enums_are_integers() {
    for kind in ["2", r#""2""#, "2.0", "20e-1"] {
        assert_eq!(
            span(&format!(r#"{{"kind":{kind}}}"#)),
            Ok(vec![0x30, 2]),
            "{kind}"
        );
    }
    assert_eq!(span(r#"{"kind":99}"#), Ok(vec![0x30, 99]));
    let negative = [&[0x30][..], &[0xff; 9], &[1]].concat();
    assert_eq!(span(r#"{"kind":-1}"#), Ok(negative));
    for name in [r#""SPAN_KIND_SERVER""#, r#""""#, "true", "2.5", "{}"] {
        let (problem, ..) = span(&format!(r#"{{"kind":{name}}}"#)).unwrap_err();
        assert_eq!(problem, Problem::EnumName, "{name}");
    }
}

#[test]
fn integers_are_read_without_a_loss() {
    let most = u64::MAX.to_le_bytes();
    for text in [
        "18446744073709551615",
        r#""18446744073709551615""#,
        "1.8446744073709551615e19",
    ] {
        let sent = span(&format!(r#"{{"startTimeUnixNano":{text}}}"#)).unwrap();
        assert_eq!(sent, [&[0x39][..], &most].concat(), "{text}");
    }
    for (text, int) in [
        ("9007199254740993", 9_007_199_254_740_993i64),
        ("-9223372036854775808", i64::MIN),
        (r#""-9223372036854775808""#, i64::MIN),
        ("5.0", 5),
        ("1e3", 1_000),
        ("12.50E+1", 125),
        ("100e-2", 1),
        ("-0", 0),
        ("0.000", 0),
        ("0e999999999999999999999", 0),
    ] {
        let mut bytes = vec![0x18];
        write::varint(&mut bytes, int as u64);
        assert_eq!(
            value(&format!(r#"{{"intValue":{text}}}"#)),
            Ok(bytes),
            "{text}"
        );
    }
    for (text, problem) in [
        ("5.5", Problem::NotAnInteger),
        ("1e-1", Problem::NotAnInteger),
        (r#""""#, Problem::NotAnInteger),
        (r#"" 5""#, Problem::NotAnInteger),
        (r#""0x5""#, Problem::NotAnInteger),
        (r#""NaN""#, Problem::NotAnInteger),
        ("true", Problem::NotAnInteger),
        ("9223372036854775808", Problem::OutOfRange),
        ("1e400", Problem::OutOfRange),
        ("05", Problem::NotJson),
        ("+5", Problem::NotAnInteger),
        ("NaN", Problem::NotJson),
    ] {
        assert_eq!(
            value(&format!(r#"{{"intValue":{text}}}"#)),
            Err(problem),
            "{text}"
        );
    }
    for (text, problem) in [
        ("-1", Problem::OutOfRange),
        ("4294967296", Problem::OutOfRange),
    ] {
        let sent = format!(r#"{{"droppedAttributesCount":{text}}}"#);
        assert_eq!(span(&sent).unwrap_err().0, problem);
    }
    assert_eq!(span(r#"{"flags":"257"}"#), Ok(vec![0x85, 1, 1, 1, 0, 0]));
}

#[test]
fn doubles_have_names_for_what_json_lacks() {
    for (text, double) in [
        (r#""NaN""#, f64::NAN),
        (r#""Infinity""#, f64::INFINITY),
        (r#""-Infinity""#, f64::NEG_INFINITY),
        (r#""1.5""#, 1.5),
        ("3", 3.0),
        ("-0", -0.0),
        ("0", 0.0),
        ("1e400", f64::INFINITY),
        ("5e-324", 5e-324),
        ("0.1", 0.1),
    ] {
        let bytes = [&[0x21][..], &double.to_le_bytes()].concat();
        assert_eq!(
            value(&format!(r#"{{"doubleValue":{text}}}"#)),
            Ok(bytes),
            "{text}"
        );
    }
    for text in [
        r#""inf""#, r#""nan""#, r#""+1""#, r#"".5""#, r#""1.""#, r#""""#, "[]", "false",
    ] {
        let sent = value(&format!(r#"{{"doubleValue":{text}}}"#));
        assert_eq!(sent, Err(Problem::NotADouble), "{text}");
    }
    assert_eq!(value(r#"{"doubleValue":NaN}"#), Err(Problem::NotJson));
}

#[test]
fn null_is_an_absent_member() {
    let all =
        r#"{"traceId":null,"kind":null,"attributes":null,"status":null,"flags":null,"zzz":null}"#;
    assert_eq!(span(all), Ok(vec![]));
    assert_eq!(span(r#"{"kind":null,"kind":3}"#), Ok(vec![0x30, 3]));
    assert_eq!(
        value(r#"{"stringValue":null,"intValue":"1"}"#),
        Ok(vec![0x18, 1])
    );
    assert_eq!(span("null"), Ok(vec![]));
    assert_eq!(
        span(r#"{"attributes":[{"key":"k","value":null}]}"#),
        Ok(vec![0x4a, 3, 0x0a, 1, b'k'])
    );
}

#[test]
fn bytes_are_base64_of_either_alphabet() {
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        let bytes = vec![0x3a, 2, 0xfb, 0xff];
        assert_eq!(
            value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            Ok(bytes),
            "{text}"
        );
    }
    for text in ["!", "a", "+_8="] {
        let sent = value(&format!(r#"{{"bytesValue":"{text}"}}"#));
        assert_eq!(sent, Err(Problem::NotBase64), "{text}");
    }
}

#[test]
fn empty_values_and_lists() {
    assert_eq!(value("{}"), Ok(vec![]));
    assert_eq!(value(r#"{"stringValue":""}"#), Ok(vec![0x0a, 0]));
    assert_eq!(value(r#"{"boolValue":false}"#), Ok(vec![0x10, 0]));
    assert_eq!(value(r#"{"arrayValue":{}}"#), Ok(vec![0x2a, 0]));
    assert_eq!(value(r#"{"kvlistValue":{"values":[]}}"#), Ok(vec![0x32, 0]));
    let holes = vec![0x2a, 4, 0x0a, 0, 0x0a, 0];
    assert_eq!(value(r#"{"arrayValue":{"values":[{},null]}}"#), Ok(holes));
    assert_eq!(
        span(r#"{"attributes":[{"key":"k"}]}"#),
        Ok(vec![0x4a, 3, 0x0a, 1, b'k'])
    );
}

#[test]
fn one_of_a_oneof() {
    assert_eq!(
        value(r#"{"intValue":1,"stringValue":"a"}"#),
        Err(Problem::TwoOfOneof)
    );
    assert_eq!(
        value(r#"{"intValue":1,"intValue":1}"#),
        Err(Problem::MemberTwice)
    );
    assert_eq!(
        span(r#"{"name":"a","name":"a"}"#).unwrap_err().0,
        Problem::MemberTwice
    );
}

#[test]
fn unknown_members_are_ignored_at_every_depth() {
    let noise = r#""a_b":{"c":[1,"x",null,{"d":1e9}]},"zzz":[[]],"a_b":0"#;
    let sent = format!(
        r#"{{{noise},"attributes":[{{{noise},"value":{{{noise},"arrayValue":{{{noise}}}}}}}]}}"#
    );
    assert_eq!(span(&sent), Ok(vec![0x4a, 4, 0x12, 2, 0x2a, 0]));
    for snake in [
        "trace_id",
        "start_time_unix_nano",
        "TraceId",
        "traceid",
        "trace_Id",
        "",
    ] {
        assert_eq!(
            span(&format!(r#"{{"{snake}":"x"}}"#)),
            Ok(vec![]),
            "{snake}"
        );
    }
}

#[test]
fn members_come_out_in_the_order_of_their_numbers() {
    let sent = r#"{"flags":7,"status":{"code":2,"message":"m"},"kind":2,"name":"n","events":[{"name":"e"},{}],"spanId":"0102030405060708"}"#;
    let bytes = [
        &[0x12, 8, 1, 2, 3, 4, 5, 6, 7, 8][..],
        &[0x2a, 1, b'n'],
        &[0x30, 2],
        &[0x5a, 3, 0x12, 1, b'e', 0x5a, 0],
        &[0x7a, 5, 0x12, 1, b'm', 0x18, 2],
        &[0x85, 1, 7, 0, 0, 0],
    ]
    .concat();
    assert_eq!(span(sent), Ok(bytes));
}

#[test]
fn lists_of_numbers_are_packed() {
    let bytes = [
        &[0x32, 16][..],
        &1u64.to_le_bytes(),
        &2u64.to_le_bytes(),
        &[0x3a, 8],
        &0.5f64.to_le_bytes(),
    ]
    .concat();
    let sent = r#"{"explicitBounds":["0.5"],"bucketCounts":["1",2]}"#;
    assert_eq!(point(sent), Ok(bytes));
    assert_eq!(point(r#"{"bucketCounts":[]}"#), Ok(vec![]));
    assert_eq!(
        point(r#"{"bucketCounts":[1,null]}"#),
        Err(Problem::NotAnInteger)
    );
    assert_eq!(point(r#"{"sum":0}"#), Ok([&[0x29][..], &[0; 8]].concat()));
    let body = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[{"scale":-2,"positive":{"offset":3,"bucketCounts":["300",0]}}]}}]}]}]}"#;
    let out = transcode(Signal::Metrics, body.as_bytes(), &DecodeLimits::default()).unwrap();
    assert_eq!(out[10..], [0x30, 3, 0x42, 7, 0x08, 6, 0x12, 3, 0xac, 2, 0]);
}

#[test]
fn what_is_no_request() {
    let limits = DecodeLimits::default();
    let of = |body: &[u8]| malformed(transcode(Signal::Traces, body, &limits).unwrap_err());
    for (body, problem, offset) in [
        (&b""[..], Problem::JsonEnds, 0),
        (b"[]", Problem::NotAnObject, 0),
        (b"\"x\"", Problem::NotAnObject, 0),
        (b" null", Problem::NotAnObject, 1),
        (b"7", Problem::NotAnObject, 0),
        (b"{} {}", Problem::NotJson, 3),
        (b"{", Problem::JsonEnds, 1),
        (b"{\"a\":1,}", Problem::NotJson, 7),
        (b"{'a':1}", Problem::NotJson, 1),
        (b"\xef\xbb\xbf{}", Problem::ByteOrderMark, 0),
        (b"{\"a\":\"\xff\"}", Problem::InvalidUtf8, 6),
        (b"{\"a\":\"\\ud800\"}", Problem::LoneSurrogate, 12),
        (b"{\"a\":\"\\udc00\"}", Problem::LoneSurrogate, 11),
        (b"{\"a\":\"\\ud800\\u0041\"}", Problem::LoneSurrogate, 17),
        (b"{\"a\":\"\x01\"}", Problem::NotJson, 6),
        (b"{\"resourceSpans\":{}}", Problem::NotAnArray, 17),
        (b"{\"resourceSpans\":[[]]}", Problem::NotAnObject, 18),
    ] {
        let (found, _, at) = of(body);
        assert_eq!(
            (found, at),
            (problem, offset),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let (problem, path, at) = span(r#"{"name":"\ud800"}"#).unwrap_err();
    assert_eq!(problem, Problem::LoneSurrogate);
    assert_eq!(path, format!("{IN_SPAN}.name"));
    assert_eq!(at, in_request("").find("]").unwrap() + 15);
    let (problem, path, _) = span(r#"{"status":{"message":1}}"#).unwrap_err();
    assert_eq!(
        (problem, path),
        (Problem::NotAString, format!("{IN_SPAN}.status.message"))
    );
    assert_eq!(
        span(r#"{"name":"\u00e9\ud83d\ude00\n\/"}"#).unwrap()[2..],
        *"é😀\n/".as_bytes()
    );
}

#[test]
fn depth_is_bounded_for_known_and_unknown_members() {
    let nested = |lists: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(lists);
        value(&format!("{open}{}", "]}}".repeat(lists)))
    };
    // Span 3, key-value 4, value 5; each list is one message more, each element another. Depth 64 is the last one allowed.
    assert!(nested(30).is_ok());
    assert_eq!(nested(31), Err(Problem::TooDeep));
    assert_eq!(nested(1_000_000), Err(Problem::TooDeep));
    let limits = DecodeLimits::default();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for (depth, problem) in [(100, None), (1_000_000, Some(Problem::TooDeep))] {
            let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = format!(r#"{{"unknown":{inner}}}"#);
            let out = transcode(Signal::Logs, body.as_bytes(), &limits);
            assert_eq!(
                out.err().map(|error| malformed(error).0),
                problem,
                "{depth}"
            );
        }
    }
}

#[test]
fn items_are_budgeted() {
    let limits = DecodeLimits {
        items_max: 10,
        ..DecodeLimits::default()
    };
    let of = |body: &str| transcode(Signal::Metrics, body.as_bytes(), &limits);
    let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert!(of(&format!(r#"{{"resourceMetrics":{}}}"#, list(10))).is_ok());
    let too_many = [
        format!(r#"{{"resourceMetrics":{}}}"#, list(11)),
        format!("{{{}}}", [r#""a":0"#; 11].join(",")),
    ];
    for body in too_many {
        let error = of(&body).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyItems { .. }), "{error}");
    }
}

/// Content moves when its length needs more room, once a level: 64 MiB at the deepest level must not cost seconds.
#[test]
fn lengths_are_minimal_at_every_size() {
    for len in [0usize, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let mut out = vec![9];
        let at = write::open(&mut out);
        out.resize(2 + len, 7);
        write::close(&mut out, at);
        let mut expected = vec![9];
        write::varint(&mut expected, len as u64);
        expected.resize(expected.len() + len, 7);
        assert_eq!(out, expected);
    }
}
