//! Blame: what one trace says about who failed first and where its time went. Pure functions over its spans.
//!
//! - **Exclusive time** of a span: its duration less the union of its children, clipped to it.
//! - **Critical path**: walked back from the root's end through the child that finished last, then through the one that
//!   finished last before that one began. The shares of the spans on it sum to the root's duration, to the nanosecond.
//!   The rule is that of CRISP (Zhang et al., USENIX ATC 2022, section 4): children are clipped to their parents; siblings
//!   that overlap by less than 1 % of their parent, with no other sibling beginning or ending in the overlap, count as one after the other.
//! - **Error origin**: a failing span below which nothing fails. A failed call that no server half answers blames the
//!   edge; a call whose caller stopped waiting blames who was being waited for at that moment, however deep. Fatal is
//!   an origin from which every span up to the root failed; otherwise somebody coped.
//!
//! Clocks of hosts differ. A server half that begins before its client half, or ends after one that had its answer,
//! cannot be told by one clock: it is moved, with all that its process did below it, into the middle of the client half.
//!
//! One trace costs O(n log n), and no allocation once the buffers have grown.

mod origin;
mod path;
mod tree;

use crate::delta::BLAME_SHARES;
use crate::span::kind;
use crate::time::Timestamp;
use crate::trace::{FailureClass, TraceSpan, trace_flag};
use origin::Origins;
use path::Path;
use tree::{NONE, Tree};

/// Most spans of one trace that are looked at: the first ones by (start, span id, kind).
pub const SPANS_MAX: usize = 16_384;

/// What one span did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work {
    /// Who did it: number of (service, revision).
    pub actor: u32,
    /// Number of the operation.
    pub route: u16,
    /// Event second: its end.
    pub second: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Its exclusive time, ns; `None` when its duration is not known.
    pub exclusive: Option<u64>,
    /// Its share of the critical path, ns.
    pub critical: u64,
    /// Its child spans.
    pub children: u32,
}

/// The called side of a blamed edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Called {
    /// A server half is there: number of (service, revision).
    Actor(u32),
    /// None is: number of the raw peer.
    Peer(u32),
}

/// One origin of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blame {
    /// Who made the root of the trace.
    pub root: u32,
    /// Who is blamed; the caller, when an edge is.
    pub origin: u32,
    /// The callee of a blamed edge.
    pub callee: Option<Called>,
    /// What kind of failure it was there.
    pub class: FailureClass,
    /// Whether the root failed by it.
    pub fatal: bool,
    /// Event second of the root.
    pub second: u64,
    /// Of [`BLAME_SHARES`] for the fatal origins of a trace together, and as many for the others.
    pub shares: i64,
}

/// Takes what a settled trace says.
pub trait Rows {
    /// One span's work.
    fn work(&mut self, work: Work);
    /// One origin.
    fn blame(&mut self, blame: Blame);
}

/// Examines traces, one after the other; holds buffers and the findings of the last one.
#[derive(Debug, Default)]
pub struct Examiner {
    tree: Tree,
    path: Path,
    origins: Origins,
}

impl Examiner {
    /// Examines `spans`, all of one trace, sorted by (start, span id, kind). Of more than [`SPANS_MAX`] the first count.
    /// O(n log n).
    pub fn examine(&mut self, spans: &[TraceSpan]) {
        let spans = &spans[..spans.len().min(SPANS_MAX)];
        self.tree.build(spans);
        self.path.walk(&self.tree);
        self.origins.find(spans, &self.tree);
    }

    /// Examines `spans` and tells `rows` what they say: a pure function of them. Excluded spans say nothing, and in a trace
    /// with an excluded root nobody is blamed.
    pub fn settle(&mut self, spans: &[TraceSpan], rows: &mut impl Rows) {
        self.examine(spans);
        for (at, span) in spans.iter().take(SPANS_MAX).enumerate() {
            if is_excluded(span) {
                continue;
            }
            rows.work(Work {
                actor: span.actor,
                route: span.route,
                second: Timestamp(span.end).secs(),
                failed: span.class.is_failure(),
                exclusive: (!tree::is_timeless(span)).then(|| self.path.exclusive[at]),
                critical: self.path.critical[at],
                children: self.tree.children(at as u32).len() as u32,
            });
        }
        let Some(root) = self.root() else {
            return;
        };
        if !is_excluded(&spans[root]) {
            self.tell_origins(&spans[root], rows);
        }
    }

    /// Shares go out evenly among the fatal origins, and among the others; what does not divide goes to the first.
    fn tell_origins(&self, root: &TraceSpan, rows: &mut impl Rows) {
        for fatal in [true, false] {
            let found = || self.origins.list.iter().filter(|one| one.fatal == fatal);
            let count = found().count() as i64;
            for (place, one) in (0i64..).zip(found()) {
                let shares = BLAME_SHARES / count + i64::from(place < BLAME_SHARES % count);
                rows.blame(Blame {
                    root: root.actor,
                    origin: one.actor,
                    callee: one.callee,
                    class: one.class,
                    fatal,
                    second: Timestamp(root.end).secs(),
                    shares,
                });
            }
        }
    }

    /// Index of the trace's root: the earliest span that names no parent; without one the earliest whose parent is not
    /// there. `None` when there are no spans.
    pub fn root(&self) -> Option<usize> {
        (self.tree.root != NONE).then_some(self.tree.root as usize)
    }

    /// Exclusive time of each span, ns. A span of unknown duration has none.
    pub fn exclusive(&self) -> &[u64] {
        &self.path.exclusive
    }

    /// Each span's share of the critical path of its tree, ns: they sum to the duration of the tree's top.
    pub fn critical(&self) -> &[u64] {
        &self.path.critical
    }

    /// Index of each span's parent, if it is there. Of spans that hang from each other in a ring the earliest has none.
    pub fn parents(&self) -> impl Iterator<Item = Option<usize>> {
        let parents = self.tree.parent.iter();
        parents.map(|parent| (*parent != NONE).then_some(*parent as usize))
    }
}

/// Whether nobody wants to hear of it (health checks).
const fn is_excluded(span: &TraceSpan) -> bool {
    span.flags & trace_flag::EXCLUDED != 0
}

/// Whether it is the calling half of a call.
const fn is_call(span: &TraceSpan) -> bool {
    matches!(span.kind, kind::CLIENT | kind::PRODUCER)
}

/// Whether it is the called half.
const fn is_entry(span: &TraceSpan) -> bool {
    matches!(span.kind, kind::SERVER | kind::CONSUMER)
}

#[cfg(test)]
mod tests;
