//! SLOs from metrics against an oracle that knows every event: which exports carried it, and which none did.
#![expect(clippy::unwrap_used, reason = "tests")]

mod budgets;
mod cardinality;
mod exponential;
mod rig;
mod story;

/// `long` cases in the long lane, `short` otherwise.
fn cases(short: u64, long: u64) -> u64 {
    match std::env::var("TIDEGATE_LONG") {
        Ok(value) if value != "0" => long,
        _ => short,
    }
}
