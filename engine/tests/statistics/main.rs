//! The statistics keep their promises: exactness against big integers, false halts and false passes, speed, blips.
//!
//! Counts only, no spans: whole rollouts of an hour run in milliseconds. The short lane runs fewer of the same things
//! than the long one (`TIDEGATE_LONG=1`); every test prints its figures (`--nocapture`).
//! [`rng`], [`traffic`] and [`bounds`] are the simulation's own: deterministic, seeded, the same on every machine.

mod blips;
mod bounds;
mod exactness;
mod false_halts;
mod golden;
mod medians;
mod oracle;
mod passes;
mod rng;
mod traffic;

/// `long` in the long lane, `short` otherwise.
fn scaled(short: u32, long: u32) -> u32 {
    if is_long() { long } else { short }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test reads which lane it runs in"
)]
fn is_long() -> bool {
    std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1")
}
