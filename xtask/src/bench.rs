//! Benchmarks: print what was measured, side by side with peers in the same run.

use crate::run;
use anyhow::Result;

/// Runs the benchmark program with own crates optimized like dependencies.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = run::cargo(&[
        "run",
        "--locked",
        "--config",
        "profile.dev.opt-level=3",
        "--config",
        "profile.dev.debug-assertions=false",
        "--config",
        "profile.dev.overflow-checks=false",
        "--example",
        "bench",
        "--",
    ]);
    command.args(arguments);
    run::run(&mut command)
}
