//! Tests of alignment, cells and memory; exactness is tested through the machine (`slo_machine::tests::recount`).

use super::{Ring, Tally, resolution, window_start};

fn tally(good: i64, bad: i64) -> Tally {
    Tally { good, bad }
}

/// Scenario: windows at the limits of the levels.
/// Guarantees: resolutions and first seconds as documented.
#[test]
fn windows_are_aligned_as_documented() {
    let table = [
        (1, 1),
        (3_600, 1),
        (3_601, 60),
        (21_600, 60),
        (21_601, 600),
        (259_200, 600),
        (259_201, 3_600),
        (u64::MAX, 3_600),
    ];
    for (window, width) in table {
        assert_eq!(resolution(window), width, "{window}");
    }
    let second = 1_800_000_000 + 59;
    assert_eq!(window_start(second, 300), second - 299);
    assert_eq!(window_start(second, 6 * 3_600), 1_800_000_000 - 359 * 60);
    assert_eq!(window_start(second, 86_400), 1_800_000_000 - 143 * 600);
    assert_eq!(
        window_start(second, 30 * 86_400),
        1_800_000_000 - 719 * 3_600
    );
    assert_eq!(window_start(10, 3_600), 0);
}

/// Scenario: counts that outgrow each width, corrections back to zero and below.
/// Guarantees: values and sums stay exact; a loaded ring serializes to the same bytes whatever width it had.
#[test]
fn buckets_hold_any_count() {
    let mut ring = Ring::new(&[300], 1_000);
    let at = ring.find(300).expect("made for it");
    let mut sum = 0;
    for good in [
        1,
        126,
        1,
        32_000,
        1_000,
        3_000_000_000,
        -3_000_000_000,
        1 << 40,
        -5,
        -(1 << 40),
    ] {
        ring.add(1_000, tally(good, -good));
        sum += good;
        assert_eq!(ring.sum(at), tally(sum, -sum));
        let bytes = postcard::to_stdvec(&ring).expect("serializes");
        let loaded: Ring = postcard::from_bytes(&bytes).expect("deserializes");
        assert!(postcard::to_stdvec(&loaded).expect("serializes") == bytes);
        assert_eq!(loaded.sum(at), tally(sum, -sum));
    }
    ring.advance(1_299);
    assert_eq!(ring.sum(at), tally(sum, -sum));
    ring.advance(1_300);
    assert_eq!(ring.sum(at), tally(0, 0));
    assert!(
        !ring.add(1_301, tally(1, 1)),
        "the future belongs to no window yet"
    );
}

/// Scenario: a 30 d SLO with Sloth's windows at 50 requests a second and some failures; a slice of a quiet revision.
/// Guarantees: at most 20 KB and 4 KB.
#[test]
fn memory_is_bounded() {
    let windows = [
        300,
        1_800,
        3_600,
        7_200,
        21_600,
        86_400,
        259_200,
        30 * 86_400,
    ];
    let start = 1_800_000_000;
    let mut ring = Ring::new(&windows, start);
    let mut slice = Ring::new(&[300, 3_600, 21_600], start);
    for hour in 0..720 {
        ring.advance(start + hour * 3_600);
        ring.add(start + hour * 3_600, tally(180_000, 90));
    }
    let now = start + 720 * 3_600;
    for second in now - 3_600..now {
        ring.advance(second);
        ring.add(second, tally(50, i64::from(second % 40 == 0)));
        slice.advance(second);
        if second % 100 == 0 {
            slice.add(second, tally(1, 0));
        }
    }
    assert!(ring.byte_size() <= 20_000, "{} bytes", ring.byte_size());
    assert!(slice.byte_size() <= 8_000, "{} bytes", slice.byte_size());
}
