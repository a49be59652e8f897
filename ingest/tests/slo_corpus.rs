//! Every public OpenSLO file is read, or refused in words that say why.
#![expect(clippy::unwrap_used, reason = "tests")]

use ingest::definitions::{LoadOptions, load_files, show};
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    std::env::var_os("TIDEGATE_CORPUS")
        .map_or(default, PathBuf::from)
        .join("slo")
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => files(&path, found),
            Some("yaml" | "yml" | "json") => found.push(path),
            _ => {}
        }
    }
}

/// Errors that may stand in a file of OpenSLO's own repositories, and what makes each legitimate.
const LEGITIMATE: &[&str] = &[
    // OpenSLO that Tidegate does not evaluate yet.
    "comes later: ",
    // The file refers to an object that is in another file, or (test_data/inline/inputs/*_invalid_*) nowhere.
    "expected the name of an existing ",
    // v1/examples/services.yaml shows three variants of one Service.
    "expected each Service once, got `example-service` again",
];

/// Guarantees: OpenSLO v1, v1alpha and v2alpha files never get a message that blames their form.
#[test]
fn official_files_are_read_or_refused_clearly() {
    let mut found = Vec::new();
    for folder in ["OpenSLO__OpenSLO", "OpenSLO__go-sdk"] {
        files(&corpus().join(folder), &mut found);
    }
    found.sort();
    assert!(
        found.len() >= 45,
        "{} files in {}",
        found.len(),
        corpus().display()
    );
    for file in &found {
        let loaded = load_files(std::slice::from_ref(file), &LoadOptions::default());
        for problem in loaded.problems.iter().filter(|problem| problem.is_error) {
            let is_legitimate = LEGITIMATE
                .iter()
                .any(|start| problem.message.starts_with(start));
            assert!(is_legitimate, "{}", show::problem_text(problem));
            assert!(problem.place.split(':').count() >= 3, "{}", problem.place);
        }
        assert_eq!(
            loaded.definitions.is_none(),
            loaded.problems.iter().any(|problem| problem.is_error)
        );
    }
}

/// Scenario: the official v1 example with its sources replaced by spans, its calendar and time slices by what we have.
/// Guarantees: nothing else in it stands in the way.
#[test]
fn an_official_file_needs_only_the_named_changes() {
    let file = corpus().join("OpenSLO__OpenSLO/examples/budgeting-method/occurences-slo.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let text = text
        .replace("type: Any", "type: tidegate-spans")
        .replace("query: Any", "kind: server")
        .replace("value: 500", "value: 0.5");
    let source = ingest::definitions::Source {
        name: "o.yaml".to_owned(),
        bytes: text.into_bytes(),
    };
    let loaded = ingest::definitions::load_sources(&[source], &LoadOptions::default());
    let errors: Vec<String> = loaded
        .problems
        .iter()
        .filter(|p| p.is_error)
        .map(show::problem_text)
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(loaded.definitions.unwrap().slos.len(), 1);
}

/// Guarantees: Sloth's and Pyrra's files are named as what they are.
#[test]
fn files_of_other_tools_are_named() {
    for (folder, words) in [
        ("slok__sloth/examples", "Sloth"),
        ("pyrra-dev__pyrra/examples", "Pyrra"),
    ] {
        let mut found = Vec::new();
        files(&corpus().join(folder), &mut found);
        let later = found.iter().filter(|file| {
            let loaded = load_files(std::slice::from_ref(file), &LoadOptions::default());
            loaded.definitions.is_none()
                && loaded
                    .problems
                    .iter()
                    .any(|p| p.message.starts_with("comes later: ") && p.message.contains(words))
        });
        assert!(later.count() >= 8, "{folder}");
    }
}
