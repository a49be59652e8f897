//! Recorded data that nobody in this project wrote, through the real binary. Needs `TIDEGATE_CORPUS`.

#[cfg(feature = "sql")]
mod bodies;
mod graph;
mod metastable;
mod rca;
mod recording;
#[cfg(feature = "sql")]
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../support/server.rs"]
mod server;

use std::path::PathBuf;

/// The corpus folder; its absence fails the lane.
fn corpus() -> PathBuf {
    let path = std::env::var_os("TIDEGATE_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    assert!(
        path.is_dir(),
        "{} is not there: set TIDEGATE_CORPUS",
        path.display()
    );
    path
}
