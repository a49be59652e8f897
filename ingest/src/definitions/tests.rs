//! What files mean, and what their mistakes are called.
#![expect(clippy::unwrap_used, reason = "tests")]

mod budgets;
mod meaning;
mod mistakes;
mod mutations;
mod sources;

use super::*;
use engine::input::DefinitionsLoaded;
use engine::slo::Slo;

/// Loads `text` as the file `a.yaml`.
fn load(text: &str) -> DefinitionsLoaded {
    load_files_of(&[("a.yaml", text)], &LoadOptions::default())
}

fn load_files_of(files: &[(&str, &str)], options: &LoadOptions) -> DefinitionsLoaded {
    let source = |(name, text): &(&str, &str)| Source {
        name: (*name).to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let sources: Vec<Source> = files.iter().map(source).collect();
    load_sources(&sources, options)
}

/// All problems as text.
fn problems(loaded: &DefinitionsLoaded) -> String {
    show::problems_text(&loaded.problems)
}

/// The only SLO of a file without any problem.
fn one_slo(text: &str) -> Slo {
    let loaded = load(text);
    assert_eq!(problems(&loaded), "");
    let definitions = loaded.definitions.unwrap();
    assert_eq!(definitions.slos.len(), 1);
    definitions.slos.values().next().unwrap().clone()
}

/// A file without any problem: line 1 is `apiVersion`, `spec.objectives` is line 25.
const GOOD: &str = "\
apiVersion: openslo/v1
kind: Service
metadata:
  name: checkout
  labels: {team: shop}
  annotations:
    tidegate.dev/environment: production
    tidegate.dev/maturity: mission-critical
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: availability
  displayName: Checkout works
spec:
  service: checkout
  indicator:
    spec:
      ratioMetric:
        total: {metricSource: {type: tidegate-spans, spec: {kind: server}}}
        bad: {metricSource: {type: tidegate-spans, spec: {failed: default}}}
  timeWindow:
    - {duration: 30d, isRolling: true}
  budgetingMethod: Occurrences
  objectives:
    - target: 0.999
";

/// [`GOOD`] with one part replaced, which must be there.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "`{from}` is in the good file");
    GOOD.replacen(from, to, 1)
}
