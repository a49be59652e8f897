//! Bodies that must be refused whole, or accepted whole, over both protocols and every encoding.

use crate::support::{Grpc, Http, Server, field, gzip, in_span, request, zstd};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Accepted(usize),
    Malformed,
    TooLarge,
}

struct Case {
    name: &'static str,
    encoding: &'static str,
    body: Vec<u8>,
    answer: Answer,
}

fn case(name: &'static str, encoding: &'static str, body: Vec<u8>, answer: Answer) -> Case {
    Case {
        name,
        encoding,
        body,
        answer,
    }
}

fn malformed(name: &'static str, body: Vec<u8>) -> Case {
    case(name, "identity", body, Answer::Malformed)
}

fn plain_cases() -> Vec<Case> {
    let noise: Vec<u8> = (0..4096u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let group = |content: &[u8]| [&[0x0b << 3 | 3][..], content, &[0x0b << 3 | 4]].concat();
    let grouped = [request(2, 0), group(&[0x08, 1])].concat();
    vec![
        malformed("1 random bytes", noise),
        malformed("2 truncated varint", vec![0x08, 0x80]),
        malformed("3 length beyond the rest", vec![0x0a, 100, 1, 2]),
        malformed(
            "4 varint of 11 bytes",
            [&[0x08][..], &[0x80; 10], &[1]].concat(),
        ),
        malformed("5 field number 0", in_span(&[0x02, 0])),
        malformed("5 wire type 6", in_span(&[0x0e])),
        malformed("5 wire type 7", in_span(&[0x0f])),
        case(
            "6 a group is skipped",
            "identity",
            grouped,
            Answer::Accepted(2),
        ),
        malformed("6 group without end", in_span(&[0x5b, 0x08, 1])),
        malformed("6 end without group", in_span(&[0x5c])),
        malformed("6 group ended by another", in_span(&[0x5b, 0x64])),
        malformed("7 nested 10^6 deep", nested_values(1_000_000)),
        malformed("33 not UTF-8", in_span(&field(5, b"\xff\xfe"))),
    ]
}

/// An attribute whose value is an array of an array of ... `depth` times.
fn nested_values(depth: usize) -> Vec<u8> {
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
    in_span(&field(9, &[field(1, b"k"), field(2, &reversed)].concat()))
}

fn compressed_cases() -> Vec<Case> {
    let good = gzip(&request(3, 0));
    let mut bad_crc = good.clone();
    let crc = bad_crc.len() - 8;
    bad_crc[crc] ^= 1;
    let members = [gzip(&request(3, 0)), gzip(&request(4, 0))].concat();
    let twins = [good.clone(), good.clone()].concat();
    let frames = [zstd(&request(3, 0)), zstd(&request(4, 0))].concat();
    let bomb = gzip(&vec![0u8; 80 << 20]);
    let zstd_bomb = zstd(&vec![0u8; 80 << 20]);
    let empties = [0x12, 0x00].repeat((64 << 20) / 2 - 64);
    let empty_spans = gzip(&field(1, &field(2, &empties)));
    let empty_attributes = gzip(&in_span(&[0x4a, 0x00].repeat(10_000_000)));
    let cut = |body: &[u8], bytes: usize| body[..body.len() - bytes].to_vec();
    vec![
        case("gzip", "gzip", good.clone(), Answer::Accepted(3)),
        case("zstd", "zstd", zstd(&request(3, 0)), Answer::Accepted(3)),
        case("9 gzip bomb", "gzip", bomb, Answer::TooLarge),
        case("9 zstd bomb", "zstd", zstd_bomb, Answer::TooLarge),
        case("10 gzip of gzip", "gzip", gzip(&good), Answer::Malformed),
        case(
            "11 truncated gzip",
            "gzip",
            cut(&good, 1),
            Answer::Malformed,
        ),
        case(
            "11 gzip without trailer",
            "gzip",
            cut(&good, 8),
            Answer::Malformed,
        ),
        case(
            "11 truncated zstd",
            "zstd",
            cut(&zstd(&request(3, 0)), 1),
            Answer::Malformed,
        ),
        case("11 bad CRC", "gzip", bad_crc, Answer::Malformed),
        case("12 two members", "gzip", members, Answer::Accepted(7)),
        case("12 two equal members", "gzip", twins, Answer::Accepted(6)),
        case("12 two zstd frames", "zstd", frames, Answer::Accepted(7)),
        case(
            "13 trailing garbage",
            "gzip",
            [&good[..], b"garbage"].concat(),
            Answer::Malformed,
        ),
        case(
            "13 trailing zeros",
            "gzip",
            [&good[..], &[0; 16]].concat(),
            Answer::Malformed,
        ),
        case("14 empty spans", "gzip", empty_spans, Answer::TooLarge),
        case(
            "15 empty attributes",
            "gzip",
            empty_attributes,
            Answer::TooLarge,
        ),
        case("not gzip at all", "gzip", request(3, 0), Answer::Malformed),
        case(
            "nothing where gzip should be",
            "gzip",
            Vec::new(),
            Answer::Malformed,
        ),
    ]
}

/// Scenario: every body of the catalogue over gRPC, each followed by a good request on the same connection.
/// Guarantees: the listed status with its details; exactly the good spans are handed on; no memory stays reserved.
#[tokio::test]
async fn bodies_over_grpc() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    for Case {
        name,
        encoding,
        body,
        answer,
    } in plain_cases().into_iter().chain(compressed_cases())
    {
        let got = client.export(encoding, &body).await;
        let expected = match answer {
            Answer::Accepted(_) => 0,
            Answer::Malformed => 3,
            Answer::TooLarge => 8,
        };
        assert_eq!(got.code, expected, "{name}: {got:?}");
        assert_eq!(got.status.retry_secs(), None, "{name}");
        if answer == Answer::Malformed {
            let violation = got.status.violation().expect("a BadRequest detail");
            assert!(
                !violation.field.is_empty() && !violation.description.is_empty(),
                "{name}"
            );
        }
        let spans = if let Answer::Accepted(spans) = answer {
            spans
        } else {
            0
        };
        assert_eq!(
            client.export("identity", &request(1, 0)).await.code,
            0,
            "{name}"
        );
        assert_eq!(server.take_spans(), spans + 1, "{name}");
        assert_eq!(server.stats.in_flight_bytes(), 0, "{name}");
    }
}

/// Scenario: the same over HTTP/1.1 with keep-alive.
/// Guarantees: 200, 400 or 413 with a `Status` body in protobuf; the connection goes on.
#[tokio::test]
async fn bodies_over_http() {
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    for Case {
        name,
        encoding,
        body,
        answer,
    } in plain_cases().into_iter().chain(compressed_cases())
    {
        let got = client.post(&[("content-encoding", encoding)], &body).await;
        let (status, code) = match answer {
            Answer::Accepted(_) => (200, 0),
            Answer::Malformed => (400, 3),
            Answer::TooLarge => (413, 8),
        };
        assert_eq!(got.status, status, "{name}: {got:?}");
        if status != 200 {
            let body = got.rpc_status();
            assert_eq!(body.code, code, "{name}");
            assert!(!body.message.is_empty(), "{name}");
            assert_eq!(body.violation().is_some(), status == 400, "{name}");
        }
        let spans = if let Answer::Accepted(spans) = answer {
            spans
        } else {
            0
        };
        assert_eq!(client.post(&[], &request(1, 0)).await.status, 200, "{name}");
        assert_eq!(server.take_spans(), spans + 1, "{name}");
        assert_eq!(server.stats.in_flight_bytes(), 0, "{name}");
    }
}
