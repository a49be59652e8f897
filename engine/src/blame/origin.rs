//! Where the failures of a trace began.

use super::tree::{NONE, Tree, had_answer};
use super::{Called, is_call, is_entry};
use crate::span::kind;
use crate::trace::{FailureClass, TraceSpan};

/// Something fails below.
const BELOW: u8 = 1;
/// All spans above failed, up to the root.
const REACHES: u8 = 1 << 1;

/// Where one failure began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) actor: u32,
    pub(super) callee: Option<Called>,
    pub(super) class: FailureClass,
    pub(super) fatal: bool,
}

/// The origins of one trace, in the order of its spans.
#[derive(Debug, Default)]
pub(super) struct Origins {
    pub(super) list: Vec<Origin>,
    marks: Vec<u8>,
}

impl Origins {
    /// Finds them. O(n) but for the depth of late answers.
    pub(super) fn find(&mut self, spans: &[TraceSpan], tree: &Tree) {
        self.list.clear();
        if spans.iter().all(|span| !span.class.is_failure()) {
            return;
        }
        let trace = Trace { spans, tree };
        self.mark_below(trace);
        self.mark_reaching(trace);
        for (at, marks) in (0u32..).zip(&self.marks) {
            if trace.fails(at) && marks & BELOW == 0 {
                let (actor, callee) = trace.blamed(at);
                self.list.push(Origin {
                    actor,
                    callee,
                    class: trace.span(at).class,
                    fatal: marks & REACHES != 0,
                });
            }
        }
    }

    fn mark_below(&mut self, trace: Trace<'_>) {
        self.marks.clear();
        self.marks.resize(trace.spans.len(), 0);
        for at in trace.tree.order.iter().rev() {
            let passes = self.marks[*at as usize] & BELOW != 0 && trace.is_transparent(*at);
            let parent = trace.tree.parent[*at as usize];
            if parent != NONE && (passes || trace.fails(*at)) {
                self.marks[parent as usize] |= BELOW;
            }
        }
    }

    fn mark_reaching(&mut self, trace: Trace<'_>) {
        let root_fails = trace.fails(trace.tree.root);
        for at in &trace.tree.order {
            let parent = trace.tree.parent[*at as usize];
            let reaches = if parent == NONE {
                root_fails
            } else {
                let passes = trace.fails(parent) || trace.is_transparent(parent);
                passes && self.marks[parent as usize] & REACHES != 0
            };
            if reaches {
                self.marks[*at as usize] |= REACHES;
            }
        }
    }
}

/// A trace to ask questions of.
#[derive(Debug, Clone, Copy)]
struct Trace<'a> {
    spans: &'a [TraceSpan],
    tree: &'a Tree,
}

impl<'a> Trace<'a> {
    const fn span(self, at: u32) -> &'a TraceSpan {
        &self.spans[at as usize]
    }

    fn parent(self, at: u32) -> Option<&'a TraceSpan> {
        let parent = self.tree.parent[at as usize];
        (parent != NONE).then(|| self.span(parent))
    }

    /// Whether it failed by itself or by what is below it, not because its caller left.
    fn fails(self, at: u32) -> bool {
        self.span(at).class.is_failure() && !self.was_abandoned(at)
    }

    /// Whether it was called off because its caller stopped waiting.
    fn was_abandoned(self, at: u32) -> bool {
        let span = self.span(at);
        let left = |parent: &TraceSpan| {
            is_call(parent)
                && matches!(
                    parent.class,
                    FailureClass::Timeout | FailureClass::Cancelled
                )
        };
        span.class == FailureClass::Cancelled && !is_call(span) && self.parent(at).is_some_and(left)
    }

    /// A step inside a process that says nothing of its outcome: failures pass through it.
    fn is_transparent(self, at: u32) -> bool {
        let span = self.span(at);
        matches!(span.kind, kind::INTERNAL | kind::UNSPECIFIED)
            && !span.class.is_failure()
            && self
                .parent(at)
                .is_some_and(|parent| parent.actor == span.actor)
    }

    /// Who is blamed for the failure that began at `at`, and the callee when it is an edge.
    fn blamed(self, at: u32) -> (u32, Option<Called>) {
        let span = self.span(at);
        if !is_call(span) || span.class == FailureClass::Client4xx {
            return (span.actor, None);
        }
        let Some(half) = self.called_half(at) else {
            return (span.actor, told_peer(span));
        };
        let stopped_at = self.tree.times[at as usize].end;
        let is_late = self.tree.times[half as usize].end > stopped_at || self.was_abandoned(half);
        if !had_answer(span.class) && is_late {
            return self.awaited(at, half, stopped_at);
        }
        (span.actor, Some(Called::Actor(self.span(half).actor)))
    }

    /// The called half of a call: of several the one that ended last.
    fn called_half(self, call: u32) -> Option<u32> {
        let actor = self.span(call).actor;
        let is_half = |at: &u32| is_entry(self.span(*at)) || self.span(*at).actor != actor;
        let children = self.tree.children(call).iter().copied();
        self.last_to_end(children.filter(is_half))
    }

    fn last_to_end(self, spans: impl Iterator<Item = u32>) -> Option<u32> {
        spans.max_by_key(|at| (self.tree.times[*at as usize].end, std::cmp::Reverse(*at)))
    }

    /// Who was being waited for, at the moment the caller gave up: down from `half` through what was going on then.
    fn awaited(self, call: u32, half: u32, moment: u64) -> (u32, Option<Called>) {
        let mut edge = (
            self.span(call).actor,
            Some(Called::Actor(self.span(half).actor)),
        );
        let mut above = half;
        loop {
            let children = self.tree.children(above).iter().copied();
            let Some(next) = self.last_to_end(children.filter(|at| self.goes_on(*at, moment)))
            else {
                return edge;
            };
            let (before, span) = (self.span(above), self.span(next));
            if span.actor != before.actor {
                edge = (before.actor, Some(Called::Actor(span.actor)));
            } else if is_call(span) && self.called_half(next).is_none() {
                return (span.actor, told_peer(span));
            } else if is_entry(span) {
                edge = (before.actor, Some(Called::Actor(span.actor)));
            }
            above = next;
        }
    }

    fn goes_on(self, at: u32, moment: u64) -> bool {
        let time = self.tree.times[at as usize];
        time.start <= moment && moment < time.end
    }
}

/// Whom a call says that it called.
fn told_peer(span: &TraceSpan) -> Option<Called> {
    (span.peer != 0).then_some(Called::Peer(span.peer))
}
