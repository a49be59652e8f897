//! The image that `cargo xtask dist` writes: what is in it, and that it starts from nothing else, without root.

use crate::server::Server;
use crate::{finish, place};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// User of the image.
const USER: &str = "65532:65532";

/// An image archive in memory: its files by path.
struct Image(BTreeMap<String, Vec<u8>>);

impl Image {
    fn make(folder: &Path) -> Self {
        let mut dist = Command::new(place("XTASK"));
        dist.args([
            "dist",
            "--binary",
            env!("CARGO_BIN_EXE_tidegate"),
            "--output",
        ]);
        finish(dist.arg(folder));
        let mut archives = std::fs::read_dir(folder).unwrap().flatten();
        let archive =
            archives.find(|entry| entry.path().extension().is_some_and(|one| one == "tar"));
        let bytes = std::fs::read(archive.expect("an archive").path()).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
        Self(files)
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.0[path]).unwrap()
    }

    /// The blob that a descriptor names, of the size and digest that it says.
    fn blob(&self, descriptor: &Value) -> &[u8] {
        let digest = descriptor["digest"].as_str().unwrap();
        let blob = &self.0[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(descriptor["size"], blob.len());
        assert_eq!(digest, hash(blob));
        blob
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Follows the image from its index to the unpacked layer, checking every digest. Returns its configuration.
fn unpack(image: &Image, folder: &Path) -> Value {
    assert_eq!(image.json("oci-layout")["imageLayoutVersion"], "1.0.0");
    let index = image.json("index.json");
    let manifest: Value = serde_json::from_slice(image.blob(&index["manifests"][0])).unwrap();
    let config: Value = serde_json::from_slice(image.blob(&manifest["config"])).unwrap();
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    let mut layer = Vec::new();
    flate2::read::GzDecoder::new(image.blob(&manifest["layers"][0]))
        .read_to_end(&mut layer)
        .unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], hash(&layer));
    let mut layer = tar::Archive::new(layer.as_slice());
    layer.set_preserve_permissions(true);
    layer.set_preserve_ownerships(is_root());
    layer.unpack(folder).unwrap();
    config
}

fn is_root() -> bool {
    finish(Command::new("id").arg("-u")).stdout == b"0\n"
}

/// Every file below `folder`, as absolute paths inside it.
fn files(root: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(root, &path, found);
        } else {
            found.insert(Path::new("/").join(path.strip_prefix(root).unwrap()));
        }
    }
}

/// The image's program, in nothing but the image, as the image's user.
fn inside(folder: &Path, program: &str) -> Command {
    let mut command;
    if is_root() {
        command = Command::new("chroot");
        command.arg(format!("--userspec={USER}")).arg(folder);
    } else {
        command = Command::new("unshare");
        command.args(["--user", "--map-user=65532", "--map-group=65532"]);
        command.arg(format!("--root={}", folder.display()));
    }
    command
        .arg(program)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// Scenario: the image is made twice, unpacked, and its program started in a chroot as the image's user.
/// Guarantees: the same bytes; digests are right; only the binary, what it loads, every license and CA roots are inside;
/// it answers as healthy without root and keeps its data in the image's folder.
#[test]
fn the_image_starts_alone_and_without_root() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::make(&folder.path().join("dist"));
    let again = Image::make(&folder.path().join("again"));
    assert_eq!(image.json("index.json"), again.json("index.json"));
    let root = folder.path().join("root");
    let config = unpack(&image, &root);
    assert_eq!(config["config"]["User"], USER);
    let entry = config["config"]["Entrypoint"][0].as_str().unwrap();

    let mut inventory = BTreeSet::new();
    files(&root, &root, &mut inventory);
    let is_document = |path: &PathBuf| path.starts_with("/usr/share/doc/tidegate");
    let loaded = finish(Command::new("ldd").arg(env!("CARGO_BIN_EXE_tidegate"))).stdout;
    let loaded = String::from_utf8(loaded).unwrap();
    let mut expected: BTreeSet<PathBuf> = loaded
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    expected.extend([entry, "/etc/ssl/certs/ca-certificates.crt"].map(PathBuf::from));
    let others: BTreeSet<PathBuf> = inventory
        .iter()
        .filter(|path| !is_document(path))
        .cloned()
        .collect();
    assert_eq!(others, expected);
    for document in [
        "LICENSE",
        "THIRD-PARTY.txt",
        "rust-library-COPYRIGHT.html",
        "libc6-copyright",
    ] {
        let path = Path::new("/usr/share/doc/tidegate").join(document);
        assert!(inventory.contains(&path), "no {document}");
    }
    check_licenses(&root);
    let roots = std::fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 100);

    let server = Server::start_as(inside(&root, entry), &["--data-dir", "/var/lib/tidegate"]);
    assert_eq!(server.ask("/-/healthy").0, 200);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let user = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert!(
        !user.split_whitespace().any(|id| id == "0"),
        "runs as root: {user}"
    );
}

/// Every package that is linked into the binary is named in the image's list of licenses.
fn check_licenses(root: &Path) {
    let list =
        std::fs::read_to_string(root.join("usr/share/doc/tidegate/THIRD-PARTY.txt")).unwrap();
    let tree = finish(
        Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--package",
                "tidegate",
                "--edges",
                "normal",
            ])
            .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut count = 0;
    for line in tree
        .lines()
        .filter(|line| !line.contains('(') || line.ends_with("(proc-macro)"))
    {
        let mut words = line.split(' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        let name = format!("{name} {} (", version.trim_start_matches('v'));
        assert!(list.contains(&name), "no license of {name}");
        count += 1;
    }
    assert!(count > 200, "only {count} lines of cargo tree");
}
