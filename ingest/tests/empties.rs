//! Empties: 64 MiB of nothing must cost neither time nor memory. Alone in its process, because it reads the peak of
//! the process's memory.

use engine::hash::HashSeed;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, DecodeLimits, Decoder};
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
        let mut fastest = Duration::MAX;
        let grown = growth(|| {
            fastest = (0..5)
                .map(|_| refuse(&mut decoder, body, name))
                .fold(fastest, Duration::min);
        });
        println!("{name}: {fastest:?}, peak memory grew by {grown:?} bytes");
        assert!(fastest < Duration::from_millis(100), "{name}: {fastest:?}");
        assert!(grown.unwrap_or(0) < 80 << 20, "{name}: {grown:?}");
    }
}

/// Processor time of one refusal: wall time would measure the neighbors.
fn refuse(decoder: &mut Decoder, body: &[u8], name: &str) -> Duration {
    let start = processor_time();
    let error = decoder
        .decode_traces(body, RECEIVED, HashSeed(1, 2))
        .unwrap_err();
    let elapsed = processor_time().saturating_sub(start);
    assert!(
        matches!(error, DecodeError::TooManyItems { .. }),
        "{name}: {error}"
    );
    assert!(error.is_too_large());
    elapsed
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
        let mut decoder = Decoder::new(DecodeLimits::default());
        let start = processor_time();
        let mut outcome = String::new();
        let grown = growth(|| {
            outcome = match decoder.decode_traces(body, RECEIVED, HashSeed(1, 2)) {
                Ok(decoded) => format!("{} spans", decoded.items_seen),
                Err(error) => error.to_string(),
            }
        });
        let took = processor_time().saturating_sub(start);
        println!("{name}: {outcome}, {took:?}, peak memory grew by {grown:?} bytes");
        assert!(grown.unwrap_or(0) < 300 << 20, "{name}: {grown:?}");
    }
}
