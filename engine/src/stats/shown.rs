//! The processes of a rollout as evidence for people: name, log e-value, threshold, meaning.

use super::burn::Burn;
use super::rollout::{ALPHA_ABSOLUTE, ALPHA_ERRORS, ALPHA_LATENCY, RolloutTest};
use crate::gate::answer::Process;

impl RolloutTest {
    /// Every process that can halt or pass, in a fixed order.
    pub fn processes(&self) -> Vec<Process> {
        let errors = self.threshold(ALPHA_ERRORS);
        let burn = self.threshold(ALPHA_ABSOLUTE);
        let halting = [
            (
                "errors_exact",
                self.errors_exact.supremum(),
                errors,
                "fails more than the baseline in the same moments (exact test)",
            ),
            (
                "errors_share",
                self.errors_share.supremum(),
                errors,
                "has more than its share of the failures (share bet, any dependence)",
            ),
            (
                "harm_floor",
                self.harm_floor.supremum(),
                errors,
                "fails more than the budget rate",
            ),
            (
                "absolute",
                self.burn.alone().supremum(),
                burn,
                "burns the budget by itself while the baseline does not",
            ),
            (
                "absolute_baseline",
                self.burn.baseline(),
                Burn::suspicion(),
                "baseline burns now: what both suffer is no fault of the candidate",
            ),
            (
                "latency_share",
                self.latency_halt.supremum(),
                self.threshold(ALPHA_LATENCY),
                "is slower than the baseline by more than a tenth",
            ),
        ];
        let mut processes: Vec<Process> = halting
            .into_iter()
            .map(|(name, log_e, threshold, meaning)| Process {
                name: name.to_owned(),
                log_e: log_e.nats(),
                threshold: threshold.nats(),
                meaning: meaning.to_owned(),
            })
            .collect();
        processes.extend(self.passing());
        processes
    }

    fn passing(&self) -> impl Iterator<Item = Process> {
        let parts = [
            (
                "pass_relative",
                self.relative_left()
                    .map(|left| (self.pass_relative.current(), left)),
                "fails less than the ratio to exclude",
            ),
            (
                "pass_absolute",
                Some((self.pass_absolute.current(), self.absolute_left())),
                "fails less than the budget rate",
            ),
            (
                "pass_latency",
                self.latency_left()
                    .map(|left| (self.latency_pass.current(), left)),
                "is not slower than the baseline",
            ),
        ];
        parts.into_iter().filter_map(|(name, part, meaning)| {
            let (current, left) = part?;
            Some(Process {
                name: name.to_owned(),
                log_e: current.nats(),
                threshold: current.nats() + left,
                meaning: meaning.to_owned(),
            })
        })
    }
}
