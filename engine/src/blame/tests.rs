//! Blame against hand-made traces and against slow, obvious recomputation.

use super::{Blame, Called, Examiner, Rows, Work};
use crate::delta::BLAME_SHARES;
use crate::span::kind::{CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, UNSPECIFIED};
use crate::trace::FailureClass::{self, Cancelled, Client4xx, Ok, Refused, Server5xx, Timeout};
use crate::trace::{TraceSpan, trace_flag};
use proptest::prelude::*;

#[derive(Default)]
struct Told {
    work: Vec<Work>,
    blame: Vec<Blame>,
}

impl Rows for Told {
    fn work(&mut self, work: Work) {
        self.work.push(work);
    }

    fn blame(&mut self, blame: Blame) {
        self.blame.push(blame);
    }
}

/// A span `id` under `parent` of `actor`, from `start` to `end`.
fn span(id: u64, parent: u64, actor: u32, kind: u8, time: (u64, u64)) -> TraceSpan {
    TraceSpan {
        span_id: id,
        parent_id: parent,
        start: time.0,
        end: time.1,
        actor,
        peer: 0,
        route: 0,
        kind,
        class: Ok,
        flags: 0,
    }
}

fn failed(span: TraceSpan, class: FailureClass) -> TraceSpan {
    TraceSpan { class, ..span }
}

fn told(mut spans: Vec<TraceSpan>) -> Told {
    spans.sort_by_key(|span| (span.start, span.span_id, span.kind));
    let mut told = Told::default();
    Examiner::default().settle(&spans, &mut told);
    told
}

/// (origin, callee, class, fatal, shares) of each origin.
fn origins(spans: Vec<TraceSpan>) -> Vec<(u32, Option<Called>, FailureClass, bool, i64)> {
    let blame = told(spans).blame.into_iter();
    blame
        .map(|it| (it.origin, it.callee, it.class, it.fatal, it.shares))
        .collect()
}

/// gateway (1) calls shop (2) calls stock (3); all fine.
fn chain() -> Vec<TraceSpan> {
    vec![
        span(1, 0, 1, SERVER, (0, 100)),
        span(2, 1, 1, CLIENT, (10, 90)),
        span(3, 2, 2, SERVER, (15, 85)),
        span(4, 3, 2, CLIENT, (20, 60)),
        span(5, 4, 3, SERVER, (25, 55)),
    ]
}

/// The chain with the spans from `first` up to the root failed.
fn failing_from(first: usize, class: FailureClass) -> Vec<TraceSpan> {
    let mut spans = chain();
    for span in &mut spans[..first] {
        span.class = Server5xx;
    }
    spans[first].class = class;
    spans
}

#[test]
fn a_healthy_trace_blames_nobody() {
    let told = told(chain());
    assert!(told.blame.is_empty());
    let work: Vec<_> = told
        .work
        .iter()
        .map(|it| (it.exclusive, it.critical, it.children))
        .collect();
    let expected = [(20, 1), (10, 1), (30, 1), (10, 1), (30, 0)];
    assert_eq!(
        work,
        expected.map(|(nanos, children)| (Some(nanos), nanos, children))
    );
}

#[test]
fn the_deepest_failing_span_is_the_origin() {
    assert_eq!(
        origins(failing_from(4, Server5xx)),
        [(3, None, Server5xx, true, BLAME_SHARES)]
    );
    assert_eq!(
        origins(failing_from(0, Server5xx)),
        [(1, None, Server5xx, true, BLAME_SHARES)]
    );
}

#[test]
fn a_call_that_nobody_answers_blames_the_edge() {
    let mut spans = failing_from(3, Refused);
    spans.pop();
    spans[3].peer = 7;
    let edge = (2, Some(Called::Peer(7)), Refused, true, BLAME_SHARES);
    assert_eq!(origins(spans), [edge]);
}

#[test]
fn a_wrong_request_blames_who_made_it() {
    assert_eq!(
        origins(failing_from(3, Client4xx)),
        [(2, None, Client4xx, true, BLAME_SHARES)]
    );
}

#[test]
fn whoever_copes_makes_it_harmless() {
    let mut spans = failing_from(4, Server5xx);
    spans[1].class = Ok;
    let gateway = (1, None, Server5xx, true, BLAME_SHARES);
    let stock = (3, None, Server5xx, false, BLAME_SHARES);
    assert_eq!(origins(spans), [gateway, stock]);
    let mut spans = failing_from(4, Server5xx);
    spans[1].class = Ok;
    spans[0].class = Ok;
    assert_eq!(origins(spans), [(3, None, Server5xx, false, BLAME_SHARES)]);
}

#[test]
fn silent_steps_inside_a_process_pass_failures_on() {
    let mut spans = failing_from(4, Server5xx);
    spans[3].parent_id = 6;
    spans.push(span(6, 3, 2, INTERNAL, (18, 70)));
    assert_eq!(origins(spans), [(3, None, Server5xx, true, BLAME_SHARES)]);
}

/// Scenario: the shop stops waiting for the stock, which goes on and ends well.
/// Guarantees: the wait for the stock is blamed, not the shop.
#[test]
fn a_late_callee_is_blamed() {
    let mut spans = failing_from(3, Timeout);
    spans[4].end = 400;
    let edge = (2, Some(Called::Actor(3)), Timeout, true, BLAME_SHARES);
    assert_eq!(origins(spans.clone()), [edge]);
    // The stock itself was waiting for the vault (4) then.
    spans.push(span(6, 5, 3, CLIENT, (30, 380)));
    spans.push(span(7, 6, 4, SERVER, (31, 379)));
    let edge = (3, Some(Called::Actor(4)), Timeout, true, BLAME_SHARES);
    assert_eq!(origins(spans.clone()), [edge]);
    // The vault is not instrumented.
    spans.pop();
    spans[5].peer = 9;
    let edge = (3, Some(Called::Peer(9)), Timeout, true, BLAME_SHARES);
    assert_eq!(origins(spans.clone()), [edge]);
    // The stock's call was over by then.
    spans[5].end = 50;
    let edge = (2, Some(Called::Actor(3)), Timeout, true, BLAME_SHARES);
    assert_eq!(origins(spans), [edge]);
}

#[test]
fn a_callee_that_was_called_off_did_not_fail() {
    let mut spans = failing_from(3, Timeout);
    spans[4].class = Cancelled;
    let edge = (2, Some(Called::Actor(3)), Timeout, true, BLAME_SHARES);
    assert_eq!(origins(spans), [edge]);
}

/// Scenario: four attempts of one call through a proxy; the last two have no server half yet.
/// Guarantees: every attempt takes an equal share.
#[test]
fn attempts_share_the_blame() {
    let mut spans = vec![failed(span(1, 0, 1, SERVER, (0, 1_000)), Server5xx)];
    for attempt in 0..4 {
        let start = attempt * 250;
        let mut call = span(10 + attempt, 1, 1, CLIENT, (start, start + 250));
        call.peer = 5;
        spans.push(failed(call, Timeout));
        if attempt < 2 {
            let late = (start + 1, 5_000 + attempt);
            spans.push(span(20 + attempt, 10 + attempt, 2, SERVER, late));
        }
    }
    let quarter = BLAME_SHARES / 4;
    let late = (1, Some(Called::Actor(2)), Timeout, true, quarter);
    let unanswered = (1, Some(Called::Peer(5)), Timeout, true, quarter);
    assert_eq!(origins(spans), [late, late, unanswered, unanswered]);
}

#[test]
fn both_halves_may_bear_one_id() {
    let spans = vec![
        failed(span(1, 0, 1, SERVER, (0, 100)), Server5xx),
        failed(span(2, 1, 1, CLIENT, (10, 90)), Server5xx),
        failed(span(2, 1, 2, SERVER, (20, 80)), Server5xx),
        failed(span(3, 2, 2, INTERNAL, (30, 40)), Server5xx),
    ];
    let told = told(spans);
    let exclusive: Vec<_> = told.work.iter().map(|it| it.exclusive.unwrap()).collect();
    assert_eq!(exclusive, [20, 20, 50, 10]);
    assert_eq!(told.blame.len(), 1);
    assert_eq!(told.blame[0].origin, 2);
}

#[test]
fn a_clock_that_is_off_is_put_right() {
    let expected: Vec<_> = told(chain()).work.iter().map(|it| it.critical).collect();
    for ahead in [40i64, 2_000, -12, -2_000] {
        // All of the shop's clock.
        let mut spans = chain();
        for span in &mut spans {
            span.start += 10_000;
            span.end += 10_000;
            if span.actor == 2 {
                span.start = span.start.saturating_add_signed(ahead);
                span.end = span.end.saturating_add_signed(ahead);
            }
        }
        let mut critical: Vec<_> = told(spans).work.into_iter().collect();
        critical.sort_by_key(|it| (it.actor, u64::MAX - it.critical));
        let mut sorted = told(chain()).work;
        sorted.sort_by_key(|it| (it.actor, u64::MAX - it.critical));
        let nanos = |work: &[Work]| -> Vec<u64> { work.iter().map(|it| it.critical).collect() };
        assert_eq!(nanos(&critical), nanos(&sorted), "{ahead} ahead");
    }
    assert_eq!(expected.iter().sum::<u64>(), 100);
}

#[test]
fn abandoned_work_is_no_clock_that_is_off() {
    let mut spans = failing_from(3, Timeout);
    spans[4] = span(5, 4, 3, SERVER, (58, 80));
    let told = told(spans);
    assert_eq!(told.work[4].critical, 2);
}

#[test]
fn rings_and_orphans_are_trees_of_their_own() {
    let spans = vec![
        span(1, 3, 1, INTERNAL, (0, 10)),
        span(2, 1, 1, INTERNAL, (2, 8)),
        span(3, 2, 1, INTERNAL, (4, 6)),
        span(4, 99, 1, INTERNAL, (5, 25)),
        span(5, 5, 1, INTERNAL, (6, 7)),
    ];
    let mut examiner = Examiner::default();
    examiner.examine(&spans);
    assert_eq!(examiner.critical(), [4, 4, 2, 20, 1]);
    assert_eq!(examiner.root(), Some(0));
}

#[test]
fn no_spans_say_nothing() {
    let told = told(Vec::new());
    assert!(told.work.is_empty() && told.blame.is_empty());
}

fn any_kind() -> impl Strategy<Value = u8> {
    prop::sample::select(vec![
        UNSPECIFIED,
        INTERNAL,
        SERVER,
        CLIENT,
        PRODUCER,
        CONSUMER,
    ])
}

fn any_class() -> impl Strategy<Value = FailureClass> {
    prop::sample::select(FailureClass::ALL.to_vec())
}

prop_compose! {
    /// Anything: ids repeat, parents are missing or hang in rings, times lie anywhere.
    fn any_span(longest: u64)(
        span_id in 1u64..24,
        parent_id in 0u64..28,
        start in 0u64..longest,
        length in 0u64..longest,
        actor in 1u32..5,
        peer in 0u32..4,
        kind in any_kind(),
        class in any_class(),
        is_timeless in prop::bool::weighted(0.1),
    ) -> TraceSpan {
        let flags = if is_timeless { trace_flag::NO_DURATION } else { 0 };
        let end = start.saturating_add(length);
        TraceSpan { span_id, parent_id, start, end, actor, peer, route: 0, kind, class, flags }
    }
}

fn any_trace() -> impl Strategy<Value = Vec<TraceSpan>> {
    let length = prop_oneof![Just(12u64), Just(400), Just(u64::MAX)];
    length
        .prop_flat_map(|longest| prop::collection::vec(any_span(longest), 1..28))
        .prop_map(|mut spans| {
            spans.sort_by_key(|span| (span.start, span.span_id, span.kind));
            spans.dedup_by_key(|span| (span.span_id, span.kind));
            spans
        })
}

/// Sum of `values` over the tree of each top.
fn sums(parents: &[Option<usize>], values: &[u64]) -> Vec<(usize, u128)> {
    let top = |mut at: usize| {
        while let Some(parent) = parents[at] {
            at = parent;
        }
        at
    };
    let tops = (0..parents.len()).filter(|at| parents[*at].is_none());
    tops.map(|it| {
        let mine = (0..values.len()).filter(|at| top(*at) == it);
        (it, mine.map(|at| u128::from(values[at])).sum())
    })
    .collect()
}

fn duration(span: &TraceSpan) -> u64 {
    match span.flags & trace_flag::NO_DURATION {
        0 => span.end - span.start,
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Scenario: traces of any shape: clock skew, children outside parents, overlaps, rings, orphans, equal times,
    /// unknown durations.
    /// Guarantees: the critical path sums to the root's duration, to the nanosecond, in every tree.
    #[test]
    fn the_critical_path_sums_to_the_duration(spans in any_trace()) {
        let mut examiner = Examiner::default();
        examiner.examine(&spans);
        let parents: Vec<_> = examiner.parents().collect();
        for (top, sum) in sums(&parents, examiner.critical()) {
            prop_assert_eq!(sum, u128::from(duration(&spans[top])));
        }
    }

    /// Scenario: spans of one process, in short times.
    /// Guarantees: exclusive time is what a count of every single nanosecond says.
    #[test]
    fn exclusive_times_are_what_counting_gives(spans in prop::collection::vec(any_span(30), 1..20)) {
        let mut spans = spans;
        for span in &mut spans {
            span.actor = 1;
            span.kind = INTERNAL;
        }
        spans.sort_by_key(|span| (span.start, span.span_id));
        let mut examiner = Examiner::default();
        examiner.examine(&spans);
        let parents: Vec<_> = examiner.parents().collect();
        for (at, span) in spans.iter().enumerate() {
            let covers = |child: usize, moment: u64| {
                parents[child] == Some(at)
                    && duration(&spans[child]) > 0
                    && (spans[child].start..spans[child].end).contains(&moment)
            };
            let own = (span.end - duration(span)..span.end)
                .filter(|moment| (0..spans.len()).all(|child| !covers(child, *moment)));
            prop_assert_eq!(examiner.exclusive()[at], own.count() as u64);
        }
    }

    /// Scenario: the same trace with its actors and peers numbered otherwise.
    /// Guarantees: the same rows under the other numbers; shares of either kind sum to one trace or none; a buffer that
    /// was used before changes nothing.
    #[test]
    fn numbers_are_only_names(spans in any_trace(), before in any_trace()) {
        let renamed: Vec<TraceSpan> = spans
            .iter()
            .map(|span| TraceSpan {
                actor: 100 - span.actor,
                peer: if span.peer == 0 { 0 } else { 50 - span.peer },
                ..*span
            })
            .collect();
        let (mut plain, mut other) = (Told::default(), Told::default());
        let mut examiner = Examiner::default();
        examiner.examine(&before);
        examiner.settle(&spans, &mut plain);
        Examiner::default().settle(&renamed, &mut other);
        for row in &mut other.work {
            row.actor = 100 - row.actor;
        }
        for row in &mut other.blame {
            row.root = 100 - row.root;
            row.origin = 100 - row.origin;
            row.callee = row.callee.map(|callee| match callee {
                Called::Actor(actor) => Called::Actor(100 - actor),
                Called::Peer(peer) => Called::Peer(50 - peer),
            });
        }
        prop_assert_eq!(&plain.work, &other.work);
        prop_assert_eq!(&plain.blame, &other.blame);
        for fatal in [true, false] {
            let rows = plain.blame.iter().filter(|row| row.fatal == fatal);
            let shares: i64 = rows.map(|row| row.shares).sum();
            prop_assert!(shares == 0 || shares == BLAME_SHARES);
        }
    }
}
