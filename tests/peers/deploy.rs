//! The examples of `deploy` that other people's programs check.

use crate::{file, finish, place};
use serde_json::Value;
use std::process::Command;

/// Scenario: actionlint reads the example workflow beside the composite action that it uses.
/// Guarantees: no finding: syntax, expressions, and the inputs and outputs of the action fit.
#[test]
fn the_github_action_passes_actionlint() {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join(".github/workflows");
    let action = folder.path().join("deploy/github-action");
    for path in [&folder.path().join(".git"), &workflows, &action] {
        std::fs::create_dir_all(path).unwrap();
    }
    let shipped = file("deploy/github-action");
    std::fs::copy(shipped.join("example.yml"), workflows.join("example.yml")).unwrap();
    std::fs::copy(shipped.join("action.yml"), action.join("action.yml")).unwrap();
    finish(Command::new(place("ACTIONLINT")).current_dir(folder.path()));
}

/// Scenario: the library of `docker compose` loads the quick start, with two image tags.
/// Guarantees: it fits the compose schema, and the tag that runs is the revision that telemetry carries.
#[test]
fn the_compose_file_is_valid_and_carries_the_tag() {
    for tag in ["1.4.2", "1.5.0"] {
        let output = finish(
            Command::new(place("COMPOSE"))
                .arg(file("deploy/docker/compose.yaml"))
                .env("CHECKOUT_TAG", tag),
        );
        let project: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checkout = &project["services"]["checkout"];
        let image = checkout["image"].as_str().unwrap();
        assert!(image.ends_with(&format!(":{tag}")), "{image}");
        let attributes = checkout["environment"]["OTEL_RESOURCE_ATTRIBUTES"]
            .as_str()
            .unwrap();
        let carried = format!("container.image.tag={tag}");
        assert!(
            attributes.split(',').any(|one| one == carried),
            "{attributes}"
        );
    }
}
