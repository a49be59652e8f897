//! The files of the image.

use super::licenses;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package whose certificates are the image's CA roots: those of Mozilla, pinned by Cargo.lock.
pub(crate) const CA_PACKAGE: &str = "webpki-root-certs";
/// User and group that the image runs as.
pub(crate) const USER: u64 = 65_532;

/// A file of the image.
pub(crate) struct File {
    /// Without the leading slash.
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

impl File {
    /// A license or notice.
    pub(crate) fn document(name: &str, content: Vec<u8>) -> Self {
        Self {
            path: format!("{}/{name}", licenses::FOLDER),
            mode: 0o644,
            content,
        }
    }
}

/// Everything: `binary`, what it loads, `licenses` and those of what it loads, CA roots; sorted by path.
///
/// # Errors
/// When a shared object is not found or its license is not known.
pub(crate) fn collect(binary: &Path, licenses: Vec<File>) -> Result<Vec<File>> {
    let objects = shared_objects(binary)?;
    let mut files = licenses;
    files.extend(licenses::of_objects(&objects)?);
    files.push(program("usr/bin/tidegate", binary)?);
    for object in &objects {
        // At the path where the loader looks for it.
        let path = object.display().to_string();
        files.push(program(path.trim_start_matches('/'), object)?);
    }
    files.push(File {
        path: "etc/ssl/certs/ca-certificates.crt".to_owned(),
        mode: 0o644,
        content: ca_roots().into_bytes(),
    });
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn program(path: &str, from: &Path) -> Result<File> {
    Ok(File {
        path: path.to_owned(),
        mode: 0o755,
        content: std::fs::read(from).with_context(|| from.display().to_string())?,
    })
}

/// What the loader loads for `binary`, and the loader, as it says itself (`ldd` runs it).
fn shared_objects(binary: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .context("cannot start ldd")?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() || text.contains("not found") {
        bail!("ldd {}: {text}", binary.display());
    }
    // `libc.so.6 => /lib/libc.so.6 (0x...)`, `/lib64/ld-linux.so.2 (0x...)`; the kernel's vdso has no path.
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

/// The certificates as PEM, where the TLS library looks for them.
fn ca_roots() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
