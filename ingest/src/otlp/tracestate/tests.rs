//! Thresholds and the weights they mean.

use super::weight;

#[test]
fn thresholds_give_weights() {
    for (trace_state, expected) in [
        ("", 1),
        ("ot=th:0", 1),
        ("ot=th:8", 2),
        ("ot=th:c", 4),
        ("vendor=x, ot=rv:1234;th:e8 ,b=c", 11),
        ("ot=th:fd70a", 100),
        ("ot=th:ffffffffffffff", u32::MAX),
        ("ot=th:ffffff", 16_777_216),
        ("ot=th:", 1),
        ("ot=th:123456789abcdef", 1),
        ("ot=th:+8", 1),
        ("not=th:8", 1),
        ("ot=p:3", 1),
    ] {
        assert_eq!(weight(trace_state), expected, "{trace_state}");
    }
}
