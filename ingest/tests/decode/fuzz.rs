//! Mutated bytes: accepted exactly when `prost` accepts them, and then with the same rows; never a panic.
//!
//! Runs for a few seconds a signal, for `TIDEGATE_FUZZ_SECS` when set, for ten minutes with `TIDEGATE_LONG`. A failure prints
//! the seed and the bytes; `TIDEGATE_SEED` starts from another seed.

use crate::observe::observed;
use crate::subject::Subject;
use ingest::otlp::{DecodeError, DecodeLimits, Decoder, Problem};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::Duration;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn mutated_spans_are_accepted_exactly_when_prost_accepts_them() {
    mutated_bytes_are_accepted_exactly_when_prost_accepts_them::<ExportTraceServiceRequest>();
}

#[test]
fn mutated_points_are_accepted_exactly_when_prost_accepts_them() {
    mutated_bytes_are_accepted_exactly_when_prost_accepts_them::<ExportMetricsServiceRequest>();
}

#[test]
fn mutated_records_are_accepted_exactly_when_prost_accepts_them() {
    mutated_bytes_are_accepted_exactly_when_prost_accepts_them::<ExportLogsServiceRequest>();
}

fn mutated_bytes_are_accepted_exactly_when_prost_accepts_them<S: Subject>() {
    let long = std::env::var_os("TIDEGATE_LONG").map(|_| 600);
    let seconds = number("TIDEGATE_FUZZ_SECS").or(long).unwrap_or(4);
    let seed = number("TIDEGATE_SEED").unwrap_or(1);
    let mut random = Random(seed);
    let mut corpus = requests::<S>(seed, 200);
    let mut decoder = Decoder::new(DecodeLimits::default());
    let (mut accepted, mut refused, mut rows) = (0u64, 0u64, 0usize);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while tokio::time::Instant::now() < deadline {
        for _ in 0..100 {
            let body = mutate(&corpus, &mut random);
            match compare::<S>(&mut decoder, &body, seed) {
                Some(count) => {
                    accepted += 1;
                    rows += count;
                    // Odd but valid bytes are the best ground for the next oddity.
                    if body.len() < 2_000 && random.below(50) == 0 {
                        let place = random.below(corpus.len());
                        corpus[place] = body;
                    }
                }
                None => refused += 1,
            }
        }
        if random.below(2_000) == 0 {
            corpus = requests::<S>(random.next(), 200);
        }
    }
    println!(
        "fuzz {}: seed {seed}: {accepted} accepted with {rows} rows, {refused} refused, {seconds} s",
        S::SIGNAL.name()
    );
    assert!(accepted > 50 && refused > 50 && rows > 50);
}

/// Compares decoder and model on `body`; the number of rows when both accept it.
fn compare<S: Subject>(decoder: &mut Decoder, body: &[u8], seed: u64) -> Option<usize> {
    let oracle = S::decode(body);
    let ours = observed(decoder, S::SIGNAL, body);
    let context = || {
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("seed {seed}, bytes {hex}")
    };
    match (ours, oracle) {
        (Ok(ours), Ok(request)) => {
            let (ours, model) = (
                ours.without_hashes(),
                request.expected(&DecodeLimits::default()).without_hashes(),
            );
            assert_eq!(ours, model, "{}", context());
            Some(ours.rows.len())
        }
        (Err(error), Err(_)) => {
            let DecodeError::Malformed { offset, .. } = error else {
                panic!("{error}: {}", context());
            };
            assert!(offset <= body.len());
            None
        }
        // Our nesting limit is below prost's.
        (
            Err(DecodeError::Malformed {
                problem: Problem::TooDeep,
                ..
            }),
            Ok(_),
        ) => None,
        (ours, oracle) => panic!("ours {ours:?}\noracle {oracle:?}\n{}", context()),
    }
}

fn requests<S: Subject>(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = S::any();
    (0..count)
        .map(|_| {
            strategy
                .new_tree(&mut runner)
                .unwrap()
                .current()
                .encode_to_vec()
        })
        .filter(|body| body.len() < 4_000)
        .collect()
}

fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut body = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        if body.is_empty() {
            body.push(random.next() as u8);
        }
        let at = random.below(body.len());
        match random.below(10) {
            0 => body[at] ^= 1 << random.below(8),
            1 => body[at] = random.next() as u8,
            2 => {
                body[at] = [0, 1, 0x0a, 0x12, 0x7f, 0x80, 0xff, 0x4a, 0x0b, 0x0c][random.below(10)]
            }
            3 => drop(body.remove(at)),
            4 => body.insert(at, random.next() as u8),
            5 => body.truncate(at),
            6 => copy_within(&mut body, random),
            7 => splice(&mut body, &corpus[random.below(corpus.len())], random),
            8 => {
                // An unknown field, a group, or a key or length in a longer encoding.
                let odd: &[&[u8]] = &[
                    &[0xf8, 0x07, 1],
                    &[0xfb, 0x07, 0x08, 1, 0xfc, 0x07],
                    &[0x80, 0],
                    &[0x12, 0],
                ];
                let odd = odd[random.below(odd.len())];
                body.splice(at..at, odd.iter().copied());
            }
            _ => body[at] = body[at].wrapping_add(if random.below(2) == 0 { 1 } else { 0xff }),
        }
    }
    body
}

fn copy_within(body: &mut Vec<u8>, random: &mut Random) {
    let from = random.below(body.len());
    let to = (from + random.below(40)).min(body.len());
    let piece = body[from..to].to_vec();
    let at = random.below(body.len());
    body.splice(at..at, piece);
}

fn splice(body: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if other.is_empty() {
        return;
    }
    let from = random.below(other.len());
    let to = (from + random.below(60)).min(other.len());
    let at = random.below(body.len());
    let end = (at + random.below(60)).min(body.len());
    body.splice(at..end, other[from..to].iter().copied());
}
