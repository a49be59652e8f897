//! What cargo knows about the packages: versions, features, and which are linked into the binary.

use crate::run::cargo;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A package that is part of the binary.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression, empty when the package says none.
    pub(crate) license: String,
    pub(crate) folder: PathBuf,
}

/// `cargo metadata` of the workspace for this platform.
pub(crate) struct Metadata(Value);

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn read() -> Result<Self> {
        Self::with(&[])
    }

    fn with(features: &[String]) -> Result<Self> {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut command = cargo(&["metadata", "--locked", "--format-version", "1"]);
        command.args(["--filter-platform", &platform]);
        command.arg("--features").arg(features.join(","));
        let output = command.output().context("cannot start cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(Self(serde_json::from_slice(&output.stdout)?))
    }

    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0["packages"].as_array().into_iter().flatten()
    }

    /// The version of `tidegate`.
    pub(crate) fn version(&self) -> &str {
        let mut packages = self.packages();
        let own = packages.find(|package| package["name"] == "tidegate");
        own.and_then(|package| package["version"].as_str())
            .unwrap_or("0")
    }

    /// Those of `wanted` that `package` has.
    pub(crate) fn features_of(&self, package: &str, wanted: &[&str]) -> Vec<String> {
        let own = self.packages().find(|one| one["name"] == package);
        let has = |name: &&&str| own.is_some_and(|one| !one["features"][**name].is_null());
        wanted
            .iter()
            .filter(has)
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// Every package of a registry that is linked into `tidegate` with `features`, and the one with the CA roots.
    ///
    /// # Errors
    /// When cargo fails.
    pub(crate) fn linked(&self, features: &[String]) -> Result<Vec<Package>> {
        let resolved = Self::with(features)?;
        let nodes: BTreeMap<&str, &Value> = resolved.0["resolve"]["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| Some((node["id"].as_str()?, node)))
            .collect();
        let roots = resolved.packages().filter(|package| {
            ["tidegate", super::rootfs::CA_PACKAGE]
                .contains(&package["name"].as_str().unwrap_or(""))
        });
        let mut open: Vec<&str> = roots.filter_map(|package| package["id"].as_str()).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    nodes
                        .get(id)
                        .into_iter()
                        .flat_map(|node| normal_dependencies(node)),
                );
            }
        }
        let linked = resolved.packages().filter(|package| {
            let is_linked = package["id"].as_str().is_some_and(|id| seen.contains(id));
            is_linked && !package["source"].is_null()
        });
        Ok(linked.map(package).collect())
    }
}

/// Dependencies that are neither for tests nor for build scripts.
fn normal_dependencies(node: &Value) -> impl Iterator<Item = &str> {
    let dependencies = node["deps"].as_array().into_iter().flatten();
    dependencies
        .filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        })
        .filter_map(|dependency| dependency["pkg"].as_str())
}

fn package(value: &Value) -> Package {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    Package {
        name: text("name"),
        version: text("version"),
        license: text("license"),
        folder: PathBuf::from(text("manifest_path")).with_file_name(""),
    }
}
