//! Benchmarks: print what was measured, side by side with peers in the same run. Never fails for being slow.

use crate::lanes::target_dir;
use crate::peers;
use crate::run::{self, cargo};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Own crates as fast as dependencies, without checks; dependencies are not built again.
const FAST: [&str; 6] = [
    "--config",
    "profile.dev.opt-level=3",
    "--config",
    "profile.dev.debug-assertions=false",
    "--config",
    "profile.dev.overflow-checks=false",
];

/// Every measurement: its name, and the package and example that makes it.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("decode", "ingest", "decode_cost"),
    ("fold", "engine", "fold_cost"),
    ("tick", "engine", "tick_cost"),
    ("sql", "query", "sql_cost"),
    ("end-to-end", "tidegate", "bench"),
];

/// The peer of `sql`, and what hands it the spans.
const DUCKDB: [&str; 2] = ["duckdb==2.0.1", "pyarrow==26.0.1"];

/// How much is measured.
struct Extent {
    seconds: String,
    spans: String,
}

/// `cargo xtask bench [-o json] [--seconds N] [--spans N] [NAME...]`.
///
/// # Errors
/// On an unknown name, or when a program cannot be built or run.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut names = Vec::new();
    let mut is_json = false;
    let mut extent = Extent {
        seconds: "10".to_owned(),
        spans: "10000000".to_owned(),
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-o" => is_json = rest.next().is_some_and(|format| format == "json"),
            "--seconds" => {
                (extent.seconds).clone_from(rest.next().context("--seconds takes a number")?)
            }
            "--spans" => (extent.spans).clone_from(rest.next().context("--spans takes a number")?),
            name if PROGRAMS.iter().any(|(known, ..)| *known == name) => {
                names.push(name.to_owned())
            }
            other => {
                bail!(
                    "unknown measurement `{other}`: expected decode, fold, tick, sql or end-to-end"
                )
            }
        }
    }
    if !is_json {
        println!(
            "{:<52} {:>12} {:<10} {:>12} {:>7}",
            "measurement", "value", "unit", "baseline", "ratio"
        );
    }
    for (name, package, example) in PROGRAMS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            for line in measure(package, example, &extent)? {
                show(&line, is_json);
            }
        }
    }
    Ok(())
}

fn measure(package: &str, example: &str, extent: &Extent) -> Result<Vec<Value>> {
    let mut build = cargo(&["build", "--quiet", "--locked", "--example", example]);
    build.args(FAST);
    let is_whole = package == "tidegate";
    let is_sql = package == "query";
    if is_sql {
        // As the tests build it: one package alone would have other features, and DataFusion would be compiled again.
        build.args(["--workspace", "--features", "sql"]);
    } else {
        build.args(["--package", package]);
    }
    if is_whole {
        build.args(["--bin", "tidegate"]);
    }
    run::run(build.stdout(Stdio::null()))?;
    let binary = target_dir().join("debug").join("examples").join(example);
    let mut command = if is_sql {
        // Both sides have two threads.
        Command::new(binary)
    } else {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(binary);
        command
    };
    if is_sql {
        command
            .arg("--statements")
            .arg(run::root().join("benches/sql"));
        command.args(["--spans", &extent.spans]);
        command.arg("--python").arg(peers::python(&DUCKDB)?);
    }
    if is_whole {
        command
            .arg("--server")
            .arg(target_dir().join("debug").join("tidegate"));
        command.args(["--seconds", &extent.seconds]);
        command.arg("--rotel").arg(rotel()?);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {example}"))?;
    if !output.status.success() {
        bail!("{example} failed: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// The agent inside the Python package.
fn rotel() -> Result<PathBuf> {
    let python = peers::python(&["rotel==0.0.1a15"])?;
    let place =
        "import rotel, os; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let output = Command::new(python).args(["-c", place]).output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !path.exists() {
        bail!(
            "the Python package `rotel` has no agent at {}",
            path.display()
        );
    }
    Ok(path)
}

fn show(line: &Value, is_json: bool) {
    if is_json {
        println!("{line}");
        return;
    }
    let number = |key: &str| {
        line[key]
            .as_f64()
            .map_or_else(String::new, |value| format!("{value}"))
    };
    println!(
        "{:<52} {:>12} {:<10} {:>12} {:>7}",
        line["name"].as_str().unwrap_or_default(),
        number("value"),
        line["unit"].as_str().unwrap_or_default(),
        number("baseline"),
        number("ratio")
    );
}
