//! Format tests: what is written is read; tails are cut, damage is skipped, nothing valid is lost.

use super::*;
use crate::otlp::Format;
use crate::receive::{Encoding, Protocol};
use engine::delta::{Counter, Fate};
use engine::input::Gap;
use engine::items::Signal;
use engine::time::Timestamp;

fn header() -> LogHeader {
    LogHeader {
        uuid: 7 << 90,
        segment: 3,
        first_lsn: 10,
        semantics: 1,
        seed: HashSeed(5, u64::MAX),
    }
}

fn bodies() -> Vec<RecordBody> {
    let request = |size: usize| {
        RecordBody::Request(RequestRecord {
            protocol: Protocol::Http,
            signal: Signal::Logs,
            format: Format::Json,
            encoding: Encoding::Gzip,
            rejected: 2,
            columns_digest: 1 << 100,
            body: bytes::Bytes::from(vec![0xA5; size]),
        })
    };
    vec![
        request(1001),
        RecordBody::Tick,
        RecordBody::Gap(Gap {
            from: Timestamp(1),
            to: Timestamp(u64::MAX),
        }),
        request(0),
        RecordBody::Counters(vec![(Counter::Items(Signal::Traces, Fate::Rejected), 3)]),
        RecordBody::Tick,
    ]
}

fn written(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("log");
    let mut writer = LogWriter::create(&path, &header()).unwrap();
    for (index, body) in bodies().iter().enumerate() {
        let lsn = writer.append(Timestamp(index as u64 * 5), body).unwrap();
        assert_eq!(lsn, 10 + index as u64);
    }
    writer.sync().unwrap();
    path
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = LogReader::open(&written(&dir)).unwrap();
    assert_eq!(*reader.header(), header());
    let read: Vec<_> = reader.by_ref().map(|record| record.body).collect();
    assert_eq!(read, bodies());
    assert!(reader.damages().is_empty());
}

#[test]
fn every_cut_loses_only_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(&dir);
    let data = std::fs::read(&path).unwrap();
    for cut in 1..=RECORD_HEADER_BYTES {
        std::fs::write(&path, &data[..data.len() - cut]).unwrap();
        let mut reader = LogReader::open(&path).unwrap();
        assert_eq!(reader.by_ref().count(), bodies().len() - 1);
        let torn = reader.damages().iter().all(|damage| damage.is_torn_tail);
        assert!(torn && (cut == RECORD_HEADER_BYTES || reader.damages().len() == 1));
    }
}

#[test]
fn any_flipped_bit_costs_at_most_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(&dir);
    let data = std::fs::read(&path).unwrap();
    for byte in (HEADER_BYTES..data.len()).step_by(7) {
        let mut damaged = data.clone();
        damaged[byte] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        let mut reader = LogReader::open(&path).unwrap();
        let read: Vec<_> = reader.by_ref().map(|record| record.body).collect();
        assert!(
            read.len() >= bodies().len() - 1,
            "byte {byte}: {} records",
            read.len()
        );
        assert!(
            read.iter().all(|body| bodies().contains(body)),
            "byte {byte}: a changed record"
        );
    }
}

#[test]
fn foreign_and_newer_files_are_refused_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(&dir);
    let mut data = std::fs::read(&path).unwrap();
    data[8] = 9;
    std::fs::write(&path, &data).unwrap();
    let newer = LogReader::open(&path).unwrap_err();
    assert!(newer.to_string().contains("log format 9"), "{newer}");
    std::fs::write(&path, b"hello").unwrap();
    assert!(
        LogReader::open(&path)
            .unwrap_err()
            .to_string()
            .contains("is no Tidegate log")
    );
}

#[test]
fn the_newest_whole_checkpoint_is_loaded_and_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(&dir.path().join("state")).unwrap();
    assert_eq!(checkpoints.load().unwrap(), None);
    for number in 1..=5u64 {
        checkpoints.write(number, &number.to_le_bytes()).unwrap();
    }
    assert_eq!(
        std::fs::read_dir(dir.path().join("state")).unwrap().count(),
        3
    );
    let newest = dir.path().join("state/checkpoint-00000000000000000005.tg");
    let mut data = std::fs::read(&newest).unwrap();
    let last = data.len() - 1;
    data[last] ^= 1;
    std::fs::write(&newest, &data).unwrap();
    let loaded = checkpoints.load().unwrap().unwrap();
    assert_eq!(loaded.content, 4u64.to_le_bytes());
    assert_eq!(loaded.damaged, vec![newest.clone()]);
    data[8] = CHECKPOINT_FORMAT as u8 + 1;
    std::fs::write(&newest, &data).unwrap();
    assert!(
        checkpoints
            .load()
            .unwrap_err()
            .to_string()
            .contains(&format!("checkpoint format {}", CHECKPOINT_FORMAT + 1))
    );
}
