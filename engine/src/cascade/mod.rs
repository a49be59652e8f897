//! Cascades: what fails, where it began, whom it hits, which change is behind it.
//!
//! The problem: a failure deep in a system makes everything above it fail, and every alert names a victim.
//!
//! - **In / out**: edge, work, blame and log rows of [`crate::delta::Delta`] in; incidents out.
//! - **Does not know**: spans. What a trace proves was counted in the Folder.
//! - **Limits**: the constants of [`window`]; what did not fit is counted.
//! - **Sources**: DESIGN 9; Shin, Ramdas, Rinaldo, arXiv 2203.03532 (e-detectors).
//! - **Read next**: [`node`], [`window`], [`normal`], [`mod@rank`].

pub mod baseline;
pub mod calls;
pub mod change;
pub mod detect;
pub mod forecast;
pub mod incident;
pub mod machine;
pub mod node;
pub mod normal;
pub mod rank;
pub mod revision;
pub mod row;
pub mod series;
pub mod storm;
mod sums;
pub mod watchers;
pub mod window;
mod words;
