//! Real peers against the real binary. Needs what `cargo xtask test --peers` installs and names in `TIDEGATE_PEER_*`.

mod alertmanager;
#[path = "../support/burning.rs"]
mod burning;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../it/canary.rs"]
mod canary;
#[cfg(feature = "peers-all")]
mod collector;
mod deploy;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../it/endpoint.rs"]
mod endpoint;
mod envoy;
mod image;
mod prometheus;
mod rust_sdk;
mod sdks;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../support/server.rs"]
mod server;

use std::path::PathBuf;
use std::process::{Command, Output};

/// Where the peer of this name (`PYTHON`, `GO`, ...) was installed.
fn place(name: &str) -> PathBuf {
    let variable = format!("TIDEGATE_PEER_{name}");
    std::env::var_os(&variable)
        .unwrap_or_else(|| panic!("cargo xtask test --peers sets {variable}"))
        .into()
}

/// A file of the project.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a peer to its end; fails with what it said when it fails.
fn finish(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
