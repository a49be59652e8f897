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

#[test]
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
