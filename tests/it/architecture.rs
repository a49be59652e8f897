//! The documents say what the code is: crate edges, file headers, paths, the example configuration.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Workspace packages with the packages they use, from cargo itself.
fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| dependency["name"].as_str().unwrap())
}

/// Scenario: the table of ARCHITECTURE.md beside `cargo metadata`.
/// Guarantees: the same edges, in both directions.
#[test]
fn the_documented_crate_edges_are_the_real_ones() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    let real: BTreeMap<String, BTreeSet<String>> = packages
        .iter()
        .map(|package| {
            let used = dependencies(package)
                .filter(|name| names.contains(name))
                .map(str::to_owned);
            (package["name"].as_str().unwrap().to_owned(), used.collect())
        })
        .collect();
    let document = read("ARCHITECTURE.md");
    let rows = document
        .lines()
        .skip_while(|line| !line.starts_with("| crate | may use |"))
        .skip(2);
    let documented: BTreeMap<String, BTreeSet<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let used = cells[1]
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_owned());
            (
                cells[0].trim_matches('`').to_owned(),
                used.filter(|name| name != "-").collect(),
            )
        })
        .collect();
    assert_eq!(documented, real);
}

/// Scenario: outside libraries that belong to one folder (DESIGN 3).
/// Guarantees: nobody else depends on them.
#[test]
fn outside_libraries_stay_in_their_folder() {
    let allowed: [(&str, &[&str]); 8] = [
        ("datafusion", &["query"]),
        ("kube", &["alerts"]),
        ("maud", &["dashboards"]),
        ("reqwest", &["alerts", "tidegate"]),
        ("serde-saphyr", &["ingest"]),
        ("libdeflater", &["ingest"]),
        ("utoipa", &["query"]),
        ("tonic", &["simulator"]),
    ];
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        for dependency in dependencies(package) {
            let rule = allowed.iter().find(|(library, _)| *library == dependency);
            assert!(
                rule.is_none_or(|(_, users)| users.contains(&name)),
                "{name} must not use {dependency}"
            );
            let is_core = name == "engine";
            let is_io = [
                "tokio",
                "axum",
                "hyper",
                "tracing",
                "opentelemetry",
                "datafusion",
                "kube",
                "rand",
            ]
            .contains(&dependency);
            assert!(!(is_core && is_io), "engine must not use {dependency}");
        }
    }
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|name| name != "target" && name != ".git")
            {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|one| one == extension) {
            found.push(path);
        }
    }
}

/// Scenario: every Rust file.
/// Guarantees: it begins by saying what it is.
#[test]
fn every_file_says_what_it_is() {
    let mut sources = Vec::new();
    files(&root(), "rs", &mut sources);
    assert!(sources.len() > 100, "only {} files found", sources.len());
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} does not begin with //!",
            path.display()
        );
    }
}

/// Scenario: everything in backticks in ARCHITECTURE.md and CONTRIBUTING.md that names a path.
/// Guarantees: it exists.
#[test]
fn every_path_in_the_documents_exists() {
    let folders = [
        "engine/",
        "ingest/",
        "query/",
        "alerts/",
        "dashboards/",
        "simulator/",
        "src/",
        "tests/",
        "xtask/",
        "docs/",
        "examples/",
        "deploy/",
        ".ci/",
    ];
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = read(document);
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = folders.iter().any(|folder| quoted.starts_with(folder));
            if is_path && !quoted.contains(['*', '{', ' ', '<']) {
                assert!(
                    root().join(quoted).exists(),
                    "{document} names `{quoted}`, which is not there"
                );
            }
        }
    }
    let lines = |document| read(document).lines().count();
    assert!(lines("README.md") <= 150);
    assert!((150..=300).contains(&lines("ARCHITECTURE.md")));
}

/// Scenario: every Markdown file.
/// Guarantees: nothing is promised for later by a placeholder.
#[test]
fn no_document_has_a_placeholder() {
    let mut documents = Vec::new();
    files(&root(), "md", &mut documents);
    assert!(documents.len() > 5, "only {documents:?}");
    for path in documents {
        let text = std::fs::read_to_string(&path).unwrap();
        let has_placeholder = text.contains("TBD") || text.contains("TODO");
        assert!(!has_placeholder, "{} has a placeholder", path.display());
    }
}

/// Scenario: `config.example.yaml` beside what the program prints.
/// Guarantees: the same text.
#[test]
fn the_example_configuration_is_fresh() {
    let (code, printed, _) = crate::server::tidegate(&["serve", "--print-config"]);
    assert_eq!(code, 0);
    assert_eq!(
        read("config.example.yaml"),
        printed,
        "tidegate serve --print-config > config.example.yaml"
    );
}
