//! Files and directories to [`DefinitionsLoaded`]: all or nothing, in a fixed order.

use super::alerts::{Targets, check_condition, check_unused, read_target};
use super::openslo::{Kind, Object, Objects};
use super::reader::{Field, Report};
use super::sli::Indicator;
use super::slo::{Services, read_slos};
use super::yaml::{self, BYTES_MAX, Tree, Value};
use engine::input::DefinitionsLoaded;
use engine::slo::{Definitions, ExclusionRule};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files in a definitions directory.
pub const FILES_MAX: usize = 10_000;
/// Deepest nesting of folders in it.
const FOLDERS_DEEP: usize = 8;

/// How to read definitions.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Warnings are errors: for CI.
    pub strict: bool,
    /// The exclusion rule of the configuration; it travels with the definitions.
    pub exclusion: ExclusionRule,
    /// Names of the configured webhooks, in order; empty when they are not known (`tidegate validate`).
    pub endpoints: Vec<String>,
    /// Names of the configured Alertmanagers, in order.
    pub alertmanagers: Vec<String>,
    /// Wanted time between false alarms of all detectors together, s; 0 = a week. It travels with the definitions.
    pub false_alarm_secs: u64,
    /// Generation the new definitions get.
    pub generation: u64,
}

/// One file's name, as shown in messages, and its bytes.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name shown: the path relative to the directory.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Reads all definition files below `directory`: `*.yaml`, `*.yml` and `*.json`, not hidden ones.
///
/// Hidden names are skipped, so a mounted ConfigMap (`..data`, `..2026_...`) is seen once, through its visible
/// links. An empty directory is valid. Errors are in the result, and then `definitions` is `None`.
pub fn load_dir(directory: &Path, options: &LoadOptions) -> DefinitionsLoaded {
    let report = Report::new(options.strict);
    let paths = sorted_files(directory, &report);
    let name = |path: &Path| shown(path.strip_prefix(directory).unwrap_or(path));
    let sources = read_all(&paths, name, &report);
    build(&sources, options, report)
}

/// The files that [`load_dir`] would read, sorted; what cannot be read is left out.
pub fn definition_files(directory: &Path) -> Vec<PathBuf> {
    sorted_files(directory, &Report::default())
}

fn sorted_files(directory: &Path, report: &Report) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    collect(directory, 0, &mut paths, report);
    paths.sort();
    paths
}

/// Reads files and directories named one by one; their names are shown as given.
pub fn load_files(paths: &[PathBuf], options: &LoadOptions) -> DefinitionsLoaded {
    let report = Report::new(options.strict);
    let mut files = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            let mut inside = Vec::new();
            collect(path, 0, &mut inside, &report);
            files.extend(inside);
        } else {
            files.insert(path.clone());
        }
    }
    let files: Vec<PathBuf> = files.into_iter().collect();
    let sources = read_all(&files, shown, &report);
    build(&sources, options, report)
}

/// Reads definitions from memory.
pub fn load_sources(sources: &[Source], options: &LoadOptions) -> DefinitionsLoaded {
    build(sources, options, Report::new(options.strict))
}

fn shown(path: &Path) -> String {
    yaml::shorten_path(&path.to_string_lossy())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

fn is_definition(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

fn collect(directory: &Path, deep: usize, paths: &mut Vec<PathBuf>, report: &Report) {
    let problem = |message: String, hint: &str| report.file_error(&shown(directory), message, hint);
    if deep > FOLDERS_DEEP {
        return problem(
            format!("expected at most {FOLDERS_DEEP} levels of folders, got more"),
            "is there a link to a folder above?",
        );
    }
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            return problem(
                format!("expected a readable directory, got: {error}"),
                "see `definitions` in the configuration",
            );
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => {
                return problem(format!("expected a readable directory, got: {error}"), "");
            }
        };
        if is_hidden(&path) {
            continue;
        }
        if path.is_dir() {
            collect(&path, deep + 1, paths, report);
        } else if is_definition(&path) {
            if paths.len() >= FILES_MAX {
                return problem(
                    format!("expected at most {FILES_MAX} files, got more"),
                    "join some: a file may hold several documents",
                );
            }
            paths.push(path);
        }
    }
}

fn read_all(paths: &[PathBuf], name: impl Fn(&Path) -> String, report: &Report) -> Vec<Source> {
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        match read_bounded(path) {
            Ok(bytes) => sources.push(Source {
                name: name(path),
                bytes,
            }),
            Err(error) => {
                report.file_error(
                    &name(path),
                    format!("expected a readable file, got: {error}"),
                    "",
                );
            }
        }
    }
    sources
}

/// Reads at most one byte more than is allowed, enough to see that it is too much.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn build(sources: &[Source], options: &LoadOptions, report: Report) -> DefinitionsLoaded {
    let files: Vec<(String, Tree)> = sources
        .iter()
        .map(|source| (source.name.clone(), yaml::parse(&source.bytes)))
        .collect();
    for (file, tree) in &files {
        for fault in &tree.faults {
            report.fault(file, fault.clone());
        }
    }
    let definitions = interpret(&files, options, &report);
    let definitions = (!report.has_errors()).then(|| Arc::new(definitions));
    DefinitionsLoaded {
        definitions,
        problems: report.into_problems(),
    }
}

fn interpret(files: &[(String, Tree)], options: &LoadOptions, report: &Report) -> Definitions {
    let objects = Objects::read(files, report);
    let services = Services::read(&objects);
    let mut targets = Targets::new();
    for target in objects.of_kind(Kind::AlertNotificationTarget) {
        if read_target(target, &mut targets).is_some() {
            check_endpoint(target, &targets, options);
        }
    }
    for sli in objects.of_kind(Kind::Sli) {
        sli.check_own(&[]);
        Indicator::read(&sli.spec, &objects);
    }
    objects
        .of_kind(Kind::AlertCondition)
        .for_each(check_condition);
    for source in objects.of_kind(Kind::DataSource) {
        source.root.warn(
            "expected no DataSource, got one: spans are received, nothing is fetched",
            "it is ignored",
        );
    }
    let slos = read_slos(&objects, &services, &mut targets);
    check_unused(&objects, &used_policies(&objects), &mut targets);
    Definitions {
        generation: options.generation,
        slos,
        services: services.policies,
        targets,
        endpoints: options.endpoints.clone(),
        alertmanagers: options.alertmanagers.clone(),
        exclusion: options.exclusion.clone(),
        false_alarm_secs: options.false_alarm_secs,
    }
}

/// Warns when a target names nothing that is configured.
fn check_endpoint(object: &Object<'_>, targets: &Targets, options: &LoadOptions) {
    let Some(target) = targets.get(object.name) else {
        return;
    };
    let endpoints = [options.endpoints.as_slice(), &options.alertmanagers].concat();
    if !endpoints.is_empty() && !endpoints.contains(target) {
        object.spec.warn(
            format!(
                "expected the name of a configured webhook or Alertmanager, got `{}`",
                yaml::shorten(target)
            ),
            format!(
                "alerts for it are not sent; configured: {}",
                endpoints.join(", ")
            ),
        );
    }
}

/// Names in any `alertPolicyRef` of an SLO.
fn used_policies(objects: &Objects<'_>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for slo in &objects.slos {
        for item in list_of(&slo.spec, "alertPolicies") {
            if let Value::Map(entries) = &item.value
                && let Some(entry) = entries.iter().find(|entry| entry.key == "alertPolicyRef")
                && let Value::Scalar { text, .. } = &entry.value.value
            {
                used.insert(text.clone());
            }
        }
    }
    used
}

fn list_of<'a>(field: &Field<'a>, key: &str) -> &'a [yaml::Node] {
    let Value::Map(entries) = &field.node.value else {
        return &[];
    };
    match entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value.value)
    {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}
