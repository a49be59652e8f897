//! Latency edges of the gate: fixed before any rollout, so that comparing arms at them needs no history.
//!
//! Edges are `2^(j/2)` ms and, beside each, the same edge times 1.1: the gate compares "candidate slower than
//! 1.1 T" with "baseline slower than T" (statistics.md (g): a margin in time, exact on bucket edges).

/// Pairs of edges: thresholds `T_j`, `j` in `0..LATENCY_EDGES`, from 1 ms to 32.8 s.
pub const LATENCY_EDGES: usize = 31;

/// Buckets: durations above edge `e` of the sorted list of `2 * LATENCY_EDGES` edges start at bucket `e + 1`.
pub const LATENCY_BUCKETS: usize = 2 * LATENCY_EDGES + 1;

/// `T_j` in nanoseconds: `2^(j/2)` ms, as integers so that every machine agrees.
pub const fn edge_nanos(j: usize) -> u64 {
    // 2^(1/2) ms = 1_414_214 ns, rounded; even steps are exact powers of two.
    let base = if j.is_multiple_of(2) {
        1_000_000
    } else {
        1_414_214
    };
    base << (j / 2)
}

/// `1.1 * T_j` in nanoseconds.
pub const fn margin_edge_nanos(j: usize) -> u64 {
    edge_nanos(j) / 10 * 11
}

/// All edges, ascending: `T_0 < 1.1 T_0 < T_1 < ...`.
const EDGES: [u64; 2 * LATENCY_EDGES] = {
    let mut edges = [0; 2 * LATENCY_EDGES];
    let mut j = 0;
    while j < LATENCY_EDGES {
        edges[2 * j] = edge_nanos(j);
        edges[2 * j + 1] = margin_edge_nanos(j);
        j += 1;
    }
    edges
};

/// The bucket of `duration_nanos`: how many of the sorted edges `T_0 < 1.1 T_0 < T_1 < ...` it exceeds.
/// O(log edges).
pub fn bucket(duration_nanos: u64) -> u8 {
    EDGES.partition_point(|edge| duration_nanos > *edge) as u8
}

/// The longest duration in bucket `bucket`; `u64::MAX` beyond the last edge.
pub fn bucket_end_nanos(bucket: u8) -> u64 {
    EDGES.get(usize::from(bucket)).copied().unwrap_or(u64::MAX)
}

/// First bucket whose durations all exceed `T_j` (sum from here = "slower than T_j").
pub const fn first_bucket_over(j: usize) -> u8 {
    (2 * j + 1) as u8
}

/// First bucket whose durations all exceed `1.1 T_j`.
pub const fn first_bucket_over_margin(j: usize) -> u8 {
    (2 * j + 2) as u8
}
