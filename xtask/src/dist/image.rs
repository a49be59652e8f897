//! An OCI image archive (image-spec 1.1): `oci-layout`, `index.json`, and blobs: manifest, configuration, one layer.
//!
//! `manifest.json` beside them is what older `docker load` reads. The same files give the same bytes.

use super::rootfs::{File, USER};
use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// Where a mounted volume keeps the data directory.
const DATA: &str = "var/lib/tidegate";

/// Writes the archive of `files` to `path`, and its layer beside it as `rootfs.tar.gz`; everything has the time
/// `timestamp`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, files: &[File], version: &str, timestamp: u64) -> Result<()> {
    let layer = layer(files, timestamp)?;
    let mut zipped = GzBuilder::new().write(Vec::new(), Compression::default());
    zipped.write_all(&layer)?;
    let zipped = zipped.finish()?;
    std::fs::write(path.with_file_name("rootfs.tar.gz"), &zipped)?;
    let config = serde_json::to_vec(&config(&digest(&layer), version, timestamp))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &zipped)],
    }))?;
    let name = format!("tidegate:{version}");
    let mut image = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    image["annotations"] = json!({
        "org.opencontainers.image.ref.name": version,
        "io.containerd.image.name": format!("docker.io/library/{name}"),
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [image],
    });
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [name],
        "Layers": [blob_path(&zipped)],
    }]);

    let mut archive = Archive::new(timestamp);
    archive.folder("blobs", 0)?;
    archive.folder("blobs/sha256", 0)?;
    let mut blobs = [config, manifest, zipped];
    blobs.sort_by_key(|blob| digest(blob));
    for blob in &blobs {
        archive.file(&blob_path(blob), 0o644, blob)?;
    }
    archive.file("index.json", 0o644, &serde_json::to_vec(&index)?)?;
    archive.file("manifest.json", 0o644, &serde_json::to_vec(&docker)?)?;
    archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    std::fs::write(path, archive.finish()?)?;
    Ok(())
}

fn config(layer: &str, version: &str, timestamp: u64) -> Value {
    let created = rfc3339(timestamp);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": ["/usr/bin/tidegate"],
            "Cmd": ["serve"],
            // Reachable from outside the container. Without a token file Tidegate refuses these addresses unless
            // TIDEGATE_ALLOW_INSECURE_LISTEN says that they are meant.
            "Env": [
                "PATH=/usr/bin",
                "TIDEGATE_LISTEN_GRPC=0.0.0.0:4317",
                "TIDEGATE_LISTEN_HTTP=0.0.0.0:4318",
                "TIDEGATE_LISTEN_API=0.0.0.0:9470",
                format!("TIDEGATE_DATA_DIR=/{DATA}"),
            ],
            "ExposedPorts": {"4317/tcp": {}, "4318/tcp": {}, "9470/tcp": {}},
            "Volumes": {format!("/{DATA}"): {}},
            "Labels": {
                "org.opencontainers.image.title": "tidegate",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": created, "created_by": "cargo xtask dist"}],
    })
}

/// The layer as a tar file: `files`, the folders above them, and the data directory, which belongs to the user.
fn layer(files: &[File], timestamp: u64) -> Result<Vec<u8>> {
    let mut folders = BTreeSet::new();
    let paths = files.iter().map(|file| file.path.as_str());
    for path in paths.chain([DATA]) {
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        folders.extend(parents);
    }
    let mut archive = Archive::new(timestamp);
    for folder in folders {
        archive.folder(folder, 0)?;
    }
    archive.folder(DATA, USER)?;
    for file in files {
        archive.file(&file.path, file.mode, &file.content)?;
    }
    archive.finish()
}

/// A tar file in which nothing depends on the machine.
struct Archive {
    builder: tar::Builder<Vec<u8>>,
    timestamp: u64,
}

impl Archive {
    fn new(timestamp: u64) -> Self {
        Self {
            builder: tar::Builder::new(Vec::new()),
            timestamp,
        }
    }

    fn folder(&mut self, path: &str, owner: u64) -> Result<()> {
        let mut header = self.header(tar::EntryType::Directory, 0o755, owner, 0);
        let path = format!("{path}/");
        Ok(self
            .builder
            .append_data(&mut header, path, std::io::empty())?)
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let mut header = self.header(tar::EntryType::Regular, mode, 0, content.len() as u64);
        Ok(self.builder.append_data(&mut header, path, content)?)
    }

    fn header(&self, kind: tar::EntryType, mode: u32, owner: u64, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(size);
        header.set_mtime(self.timestamp);
        header
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/{}", digest(bytes).replace(':', "/"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// Unix time, s, as OCI wants it.
fn rfc3339(timestamp: u64) -> String {
    let second = i64::try_from(timestamp).ok();
    let time = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
    time.unwrap_or_default().to_string()
}
