//! Commands that need no server, and what they say when there is none.

use crate::server::tidegate;

/// Scenario: the gate is asked while nothing listens.
/// Guarantees: exit 30 and the reason; `--on-unknown` chooses another answer.
#[test]
fn an_unreachable_gate_is_unknown() {
    let nowhere = ["--server", "http://127.0.0.1:9"];
    let (code, _, stderr) = tidegate(&[&["gate", "checkout"][..], &nowhere].concat());
    assert_eq!(code, 30);
    assert!(
        stderr.contains("is `tidegate serve` running there?"),
        "{stderr}"
    );
    for (choice, expected) in [("wait", 10), ("halt", 20), ("proceed", 0)] {
        let (code, _, _) =
            tidegate(&[&["gate", "checkout", "--on-unknown", choice][..], &nowhere].concat());
        assert_eq!(code, expected, "{choice}");
    }
}

/// Scenario: wrong arguments.
/// Guarantees: exit 2.
#[test]
fn usage_errors_exit_2() {
    for arguments in [
        &["gate"][..],
        &["nonsense"],
        &["demo", "--seed", "x"],
        &["serve", "--set", "nothing=1"],
    ] {
        assert_eq!(tidegate(arguments).0, 2, "{arguments:?}");
    }
}

/// Scenario: the shipped examples, and a file with two mistakes.
/// Guarantees: examples are valid; both mistakes are named with file, line and column, exit 2.
#[test]
fn validate_names_every_mistake() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/slos");
    let (code, _, stderr) = tidegate(&["validate", examples]);
    assert_eq!(code, 0, "{stderr}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.yaml");
    let text = std::fs::read_to_string(format!("{examples}/checkout.yaml")).unwrap();
    let wrong = text
        .replacen("target:", "target: 99.9 #", 1)
        .replacen("kind: SLO", "kind: Slo", 1);
    std::fs::write(&file, wrong).unwrap();
    let (code, _, stderr) = tidegate(&["validate", file.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(
        stderr.contains("bad.yaml:") && stderr.contains("hint"),
        "{stderr}"
    );
}

/// Scenario: completion scripts.
/// Guarantees: they are made for the usual shells.
#[test]
fn completion_scripts_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = tidegate(&["completion", shell]);
        assert!(code == 0 && stdout.contains("tidegate"), "{shell}");
    }
}
