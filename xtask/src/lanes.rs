//! The lanes of DESIGN 17. Within a lane a skip is a failure: what a lane needs it installs or names.
//!
//! Every lane of the whole workspace has the features `sql` and `kubernetes`, so that DataFusion and kube are compiled once for all of them.

use crate::peers;
use crate::run::{cargo, root, run};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Which real peers are tested with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Peers {
    #[default]
    None,
    /// What CI has: SDKs, Envoy, checkers.
    Usual,
    /// And what takes minutes to build.
    All,
}

/// Which lanes a `test` run takes beside the hermetic one.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    corpus: bool,
    peers: Peers,
    long: bool,
}

impl Lanes {
    /// Reads the arguments of `cargo xtask test`.
    ///
    /// # Errors
    /// On an unknown argument.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut lanes = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--corpus" => lanes.corpus = true,
                "--peers" => lanes.peers = Peers::Usual,
                "--peers=all" => lanes.peers = Peers::All,
                "--long" => lanes.long = true,
                other => bail!(
                    "unknown lane `{other}`: expected --corpus, --peers, --peers=all or --long"
                ),
            }
        }
        Ok(lanes)
    }
}

/// Runs the main job.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    println!(
        "building tidegate without SQL, which the demo does not need (the first time takes a few minutes)"
    );
    run(&mut cargo(&["build", "--locked", "--bin", "tidegate"]))?;
    let binary = target_dir().join("debug").join("tidegate");
    let mut command = Command::new(binary);
    command.arg("demo").args(arguments).current_dir(root());
    let status = command.status()?;
    // The demo's exit code is its verdict on itself: hand it on as it is.
    std::process::exit(status.code().unwrap_or(1));
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs the hermetic tests and the chosen lanes.
pub(crate) fn test(lanes: &Lanes) -> Result<()> {
    let mut hermetic = cargo(&[
        "test",
        "--workspace",
        "--features",
        "sql,kubernetes",
        "--locked",
        "--no-fail-fast",
    ]);
    if lanes.long {
        hermetic.env("TIDEGATE_LONG", "1");
    }
    run(&mut hermetic)?;
    if lanes.corpus {
        corpus()?;
    }
    if lanes.peers != Peers::None {
        peers(lanes.peers, &[])?;
    }
    if lanes.peers == Peers::All {
        kubernetes(lanes.long, &[])?;
    }
    Ok(())
}

fn corpus() -> Result<()> {
    let path = std::env::var_os("TIDEGATE_CORPUS")
        .map_or_else(|| root().join("../shared/corpus"), PathBuf::from);
    if !path.is_dir() {
        bail!(
            "the corpus lane needs {}: set TIDEGATE_CORPUS",
            path.display()
        );
    }
    let path = path.canonicalize()?;
    run(cargo(&[
        "test",
        "--workspace",
        "--locked",
        "--features",
        "sql,kubernetes,corpus",
        "--test",
        "corpus",
        "--test",
        "json_corpus",
        "--test",
        "slo_corpus",
    ])
    .env("TIDEGATE_CORPUS", path))
}

/// `cargo xtask peers [all|kubernetes] [NAME...]`: that lane alone, or only its tests with these names.
///
/// # Errors
/// When a peer cannot be installed or a test fails.
pub(crate) fn peers_alone(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((first, names)) if first == "kubernetes" => kubernetes(false, names),
        Some((first, names)) if first == "all" => {
            peers(Peers::All, names)?;
            kubernetes(false, names)
        }
        _ => peers(Peers::Usual, arguments),
    }
}

fn peers(which: Peers, names: &[String]) -> Result<()> {
    let is_all = which == Peers::All;
    let features = if is_all {
        "sql,kubernetes,peers,peers-all"
    } else {
        "sql,kubernetes,peers"
    };
    let mut command = cargo(&[
        "test",
        "--locked",
        "--features",
        features,
        "--test",
        "peers",
    ]);
    command.args(["--", "--test-threads=1"]).args(names);
    command.envs(peers::install(is_all)?);
    run(&mut command)?;
    match is_all && names.is_empty() {
        true => crate::conformance::run(),
        false => Ok(()),
    }
}

/// A real control plane and a real Argo Rollouts, in a network of their own.
fn kubernetes(is_long: bool, names: &[String]) -> Result<()> {
    let place = peers::kubernetes()?;
    let alone = root().join("tests/peers/kubernetes/alone.sh");
    let mut command = cargo(&[
        "test",
        "--locked",
        "--features",
        "sql,kubernetes,peers,peers-all",
        "--test",
        "peers-kubernetes",
        "--config",
    ]);
    command.arg(format!("target.'cfg(unix)'.runner={:?}", [alone]));
    command.args(["--", "--test-threads=1", "--nocapture"]);
    command.args(names).env("TIDEGATE_PEER_KUBERNETES", place);
    if is_long {
        command.env("TIDEGATE_LONG", "1");
    }
    run(&mut command)
}

/// Formatting, clippy, documentation.
pub(crate) fn lint() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let mut shipped = cargo(&[
        "clippy",
        "--workspace",
        "--locked",
        "--features",
        "sql,kubernetes",
    ]);
    run(shipped.args(["--", "-D", "warnings"]))?;
    // What the demo is built of.
    let mut without = cargo(&["clippy", "--workspace", "--locked"]);
    run(without.args(["--", "-D", "warnings"]))?;
    // Tests may unwrap: a panic with its place is what a failing test is for.
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "sql,kubernetes,corpus,peers,peers-all",
        "--locked",
        "--",
        "-D",
        "warnings",
        "-A",
        "clippy::unwrap_used",
    ]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    doc.args(["--features", "sql,kubernetes"]);
    run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// What CI runs.
pub(crate) fn ci() -> Result<()> {
    test(&Lanes {
        corpus: true,
        peers: Peers::Usual,
        ..Lanes::default()
    })?;
    lint()
}
