//! Where the time of a trace went: exclusive times and the critical path.

use super::tree::{Interval, NONE, Tree};

/// Siblings that overlap by less than one part in so many of their parent may count as one after the other.
const OVERLAP_PARTS: u128 = 100;

/// A child on the way to be chosen, clipped to its parent.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    time: Interval,
    span: u32,
}

/// Times of one trace, by the index of the span, ns.
#[derive(Debug, Default)]
pub(super) struct Path {
    pub(super) exclusive: Vec<u64>,
    pub(super) critical: Vec<u64>,
    /// A span as seen through all that are above it.
    seen: Vec<Interval>,
    family: Vec<Candidate>,
    starts: Vec<u64>,
}

impl Path {
    /// Works the times out. O(n log n).
    pub(super) fn walk(&mut self, tree: &Tree) {
        let count = tree.parent.len();
        self.exclusive.clear();
        self.exclusive.resize(count, 0);
        self.critical.clear();
        self.critical.resize(count, 0);
        self.seen.clear();
        self.seen.resize(count, Interval::default());
        for at in &tree.order {
            let span = *at as usize;
            let time = tree.times[span];
            if tree.parent[span] == NONE {
                self.seen[span] = time;
                self.critical[span] = time.nanos();
            }
            let children = tree.children(*at);
            self.exclusive[span] = time.nanos();
            if time.nanos() == 0 || children.is_empty() {
                continue;
            }
            self.exclusive[span] -= self.covered(tree, time, children);
            if self.critical[span] > 0 {
                self.hand_down(tree, span, children);
            }
        }
    }

    /// How much of `time` the children cover together.
    fn covered(&mut self, tree: &Tree, time: Interval, children: &[u32]) -> u64 {
        if let [only] = children {
            return tree.times[*only as usize].clipped(time).nanos();
        }
        self.gather(tree, time, children);
        self.family.sort_unstable_by_key(|child| child.time.start);
        let mut until = time.start;
        let mut covered = 0;
        for child in &self.family {
            let from = child.time.start.max(until);
            covered += child.time.end.saturating_sub(from);
            until = until.max(child.time.end);
        }
        covered
    }

    /// Gives what a span was granted of the critical path to the children that were waited for; the rest is its own.
    ///
    /// Children that overlap a little are both granted in full as long as the parent's own time pays for it; then the
    /// later one goes first. So the sum never changes.
    fn hand_down(&mut self, tree: &Tree, span: usize, children: &[u32]) {
        let outer = self.seen[span];
        self.gather(tree, outer, children);
        self.family.sort_unstable_by(|one, other| {
            let by_end = other.time.end.cmp(&one.time.end);
            by_end
                .then(one.time.start.cmp(&other.time.start))
                .then(one.span.cmp(&other.span))
        });
        self.starts.clear();
        let mut rest = self.critical[span];
        let mut later: Option<Interval> = None;
        for place in 0..self.family.len() {
            let child = self.family[place];
            if later.is_some_and(|later| !self.goes_before(child.time, later, outer)) {
                continue;
            }
            let granted = child.time.nanos().min(rest);
            rest -= granted;
            self.critical[child.span as usize] = granted;
            self.seen[child.span as usize] = child.time;
            later = Some(child.time);
        }
        self.critical[span] = rest;
    }

    /// The children as they are seen through `outer`; those that are not seen are left out.
    fn gather(&mut self, tree: &Tree, outer: Interval, children: &[u32]) {
        self.family.clear();
        self.family.extend(children.iter().filter_map(|span| {
            let time = tree.times[*span as usize].clipped(outer);
            (time.nanos() > 0).then_some(Candidate { time, span: *span })
        }));
    }

    /// Whether `earlier` was over when `later` began, but for what clocks and rounding do.
    fn goes_before(&mut self, earlier: Interval, later: Interval, parent: Interval) -> bool {
        if earlier.end <= later.start {
            return true;
        }
        let overlap = u128::from(earlier.end - later.start);
        earlier.start < later.start
            && earlier.end < later.end
            && overlap * OVERLAP_PARTS < u128::from(parent.nanos())
            && self.events_between(later.start, earlier.end) == 2
    }

    /// How many children began or ended from `from` to `to`. O(log n) but for the first time in a family.
    fn events_between(&mut self, from: u64, to: u64) -> usize {
        if self.starts.is_empty() {
            let starts = self.family.iter().map(|child| child.time.start);
            self.starts.extend(starts);
            self.starts.sort_unstable();
        }
        let starts = self.starts.partition_point(|start| *start <= to)
            - self.starts.partition_point(|start| *start < from);
        // By end, the last first.
        let ends = self.family.partition_point(|child| child.time.end >= from)
            - self.family.partition_point(|child| child.time.end > to);
        starts + ends
    }
}
