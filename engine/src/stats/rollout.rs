//! Everything that is tested about one rollout: counts per stratum in, a finding and its evidence out.
//!
//! One alpha for the whole rollout, divided before it starts over every process that can halt alone: 1/2 errors, 1/8
//! latency, 1/4 absolute, 1/8 kept free for the graph's edges. A relative errors halt needs three processes, each at
//! `1 / (alpha / 2)`: the exact test (fast, trusts clocks and independence), the share bet (slower, trusts neither) and
//! the harm floor (the candidate really fails more than its budget allows). Halting processes keep their supremum: a
//! candidate that was bad stays bad. Passing ones are judged now and start again at each weight step ([`super::pass`]).
//!
//! What a halt means: in some stratum the candidate's odds of failing exceeded `w0` times the baseline's *at that
//! moment*. A candidate-only blip of 5 s is a halt, a shared one is not. Source: statistics notes (a)-(d), (g), (h).

use super::absolute;
use super::burn::Burn;
use super::change_point::{ChangePoint, Schedule};
use super::exact::{self, Table};
use super::latency::{Claim, LatencyHalt, LatencyPass, Slower};
use super::logfix::LogE;
use super::pass::{self, Mixture};
use super::share;
use crate::gate::answer::Arm;
use crate::slo::{Maturity, RATIO_ONE};
use serde::{Deserialize, Serialize};

/// Shares of alpha; the last eighth is kept for edges.
pub(super) const ALPHA_ERRORS: f64 = 0.5;
pub(super) const ALPHA_LATENCY: f64 = 0.125;
pub(super) const ALPHA_ABSOLUTE: f64 = 0.25;
/// The relative and the absolute claim can each pass alone, so each gets half of beta. Latency can only withhold.
const BETA_RELATIVE: f64 = 0.5;
const BETA_ABSOLUTE: f64 = 0.5;
/// Odds ratio of slowness excluded before a pass when the policy excludes none for errors.
const SLOWNESS_DEFAULT: f64 = 3.0;
/// Strata over which the change point is expected: an hour of 1 s strata; later ones are paid for, not excluded.
const HORIZON_STRATA: u64 = 3_600;

/// What a team tolerates. Ratios are odds ratios, rates are per unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestPolicy {
    /// Bound on the probability of a false halt of one rollout, over all its processes; 0..1.
    pub alpha: f64,
    /// Tolerated odds ratio, at least 1.
    pub w0: f64,
    /// Odds ratio to exclude before a relative pass; `None`: passes by the absolute claim only.
    pub w1: Option<f64>,
    /// Bound on the probability of a false pass, over all weight steps; 0..1.
    pub beta: f64,
    /// `1 - target` of the service's strictest availability SLO; kept within 1e-9..=0.9.
    pub budget_rate: f64,
    /// Threshold of its latency SLO, ns: the edges beside it carry half of the latency weight.
    pub latency_threshold_nanos: Option<u64>,
}

impl TestPolicy {
    /// The defaults of a maturity. `budget_ppb`: error budget in parts per billion.
    pub fn for_maturity(maturity: Maturity, budget_ppb: u64) -> Self {
        let (alpha, w0, w1, beta) = match maturity {
            Maturity::Prototype => (0.05, 2.0, None, 0.20),
            Maturity::Growth => (0.01, 1.5, Some(3.0), 0.10),
            Maturity::MissionCritical => (0.001, 1.1, Some(2.0), 0.05),
        };
        let budget_rate = (budget_ppb as f64 / RATIO_ONE as f64).clamp(1e-9, 0.9);
        Self {
            alpha,
            w0,
            w1,
            beta,
            budget_rate,
            latency_threshold_nanos: None,
        }
    }
}

/// Counts of one arm in one stratum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArmCells {
    /// Units of assignment.
    pub units: u64,
    /// Failed units, at most `units`.
    pub failed: u64,
    /// Units per latency bucket ([`crate::latency::bucket`]), in any order; unknown durations are in none.
    pub latency: Vec<(u8, u64)>,
}

/// One closed stratum: units that met the same conditions (event time, weight epoch, route and caller).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stratum {
    /// Candidate arm.
    pub candidate: ArmCells,
    /// Baseline arm.
    pub baseline: ArmCells,
}

impl Stratum {
    fn table(&self) -> Table {
        Table {
            candidate: self.candidate.units,
            candidate_failed: self.candidate.failed.min(self.candidate.units),
            baseline: self.baseline.units,
            baseline_failed: self.baseline.failed.min(self.baseline.units),
        }
    }
}

/// The counts of a moment without its routes: for rates against the budget, which is one for all of them.
fn pooled(strata: &[Stratum]) -> Table {
    let mut sum = Table {
        candidate: 0,
        candidate_failed: 0,
        baseline: 0,
        baseline_failed: 0,
    };
    for table in strata.iter().map(Stratum::table) {
        sum.candidate += table.candidate;
        sum.candidate_failed += table.candidate_failed;
        sum.baseline += table.baseline;
        sum.baseline_failed += table.baseline_failed;
    }
    sum
}

/// What the evidence says. Halts are latched: they come from suprema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Fails more than the baseline at the same time, and more than its budget allows.
    HaltErrors,
    /// Burns the budget by itself.
    HaltAbsolute,
    /// Slower than the baseline at the same time.
    HaltLatency,
    /// Both arms burn now: no fault of this revision.
    BothBurn,
    /// Within the tolerated ratio or the budget, and not slower.
    Pass,
    /// Not enough evidence either way.
    NotYet,
}

/// Nanoseconds after which a stratum closes whatever it holds.
pub const STRATUM_AGE_MAX_NANOS: u64 = 60 * crate::time::NANOS_PER_SEC;

/// Whether an open stratum is large enough to be folded: both arms present and `n >= 1 / theta`, or 60 s old.
///
/// `theta` is the rarer arm's share of units in *earlier* strata ([`RolloutTest::theta`]; 0 when unknown asks for both
/// arms only). Looks at numbers of units only, never at failures: a rule that did would bias the test.
pub fn should_close(candidate: u64, baseline: u64, theta: f64, age_nanos: u64) -> bool {
    let enough = theta <= 0.0 || (candidate + baseline) as f64 * theta >= 1.0;
    (candidate > 0 && baseline > 0 && enough) || age_nanos >= STRATUM_AGE_MAX_NANOS
}

/// The test of one rollout; a fold over its closed strata in key order. About 20 kB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutTest {
    pub(super) policy: TestPolicy,
    pub(super) steps: u32,
    schedule: Schedule,
    /// All strata so far.
    pub(super) total: Counts,
    /// Since the last weight step.
    pub(super) epoch: Counts,
    pub(super) errors_exact: ChangePoint,
    pub(super) errors_share: ChangePoint,
    pub(super) harm_floor: ChangePoint,
    pub(super) burn: Burn,
    pub(super) latency_halt: LatencyHalt,
    pub(super) pass_relative: Mixture,
    pub(super) pass_absolute: Mixture,
    pub(super) latency_pass: LatencyPass,
}

/// Units counted over strata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Candidate arm.
    pub candidate: Arm,
    /// Baseline arm.
    pub baseline: Arm,
    /// Strata with both arms present.
    pub strata: u64,
    /// Strata of the candidate, with or without a baseline.
    pub candidate_strata: u64,
}

impl Counts {
    fn add(&mut self, table: &Table) {
        self.candidate.units += table.candidate;
        self.candidate.failed += table.candidate_failed;
        self.baseline.units += table.baseline;
        self.baseline.failed += table.baseline_failed;
        self.strata += u64::from(table.candidate > 0 && table.baseline > 0);
        self.candidate_strata += u64::from(table.candidate > 0);
    }
}

impl RolloutTest {
    /// No evidence yet.
    pub fn new(policy: TestPolicy) -> Self {
        let harm = absolute::rates_above(policy.budget_rate).len();
        let ratios = pass::ratios_below(policy.w1.unwrap_or(SLOWNESS_DEFAULT)).len();
        Self {
            steps: 0,
            schedule: Schedule::new(HORIZON_STRATA),
            total: Counts::default(),
            epoch: Counts::default(),
            errors_exact: ChangePoint::new(exact::GRID.len()),
            errors_share: ChangePoint::new(exact::GRID.len()),
            harm_floor: ChangePoint::new(harm),
            burn: Burn::new(policy.budget_rate),
            latency_halt: LatencyHalt::new(policy.latency_threshold_nanos),
            pass_relative: Mixture::new(ratios),
            pass_absolute: Mixture::new(absolute::PARTS.len()),
            latency_pass: LatencyPass::default(),
            policy,
        }
    }

    /// Folds one closed stratum. Strata with one arm empty count for the absolute claims only.
    pub fn fold(&mut self, stratum: &Stratum) {
        self.fold_moment(std::slice::from_ref(stratum));
    }

    /// Folds the strata (routes) of one moment. Their failures may have one cause, so all but the exact test, which
    /// assumes independence anyway, look at the moment as a whole: one share bet, one latency bet, pooled rates.
    pub fn fold_moment(&mut self, strata: &[Stratum]) {
        self.schedule.advance();
        self.fold_absolute(&pooled(strata));
        let both = || {
            strata
                .iter()
                .filter(|stratum| stratum.candidate.units > 0 && stratum.baseline.units > 0)
        };
        let tables: Vec<Table> = both().map(Stratum::table).collect();
        if !tables.is_empty() {
            self.fold_relative(&tables);
            let slower: Vec<Slower> = both().map(Slower::of).collect();
            self.fold_latency(&slower);
        }
    }

    /// Folds a stratum of a candidate that serves alone (first deployment, or all of the traffic).
    pub fn fold_candidate_only(&mut self, units: u64, failed: u64) {
        let candidate = ArmCells {
            units,
            failed,
            latency: Vec::new(),
        };
        self.fold(&Stratum {
            candidate,
            baseline: ArmCells::default(),
        });
    }

    /// The candidate's weight changed: passing evidence starts again, the halting side puts in extra mass.
    pub fn weight_step(&mut self) {
        self.steps = self.steps.saturating_add(1);
        self.schedule.weight_step();
        self.epoch = Counts::default();
        self.pass_relative.reset();
        self.pass_absolute.reset();
        self.latency_pass.weight_step();
        self.burn.weight_step();
    }

    fn fold_relative(&mut self, tables: &[Table]) {
        let w0 = self.policy.w0;
        let grid = exact::GRID.map(|multiple| multiple * w0);
        let exact_evidence = exact::evidence_together(tables, w0, &grid);
        self.errors_exact.fold(&self.schedule, &exact_evidence);
        let share_evidence = share::evidence_together(tables, w0, &grid);
        self.errors_share.fold(&self.schedule, &share_evidence);
        if let Some(w1) = self.policy.w1 {
            let ratios = pass::ratios_below(w1);
            self.pass_relative
                .fold(&exact::evidence_together(tables, w1, &ratios));
        }
    }

    fn fold_latency(&mut self, slower: &[Slower]) {
        self.latency_halt
            .fold_together(&self.schedule, slower, self.policy.w0);
        self.latency_pass.fold_together(slower, self.slowness());
    }

    fn fold_absolute(&mut self, table: &Table) {
        self.total.add(table);
        self.epoch.add(table);
        let (n, failed) = (table.candidate, table.candidate_failed);
        let budget = self.policy.budget_rate;
        let floor = absolute::evidence(budget, &absolute::rates_above(budget), n, failed);
        self.harm_floor.fold(&self.schedule, &floor);
        self.pass_absolute
            .fold(&absolute::evidence_below(budget, n, failed));
        let threshold = self.threshold(ALPHA_ABSOLUTE);
        self.burn.fold(&self.schedule, table, threshold);
    }

    pub(super) fn threshold(&self, share: f64) -> LogE {
        LogE::threshold(self.policy.alpha * share)
    }

    pub(super) fn slowness(&self) -> f64 {
        self.policy.w1.unwrap_or(SLOWNESS_DEFAULT)
    }

    /// What the evidence says now, worst first. O(1).
    pub fn finding(&self) -> Finding {
        if self.halts_errors() {
            Finding::HaltErrors
        } else if self.burn.is_candidate_alone() {
            Finding::HaltAbsolute
        } else if self.latency_halt.supremum() >= self.threshold(ALPHA_LATENCY) {
            Finding::HaltLatency
        } else if self.burn.do_both(self.threshold(ALPHA_ABSOLUTE)) {
            Finding::BothBurn
        } else if self.passes() {
            Finding::Pass
        } else {
            Finding::NotYet
        }
    }

    fn halts_errors(&self) -> bool {
        let threshold = self.threshold(ALPHA_ERRORS);
        [&self.errors_exact, &self.errors_share, &self.harm_floor]
            .iter()
            .all(|process| process.supremum() >= threshold)
    }

    fn passes(&self) -> bool {
        let errors =
            self.relative_left().is_some_and(|left| left <= 0.0) || self.absolute_left() <= 0.0;
        errors && self.latency_left().is_none_or(|left| left <= 0.0)
    }

    /// Nats the relative pass still needs; `None` when the policy has none.
    pub(super) fn relative_left(&self) -> Option<f64> {
        self.policy.w1?;
        let level = pass::level(self.policy.beta * BETA_RELATIVE, self.steps);
        Some(level.nats() - self.pass_relative.current().nats())
    }

    /// Nats the absolute pass still needs.
    pub(super) fn absolute_left(&self) -> f64 {
        let level = pass::level(self.policy.beta * BETA_ABSOLUTE, self.steps);
        level.nats() - self.pass_absolute.current().nats()
    }

    /// Nats the latency claim still needs; `None` when latency is not judged (no durations, or no baseline beside it).
    pub(super) fn latency_left(&self) -> Option<f64> {
        let served_alone = self.epoch.strata == 0 && self.epoch.candidate_strata > 0;
        if served_alone || self.latency_pass.claim() == Claim::Unjudged {
            return None;
        }
        let level = pass::level(self.policy.beta, self.steps);
        Some(level.nats() - self.latency_pass.current().nats())
    }

    /// Counts of both arms since the rollout began.
    pub fn total(&self) -> &Counts {
        &self.total
    }

    /// Counts of both arms since the last weight step.
    pub fn epoch(&self) -> &Counts {
        &self.epoch
    }

    /// The policy in force.
    pub fn policy(&self) -> &TestPolicy {
        &self.policy
    }

    /// Share of the rarer arm in the units since the last weight step, else in all; 0 without units. For
    /// [`should_close`].
    pub fn theta(&self) -> f64 {
        let counts = if self.epoch.strata > 0 {
            &self.epoch
        } else {
            &self.total
        };
        let (candidate, baseline) = (counts.candidate.units, counts.baseline.units);
        if candidate == 0 || baseline == 0 {
            return 0.0;
        }
        candidate.min(baseline) as f64 / (candidate + baseline) as f64
    }

    /// The latency edge with the most evidence against the candidate, ns.
    pub fn worst_edge_nanos(&self) -> u64 {
        self.latency_halt.worst_edge_nanos()
    }
}

#[cfg(test)]
mod tests;
