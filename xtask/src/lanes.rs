//! The lanes of DESIGN 17. Within a lane a skip is a failure: what a lane needs it installs or names.

use crate::run::{cargo, root, run};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Which lanes a `test` run takes beside the hermetic one.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    corpus: bool,
    peers: bool,
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
                "--peers" => lanes.peers = true,
                "--long" => lanes.long = true,
                other => bail!("unknown lane `{other}`: expected --corpus, --peers or --long"),
            }
        }
        Ok(lanes)
    }
}

/// Runs the main job.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    println!("building tidegate (the first time takes a few minutes)");
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
    let mut hermetic = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    if lanes.long {
        hermetic.env("TIDEGATE_LONG", "1");
    }
    run(&mut hermetic)?;
    if lanes.corpus {
        corpus()?;
    }
    if lanes.peers {
        peers()?;
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
        "corpus",
        "--test",
        "corpus",
        "--test",
        "slo_corpus",
    ])
    .env("TIDEGATE_CORPUS", path))
}

fn peers() -> Result<()> {
    let python = crate::lanes::peers_python(&["opentelemetry-sdk", "opentelemetry-exporter-otlp"])?;
    let mut command = cargo(&[
        "test",
        "--locked",
        "--features",
        "peers",
        "--test",
        "peers",
        "--",
        "--test-threads=1",
    ]);
    command.env("TIDEGATE_PEERS_PYTHON", python);
    run(&mut command)
}

/// Where peers are installed: outside the clone, one folder per set of packages.
fn peers_cache() -> PathBuf {
    std::env::var_os("TIDEGATE_PEERS_CACHE").map_or_else(
        || {
            let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
            home.join(".cache").join("tidegate-peers")
        },
        PathBuf::from,
    )
}

/// A Python interpreter that has `packages`, installed by pip into the cache on first use.
///
/// # Errors
/// When Python or pip fails.
pub(crate) fn peers_python(packages: &[&str]) -> Result<PathBuf> {
    let folder = peers_cache().join(format!(
        "python-{}",
        packages.join("-").replace(['=', '.'], "_")
    ));
    let python = folder.join("bin").join("python");
    let done = folder.join("installed");
    if !done.exists() {
        std::fs::create_dir_all(&folder)?;
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages))?;
        std::fs::write(done, packages.join("\n"))?;
    }
    Ok(python)
}

/// Formatting, clippy, documentation.
pub(crate) fn lint() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))?;
    // Tests may unwrap: a panic with its place is what a failing test is for.
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "corpus,peers",
        "--locked",
        "--",
        "-D",
        "warnings",
        "-A",
        "clippy::unwrap_used",
    ]))?;
    run(cargo(&["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// What CI runs.
pub(crate) fn ci() -> Result<()> {
    test(&Lanes {
        corpus: true,
        peers: true,
        ..Lanes::default()
    })?;
    lint()
}
