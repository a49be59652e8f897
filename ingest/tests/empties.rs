//! Empties: 64 MiB of nothing must cost neither time nor memory. Alone in its process, because it reads the peak of
//! the process's memory.

use engine::hash::HashSeed;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoded, Decoder, Format};
use std::time::Duration;

const BODY_BYTES: usize = 64 << 20;
const RECEIVED: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// `field` around `content`.
fn wrap(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    let mut len = content.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(content);
    out
}

/// 64 MiB of `item`.
fn many(item: &[u8]) -> Vec<u8> {
    item.repeat(BODY_BYTES / item.len())
}

/// How much `work` raised this process's peak of resident memory above what it holds now, where the system tells.
fn growth(work: impl FnOnce()) -> Option<usize> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = peak_bytes()?;
    work();
    Some(peak_bytes()?.saturating_sub(before))
}

fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}

/// One test, because both halves read the peak of the process.
#[test]
fn hostile_requests_cost_little() {
    empties_are_refused_by_the_budget_before_they_cost_anything();
    valid_but_hostile_requests_stay_within_the_byte_budget();
    json_costs_little_more();
}

fn empties_are_refused_by_the_budget_before_they_cost_anything() {
    let spans = |spans: &[u8]| wrap(1, &wrap(2, spans));
    let span = |fields: &[u8]| spans(&wrap(2, fields));
    let valid = [
        &[0x0a, 16][..],
        &[7; 16],
        &[0x12, 8],
        &[7; 8],
        &[0x41],
        &RECEIVED.0.to_le_bytes(),
    ]
    .concat();
    let bombs = [
        ("empty spans", spans(&many(&[0x12, 0]))),
        (
            "empty attributes of one span",
            span(&[valid.clone(), many(&[0x4a, 0])].concat()),
        ),
        (
            "empty events of one span",
            span(&[valid.clone(), many(&[0x5a, 0])].concat()),
        ),
        (
            "empty links of one span",
            span(&[valid.clone(), many(&[0x6a, 0])].concat()),
        ),
        (
            "elements of one list",
            span(&[valid, wrap(9, &wrap(2, &wrap(5, &many(&[0x0a, 0]))))].concat()),
        ),
        ("empty resource spans", many(&[0x0a, 0])),
        ("empty scope spans", wrap(1, &many(&[0x12, 0]))),
        (
            "empty resource attributes",
            wrap(1, &wrap(1, &many(&[0x0a, 0]))),
        ),
        ("unknown fields", many(&[0x12, 0])),
    ];
    let mut decoder = Decoder::new(DecodeLimits::default());
    // The measure itself: what is allocated and freed again must show.
    if let Some(seen) = growth(|| drop(std::hint::black_box(vec![1u8; 64 << 20]))) {
        assert!(seen >= 60 << 20, "64 MiB showed as {seen} bytes");
    }
    for (name, body) in &bombs {
        defuse(&mut decoder, (Signal::Traces, body), name);
    }
    drop(bombs);
    for (name, body) in POINT_BOMBS {
        defuse(&mut decoder, (Signal::Metrics, &body()), name);
    }
    for (name, body) in RECORD_BOMBS {
        defuse(&mut decoder, (Signal::Logs, &body()), name);
    }
}

/// Refuses the bomb five times: within the bounds of time and memory.
fn defuse(decoder: &mut Decoder, bomb: (Signal, &[u8]), name: &str) {
    let mut fastest = Duration::MAX;
    let grown = growth(|| {
        fastest = (0..5)
            .map(|_| refuse(decoder, bomb, name))
            .fold(fastest, Duration::min);
    });
    println!("{name}: {fastest:?}, peak memory grew by {grown:?} bytes");
    assert!(fastest < Duration::from_millis(100), "{name}: {fastest:?}");
    assert!(grown.unwrap_or(0) < 80 << 20, "{name}: {grown:?}");
}

type Bomb = (&'static str, fn() -> Vec<u8>);

/// `data` as field `field` of the only metric of a request.
fn metric(field: u8, data: &[u8]) -> Vec<u8> {
    wrap(1, &wrap(2, &wrap(2, &wrap(field, data))))
}

/// `fields` added to the only point of an exponential histogram, valid but for that.
fn exponential(fields: &[u8]) -> Vec<u8> {
    let time = [&[0x19][..], &RECEIVED.0.to_le_bytes()].concat();
    let point = wrap(1, &[time, fields.to_vec()].concat());
    metric(10, &[point, vec![0x10, 2]].concat())
}

const POINT_BOMBS: [Bomb; 9] = [
    ("empty metrics", || wrap(1, &wrap(2, &many(&[0x12, 0])))),
    ("empty gauges of one metric", || {
        wrap(1, &wrap(2, &wrap(2, &many(&[0x2a, 0]))))
    }),
    ("empty points", || metric(5, &many(&[0x0a, 0]))),
    ("empty attributes of one point", || {
        metric(5, &wrap(1, &many(&[0x3a, 0])))
    }),
    ("empty exemplars of one point", || {
        metric(5, &wrap(1, &many(&[0x2a, 0])))
    }),
    ("empty quantiles of one summary", || {
        metric(11, &wrap(1, &many(&[0x32, 0])))
    }),
    ("one-byte buckets", || {
        exponential(&wrap(8, &wrap(2, &many(&[0]))))
    }),
    ("one-byte buckets, not packed", || {
        exponential(&wrap(8, &many(&[0x10, 0])))
    }),
    ("empty sides of one exponential histogram", || {
        exponential(&many(&[0x42, 0]))
    }),
];

const RECORD_BOMBS: [Bomb; 4] = [
    ("empty records", || wrap(1, &wrap(2, &many(&[0x12, 0])))),
    ("empty attributes of one record", || {
        wrap(1, &wrap(2, &wrap(2, &many(&[0x32, 0]))))
    }),
    ("elements of one body", || {
        wrap(1, &wrap(2, &wrap(2, &wrap(5, &wrap(5, &many(&[0x0a, 0]))))))
    }),
    ("empty bodies of one record", || {
        wrap(1, &wrap(2, &wrap(2, &many(&[0x2a, 0]))))
    }),
];

/// Processor time of one refusal: wall time would measure the neighbors.
fn refuse(decoder: &mut Decoder, (signal, body): (Signal, &[u8]), name: &str) -> Duration {
    let start = processor_time();
    let error = decode(decoder, signal, body).unwrap_err();
    let elapsed = processor_time().saturating_sub(start);
    assert!(
        matches!(error, DecodeError::TooManyItems { .. }),
        "{name}: {error}"
    );
    assert!(error.is_too_large());
    elapsed
}

fn decode(decoder: &mut Decoder, signal: Signal, body: &[u8]) -> Result<Decoded, DecodeError> {
    decoder.decode((signal, Format::Protobuf), body, RECEIVED, HashSeed(1, 2))
}

/// What this thread has used so far; zero where the system does not tell.
fn processor_time() -> Duration {
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = used
        .split_whitespace()
        .next()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// A valid span with `fields` added.
fn span_with(number: u64, fields: &[u8]) -> Vec<u8> {
    let id = (number + 1).to_le_bytes();
    let time = RECEIVED.0.to_le_bytes();
    let own = [&[0x0a, 16][..], &id, &id, &[0x12, 8], &id, &[0x41], &time].concat();
    wrap(2, &[own, fields.to_vec()].concat())
}

/// Whatever is inside 64 MiB, decoding holds at most the byte budget and one batch.
fn valid_but_hostile_requests_stay_within_the_byte_budget() {
    let attribute = |key: &str| wrap(9, &[wrap(1, key.as_bytes()), wrap(2, &[0x18, 1])].concat());
    let repeat = |item: &dyn Fn(u64) -> Vec<u8>| {
        let mut body = Vec::new();
        for number in 0.. {
            if body.len() >= BODY_BYTES - 4_096 {
                break;
            }
            body.extend_from_slice(&item(number));
        }
        body
    };
    let spans = |item: &dyn Fn(u64) -> Vec<u8>| wrap(1, &wrap(2, &repeat(item)));
    let shapes = [
        ("minimal spans", spans(&|n| span_with(n, &[]))),
        ("events", spans(&|n| span_with(n, &[0x5a, 0].repeat(128)))),
        (
            "ever new keys",
            spans(&|n| {
                let keys: Vec<u8> = (0..128)
                    .flat_map(|k| attribute(&format!("{n:x}.{k:x}")))
                    .collect();
                span_with(n, &keys)
            }),
        ),
        (
            "one of 380 keys each",
            spans(&|n| span_with(n, &attribute(&format!("{}", n % 380)))),
        ),
        (
            "ever new resources",
            repeat(&|n| {
                let resource = wrap(1, &wrap(1, &wrap(1, format!("{n:x}").as_bytes())));
                wrap(1, &[resource, wrap(2, &span_with(n, &[]))].concat())
            }),
        ),
        (
            "ever new scopes",
            repeat(&|n| {
                let scope = wrap(1, &wrap(1, format!("{n:x}").as_bytes()));
                wrap(1, &wrap(2, &[scope, span_with(n, &[])].concat()))
            }),
        ),
    ];
    for (name, body) in &shapes {
        stays_small((Signal::Traces, body), name);
    }
    drop(shapes);
    let time = |field: u8| [&[field << 3 | 1][..], &RECEIVED.0.to_le_bytes()].concat();
    let gauge = |n: u64| {
        let point = [time(3), vec![0x31], n.to_le_bytes().to_vec()].concat();
        let name = wrap(1, format!("{n:x}").as_bytes());
        wrap(2, &[name, wrap(5, &wrap(1, &point))].concat())
    };
    let summary = |_: u64| {
        let point = [time(3), [0x32, 0].repeat(30)].concat();
        wrap(2, &wrap(11, &wrap(1, &point)))
    };
    let zeros = |field: u8| wrap(field, &wrap(2, &[0; 500]));
    let sides = |_: u64| {
        let point = [time(3), zeros(8), zeros(9)].concat();
        wrap(2, &wrap(10, &[wrap(1, &point), vec![0x10, 1]].concat()))
    };
    let bounds = |n: u64| {
        let bounds: Vec<u8> = (0..10)
            .flat_map(|k| ((n * 10 + k) as f64).to_le_bytes())
            .collect();
        let point = [time(3), wrap(6, &[0; 88]), wrap(7, &bounds)].concat();
        wrap(2, &wrap(9, &[wrap(1, &point), vec![0x10, 1]].concat()))
    };
    for (name, metric) in [
        ("ever new metrics", &gauge as &dyn Fn(u64) -> Vec<u8>),
        ("empty quantiles", &summary),
        ("buckets of one byte", &sides),
        ("ever new bounds", &bounds),
    ] {
        let body = wrap(1, &wrap(2, &repeat(metric)));
        stays_small((Signal::Metrics, &body), name);
    }
    for (name, record) in [
        (
            "minimal records",
            &(|_| wrap(2, &[])) as &dyn Fn(u64) -> Vec<u8>,
        ),
        ("ever new severities", &|n| {
            wrap(2, &wrap(3, format!("{n:x}").as_bytes()))
        }),
        ("large bodies", &|_| {
            wrap(2, &wrap(5, &wrap(1, &[b'x'; 40_000])))
        }),
    ] {
        let body = wrap(1, &wrap(2, &repeat(record)));
        stays_small((Signal::Logs, &body), name);
    }
}

fn stays_small((signal, body): (Signal, &[u8]), name: &str) {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let start = processor_time();
    let mut outcome = String::new();
    let grown = growth(|| {
        outcome = match decode(&mut decoder, signal, body) {
            Ok(decoded) => format!("{} {}", decoded.items_seen, signal.items()),
            Err(error) => error.to_string(),
        }
    });
    let took = processor_time().saturating_sub(start);
    println!("{name}: {outcome}, {took:?}, peak memory grew by {grown:?} bytes");
    assert!(grown.unwrap_or(0) < 300 << 20, "{name}: {grown:?}");
}

/// The same in JSON, where nothing is two bytes as well, and lengths are known only when their content has been read.
fn json_costs_little_more() {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let within = |head: &str, item: &str, tail: &str| {
        let room = BODY_BYTES - head.len() - tail.len();
        let items = item.repeat(room / item.len());
        format!("{head}{}{tail}", items.trim_end_matches(','))
    };
    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":["#;
    let point = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":["#;
    let bombs = [
        (
            Signal::Traces,
            "JSON: empty resource spans",
            within(r#"{"resourceSpans":["#, "{},", "]}"),
        ),
        (
            Signal::Traces,
            "JSON: empty spans",
            within(span, "{},", "]}]}]}"),
        ),
        (
            Signal::Traces,
            "JSON: empty attributes of one span",
            within(&format!(r#"{span}{{"attributes":["#), "{},", "]}]}]}]}"),
        ),
        (
            Signal::Logs,
            "JSON: unknown members",
            within("{", r#""a":0,"#, "}"),
        ),
        (
            Signal::Metrics,
            "JSON: bucket counts",
            within(point, "0,", "]}]}}]}]}]}"),
        ),
    ];
    for (signal, name, body) in &bombs {
        let mut elapsed = Duration::MAX;
        let grown = growth(|| elapsed = refuse_json(&mut decoder, *signal, body, name));
        println!("{name}: {elapsed:?}, peak memory grew by {grown:?} bytes");
        assert!(elapsed < Duration::from_secs(1), "{name}: {elapsed:?}");
        assert!(grown.unwrap_or(0) < 200 << 20, "{name}: {grown:?}");
    }
    // As deep as it goes, with nearly all of the text at the bottom: it moves once a level.
    let (open, close) = (r#"{"arrayValue":{"values":["#, "]}}");
    let head = format!(
        r#"{span}{{"attributes":[{{"key":"k","value":{}{{"stringValue":""#,
        open.repeat(29)
    );
    let tail = format!(r#""}}{}}}]}}]}}]}}]}}"#, close.repeat(29));
    let body = within(&head, "x", &tail);
    let start = processor_time();
    let decoded = decoder.decode(
        (Signal::Traces, Format::Json),
        body.as_bytes(),
        RECEIVED,
        HashSeed(1, 2),
    );
    let elapsed = processor_time().saturating_sub(start);
    println!("JSON: 64 MiB at the deepest level: {elapsed:?}");
    assert_eq!(decoded.unwrap().items_rejected(), 1);
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
}

fn refuse_json(decoder: &mut Decoder, signal: Signal, body: &str, name: &str) -> Duration {
    let start = processor_time();
    let decoded = decoder.decode(
        (signal, Format::Json),
        body.as_bytes(),
        RECEIVED,
        HashSeed(1, 2),
    );
    let elapsed = processor_time().saturating_sub(start);
    let error = decoded.unwrap_err();
    assert!(error.is_too_large(), "{name}: {error}");
    elapsed
}
