//! All f64 statistics of the engine, in one module, with fixed order and software functions (`libm`).
//!
//! The gate asks one question of counts: is this revision worse than what serves beside it, or than its budget
//! allows? It asks after every stratum, so ordinary tests (which may be read once) would halt innocent releases;
//! and it must answer the same on every CPU. Hence *e-processes*: a number that stays below `1/alpha` for ever with
//! probability `1 - alpha` when nothing is wrong, whenever it is looked at (Ville's inequality).
//!
//! - **In / out**: counts per stratum ([`rollout::Stratum`]) in; a [`rollout::Finding`] and the processes behind it out.
//! - **Does not know**: spans, services, time; when a stratum closes is the gate's, by [`rollout::should_close`].
//! - **Determinism**: IEEE `+ * /` and `sqrt` in fixed order, `libm` for exp and log, results stored as
//!   rounded-down fixed point ([`logfix::LogE`]): same bits on any CPU, and rounding never helps evidence.
//! - **Read next**: [`logfix`], [`exact`], [`share`], [`absolute`], [`change_point`], [`burn`], [`latency`], [`pass`],
//!   [`rollout`], [`need`].

pub mod absolute;
pub mod burn;
pub mod change_point;
pub mod exact;
pub mod latency;
pub mod logfix;
pub mod need;
pub mod pass;
pub mod rollout;
pub mod share;
mod shown;

use smallvec::SmallVec;

/// One number per alternative of a grid; grids have at most 12 points.
pub type PerPoint<T> = SmallVec<[T; 12]>;
