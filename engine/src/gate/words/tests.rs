//! Numbers as people read them.

use super::{amount, count, duration, list, millis, percent};

#[test]
fn numbers_are_short_and_never_hide_a_failure() {
    let percents = [
        (0.0, "0 %"),
        (0.075, "7.5 %"),
        (0.002, "0.2 %"),
        (0.00094, "0.094 %"),
        (0.01, "1 %"),
        (0.43, "43 %"),
        (1.0, "100 %"),
        (-0.12, "-12 %"),
    ];
    for (ratio, text) in percents {
        assert_eq!(percent(ratio), text);
    }
    assert_eq!(
        [count(412), count(4_020), count(1_234_567)],
        ["412", "4,020", "1,234,567"]
    );
    let durations = [
        (45, "45 s"),
        (119, "119 s"),
        (121, "3 min"),
        (7_800, "2 h 10 min"),
        (7_200, "2 h"),
        (273_600, "3 d 4 h"),
    ];
    for (secs, text) in durations {
        assert_eq!(duration(secs), text);
    }
    assert_eq!(
        [amount(1_027.4), amount(31.2), amount(2.66), amount(0.034)],
        ["1,027", "31", "2.7", "0.03"]
    );
    assert_eq!(
        [millis(1_100_000), millis(35_200_000), millis(2_200_000_000)],
        ["1.1 ms", "35 ms", "2.2 s"]
    );
    let names = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(list(&names, 2), "a, b and 1 more");
}
