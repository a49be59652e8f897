//! Whole output or a refusal, for every shape a compressed body can take.

use super::super::admission::Budget;
use super::*;
use std::io::Write;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 1).expect("compresses")
}

fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let budget = Budget::new(1 << 30);
    let mut hold = Reservation::new(&budget);
    let mut inflater = Inflater::new();
    inflater
        .plain(encoding, body, limit, &mut hold)
        .map(<[u8]>::to_vec)
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 % 251) as u8).collect()
}

#[test]
fn every_member_and_every_frame_is_decoded() {
    for length in [0, 1, 1000, 600_000] {
        let plain = text(length);
        let twice = [plain.clone(), plain.clone()].concat();
        for (encoding, body) in [
            (Encoding::Gzip, gzip(&plain)),
            (Encoding::Zstd, zstd(&plain)),
        ] {
            assert_eq!(inflate(encoding, &body, 2_000_000).as_ref(), Ok(&plain));
            let doubled = [body.clone(), body].concat();
            assert_eq!(inflate(encoding, &doubled, 2_000_000).as_ref(), Ok(&twice));
        }
    }
    let mixed = [gzip(&text(10)), gzip(&[]), gzip(&text(20))].concat();
    let plain = [text(10), text(20)].concat();
    assert_eq!(inflate(Encoding::Gzip, &mixed, 100), Ok(plain));
}

#[test]
fn truncation_damage_and_trailing_bytes_are_refused() {
    let plain = text(5000);
    for (encoding, body) in [
        (Encoding::Gzip, gzip(&plain)),
        (Encoding::Zstd, zstd(&plain)),
    ] {
        let refused = |body: &[u8]| {
            let answer = inflate(encoding, body, 1 << 20);
            assert!(
                matches!(answer, Err(Refusal::BadCompression { .. })),
                "{encoding:?} {answer:?}"
            );
        };
        for length in [1, body.len() / 2, body.len() - 9, body.len() - 1] {
            refused(&body[..length]);
        }
        let size = 5000u32.to_le_bytes();
        for garbage in [&b"x"[..], b"garbage", &[0; 4], &size] {
            if encoding == Encoding::Zstd || garbage != size {
                refused(&[&body[..], garbage].concat());
            }
        }
    }
    let mut damaged = gzip(&plain);
    let crc = damaged.len() - 6;
    damaged[crc] ^= 1;
    assert!(matches!(
        inflate(Encoding::Gzip, &damaged, 1 << 20),
        Err(Refusal::BadCompression { .. })
    ));
    assert!(inflate(Encoding::Gzip, &[], 1 << 20).is_err());
}

#[test]
fn the_limit_is_exact() {
    let plain = text(3000);
    for (encoding, body) in [
        (Encoding::Gzip, gzip(&plain)),
        (Encoding::Zstd, zstd(&plain)),
    ] {
        assert_eq!(inflate(encoding, &body, 3000).as_ref(), Ok(&plain));
        let answer = inflate(encoding, &body, 2999);
        assert_eq!(answer, Err(Refusal::TooLarge { limit: 2999 }));
    }
}

#[test]
fn a_bomb_that_lies_about_its_size_stops_at_the_limit() {
    let mut bomb = gzip(&vec![0; 8 << 20]);
    let size = bomb.len() - 4;
    bomb[size..].copy_from_slice(&100u32.to_le_bytes());
    let answer = inflate(Encoding::Gzip, &bomb, 1 << 20);
    assert_eq!(answer, Err(Refusal::TooLarge { limit: 1 << 20 }));
    let members = gzip(&text(600_000)).repeat(4);
    let answer = inflate(Encoding::Gzip, &members, 1 << 20);
    assert_eq!(answer, Err(Refusal::TooLarge { limit: 1 << 20 }));
}

#[test]
fn output_is_reserved_before_it_is_allocated() {
    let budget = Budget::new(1 << 20);
    let mut inflater = Inflater::new();
    for (encoding, body) in [
        (Encoding::Gzip, gzip(&vec![0; 2 << 20])),
        (Encoding::Zstd, zstd(&vec![0; 2 << 20])),
    ] {
        let mut hold = Reservation::new(&budget);
        let answer = inflater.plain(encoding, &body, 64 << 20, &mut hold);
        assert_eq!(answer, Err(Refusal::Overloaded));
    }
    assert_eq!(budget.used(), 0);
}

#[test]
fn encodings_are_read_as_http_writes_them() {
    assert_eq!(Encoding::parse(None), Some(Encoding::Identity));
    assert_eq!(Encoding::parse(Some(b" GZip")), Some(Encoding::Gzip));
    assert_eq!(Encoding::parse(Some(b"zstd")), Some(Encoding::Zstd));
    assert_eq!(Encoding::parse(Some(b"gzip, gzip")), None);
    assert_eq!(Encoding::parse(Some(b"br")), None);
}
