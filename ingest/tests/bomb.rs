//! One request that is 65 KB on the wire and 64 MiB of empty items: memory and time it may cost. Alone in its binary, so
//! that the peak of the process is the peak of the request.

use engine::hash::HashSeed;
use engine::time::Timestamp;
use ingest::receive::{ReceiveConfig, Receiver};
use std::io::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;

/// 64 MiB whose every two bytes are one empty item of any signal, compressed without ever being held.
fn bomb() -> Vec<u8> {
    let mut head = Vec::new();
    let content = 64 * MIB - 16;
    for tag in [0x0a, 0x12] {
        head.push(tag);
        let length = if tag == 0x0a { content + 5 } else { content };
        prost::encoding::encode_varint(length as u64, &mut head);
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&head).expect("writes to memory");
    for _ in 0..content / 16 {
        encoder
            .write_all(&[0x12, 0].repeat(8))
            .expect("writes to memory");
    }
    encoder.finish().expect("writes to memory")
}

/// Peak resident memory of this process, bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("a peak");
    let kib: usize = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    kib * 1024
}

/// Processor time all threads of this process have used so far. Wall time would measure the neighbors.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanos = tasks.filter_map(Result::ok).filter_map(|task| {
        let used = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        used.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Scenario: the bomb, for every signal five times in a row on one connection; its fields are spans, metrics, records.
/// Guarantees: 413 every time, less than 100 MiB of growth, and little work for the quickest (printed).
#[tokio::test]
async fn sixty_four_mebibytes_of_empty_items_cost_little() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let (sink, mut accepted) = tokio::sync::mpsc::channel(16);
    let clock = || Timestamp::from_secs(1_800_000_000);
    let receiver = Receiver::new(ReceiveConfig::default(), HashSeed(1, 2), sink, clock)
        .expect("settings that work");
    let stats = receiver.stats();
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    tokio::spawn(receiver.serve(vec![listener], shutdown));
    let body = bomb();
    assert!(body.len() < 66_000, "{} bytes", body.len());
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let before = peak_memory();
    let mut quickest = Duration::MAX;
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"].repeat(5) {
        let start = processor_time();
        stream
            .write_all(&[head(path).as_bytes(), &body].concat())
            .await
            .expect("sends");
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await.expect("an answer");
        quickest = quickest.min(processor_time() - start);
        assert!(answer[..length].starts_with(b"HTTP/1.1 413 "));
    }
    let growth = peak_memory() - before;
    println!("growth {} MiB, quickest {quickest:?}", growth / MIB);
    assert!(growth < 100 * MIB, "{} MiB", growth / MIB);
    // 100 ms is the bar at opt-level 3 on a quiet machine; tests run checked code beside others.
    assert!(quickest < Duration::from_millis(400), "{quickest:?}");
    assert_eq!(stats.refused_total(), 15);
    assert!(accepted.try_recv().is_err());
}
