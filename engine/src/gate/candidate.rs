//! One candidate: its calendar of closing seconds, its strata, its test.
//!
//! A second closes once, in order, when everything that ended in it has arrived from both arms: their watermarks
//! passed it and the time has gone by in which items of both arms recently arrived (exporters batch, and several
//! processes may share one resource). After [`CLOSE_SECS`] it closes anyway. What comes later counts for budgets,
//! not for the test. Seconds are set aside untested while the arms' clocks are known to differ, and when an arm that
//! has steady traffic has fallen silent (its exporter stalls: half a second's worth of it would mislead).
//!
//! Closed seconds gather into a *moment*: strata of every route, folded together once there are enough units of both
//! arms. One cause can make the failures of all routes in the same seconds, so they are one bet, not many
//! (`docs/decisions/0010-routes-of-one-moment.md`).

use crate::gate::flow::{Flow, Lateness};
use crate::gate::strata::{CLOSE_SECS, Cell, Cells, Epoch, STRATA_MAX, Weights};
use crate::identity::RevisionId;
use crate::input::Gap;
use crate::stats::rollout::{ArmCells, Finding, RolloutTest, Stratum, TestPolicy, should_close};
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The arms' clocks may differ by this much, ns.
pub const SKEW_NANOS_MAX: i64 = 2 * NANOS_PER_SEC as i64;
/// With fewer spans in a minute, an arm's least lag may be one exporter batch: then this much, ns.
const SKEW_NANOS_MAX_SPARSE: i64 = 15 * NANOS_PER_SEC as i64;
const SKEW_SPANS_MIN: u64 = 30;
/// The arms' late shares may differ by this much.
pub const LATE_DIFFERENCE_MAX: f64 = 0.05;
/// At most this many seconds close per tick and candidate: catching up must not stop everything else.
const CLOSED_PER_TICK_MAX: usize = 3;
/// An arm heard of for less than this is held back as if it exported every 5 s.
const YOUNG_NANOS: u64 = 15 * NANOS_PER_SEC;
const YOUNG_HOLD_NANOS: u64 = 5 * NANOS_PER_SEC;
/// With at least this many units a minute, silence of an arm is a stall, not idleness.
const STEADY_UNITS: u64 = 60;
/// An arm silent for longer than this has gone, not stalled: seconds without it are closed as they are.
const STALL_NANOS_MAX: u64 = 20 * NANOS_PER_SEC;
/// A calendar that fell behind by more than this (the engine was away) starts again near now.
const BEHIND_SECS_MAX: u64 = 120;

/// Units of both arms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) candidate: Cell,
    pub(crate) baseline: Cell,
}

/// Counts of the last minute of tested event time, in slots of 10 s: what a late onset looks like.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct RecentSlot {
    number: u64,
    counts: [u64; 4],
}

/// What the flows say about both arms at one instant.
pub(crate) struct Arms<'a> {
    pub(crate) candidate: Option<&'a Flow>,
    pub(crate) baseline: Vec<&'a Flow>,
}

impl<'a> Arms<'a> {
    fn all(&self) -> impl Iterator<Item = &'a Flow> + '_ {
        self.candidate.iter().chain(&self.baseline).copied()
    }

    fn baseline_sum(&self, of: impl Fn(&Flow) -> u64) -> u64 {
        self.baseline.iter().map(|flow| of(flow)).sum()
    }

    /// Candidate's and baseline's units of the last minute.
    pub(crate) fn units_last_minute(&self, now: Timestamp) -> (u64, u64) {
        let candidate = self.candidate.map_or(0, |flow| flow.units_last_minute(now));
        (
            candidate,
            self.baseline_sum(|flow| flow.units_last_minute(now)),
        )
    }

    /// Least lag of the candidate minus that of the baseline, ns: how far the candidate's clock is behind.
    pub(crate) fn skew(&self, now: Timestamp) -> Option<i64> {
        let candidate = self.candidate?.lag_min(now)?;
        let baseline = self
            .baseline
            .iter()
            .filter_map(|flow| flow.lag_min(now))
            .min()?;
        Some(candidate.saturating_sub(baseline))
    }

    /// The skew, if it is too large to compare the arms.
    pub(crate) fn harmful_skew(&self, now: Timestamp) -> Option<i64> {
        let spans = self.candidate.map_or(0, |flow| flow.spans_last_minute(now));
        let spans = spans.min(self.baseline_sum(|flow| flow.spans_last_minute(now)));
        let most = if spans >= SKEW_SPANS_MIN {
            SKEW_NANOS_MAX
        } else {
            SKEW_NANOS_MAX_SPARSE
        };
        self.skew(now)
            .filter(|skew| skew.unsigned_abs() > most.unsigned_abs())
    }

    fn hold_nanos(&self, now: Timestamp) -> u64 {
        let hold = |flow: &Flow| {
            let is_young = flow
                .first
                .is_none_or(|first| now.since(first) < YOUNG_NANOS);
            let floor = if is_young { YOUNG_HOLD_NANOS } else { 0 };
            flow.age_max(now).max(floor)
        };
        self.all()
            .map(hold)
            .max()
            .unwrap_or(0)
            .min(CLOSE_SECS * NANOS_PER_SEC)
    }

    /// Whether the baseline has stopped serving, as far as its arrivals tell.
    fn is_candidate_alone(&self, now: Timestamp) -> bool {
        let units = self.baseline_sum(|flow| flow.units_last_minute(now));
        let heard = self.baseline.iter().map(|flow| flow.last).max();
        let is_silent = heard.is_none_or(|last| now.since(last) > CLOSE_SECS * NANOS_PER_SEC);
        units == 0 || units >= STEADY_UNITS && is_silent
    }

    fn have_passed(&self, now: Timestamp, end: Timestamp) -> bool {
        self.all()
            .all(|flow| flow.watermark(now).is_none_or(|watermark| watermark >= end))
    }

    fn has_stalled(&self, now: Timestamp, end: Timestamp) -> bool {
        let has_stalled = |flows: &[&Flow]| {
            let units: u64 = flows.iter().map(|flow| flow.units_last_minute(now)).sum();
            let heard = flows.iter().map(|flow| flow.last).max();
            let is_recent = heard.is_some_and(|last| now.since(last) <= STALL_NANOS_MAX);
            units >= STEADY_UNITS && is_recent && flows.iter().all(|flow| flow.end_max < end)
        };
        has_stalled(self.candidate.as_slice()) || has_stalled(&self.baseline)
    }
}

/// Whether a second may close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    NotYet,
    Test,
    SetAside,
}

/// One tracked candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// Logical time it appeared.
    pub(crate) since: Timestamp,
    /// Revisions that were live then.
    pub(crate) assumed: Vec<RevisionId>,
    /// Baseline named by `rollout.started`; empty when none was.
    pub(crate) named_baseline: String,
    /// Baseline in force, ascending, and whether it is assumed rather than known good.
    pub(crate) baseline: Vec<RevisionId>,
    pub(crate) is_assumed: bool,
    /// Its controller ended the rollout without promoting it.
    pub(crate) is_aborted: bool,
    pub(crate) weights: Weights,
    /// Weight steps the test has seen.
    steps_tested: u32,
    /// First second that has not closed; `None` before its first unit.
    pub(crate) cursor: Option<u64>,
    /// Strata (epoch and route) of the moment that is being gathered, and its first second.
    moment: BTreeMap<(Epoch, u64), Pair>,
    moment_since: Option<u64>,
    pub(crate) test: RolloutTest,
    /// Tests of this revision that were given up before (latch cleared, policy changed).
    pub(crate) restarts: u32,
    pub(crate) totals: Pair,
    recent: [RecentSlot; 6],
    pub(crate) late_candidate: Lateness,
    pub(crate) late_baseline: Lateness,
    /// Seconds set aside because of skew, a stall or a gap.
    pub(crate) set_aside: u64,
}

impl Candidate {
    pub(crate) fn new(now: Timestamp, assumed: Vec<RevisionId>, policy: TestPolicy) -> Self {
        Self {
            since: now,
            assumed,
            named_baseline: String::new(),
            baseline: Vec::new(),
            is_assumed: true,
            is_aborted: false,
            weights: Weights::default(),
            steps_tested: 0,
            cursor: None,
            moment: BTreeMap::new(),
            moment_since: None,
            test: RolloutTest::new(policy),
            restarts: 0,
            totals: Pair::default(),
            recent: [RecentSlot::default(); 6],
            late_candidate: Lateness::default(),
            late_baseline: Lateness::default(),
            set_aside: 0,
        }
    }

    /// Starts a new test; the alpha of the old one is spent.
    pub(crate) fn restart(&mut self, policy: TestPolicy) {
        self.test = RolloutTest::new(policy);
        self.restarts += 1;
        self.steps_tested = self.weights.count();
        self.moment.clear();
        self.moment_since = None;
        self.totals = Pair::default();
        self.recent = [RecentSlot::default(); 6];
    }

    /// Whether a weight step was reported whose traffic has not been tested yet: earlier evidence must not pass it.
    pub(crate) fn awaits_step(&self) -> bool {
        self.weights.count() > self.steps_tested
    }

    /// Candidate's and baseline's (units, failed) of the last minute tested.
    pub(crate) fn recent(&self) -> [u64; 4] {
        let newest = self
            .recent
            .iter()
            .map(|slot| slot.number)
            .max()
            .unwrap_or(0);
        let mut sum = [0; 4];
        for slot in self.recent.iter().filter(|slot| slot.number + 6 > newest) {
            for (into, count) in sum.iter_mut().zip(slot.counts) {
                *into += count;
            }
        }
        sum
    }

    /// Takes note of units as they arrive: those of closed seconds are late.
    pub(crate) fn arrived(&mut self, now: Timestamp, is_candidate: bool, second: u64, units: u64) {
        let is_late = self.cursor.is_some_and(|cursor| second < cursor);
        let lateness = if is_candidate {
            &mut self.late_candidate
        } else {
            &mut self.late_baseline
        };
        lateness.note(now, units, is_late);
    }

    /// Closes every second that may close and folds what is ripe; returns whether one did. O(cells closed).
    pub(crate) fn sweep(
        &mut self,
        now: Timestamp,
        revision: RevisionId,
        cells: &Cells,
        arms: &Arms<'_>,
        gaps: &[Gap],
    ) -> bool {
        let Some(mut cursor) = self.cursor.or_else(|| cells.first_second_of(revision)) else {
            return false;
        };
        if cursor + BEHIND_SECS_MAX < now.secs() {
            self.moment.clear();
            self.moment_since = None;
            cursor = now.secs() - 2 * CLOSE_SECS;
        }
        let is_alone = arms.is_candidate_alone(now);
        for _ in 0..CLOSED_PER_TICK_MAX {
            match closing(now, cursor, arms, gaps) {
                Closing::NotYet => break,
                Closing::SetAside => self.set_aside += 1,
                Closing::Test => {
                    self.close_before_step(cursor);
                    self.gather(cursor, revision, cells);
                }
            }
            self.close_ripe(cursor, is_alone);
            cursor += 1;
        }
        let has_closed = self.cursor.is_some_and(|before| before < cursor);
        self.cursor = Some(cursor);
        has_closed
    }

    fn gather(&mut self, second: u64, revision: RevisionId, cells: &Cells) {
        for (key, cell) in cells.of_second(second) {
            let is_candidate = key.revision == revision;
            if !is_candidate && self.baseline.binary_search(&key.revision).is_err() {
                continue;
            }
            let epoch = self.weights.epoch(key.started);
            let units = self.moment.entry((epoch, key.route)).or_default();
            self.moment_since.get_or_insert(second);
            let arm = if is_candidate {
                &mut units.candidate
            } else {
                &mut units.baseline
            };
            arm.merge(cell);
        }
    }

    /// Folds the moment when it is large or old enough: all its strata at once, because one cause may have made the
    /// failures of all routes in the same seconds.
    fn close_ripe(&mut self, second: u64, is_alone: bool) {
        let Some(since) = self.moment_since else {
            return;
        };
        let (mut candidate, mut baseline) = (0, 0);
        for units in self.moment.values() {
            // A route that only one arm served compares nothing.
            if units.candidate.units > 0 && units.baseline.units > 0 {
                candidate += units.candidate.units as u64;
                baseline += units.baseline.units as u64;
            }
        }
        let age = (second + 1 - since) * NANOS_PER_SEC;
        let is_full = self.moment.len() > STRATA_MAX;
        // Waiting for a baseline that has gone would only delay the absolute test.
        if is_full || is_alone || should_close(candidate, baseline, self.test.theta(), age) {
            self.close(second);
        }
    }

    /// Evidence from before a weight step is folded before any from after it.
    fn close_before_step(&mut self, second: u64) {
        let gathered = self.moment.keys().map(|(epoch, _)| epoch.step()).max();
        if gathered.is_some_and(|step| step < self.weights.epoch(second).step()) {
            self.close(second);
        }
    }

    fn close(&mut self, second: u64) {
        self.moment_since = None;
        let moment = std::mem::take(&mut self.moment);
        self.fold(second, &moment);
    }

    fn fold(&mut self, second: u64, moment: &BTreeMap<(Epoch, u64), Pair>) {
        let strata: Vec<Stratum> = moment
            .values()
            .map(|units| Stratum {
                candidate: arm_cells(&units.candidate),
                baseline: arm_cells(&units.baseline),
            })
            .collect();
        let is_first = self.test.total().candidate.units == 0;
        if is_first && strata.iter().all(|stratum| stratum.candidate.units == 0) {
            return;
        }
        let step = moment.keys().map(|(epoch, _)| epoch.step()).max();
        let step = step.unwrap_or(self.steps_tested);
        if is_first {
            // The weight it starts at is no step.
            self.steps_tested = step;
        }
        while self.steps_tested < step {
            self.steps_tested += 1;
            self.test.weight_step();
        }
        self.test.fold_moment(&strata);
        for units in moment.values() {
            self.totals.candidate.merge(&units.candidate);
            self.totals.baseline.merge(&units.baseline);
        }
        self.note_recent(second, &strata);
    }

    fn note_recent(&mut self, second: u64, strata: &[Stratum]) {
        let number = second / 10;
        let slot = &mut self.recent[(number % 6) as usize];
        if slot.number != number {
            *slot = RecentSlot {
                number,
                ..RecentSlot::default()
            };
        }
        for stratum in strata {
            let (candidate, baseline) = (&stratum.candidate, &stratum.baseline);
            slot.counts[0] += candidate.units;
            slot.counts[1] += candidate.failed;
            slot.counts[2] += baseline.units;
            slot.counts[3] += baseline.failed;
        }
    }

    /// The finding in force: a pass does not outlive the weight it was found at.
    pub(crate) fn finding(&self) -> Finding {
        match self.test.finding() {
            Finding::Pass if self.awaits_step() => Finding::NotYet,
            finding => finding,
        }
    }
}

fn closing(now: Timestamp, second: u64, arms: &Arms<'_>, gaps: &[Gap]) -> Closing {
    let end = Timestamp::from_secs(second + 1);
    let is_due = now >= end.plus(CLOSE_SECS * NANOS_PER_SEC);
    let is_complete = now >= end.plus(arms.hold_nanos(now)) && arms.have_passed(now, end);
    if !is_due && !is_complete {
        Closing::NotYet
    } else if arms.harmful_skew(now).is_some()
        || is_torn(second, gaps)
        || !is_complete && arms.has_stalled(now, end)
    {
        Closing::SetAside
    } else {
        Closing::Test
    }
}

/// Whether counts of `second` may be missing: it was open when the engine stopped, or ended while it was down.
fn is_torn(second: u64, gaps: &[Gap]) -> bool {
    gaps.iter()
        .any(|gap| (gap.from.secs().saturating_sub(CLOSE_SECS)..=gap.to.secs()).contains(&second))
}

/// Corrections may have left a cell below zero for a moment: such a cell counts as empty.
fn arm_cells(cell: &Cell) -> ArmCells {
    let units = cell.units.max(0) as u64;
    ArmCells {
        units,
        failed: (cell.failed.max(0) as u64).min(units),
        latency: cell
            .latency
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(bucket, count)| (*bucket, *count as u64))
            .collect(),
    }
}
