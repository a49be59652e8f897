//! When the budget is gone if it goes on like this.
//!
//! `t = remaining * period / burn`, `burn = error ratio / (1 - target)`. The interval comes from the bounds of the ratio at
//! [`LN_ONE_OVER_SIDE`] a side, with the effective number of requests a quarter of what was counted: failures come in lumps.

use super::baseline::upper_bound;
use super::incident::{Forecast, Incident};
use super::node::Node;
use super::window::WindowSums;
use crate::delta::Callee;
use crate::identity::ServiceId;
use crate::time::Timestamp;

/// ln 1/0.025.
const LN_ONE_OVER_SIDE: f64 = 3.69;
/// Requests that are worth one independent one.
const LUMP: f64 = 4.0;

/// A budget that an incident may exhaust.
#[derive(Debug, Clone, PartialEq)]
pub struct SloFact {
    /// Of which service.
    pub service: ServiceId,
    /// Shown name: `service/slo`.
    pub name: String,
    /// Budget remaining, signed ratio.
    pub remaining: f64,
    /// Period, s.
    pub period_secs: u64,
    /// Allowed bad share: 1 - target.
    pub allowed: f64,
}

/// The budget of `incident`'s services that is gone first.
pub fn forecast(
    _now: Timestamp,
    incident: &Incident,
    window: &WindowSums,
    slos: &[SloFact],
) -> Forecast {
    let mut soonest = Forecast::default();
    for slo in slos {
        let node = Node::Service(slo.service);
        if !incident.concerns(node) {
            continue;
        }
        let (requests, failed) = entry_requests(window, slo.service);
        if failed == 0 || requests == 0 || slo.allowed <= 0.0 {
            continue;
        }
        let secs = |ratio: f64| {
            let burn = ratio / slo.allowed;
            let left = slo.remaining.max(0.0) * slo.period_secs as f64;
            (left / burn).min(slo.period_secs as f64 * 100.0) as u64
        };
        let ratio = failed as f64 / requests as f64;
        let budget = LN_ONE_OVER_SIDE * LUMP / requests as f64;
        let highest = upper_bound(ratio, budget);
        let lowest = 1.0 - upper_bound(1.0 - ratio, budget);
        let earliest = secs(highest);
        if soonest.earliest_secs.is_none_or(|known| earliest < known) {
            soonest = Forecast {
                slo: slo.name.clone(),
                earliest_secs: Some(earliest),
                latest_secs: (lowest > 0.0).then(|| secs(lowest)),
            };
        }
    }
    soonest
}

/// Requests of a service and how many failed, by whoever called it.
fn entry_requests(window: &WindowSums, service: ServiceId) -> (i64, i64) {
    let mut counts = (0, 0);
    for (key, sum) in &window.edges {
        if let Callee::Service(party) = key.callee
            && party.service == service
        {
            counts.0 += sum.total();
            counts.1 += sum.failed();
        }
    }
    counts
}
