//! A service, an SLO and a clock for the tests.

use crate::delta::SliDelta;
use crate::identity::{RevisionId, ServiceKey};
use crate::items::Signal;
use crate::slo::{BurnTier, Definitions, Ratio, Severity, Slo, SloId, default_tiers};
use crate::slo_machine::{AlertTransition, SloFacts, SloMachine};
use crate::snapshot::SloRow;
use crate::time::Timestamp;
use std::sync::Arc;

/// 2027-01-15T08:00:00Z: the start of an hour.
pub(super) const START: u64 = 1_800_000_000;

pub(super) fn service(name: &str) -> ServiceKey {
    ServiceKey {
        environment: "production".to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        ..ServiceKey::default()
    }
}

/// Availability of `checkout` over 30 d with Sloth's tiers.
pub(super) fn slo(name: &str, target_ppb: u64) -> Slo {
    let mut slo = Slo::implicit(&service("checkout"));
    slo.implicit = false;
    slo.name = name.to_owned();
    slo.display_name = name.to_owned();
    slo.id = Slo::id_of(slo.service_id, name);
    slo.target = Ratio::from_ppb(target_ppb);
    slo.tiers = default_tiers();
    slo
}

pub(super) fn tier(name: &str, severity: Severity, factor_milli: u64, long_secs: u64) -> BurnTier {
    BurnTier {
        name: name.to_owned(),
        severity,
        factor_milli,
        long_secs,
        short_secs: long_secs / 12,
        for_secs: 0,
        targets: Vec::new(),
    }
}

pub(super) fn definitions(slos: &[Slo]) -> Definitions {
    Definitions {
        slos: slos.iter().map(|slo| (slo.id, slo.clone())).collect(),
        ..Definitions::default()
    }
}

pub(super) struct Rig {
    pub(super) machine: SloMachine,
    pub(super) facts: SloFacts,
    pub(super) ids: Vec<SloId>,
}

impl Rig {
    /// A machine at [`START`] with these SLOs.
    pub(super) fn new(slos: &[Slo]) -> Self {
        let mut machine = SloMachine::default();
        machine.set_definitions(Timestamp::from_secs(START), &definitions(slos));
        let mut facts = SloFacts::default();
        for (number, name) in ["v1", "v2", "v3"].iter().enumerate() {
            facts
                .revision_names
                .insert(RevisionId(number as u128 + 1), (*name).to_owned());
        }
        Self {
            machine,
            facts,
            ids: slos.iter().map(|slo| slo.id).collect(),
        }
    }

    /// Counts events of `second` for every SLO, as revision `revision`, at logical second `now`.
    pub(super) fn count_at(&mut self, now: u64, second: u64, revision: u128, good: i64, bad: i64) {
        let deltas: Vec<SliDelta> = self
            .ids
            .iter()
            .map(|slo| SliDelta {
                slo: *slo,
                revision: RevisionId(revision),
                second,
                good,
                bad,
            })
            .collect();
        self.machine.apply(Timestamp::from_secs(now), &deltas);
    }

    pub(super) fn count(&mut self, second: u64, good: i64, bad: i64) {
        self.count_at(second, second, 1, good, bad);
    }

    /// A tick with telemetry up to date.
    pub(super) fn tick(&mut self, second: u64) -> Vec<AlertTransition> {
        self.tick_with_watermark(second, Some(second))
    }

    pub(super) fn tick_with_watermark(
        &mut self,
        second: u64,
        watermark: Option<u64>,
    ) -> Vec<AlertTransition> {
        let id = service("checkout").id();
        self.facts.watermarks.clear();
        if let Some(watermark) = watermark {
            self.facts
                .watermarks
                .insert((id, Signal::Traces), Timestamp::from_secs(watermark));
        }
        self.machine.tick(Timestamp::from_secs(second), &self.facts)
    }

    pub(super) fn row(&self, number: usize) -> Arc<SloRow> {
        self.machine.rows()[&self.ids[number]].clone()
    }

    /// `rate` good events a second from `from` to `until`, in lumps no coarser than the windows that will see them end.
    pub(super) fn fill(&mut self, from: u64, until: u64, rate: i64) {
        let mut second = from;
        while second < until {
            let step = match until - second {
                0..=3_600 => 1,
                3_601..=21_600 => 60,
                _ => 600,
            };
            let step = step.min(until - second);
            self.count_at(until, second, 1, rate * step as i64, 0);
            second += step;
        }
    }
}
