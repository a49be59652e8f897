//! The catalogue of bad input, cases 1 to 81 as far as one request shows them, each in seeded mutations: another signal,
//! transport, place, size. (18 to 26 and 32 come with the limits of the transport; 82 is a definition's mistake.)

use crate::payload::{
    Payload, SIGNALS, Signal, field, good_metric, good_record, good_span, in_item, in_json, logs,
    metrics, now, traces,
};
use crate::target::{JSON, PROTOBUF, Target, Way, block_on};
use crate::wire::{framed, gzip};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use std::sync::LazyLock;

const SECOND: u64 = 1_000_000_000;
const MIB: usize = 1 << 20;
/// Most resident memory that the process may ever have had: one request of 64 MiB, inflated and decoded, beside the rest.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;

/// How a request must be answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expect {
    /// 200, nothing rejected.
    Accepted,
    /// 200, this many rejected.
    Partial(i64),
    /// 400, INVALID_ARGUMENT.
    Malformed,
    /// 413, RESOURCE_EXHAUSTED without a delay.
    TooLarge,
}

/// One request.
struct Shot {
    way: Way,
    signal: Signal,
    encoding: &'static str,
    body: Vec<u8>,
    expect: Expect,
    /// Items that must be counted.
    good: u64,
}

/// The dice of one mutation (SplitMix64).
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From `low` up to, but without, `high`.
    fn range(&mut self, low: usize, high: usize) -> usize {
        low + self.word() as usize % (high - low)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len())]
    }

    fn signal(&mut self) -> Signal {
        self.pick(&SIGNALS)
    }

    fn binary(&mut self) -> Way {
        self.pick(&[Way::Grpc, Way::Protobuf])
    }
}

type Case = (u8, &'static str, fn(&mut Dice) -> Shot);

/// A protobuf request that is refused whole.
fn malformed(dice: &mut Dice, signal: Signal, body: Vec<u8>) -> Shot {
    Shot {
        way: dice.binary(),
        signal,
        encoding: "identity",
        body,
        expect: Expect::Malformed,
        good: 0,
    }
}

/// A good request before `bad`: nothing of it may count.
fn after_good(dice: &mut Dice, bad: &[u8]) -> Shot {
    let signal = dice.signal();
    let mut body = Payload::new(signal, dice.range(0, 4), 0).protobuf;
    body.extend_from_slice(bad);
    malformed(dice, signal, body)
}

fn compressed(dice: &mut Dice, expect: Expect, good: u64, signal: Signal, body: Vec<u8>) -> Shot {
    Shot {
        way: dice.binary(),
        signal,
        encoding: "gzip",
        body,
        expect,
        good,
    }
}

fn json(signal: Signal, body: impl Into<Vec<u8>>, expect: Expect, good: u64) -> Shot {
    Shot {
        way: Way::Json,
        signal,
        encoding: "identity",
        body: body.into(),
        expect,
        good,
    }
}

fn noise(dice: &mut Dice) -> Shot {
    let mut body: Vec<u8> = (0..dice.range(1, 4_096))
        .map(|_| dice.word() as u8)
        .collect();
    // Wire type 7: not by chance a message.
    body[0] |= 7;
    after_good(dice, &body)
}

/// An item whose attribute (a log record's body) is an array of an array of ... `depth` times.
fn nested(signal: Signal, depth: usize) -> Vec<u8> {
    let mut reversed = Vec::new();
    let mut length = 0u64;
    for _ in 0..depth {
        for tag in [0x0a, 0x2a] {
            let mut header = vec![tag];
            prost::encoding::encode_varint(length, &mut header);
            length += header.len() as u64;
            header.reverse();
            reversed.extend_from_slice(&header);
        }
    }
    reversed.reverse();
    let attribute = || [field(1, b"k"), field(2, &reversed)].concat();
    in_item(&match signal {
        Signal::Traces => field(9, &attribute()),
        Signal::Metrics => field(12, &attribute()),
        Signal::Logs => field(5, &reversed),
    })
}

fn deep_json(dice: &mut Dice) -> Shot {
    let depth = dice.pick(&[300, 10_000, 1_000_000]);
    let (open, close) = dice.pick(&[
        ("[", "]"),
        (r#"{"a":"#, "}"),
        (r#"{"arrayValue":{"values":["#, "]}}"),
    ]);
    let inner = format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let signal = dice.pick(&[Signal::Traces, Signal::Logs]);
    let member = dice.pick(&["unknown", "attributes"]);
    let item = match member {
        "unknown" => format!(r#"{{"unknown":{inner}}}"#),
        _ => format!(r#"{{"attributes":[{{"key":"k","value":{inner}}}]}}"#),
    };
    json(signal, in_json(signal, &item), Expect::Malformed, 0)
}

/// A mebibyte of zeros as a gzip member; many of them are a bomb.
static ZEROS: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&vec![0; MIB]));

/// About a mebibyte of empty objects, as a gzip member.
static EMPTY_OBJECTS: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(&b"{},".repeat(MIB / 3)));

/// 64 MiB of `empty` behind `head`, as gzip.
fn empties(head: &[u8], empty: [u8; 2]) -> Vec<u8> {
    let many = gzip(&empty.repeat(MIB / 2));
    [gzip(head), many.repeat(63)].concat()
}

/// The lengths that make `63 MiB` of content a field of a field of a request's field.
fn bomb_head(fields: &[u8]) -> Vec<u8> {
    let mut content = 63 * MIB as u64;
    let mut head = Vec::new();
    for number in fields.iter().rev() {
        let mut key = vec![number << 3 | 2];
        prost::encoding::encode_varint(content, &mut key);
        content += key.len() as u64;
        head.splice(0..0, key);
    }
    head
}

fn framing_of_gzip(dice: &mut Dice, change: fn(&mut Dice, Vec<u8>) -> Vec<u8>) -> Shot {
    let signal = dice.signal();
    let body = gzip(&Payload::new(signal, dice.range(1, 5), 0).protobuf);
    let body = change(dice, body);
    compressed(dice, Expect::Malformed, 0, signal, body)
}

fn wire_cases() -> Vec<Case> {
    vec![
        (1, "random bytes", noise),
        (2, "truncated varint", |dice| {
            after_good(dice, &[0xa0, 0x06, 0x80])
        }),
        (3, "length beyond the rest", |dice| {
            let length = dice.range(1, 128) as u8;
            after_good(dice, &[0x0a, length])
        }),
        (4, "varint of 11 bytes", |dice| {
            after_good(dice, &[&[0xa0, 0x06][..], &[0x80; 10], &[1]].concat())
        }),
        (5, "field number 0, wire types 6 and 7", |dice| {
            let key = dice.pick(&[0x02u8, 0x00, 0x0e, 0x0f, 0x26]);
            let signal = dice.signal();
            let body = in_item(&[key, 0]);
            malformed(dice, signal, body)
        }),
        (6, "groups", |dice| {
            let signal = dice.signal();
            let good = dice.range(1, 4);
            let mut body = Payload::new(signal, good, 0).protobuf;
            let is_balanced = dice.range(0, 2) == 0;
            body.extend_from_slice(match is_balanced {
                true => &[0x5b, 0x08, 1, 0x63, 0x64, 0x5c],
                false => &[0x5b, 0x08, 1, 0x64],
            });
            Shot {
                expect: match is_balanced {
                    true => Expect::Accepted,
                    false => Expect::Malformed,
                },
                good: if is_balanced { good as u64 } else { 0 },
                ..malformed(dice, signal, body)
            }
        }),
        (7, "values nested beyond 64", |dice| {
            let signal = dice.signal();
            let depth = dice.pick(&[40, 1_000, 100_000, 1_000_000]);
            malformed(dice, signal, nested(signal, depth))
        }),
        (8, "JSON nested beyond 64", deep_json),
        (9, "gzip bomb", |dice| {
            let body = ZEROS.repeat(dice.range(65, 200));
            let signal = dice.signal();
            compressed(dice, Expect::TooLarge, 0, signal, body)
        }),
        (10, "gzip of gzip", |dice| {
            framing_of_gzip(dice, |_, body| gzip(&body))
        }),
        (11, "truncated gzip, bad checksum", |dice| {
            framing_of_gzip(dice, |dice, mut body| {
                match dice.range(0, 2) {
                    0 => body.truncate(dice.range(1, body.len())),
                    _ => {
                        let at = body.len() - dice.range(1, 9);
                        body[at] ^= 1 << dice.range(0, 8);
                    }
                }
                body
            })
        }),
        (12, "several gzip members", |dice| {
            let signal = dice.signal();
            let counts: Vec<usize> = (0..dice.range(2, 6)).map(|_| dice.range(0, 4)).collect();
            let members = counts
                .iter()
                .map(|count| gzip(&Payload::new(signal, *count, 0).protobuf));
            let body = members.collect::<Vec<_>>().concat();
            let good = counts.iter().sum::<usize>() as u64;
            compressed(dice, Expect::Accepted, good, signal, body)
        }),
        (13, "garbage behind gzip", |dice| {
            framing_of_gzip(dice, |dice, mut body| {
                let byte = dice.word() as u8;
                body.extend(std::iter::repeat_n(byte, dice.range(1, 40)));
                body
            })
        }),
        (14, "64 MiB of empty items", |dice| {
            let path = dice.pick(&[&[1, 2][..], &[1], &[]]);
            let field = if path.is_empty() { 0x0a } else { 0x12 };
            let body = empties(&bomb_head(path), [field, 0]);
            let signal = dice.signal();
            compressed(dice, Expect::TooLarge, 0, signal, body)
        }),
        (14, "64 MiB of empty items in JSON", |dice| {
            let signal = dice.signal();
            let [resources, scopes, items] = signal.levels();
            let heads = [
                format!(r#"{{"{resources}":["#),
                format!(r#"{{"{resources}":[{{"{scopes}":["#),
                format!(r#"{{"{resources}":[{{"{scopes}":[{{"{items}":["#),
            ];
            let head = &heads[dice.range(0, heads.len())];
            let body = [gzip(head.as_bytes()), EMPTY_OBJECTS.repeat(60)].concat();
            Shot {
                way: Way::Json,
                ..compressed(dice, Expect::TooLarge, 0, signal, body)
            }
        }),
        (15, "64 MiB of empty attributes", |dice| {
            let signal = dice.signal();
            let key = match signal {
                Signal::Traces => 0x4a,
                Signal::Metrics => 0x62,
                Signal::Logs => 0x32,
            };
            let body = empties(&bomb_head(&[1, 2, 2]), [key, 0]);
            compressed(dice, Expect::TooLarge, 0, signal, body)
        }),
    ]
}

/// A span with `change`, a point of a gauge, or a log record, whichever the dice choose, among good ones.
fn with_attributes(dice: &mut Dice, attributes: Vec<KeyValue>) -> Shot {
    let signal = dice.signal();
    let (before, after) = (dice.range(0, 3), dice.range(0, 3));
    let body = match signal {
        Signal::Traces => {
            let odd = Span {
                attributes,
                ..good_span()
            };
            traces(around(before, odd, after, good_span))
        }
        Signal::Metrics => {
            let mut odd = good_metric();
            if let Some(Data::Gauge(gauge)) = &mut odd.data {
                gauge.data_points[0].attributes = attributes;
            }
            metrics(around(before, odd, after, good_metric))
        }
        Signal::Logs => {
            let mut odd = good_record();
            odd.attributes = attributes;
            logs(around(before, odd, after, good_record))
        }
    };
    Shot {
        expect: Expect::Accepted,
        good: (before + 1 + after) as u64,
        ..malformed(dice, signal, body)
    }
}

fn around<T>(before: usize, odd: T, after: usize, good: fn() -> T) -> Vec<T> {
    let mut all: Vec<T> = (0..before).map(|_| good()).collect();
    all.push(odd);
    all.extend((0..after).map(|_| good()));
    all
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    }
}

fn not_utf8(dice: &mut Dice) -> Shot {
    let bad = dice.pick(&[
        &b"\xff"[..],
        b"\xc3\x28",
        b"a\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
    ]);
    let attribute = field(1, bad);
    let signal = dice.signal();
    // A name, a key, a value.
    let (name, attributes) = match signal {
        Signal::Traces => (5, 9),
        Signal::Metrics => (1, 12),
        Signal::Logs => (3, 6),
    };
    let item = match dice.range(0, 3) {
        0 => field(name, bad),
        1 => field(attributes, &attribute),
        _ => field(
            attributes,
            &[field(1, b"k"), field(2, &field(1, bad))].concat(),
        ),
    };
    malformed(dice, signal, in_item(&item))
}

/// A good item and, behind it, an item with these members, as JSON.
fn json_item(dice: &mut Dice, of: &[(Signal, &str)], expect: Expect) -> Shot {
    let (signal, members) = dice.pick(of);
    let good = Payload::new(signal, 1, 0).json;
    let start = good.find(":[{\"").unwrap();
    let [_, _, list] = signal.levels();
    let items = format!(r#""{list}":["#);
    let at = good.find(&items).unwrap_or(start) + items.len();
    let body = format!("{}{{{members}}},{}", &good[..at], &good[at..]);
    let good = if expect == Expect::Malformed { 0 } else { 1 };
    json(signal, body, expect, good)
}

/// A good item with more members, as JSON.
fn json_more(dice: &mut Dice, of: &[(Signal, &str)]) -> Shot {
    let (signal, members) = dice.pick(of);
    let good = Payload::new(signal, 1, 0).json;
    let [_, _, list] = signal.levels();
    let items = format!(r#""{list}":[{{"#);
    let body = good.replace(&items, &format!("{items}{members},"));
    json(signal, body, Expect::Accepted, 1)
}

fn encoding_cases() -> Vec<Case> {
    use Signal::{Logs, Traces};
    vec![
        (33, "invalid UTF-8", not_utf8),
        (34, "lone surrogates in JSON", |dice| {
            let of = [
                (Traces, r#""name":"\ud800""#),
                (Traces, r#""name":"a\udc00b""#),
                (Logs, r#""severityText":"\ud83d\ud83d""#),
                (Logs, r#""unknown":"\ud800""#),
            ];
            json_item(dice, &of, Expect::Malformed)
        }),
        (35, "NUL and control characters", |dice| {
            let name = dice.pick(&["a\0b", "\u{7}", "\u{1b}[31m", "a\r\nb"]);
            with_attributes(dice, vec![text(name, name), text("service.name", name)])
        }),
        (36, "byte order mark before JSON", |dice| {
            let signal = dice.signal();
            let good = Payload::new(signal, 1, 0).json;
            json(signal, format!("\u{feff}{good}"), Expect::Malformed, 0)
        }),
        (37, "right to left, zero width, look-alikes", |dice| {
            let name = dice.pick(&["\u{202e}evil", "zero\u{200b}width", "раураl", "a\u{301}"]);
            with_attributes(dice, vec![text("k", name), text(name, "v")])
        }),
        (38, "value of 1 MiB", |dice| {
            let value = dice.pick(&["x", "é", "日"]).repeat(MIB / 2);
            with_attributes(dice, vec![text("k", &value)])
        }),
        (39, "key of 1 MiB", |dice| {
            with_attributes(dice, vec![text(&"k".repeat(MIB), "v")])
        }),
        (40, "100,000 attributes", |dice| {
            let attributes = (0..100_000).map(|n| text(&format!("k{n}"), "v"));
            with_attributes(dice, attributes.collect())
        }),
        (41, "keys twice", |dice| {
            let last = attribute("k", Value::IntValue(dice.word() as i64));
            with_attributes(dice, vec![text("k", "first"), last])
        }),
        (42, "empty key", |dice| {
            with_attributes(dice, vec![text("", "v")])
        }),
        (43, "numbers as text in JSON", |dice| {
            let of = [
                (Traces, r#""flags":"257","droppedAttributesCount":"1""#),
                (Logs, r#""flags":"1","droppedAttributesCount":"7""#),
            ];
            json_more(dice, &of)
        }),
        (44, "1e400, -0, subnormals as doubles", |dice| {
            let of = [
                (
                    Traces,
                    r#""attributes":[{"key":"k","value":{"doubleValue":1e400}}]"#,
                ),
                (
                    Traces,
                    r#""attributes":[{"key":"k","value":{"doubleValue":-0}}]"#,
                ),
                (
                    Logs,
                    r#""attributes":[{"key":"k","value":{"doubleValue":5e-324}}]"#,
                ),
            ];
            json_more(dice, &of)
        }),
        (44, "1e400 as an integer", |dice| {
            let of = [
                (Traces, r#""flags":1e400"#),
                (
                    Logs,
                    r#""attributes":[{"key":"k","value":{"intValue":-1e400}}]"#,
                ),
            ];
            json_item(dice, &of, Expect::Malformed)
        }),
        (45, "names of enum values", |dice| {
            let of = [
                (Traces, r#""kind":"SPAN_KIND_SERVER""#),
                (Traces, r#""status":{"code":"STATUS_CODE_OK"}"#),
                (Logs, r#""severityNumber":"SEVERITY_NUMBER_INFO""#),
            ];
            json_item(dice, &of, Expect::Malformed)
        }),
        (46, "ids that are not hexadecimal", |dice| {
            let of = [
                (Traces, r#""traceId":"abc""#),
                (Traces, r#""traceId":"0xabababababababababababababababab""#),
                (Logs, r#""traceId":"ababababababababababababababababa""#),
                (Logs, r#""spanId":"abababababababag""#),
            ];
            json_item(dice, &of, Expect::Malformed)
        }),
        (47, "ids in base64", |dice| {
            let of = [
                (Traces, r#""traceId":"q6urq6urq6urq6urq6urqw==""#),
                (Logs, r#""spanId":"q6urq6urq6s=""#),
            ];
            json_item(dice, &of, Expect::Malformed)
        }),
    ]
}

/// A span among good ones.
fn span(dice: &mut Dice, is_good: bool, change: impl Fn(&mut Dice, &mut Span)) -> Shot {
    let (before, after) = (dice.range(0, 4), dice.range(0, 4));
    let mut odd = good_span();
    change(dice, &mut odd);
    let body = traces(around(before, odd, after, good_span));
    Shot {
        expect: match is_good {
            true => Expect::Accepted,
            false => Expect::Partial(1),
        },
        good: (before + after) as u64 + u64::from(is_good),
        ..malformed(dice, Signal::Traces, body)
    }
}

/// As many services, or routes, as the dice say, none seen before.
fn distinct(dice: &mut Dice, resources: bool) -> Shot {
    let count = 600;
    let named = |index: usize, seed: u64| format!("n{seed:x}-{index}");
    let seed = dice.word();
    let resource_spans = (0..count).map(|index| {
        let key = if resources { "service.name" } else { "other" };
        let mut span = good_span();
        span.name = named(index, seed);
        span.attributes = vec![text("http.route", &named(index, seed))];
        ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text(key, &named(index, seed))],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: vec![span],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }
    });
    let request = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    };
    Shot {
        expect: Expect::Accepted,
        good: count as u64,
        ..malformed(dice, Signal::Traces, request.encode_to_vec())
    }
}

fn trace_cases() -> Vec<Case> {
    vec![
        (48, "zero, short and long ids", |dice| {
            span(dice, false, |dice, span| {
                let (trace, id) = (
                    dice.pick(&[0usize, 1, 15, 17, 40]),
                    dice.pick(&[0usize, 1, 7, 9, 40]),
                );
                match dice.range(0, 4) {
                    0 => span.trace_id = vec![1; trace],
                    1 => span.span_id = vec![1; id],
                    2 => span.trace_id = vec![0; 16],
                    _ => span.span_id = vec![0; 8],
                }
            })
        }),
        (49, "a span twice in one request", |dice| {
            let twice = good_span();
            let body = traces(vec![twice.clone(), good_span(), twice]);
            Shot {
                expect: Expect::Accepted,
                good: 3,
                ..malformed(dice, Signal::Traces, body)
            }
        }),
        (50, "one id, two contents", |dice| {
            let one = good_span();
            let mut other = one.clone();
            other.name = "another".to_owned();
            Shot {
                expect: Expect::Accepted,
                good: 2,
                ..malformed(dice, Signal::Traces, traces(vec![one, other]))
            }
        }),
        (51, "end before start", |dice| {
            span(dice, true, |dice, span| {
                span.end_time_unix_nano = span.start_time_unix_nano - dice.range(1, 1 << 30) as u64;
            })
        }),
        (52, "no end", |dice| {
            span(dice, true, |_, span| span.end_time_unix_nano = 0)
        }),
        (53, "no start", |dice| {
            span(dice, true, |_, span| span.start_time_unix_nano = 0)
        }),
        (54, "times beyond 2262", |dice| {
            span(dice, false, |dice, span| {
                span.end_time_unix_nano = dice.pick(&[u64::MAX, 1 << 63]);
            })
        }),
        (55, "an hour and more ahead", |dice| {
            span(dice, false, |dice, span| {
                span.end_time_unix_nano = now() + dice.range(3_700, 1 << 20) as u64 * SECOND;
            })
        }),
        (55, "minutes ahead", |dice| {
            span(dice, true, |dice, span| {
                span.end_time_unix_nano = now() + dice.range(70, 3_000) as u64 * SECOND;
            })
        }),
        (56, "older than every window", |dice| {
            span(dice, false, |dice, span| {
                let days = dice.range(401, 10_000) as u64;
                span.end_time_unix_nano = now() - days * 86_400 * SECOND;
                span.start_time_unix_nano = span.end_time_unix_nano - 1;
            })
        }),
        (56, "late", |dice| {
            span(dice, true, |dice, span| {
                span.end_time_unix_nano = now() - dice.range(700, 1 << 20) as u64 * SECOND;
                span.start_time_unix_nano = span.end_time_unix_nano - 1;
            })
        }),
        (57, "a span of a day", |dice| {
            span(dice, true, |dice, span| {
                span.start_time_unix_nano -= dice.range(86_400, 200_000) as u64 * SECOND;
            })
        }),
        (58, "parents in a circle", |dice| {
            let (mut a, mut b) = (good_span(), good_span());
            b.trace_id.clone_from(&a.trace_id);
            a.parent_span_id.clone_from(&b.span_id);
            b.parent_span_id.clone_from(&a.span_id);
            Shot {
                expect: Expect::Accepted,
                good: 2,
                ..malformed(dice, Signal::Traces, traces(vec![a, b]))
            }
        }),
        (59, "its own parent", |dice| {
            span(dice, true, |_, span| {
                span.parent_span_id.clone_from(&span.span_id)
            })
        }),
        (60, "a parent that never comes", |dice| {
            span(dice, true, |dice, span| {
                span.parent_span_id = dice.word().to_be_bytes().to_vec();
            })
        }),
        (61, "more services than there is room for", |dice| {
            distinct(dice, true)
        }),
        (62, "routes without end", |dice| distinct(dice, false)),
        (63, "no service name", |dice| {
            span(dice, true, |_, span| span.name = String::new())
        }),
        (64, "100,000 events and links", |dice| {
            span(dice, true, |dice, span| {
                match dice.range(0, 2) {
                    0 => span.events = vec![Event::default(); 100_000],
                    _ => span.links = vec![Link::default(); 100_000],
                };
            })
        }),
        (65, "unknown status codes", |dice| {
            span(dice, true, |dice, span| {
                span.status = Some(Status {
                    code: dice.pick(&[7, -1, i32::MAX, i32::MIN]),
                    ..Status::default()
                });
            })
        }),
        (66, "status codes of every type", |dice| {
            span(dice, true, |dice, span| {
                let value = match dice.range(0, 4) {
                    0 => Value::StringValue("500".to_owned()),
                    1 => Value::DoubleValue(500.0),
                    2 => Value::IntValue(99_999),
                    _ => Value::StringValue("no".to_owned()),
                };
                span.attributes = vec![attribute("http.response.status_code", value)];
            })
        }),
        (67, "tracestate of 64 KiB", |dice| {
            span(dice, true, |dice, span| {
                span.trace_state = format!("ot=th:8,x={}", "y".repeat(dice.range(60_000, 70_000)));
            })
        }),
        (68, "sampled", |dice| {
            span(dice, true, |dice, span| {
                span.trace_state = format!("ot=th:{:x}", dice.range(0, 1 << 20));
            })
        }),
    ]
}

fn number(dice: &mut Dice) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: now() - 60 * SECOND,
        time_unix_nano: now() - dice.range(0, 5) as u64 * SECOND,
        value: Some(Number::AsInt(dice.range(1, 1_000) as i64)),
        ..NumberDataPoint::default()
    }
}

fn sum(points: Vec<NumberDataPoint>, temporality: i32) -> Metric {
    Metric {
        data: Some(Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: temporality,
            is_monotonic: true,
        })),
        ..good_metric()
    }
}

/// Metrics between good ones of one point each.
fn points(dice: &mut Dice, odd: Vec<Metric>, accepted: usize, rejected: i64) -> Shot {
    let (before, after) = (dice.range(0, 4), dice.range(0, 4));
    let mut all: Vec<Metric> = (0..before).map(|_| good_metric()).collect();
    all.extend(odd);
    all.extend((0..after).map(|_| good_metric()));
    Shot {
        expect: match rejected {
            0 => Expect::Accepted,
            rejected => Expect::Partial(rejected),
        },
        good: (before + after + accepted) as u64,
        ..malformed(dice, Signal::Metrics, metrics(all))
    }
}

fn bad_number(
    dice: &mut Dice,
    temporality: i32,
    change: fn(&mut Dice, &mut NumberDataPoint),
) -> Shot {
    let mut point = number(dice);
    change(dice, &mut point);
    let series = vec![number(dice), point, number(dice)];
    points(dice, vec![sum(series, temporality)], 2, 1)
}

fn bad_histogram(dice: &mut Dice, change: fn(&mut Dice, &mut HistogramDataPoint)) -> Shot {
    let mut point = HistogramDataPoint {
        start_time_unix_nano: now() - 60 * SECOND,
        time_unix_nano: now(),
        count: 6,
        sum: Some(9.0),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![1.0, 2.0],
        ..HistogramDataPoint::default()
    };
    let good = point.clone();
    change(dice, &mut point);
    let odd = Metric {
        data: Some(Data::Histogram(Histogram {
            data_points: vec![good, point],
            aggregation_temporality: 1,
        })),
        ..good_metric()
    };
    points(dice, vec![odd], 1, 1)
}

fn bad_exponential(
    dice: &mut Dice,
    change: fn(&mut Dice, &mut ExponentialHistogramDataPoint),
) -> Shot {
    let mut point = ExponentialHistogramDataPoint {
        start_time_unix_nano: now() - 60 * SECOND,
        time_unix_nano: now(),
        count: 4,
        zero_count: 1,
        positive: Some(Buckets {
            offset: -1,
            bucket_counts: vec![1, 2],
        }),
        ..ExponentialHistogramDataPoint::default()
    };
    let good = point.clone();
    change(dice, &mut point);
    let odd = Metric {
        data: Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![good, point],
            aggregation_temporality: 1,
        })),
        ..good_metric()
    };
    points(dice, vec![odd], 1, 1)
}

fn bad_quantile(dice: &mut Dice) -> Shot {
    let quantile = dice.pick(&[-0.1, 1.1, f64::NAN, f64::INFINITY]);
    let odd = Metric {
        data: Some(Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                time_unix_nano: now(),
                count: 1,
                sum: 1.0,
                quantile_values: vec![ValueAtQuantile {
                    quantile,
                    value: 1.0,
                }],
                ..SummaryDataPoint::default()
            }],
        })),
        ..good_metric()
    };
    points(dice, vec![odd], 0, 1)
}

fn metric_cases() -> Vec<Case> {
    vec![
        (69, "a counter falls", |dice| {
            let (mut high, mut low) = (number(dice), number(dice));
            (high.value, low.value) = (Some(Number::AsInt(1_000)), Some(Number::AsInt(3)));
            high.time_unix_nano = low.time_unix_nano - SECOND;
            points(dice, vec![sum(vec![high, low], 2)], 2, 0)
        }),
        (70, "NaN and infinity in a sum", |dice| {
            bad_number(dice, 2, |dice, point| {
                let value = dice.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
                point.value = Some(Number::AsDouble(value));
            })
        }),
        (71, "negative increment", |dice| {
            bad_number(dice, 1, |dice, point| {
                point.value = Some(Number::AsInt(-(dice.range(1, 1 << 40) as i64)));
            })
        }),
        (72, "starts after its time", |dice| {
            bad_number(dice, 2, |dice, point| {
                point.start_time_unix_nano = point.time_unix_nano + dice.range(1, 1 << 30) as u64;
            })
        }),
        (73, "no time", |dice| {
            bad_number(dice, 2, |_, point| point.time_unix_nano = 0)
        }),
        (74, "temporality flips", |dice| {
            let (mut delta, mut cumulative) =
                (sum(vec![number(dice)], 1), sum(vec![number(dice)], 2));
            delta.name = "flips".to_owned();
            cumulative.name = "flips".to_owned();
            points(dice, vec![delta, cumulative], 2, 0)
        }),
        (75, "one name, two types", |dice| {
            let (mut one, mut other) = (good_metric(), sum(vec![number(dice)], 2));
            one.name = "same".to_owned();
            other.name = "same".to_owned();
            other.unit = dice.pick(&["s", "ms", ""]).to_owned();
            points(dice, vec![one, other], 2, 0)
        }),
        (76, "two writers of one stream", |dice| {
            let series = vec![number(dice), number(dice), number(dice)];
            points(dice, vec![sum(series, 2)], 3, 0)
        }),
        (77, "buckets that do not add up", |dice| {
            bad_histogram(dice, |dice, point| match dice.range(0, 5) {
                0 => point.explicit_bounds = vec![2.0, 1.0],
                1 => point.explicit_bounds = vec![1.0, f64::NAN],
                2 => point.explicit_bounds = vec![1.0, f64::INFINITY],
                3 => point.bucket_counts = vec![3, 3],
                _ => point.count = 7,
            })
        }),
        (78, "scale and index out of range", |dice| {
            bad_exponential(dice, |dice, point| match dice.range(0, 2) {
                0 => point.scale = dice.pick(&[i32::MAX, i32::MIN, 21, -11]),
                _ => {
                    point.positive = Some(Buckets {
                        offset: i32::MAX,
                        bucket_counts: vec![1, 2],
                    })
                }
            })
        }),
        (79, "zero threshold", |dice| {
            bad_exponential(dice, |dice, point| {
                point.zero_threshold = dice.pick(&[-1.0, f64::NAN, f64::INFINITY]);
            })
        }),
        (80, "quantile outside [0, 1]", bad_quantile),
        (81, "counts beyond 64 bits", |dice| {
            bad_histogram(dice, |dice, point| {
                point.bucket_counts = vec![u64::MAX, dice.range(1, 1 << 30) as u64, 0];
                point.count = u64::MAX;
            })
        }),
    ]
}

/// Mutations of each case.
fn mutations() -> u64 {
    match std::env::var_os("TIDEGATE_LONG") {
        Some(_) => 200,
        None => 20,
    }
}

/// Runs cases; the connection, the process and the counts must survive each of them.
fn run(cases: &[Case]) {
    let target = Target::tidegate(&[]);
    let mut counts = [0u64; 3];
    for (number, name, case) in cases {
        for mutation in 0..mutations() {
            let mut dice = Dice(u64::from(*number) << 32 | mutation);
            let shot = case(&mut dice);
            let place = format!(
                "case {number} ({name}), mutation {mutation}, {:?}",
                shot.signal
            );
            let answer = block_on(target.send((shot.way, shot.signal), shot.encoding, &shot.body));
            let is_expected = match shot.expect {
                Expect::Accepted => answer.is_clean(),
                Expect::Partial(rejected) => answer.rejected() == rejected,
                Expect::Malformed => answer.is_refused_for_good(3, 400),
                Expect::TooLarge => answer.is_refused_for_good(8, 413),
            };
            assert!(
                is_expected,
                "{place}: {:?} expected, got {answer:?}",
                shot.expect
            );
            counts[SIGNALS
                .iter()
                .position(|signal| *signal == shot.signal)
                .unwrap()] += shot.good;
        }
    }
    target.has_counted(counts);
    let peak = peak_bytes(&target);
    println!("peak of resident memory: {} MiB", peak >> 20);
    assert!(peak < RESIDENT_BYTES_MAX, "{peak} bytes were resident");
}

/// The most resident memory the process ever had; 0 where the system does not tell.
fn peak_bytes(target: &Target) -> u64 {
    let id = target.server.as_ref().unwrap().id();
    let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else {
        return 0;
    };
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Scenario: cases 1 to 15 in seeded mutations, over gRPC and HTTP.
/// Guarantees: the listed answer each time, good items counted, memory bounded.
#[test]
fn bad_wire() {
    run(&wire_cases());
}

/// Scenario: cases 33 to 47 in seeded mutations, over every transport they concern.
/// Guarantees: the listed answer each time, good items counted, memory bounded.
#[test]
fn bad_encodings() {
    run(&encoding_cases());
}

/// Scenario: cases 48 to 68 in seeded mutations.
/// Guarantees: bad spans rejected one by one, the good ones of the same request counted, memory bounded.
#[test]
fn bad_spans() {
    run(&trace_cases());
}

/// Scenario: cases 69 to 81 in seeded mutations.
/// Guarantees: bad points rejected one by one, the good ones of the same request counted, memory bounded.
#[test]
fn bad_points() {
    run(&metric_cases());
}

/// Scenario: cases 16 and 27 to 31 in seeded mutations: what is wrong lies around the body.
/// Guarantees: the listed answer, nothing counted, and good requests go on on the same connection where it may.
#[test]
fn bad_transport() {
    let target = Target::tidegate(&[]);
    let mut counts = [0u64; 3];
    for mutation in 0..mutations() {
        let mut dice = Dice(mutation);
        let signal = dice.signal();
        let way = dice.pick(&[Way::Protobuf, Way::Json]);
        block_on(around_the_body(&target, &mut dice, signal, way));
        block_on(grpc_frames(&target, &mut dice, signal));
        counts[SIGNALS.iter().position(|other| *other == signal).unwrap()] += 2;
    }
    target.has_counted(counts);
}

async fn around_the_body(target: &Target, dice: &mut Dice, signal: Signal, way: Way) {
    use ::http::Method;
    let (path, good) = (signal.path(), Payload::new(signal, 1, 0));
    let (body, content_type) = match way {
        Way::Json => (good.json.as_bytes(), JSON),
        Way::Grpc | Way::Protobuf => (&good.protobuf[..], PROTOBUF),
    };
    let mut client = target.http().await;
    let absolute = format!("http://{}{path}", target.http);
    let wrong = dice.pick(&["//v1/traces", "/v1/%74races", "/v1/trace", "/", &absolute]);
    let answer = client
        .request(Method::POST, wrong, content_type, &[], body)
        .await;
    assert_eq!(answer.status, 404, "case 27: {wrong}");
    let method =
        [Method::PUT, Method::GET, Method::DELETE, Method::OPTIONS][dice.range(0, 4)].clone();
    let answer = client.request(method, path, content_type, &[], body).await;
    assert_eq!(answer.status, 405, "case 28");
    let wrong = dice.pick(&[
        "text/plain",
        "application/xml",
        "application/protobuf",
        "json",
    ]);
    let answer = client.request(Method::POST, path, wrong, &[], body).await;
    assert_eq!(answer.status, 415, "case 29: {wrong}");
    let answer = client
        .request(Method::POST, path, content_type, &[], body)
        .await;
    assert_eq!(answer.status, 200);
    // Case 16: longer than it says, then shorter.
    let length = body.len() + dice.range(1, 1_000);
    client
        .send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"))
        .await;
    client.send(body).await;
    client.finish_sending().await;
    assert_eq!(client.answer().await.status, 400, "case 16");
    assert!(client.is_closed().await, "case 16");
}

async fn grpc_frames(target: &Target, dice: &mut Dice, signal: Signal) {
    let client = target.grpc().await;
    let good = Payload::new(signal, 1, 0).protobuf;
    let flagged = framed(1, &gzip(&good));
    let answer = client.raw(signal.method(), &[], flagged).await;
    assert_eq!(answer.code, 13, "case 30: {answer:?}");
    let mut huge = framed(0, &good);
    huge[1..5].copy_from_slice(&(u32::MAX - dice.range(0, 1 << 20) as u32).to_be_bytes());
    let answer = client.raw(signal.method(), &[], huge).await;
    assert_eq!(
        (answer.code, answer.status.retry_secs()),
        (8, None),
        "case 31: {answer:?}"
    );
    let answer = client.raw(signal.method(), &[], framed(0, &good)).await;
    assert_eq!(answer.code, 0, "{answer:?}");
}
