//! `cargo xtask dist`: the stripped binary and an OCI image archive of it, without a Docker daemon.
//!
//! The image holds the binary, the shared objects it loads, the licenses of all of that, and CA roots; nothing else.

mod image;
mod licenses;
mod metadata;
mod rootfs;

use crate::lanes::target_dir;
use crate::run::{cargo, root, run};
use anyhow::{Context, Result, bail};
use metadata::Metadata;
use std::path::PathBuf;
use std::process::Command;

/// Features of the shipped binary, as far as the package has them.
const SHIPPED: [&str; 2] = ["sql", "kubernetes"];

/// What was asked for.
struct Options {
    profile: String,
    binary: Option<PathBuf>,
    output: PathBuf,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            profile: "release".to_owned(),
            binary: None,
            output: target_dir().join("dist"),
        };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let value = rest
                .next()
                .with_context(|| format!("{flag} takes a value"))?;
            match flag.as_str() {
                "--profile" => options.profile.clone_from(value),
                "--binary" => options.binary = Some(value.into()),
                "--output" => options.output = value.into(),
                _ => bail!("unknown flag `{flag}`: expected --profile, --binary or --output"),
            }
        }
        Ok(options)
    }
}

/// `cargo xtask dist [--profile NAME] [--binary FILE] [--output DIRECTORY]`.
///
/// # Errors
/// When the build fails, or something that the image needs is not on this machine.
pub(crate) fn run_dist(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let metadata = Metadata::read()?;
    let features = metadata.features_of("tidegate", &SHIPPED);
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build(&options.profile, &features)?,
    };
    let timestamp = timestamp();
    std::fs::create_dir_all(&options.output)?;
    let shipped = options.output.join("tidegate");
    std::fs::copy(&binary, &shipped).with_context(|| binary.display().to_string())?;

    let files = rootfs::collect(&shipped, licenses::collect(&metadata, &features)?)?;
    let archive = options
        .output
        .join(format!("tidegate-{}-oci.tar", metadata.version()));
    image::write(&archive, &files, metadata.version(), timestamp)?;
    println!("{}", shipped.display());
    println!("{}", archive.display());
    Ok(())
}

fn build(profile: &str, features: &[String]) -> Result<PathBuf> {
    let mut command = cargo(&[
        "build",
        "--locked",
        "--bin",
        "tidegate",
        "--profile",
        profile,
    ]);
    command.arg("--features").arg(features.join(","));
    run(&mut command)?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir().join(folder).join("tidegate"))
}

/// Unix time of everything in the image: that of the commit, so that the same commit gives the same image.
fn timestamp() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let of_commit = || {
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(root());
        let output = git.output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    given
        .or_else(of_commit)
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}
