//! SLOs from metrics against an oracle that knows every event: which exports carried it, and which none did.
#![expect(clippy::unwrap_used, reason = "tests")]

mod budgets;
mod cardinality;
mod exponential;
mod rig;
mod shown;
mod story;

/// `long` cases in the long lane, `short` otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads which lane it runs in"
)]
fn cases(short: u64, long: u64) -> u64 {
    if std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1") {
        long
    } else {
        short
    }
}
