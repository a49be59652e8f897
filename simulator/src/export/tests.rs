//! Batching follows the SDKs' rules.

use super::*;
use crate::span::{Outcome, Role, Shape, Span};

const SECOND: u64 = 1_000_000_000;

fn span(id: u64) -> Span {
    Span {
        trace_id: 1,
        span_id: id,
        parent_id: 0,
        start: 0,
        end: 0,
        shape: Shape {
            service: 0,
            operation: 0,
            role: Role::Server,
            outcome: Outcome::Fine,
            resends: 0,
            has_parent: false,
        },
        shopper: 0,
    }
}

fn sizes(batcher: &mut Batcher, now: u64) -> Vec<usize> {
    std::iter::from_fn(|| batcher.due(now))
        .map(|batch| batch.len())
        .collect()
}

#[test]
fn spans_wait_for_the_timer_unless_a_batch_is_full() {
    let mut batcher = Batcher::new(BatchPolicy::SDK, 0);
    (1..=100).for_each(|id| batcher.offer(span(id)));
    assert_eq!(sizes(&mut batcher, 5 * SECOND - 1), [0; 0]);
    assert_eq!(sizes(&mut batcher, 5 * SECOND), [100]);
    (1..=1_100).for_each(|id| batcher.offer(span(id)));
    assert_eq!(sizes(&mut batcher, 6 * SECOND), [512, 512]);
    assert_eq!(sizes(&mut batcher, 10 * SECOND), [76]);
}

#[test]
fn at_once_means_at_the_next_moment() {
    let mut batcher = Batcher::new(BatchPolicy::every(0), 0);
    for now in 1..4 {
        batcher.offer(span(now));
        assert_eq!(sizes(&mut batcher, now), [1]);
        assert_eq!(sizes(&mut batcher, now), [0; 0]);
    }
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut batcher = Batcher::new(BatchPolicy::SDK, 0);
    (1..=2_100).for_each(|id| batcher.offer(span(id)));
    assert_eq!(batcher.dropped(), 52);
    assert_eq!(
        std::iter::from_fn(|| batcher.flush())
            .map(|batch| batch.len())
            .sum::<usize>(),
        2_048
    );
}
