//! Arms: (service, revision) under small numbers, so that a unit needs 4 bytes for them instead of 32.
//!
//! An arm lives while a shard may hold a unit of it. Each shard admits a bounded number of arms and counts the spans
//! of others as dropped; the bound is per shard, so it does not matter who owns which shards.

use crate::hash::{FixedMap, SHARDS};
use crate::identity::{RevisionId, ServiceId};

/// Most arms a shard knows at once. Far above [`crate::snapshot::SERVICES_MAX`] services in normal use; it bounds
/// what made-up service names cost.
pub const ARMS_PER_SHARD_MAX: u32 = 32_768;

/// One arm and the shards (as bits) that saw it in this and in the previous generation.
#[derive(Debug, Clone, Copy)]
struct Arm {
    service: ServiceId,
    revision: RevisionId,
    current: u64,
    previous: u64,
}

/// All arms of a folder.
#[derive(Debug)]
pub(super) struct Arms {
    index: FixedMap<(ServiceId, RevisionId), u32>,
    rows: Vec<Arm>,
    free: Vec<u32>,
    per_shard: [u32; SHARDS],
    per_shard_max: u32,
}

impl Arms {
    pub(super) fn new(per_shard_max: u32) -> Self {
        Self {
            index: FixedMap::default(),
            rows: Vec::new(),
            free: Vec::new(),
            per_shard: [0; SHARDS],
            per_shard_max,
        }
    }

    /// The number of an arm, for a span in `shard`; `None` when the shard knows too many.
    pub(super) fn admit(
        &mut self,
        service: ServiceId,
        revision: RevisionId,
        shard: u8,
    ) -> Option<u32> {
        if let Some(arm) = self.index.get(&(service, revision)).copied() {
            return self.admit_known(arm, shard).then_some(arm);
        }
        if self.per_shard[usize::from(shard)] >= self.per_shard_max {
            return None;
        }
        let row = Arm {
            service,
            revision,
            current: 0,
            previous: 0,
        };
        let arm = match self.free.pop() {
            Some(arm) => {
                self.rows[arm as usize] = row;
                arm
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        self.index.insert((service, revision), arm);
        self.admit_known(arm, shard).then_some(arm)
    }

    /// The same for an arm whose number is known.
    #[inline]
    pub(super) fn admit_known(&mut self, arm: u32, shard: u8) -> bool {
        let row = &mut self.rows[arm as usize];
        let bit = 1u64 << shard;
        if row.current & bit != 0 {
            return true;
        }
        if row.previous & bit == 0 {
            let known = &mut self.per_shard[usize::from(shard)];
            if *known >= self.per_shard_max {
                return false;
            }
            *known += 1;
        }
        row.current |= bit;
        true
    }

    /// Service and revision of an arm.
    pub(super) fn resolve(&self, arm: u32) -> (ServiceId, RevisionId) {
        let row = &self.rows[arm as usize];
        (row.service, row.revision)
    }

    /// The generations of `shard` turned `steps` times: arms it did not see since lose it, arms no shard saw leave.
    pub(super) fn advance(&mut self, shard: u8, steps: u64) {
        for _ in 0..steps.min(2) {
            self.turn(1u64 << shard, usize::from(shard));
        }
    }

    fn turn(&mut self, bit: u64, shard: usize) {
        for (number, arm) in self.rows.iter_mut().enumerate() {
            let seen = (arm.current | arm.previous) & bit != 0;
            arm.previous = arm.previous & !bit | arm.current & bit;
            arm.current &= !bit;
            if seen && arm.previous & bit == 0 {
                self.per_shard[shard] -= 1;
                if arm.current | arm.previous == 0 {
                    self.index.remove(&(arm.service, arm.revision));
                    self.free.push(number as u32);
                }
            }
        }
    }
}
