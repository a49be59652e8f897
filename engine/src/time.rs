//! Time as data: the core never looks at a clock, every instant is passed to it.
//!
//! Two kinds are never mixed. *Event time* comes from spans (an event happens when its span ends);
//! *logical time* (`now`) comes from the log's records. Both are nanoseconds since the Unix epoch.

use serde::{Deserialize, Serialize};

/// Nanoseconds in one second.
pub const NANOS_PER_SEC: u64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub const NANOS_PER_MILLI: u64 = 1_000_000;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, up to the year 2554.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The Unix epoch; also used for "never".
    pub const EPOCH: Self = Self(0);

    /// The instant `secs` whole seconds after the epoch (saturates).
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// The instant `millis` milliseconds after the epoch (saturates).
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Whole seconds since the epoch, rounded down: the 1 s bucket an event belongs to.
    pub const fn secs(self) -> u64 {
        self.0 / NANOS_PER_SEC
    }

    /// `self + nanos`, saturating.
    pub const fn plus(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// `self - nanos`, saturating at the epoch.
    pub const fn minus(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Signed nanoseconds from `other` to `self`, saturating.
    pub fn signed_since(self, other: Self) -> i64 {
        let difference = i128::from(self.0) - i128::from(other.0);
        difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}
