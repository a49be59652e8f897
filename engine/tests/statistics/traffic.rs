//! Traffic of a rollout as counts per event second, and strata made of it by the closing rule.

use crate::rng::{Binomial, Rng};
use engine::stats::rollout::{ArmCells, Stratum, should_close};

/// Failure probability whose odds are `ratio` times those of `p`.
pub(crate) fn with_odds(p: f64, ratio: f64) -> f64 {
    p * ratio / (1.0 - p + p * ratio)
}

/// How the units of each second are split between the arms: at random, by the weight in force.
pub(crate) struct Split {
    requests: u64,
    steps: Vec<Binomial>,
    step_secs: u64,
}

impl Split {
    /// One weight for ever.
    pub(crate) fn constant(requests: u64, weight: f64) -> Self {
        Self {
            requests,
            steps: vec![Binomial::new(requests, weight)],
            step_secs: u64::MAX,
        }
    }

    /// The ramp of a rollout of one hour: equal times at 1, 5, 10, 25 and 50 %.
    pub(crate) fn ramp(requests: u64) -> Self {
        let steps = [0.01, 0.05, 0.10, 0.25, 0.50].map(|weight| Binomial::new(requests, weight));
        Self {
            requests,
            steps: steps.into(),
            step_secs: 720,
        }
    }

    /// Whether the weight changes before this second.
    pub(crate) fn is_step(&self, second: u64) -> bool {
        second > 0 && second.is_multiple_of(self.step_secs)
    }

    /// Units of one second: (candidate, baseline).
    pub(crate) fn units(&self, rng: &mut Rng, second: u64) -> (u64, u64) {
        let step = ((second / self.step_secs) as usize).min(self.steps.len() - 1);
        let candidate = self.steps[step].draw(rng);
        (candidate, self.requests - candidate)
    }
}

/// Units and failures of one second without latency.
pub(crate) fn second(rng: &mut Rng, units: (u64, u64), rates: (f64, f64)) -> Stratum {
    let arm = |units, failed| ArmCells {
        units,
        failed,
        latency: Vec::new(),
    };
    Stratum {
        candidate: arm(units.0, rng.binomial(units.0, rates.0)),
        baseline: arm(units.1, rng.binomial(units.1, rates.1)),
    }
}

/// An open stratum that gathers whole seconds until the closing rule is content.
#[derive(Clone, Default)]
pub(crate) struct Gathering {
    open: Stratum,
    age_secs: u64,
    seen: (u64, u64),
}

impl Gathering {
    /// Adds a second; the stratum when it closed with it. `theta` is learned from earlier strata of the same weight.
    pub(crate) fn add(&mut self, second: &Stratum) -> Option<Stratum> {
        add_arm(&mut self.open.candidate, &second.candidate);
        add_arm(&mut self.open.baseline, &second.baseline);
        self.age_secs += 1;
        let (candidate, baseline) = (self.open.candidate.units, self.open.baseline.units);
        let theta = match self.seen {
            (0, _) | (_, 0) => 0.0,
            (c, b) => c.min(b) as f64 / (c + b) as f64,
        };
        if !should_close(candidate, baseline, theta, self.age_secs * 1_000_000_000) {
            return None;
        }
        self.seen.0 += candidate;
        self.seen.1 += baseline;
        self.age_secs = 0;
        Some(std::mem::take(&mut self.open))
    }

    /// The weight changed: what is open belongs to the old epoch and closes; shares are learned anew.
    pub(crate) fn weight_step(&mut self) -> Option<Stratum> {
        self.age_secs = 0;
        self.seen = (0, 0);
        let open = std::mem::take(&mut self.open);
        (open.candidate.units + open.baseline.units > 0).then_some(open)
    }
}

fn add_arm(into: &mut ArmCells, more: &ArmCells) {
    into.units += more.units;
    into.failed += more.failed;
    into.latency.extend(&more.latency);
}
