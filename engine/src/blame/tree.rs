//! The spans of a trace as trees: parents, children in order, and corrected times.

use super::{is_call, is_entry};
use crate::trace::{FailureClass, TraceSpan, trace_flag};

/// No such span.
pub(super) const NONE: u32 = u32::MAX;

/// Whether nothing is known of when it began.
pub(super) const fn is_timeless(span: &TraceSpan) -> bool {
    span.flags & trace_flag::NO_DURATION != 0
}

/// From when to when, ns; the end is not before the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interval {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Interval {
    /// The times a span states. Without a duration it is a moment: its end.
    fn of(span: &TraceSpan) -> Self {
        let start = if is_timeless(span) {
            span.end
        } else {
            span.start.min(span.end)
        };
        Self {
            start,
            end: span.end,
        }
    }

    pub(super) const fn nanos(self) -> u64 {
        self.end - self.start
    }

    /// The part inside `outer`; a moment at its edge if there is none.
    pub(super) fn clipped(self, outer: Self) -> Self {
        let start = self.start.clamp(outer.start, outer.end);
        Self {
            start,
            end: self.end.clamp(start, outer.end),
        }
    }

    fn shifted(self, by: i64) -> Self {
        Self {
            start: self.start.saturating_add_signed(by),
            end: self.end.saturating_add_signed(by),
        }
    }
}

/// Trees of one trace. All lists but `by_id` go by the index of the span.
#[derive(Debug, Default)]
pub(super) struct Tree {
    by_id: Vec<(u64, u32)>,
    /// [`NONE`] for tops.
    pub(super) parent: Vec<u32>,
    /// Where a span's children begin in `children`; one more entry than spans.
    first: Vec<u32>,
    children: Vec<u32>,
    /// All spans, parents before children.
    pub(super) order: Vec<u32>,
    /// Corrected times.
    pub(super) times: Vec<Interval>,
    /// How much a span's clock is put forward, ns.
    shift: Vec<i64>,
    /// The top of the tree that stands for the trace.
    pub(super) root: u32,
}

impl Tree {
    /// Builds the trees. O(n log n).
    pub(super) fn build(&mut self, spans: &[TraceSpan]) {
        self.by_id.clear();
        let ids = spans.iter().zip(0u32..);
        self.by_id.extend(ids.map(|(span, at)| (span.span_id, at)));
        self.by_id.sort_unstable();
        self.parent.clear();
        if self.by_id.is_sorted_by(|one, other| one.0 < other.0) {
            self.find_single_parents(spans);
        } else {
            let parents = (0..spans.len() as u32).map(|at| self.find_parent(spans, at));
            let parents: Vec<u32> = parents.collect();
            self.parent.extend(parents);
        }
        self.list_children();
        self.put_in_order();
        if self.order.len() < spans.len() {
            self.cut_rings();
            self.list_children();
            self.put_in_order();
        }
        self.find_root(spans);
        self.correct_times(spans);
    }

    /// The children of `span`, by start as stated.
    pub(super) fn children(&self, span: u32) -> &[u32] {
        let from = self.first[span as usize] as usize;
        let to = self.first[span as usize + 1] as usize;
        &self.children[from..to]
    }

    /// When no id repeats. Siblings mostly follow each other, so the last answer is tried first.
    fn find_single_parents(&mut self, spans: &[TraceSpan]) {
        let mut last = (0, NONE);
        for span in spans {
            if span.parent_id != last.0 {
                let found = self
                    .by_id
                    .binary_search_by_key(&span.parent_id, |one| one.0);
                last = (
                    span.parent_id,
                    found.map_or(NONE, |place| self.by_id[place].1),
                );
            }
            let is_top = span.parent_id == 0 || span.parent_id == span.span_id;
            self.parent.push(if is_top { NONE } else { last.1 });
        }
    }

    /// Both halves of a call may bear one id (Zipkin): the calling half is then the parent of the called one, and the
    /// called one the parent of the rest.
    fn find_parent(&self, spans: &[TraceSpan], at: u32) -> u32 {
        let span = &spans[at as usize];
        let twin = || {
            self.with_id(span.span_id)
                .find(|it| is_call(&spans[*it as usize]))
        };
        if is_entry(span)
            && let Some(twin) = twin()
        {
            return twin;
        }
        if span.parent_id == 0 || span.parent_id == span.span_id {
            return NONE;
        }
        let mut found = self.with_id(span.parent_id);
        let Some(first) = found.next() else {
            return NONE;
        };
        let entry = found.find(|it| is_entry(&spans[*it as usize]));
        match entry {
            Some(entry) if !is_entry(&spans[first as usize]) => entry,
            _ => first,
        }
    }

    fn with_id(&self, id: u64) -> impl Iterator<Item = u32> {
        let from = self.by_id.partition_point(|one| one.0 < id);
        let same = self.by_id[from..].iter().take_while(move |one| one.0 == id);
        same.map(|one| one.1)
    }

    /// Counting sort by parent: children keep the order of the spans.
    fn list_children(&mut self) {
        let count = self.parent.len();
        self.first.clear();
        self.first.resize(count + 2, 0);
        for parent in self.parent.iter().filter(|parent| **parent != NONE) {
            self.first[*parent as usize + 2] += 1;
        }
        for at in 2..self.first.len() {
            self.first[at] += self.first[at - 1];
        }
        self.children.clear();
        self.children.resize(self.first[count + 1] as usize, NONE);
        for (parent, at) in self.parent.iter().zip(0u32..) {
            if *parent != NONE {
                let place = &mut self.first[*parent as usize + 1];
                self.children[*place as usize] = at;
                *place += 1;
            }
        }
        self.first.truncate(count + 1);
    }

    /// Parents before children; spans that hang in a ring are not among them.
    fn put_in_order(&mut self) {
        self.order.clear();
        let tops = (0u32..).zip(&self.parent);
        let tops = tops.filter(|(_, parent)| **parent == NONE);
        self.order.extend(tops.map(|(at, _)| at));
        let mut next = 0;
        while let Some(at) = self.order.get(next).copied() {
            let from = self.first[at as usize] as usize;
            let to = self.first[at as usize + 1] as usize;
            self.order.extend_from_slice(&self.children[from..to]);
            next += 1;
        }
    }

    /// Cuts every ring of spans above its earliest one. O(n).
    fn cut_rings(&mut self) {
        let mut seen_from = vec![NONE; self.parent.len()];
        for start in 0..self.parent.len() as u32 {
            let mut at = start;
            while at != NONE && seen_from[at as usize] == NONE {
                seen_from[at as usize] = start;
                at = self.parent[at as usize];
            }
            if at != NONE && seen_from[at as usize] == start {
                let earliest = self.earliest_in_ring(at);
                self.parent[earliest as usize] = NONE;
            }
        }
    }

    fn earliest_in_ring(&self, at: u32) -> u32 {
        let next = |at: &u32| Some(self.parent[*at as usize]).filter(|next| *next != NONE);
        let ring = std::iter::successors(next(&at), next);
        let rest = ring.take_while(|it| *it != at).min();
        rest.map_or(at, |rest| rest.min(at))
    }

    fn find_root(&mut self, spans: &[TraceSpan]) {
        let tops = || {
            (0u32..)
                .zip(&self.parent)
                .filter(|(_, parent)| **parent == NONE)
        };
        let named = tops().find(|(at, _)| spans[*at as usize].parent_id == 0);
        self.root = named.or_else(|| tops().next()).map_or(NONE, |top| top.0);
    }

    /// Gives every span its corrected times.
    fn correct_times(&mut self, spans: &[TraceSpan]) {
        self.times.clear();
        self.times.extend(spans.iter().map(Interval::of));
        self.shift.clear();
        self.shift.resize(spans.len(), 0);
        for place in 0..self.order.len() {
            let at = self.order[place] as usize;
            let parent = self.parent[at];
            if parent == NONE {
                continue;
            }
            let parent = parent as usize;
            let shift = match crosses(&spans[parent], &spans[at]) {
                true => shift_into(&spans[parent], self.times[parent], &spans[at]),
                false => self.shift[parent],
            };
            if shift != 0 {
                self.shift[at] = shift;
                self.times[at] = self.times[at].shifted(shift);
            }
        }
    }
}

/// Whether `child` was made by another process than `parent`, so that its clock may differ.
fn crosses(parent: &TraceSpan, child: &TraceSpan) -> bool {
    parent.actor != child.actor || is_call(parent) && is_entry(child)
}

/// How far the clock of `child` must be put forward for it to have happened during `parent`.
fn shift_into(parent: &TraceSpan, outer: Interval, child: &TraceSpan) -> i64 {
    let inner = Interval::of(child);
    if is_timeless(parent) || is_timeless(child) {
        return 0;
    }
    let is_early = inner.start < outer.start;
    let was_awaited = is_call(parent) && is_entry(child) && had_answer(parent.class);
    let is_late = inner.end > outer.end && was_awaited && inner.nanos() <= outer.nanos();
    if !is_early && !is_late {
        return 0;
    }
    let slack = outer.nanos().saturating_sub(inner.nanos());
    let start = i128::from(outer.start) + i128::from(slack / 2);
    let shift = start - i128::from(inner.start);
    i64::try_from(shift).unwrap_or(0)
}

/// Whether the caller had its answer: then the callee was done.
pub(super) const fn had_answer(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Ok | FailureClass::Client4xx | FailureClass::Server5xx
    )
}
