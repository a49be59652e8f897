//! The licenses of everything in the image: crates and the C code in them, Rust's library, shared objects, CA roots.
//!
//! Each package's own files are taken, wherever they lie in it; a package without one gets the standard text of the
//! license it declares. A package for which there is neither is an error: the list is complete or there is none.

use super::metadata::{Metadata, Package};
use super::rootfs::File;
use crate::run::root;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the licenses in the image.
pub(crate) const FOLDER: &str = "usr/share/doc/tidegate";

/// Every license file of the image but those of the shared objects.
///
/// # Errors
/// When a package has no license text, or the Rust installation lacks its own.
pub(crate) fn collect(metadata: &Metadata, features: &[String]) -> Result<Vec<File>> {
    let rust = rust_documents()?;
    let own = std::fs::read(root().join("LICENSE"))?;
    let library = rust.join("COPYRIGHT-library.html");
    let library = std::fs::read(&library).with_context(|| library.display().to_string())?;
    let crates = crates(&metadata.linked(features)?, &rust.join("licenses"))?;
    Ok(vec![
        File::document("LICENSE", own),
        File::document("rust-library-COPYRIGHT.html", library),
        File::document("THIRD-PARTY.txt", crates.into_bytes()),
    ])
}

/// Where rustc keeps its notices.
fn rust_documents() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(output.context("cannot start rustc")?.stdout)?;
    Ok(Path::new(sysroot.trim()).join("share/doc/rust"))
}

/// One text for all crates: every license once, under the names of those that have it.
fn crates(packages: &[Package], standard: &Path) -> Result<String> {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let mut own = Vec::new();
        find(&package.folder, &mut own)?;
        if own.is_empty() {
            own = standard_texts(package, standard)?;
        }
        for path in own {
            let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            let name = format!("{} {} ({})", package.name, package.version, package.license);
            texts.entry(text).or_default().insert(name);
        }
    }
    let rule = "=".repeat(80);
    let mut all = format!("Packages in tidegate: {}\n", packages.len());
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        all.push_str(&format!(
            "\n{rule}\n{}\n{rule}\n\n{text}\n",
            names.join("\n")
        ));
    }
    Ok(all)
}

/// The license files below `folder`.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let starts = [
        "license",
        "licence",
        "copying",
        "copyright",
        "notice",
        "unlicense",
    ];
    let code = ["rs", "c", "h", "go", "py", "pl"];
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let is_code = path
            .extension()
            .is_some_and(|one| code.iter().any(|code| one == *code));
        if path.is_dir() {
            find(&path, found)?;
        } else if starts.iter().any(|start| name.starts_with(start)) && !is_code {
            found.push(path);
        }
    }
    Ok(())
}

/// The standard texts of the licenses that a package declares.
fn standard_texts(package: &Package, standard: &Path) -> Result<Vec<PathBuf>> {
    let words = package.license.split([' ', '/', '(', ')']);
    let texts: Vec<PathBuf> = words
        .map(|word| standard.join(format!("{word}.txt")))
        .filter(|path| path.is_file())
        .collect();
    if texts.is_empty() {
        let Package {
            name,
            version,
            license,
            ..
        } = package;
        bail!("{name} {version} has no license file, and there is no standard text of `{license}`");
    }
    Ok(texts)
}

/// The notices of the Debian packages that `objects` come from.
///
/// # Errors
/// When an object belongs to no package or a notice is missing: what is shipped must be known.
pub(crate) fn of_objects(objects: &[PathBuf]) -> Result<Vec<File>> {
    let mut packages = BTreeSet::new();
    for object in objects {
        packages.insert(debian_package(object)?);
    }
    let mut files = Vec::new();
    let mut common = BTreeSet::new();
    for package in packages {
        let path = format!("/usr/share/doc/{package}/copyright");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let marker = "/usr/share/common-licenses/";
        for rest in text.split(marker).skip(1) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
            let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
            common.insert(name.trim_end_matches('.').to_owned());
        }
        files.push(File::document(
            &format!("{package}-copyright"),
            text.into_bytes(),
        ));
    }
    for name in common {
        let path = Path::new("/usr/share/common-licenses").join(&name);
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        files.push(File::document(&format!("common-licenses-{name}"), text));
    }
    Ok(files)
}

fn debian_package(object: &Path) -> Result<String> {
    // dpkg knows a file by one of its names: before or after the merge of /lib into /usr/lib.
    for path in [object.to_path_buf(), object.canonicalize()?] {
        let output = Command::new("dpkg").arg("--search").arg(&path).output();
        let output = output.context("images are made on Debian: cannot start dpkg")?;
        let text = String::from_utf8(output.stdout)?;
        if let Some((package, _)) = text.split_once(':').filter(|_| output.status.success()) {
            return Ok(package.to_owned());
        }
    }
    bail!("{} belongs to no Debian package", object.display())
}
