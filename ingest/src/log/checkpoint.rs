//! Checkpoints: the whole state in one file, either complete or not there.
//!
//! Written as `tmp`, fsync, rename, fsync of the folder; the newest [`KEPT`] are kept, so that one rotten file
//! costs time, not data. The content is opaque here: bytes with a length and a CRC.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Checkpoints kept beside the newest one.
const KEPT: usize = 2;
const MAGIC: &[u8; 8] = b"TGCHECKP";
/// Version of the checkpoint's content. N reads N - 1; N - 1 refuses N.
pub const CHECKPOINT_FORMAT: u32 = 5;

/// A folder of checkpoints.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// Why a checkpoint could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The folder or a file cannot be read or written.
    #[error("cannot use the data directory {}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Written by a newer version.
    #[error("{} has checkpoint format {found}, this version reads {CHECKPOINT_FORMAT}: start the version that wrote it, or another --data-dir", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Format found.
        found: u32,
    },
}

/// A loaded checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its content.
    pub content: Vec<u8>,
    /// Newer files that were damaged and skipped.
    pub damaged: Vec<PathBuf>,
}

impl Checkpoints {
    /// Uses (and creates) `dir`.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(dir: &Path) -> Result<Self, CheckpointError> {
        fs::create_dir_all(dir).map_err(|source| CheckpointError::Io {
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// Checkpoint files with their numbers, newest first.
    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let number = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix("checkpoint-"))
                .and_then(|name| name.strip_suffix(".tg"))
                .and_then(|digits| digits.parse().ok());
            if let Some(number) = number {
                files.push((number, path));
            }
        }
        files.sort_by(|left, right| right.cmp(left));
        Ok(files)
    }

    /// Makes `content` durable as checkpoint `number` (ascending), then removes the oldest ones.
    ///
    /// # Errors
    /// When the disk refuses; the previous checkpoint is then still whole.
    pub fn write(&self, number: u64, content: &[u8]) -> io::Result<()> {
        let path = self.dir.join(format!("checkpoint-{number:020}.tg"));
        let temporary = self.dir.join("checkpoint.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(&CHECKPOINT_FORMAT.to_le_bytes())?;
        file.write_all(&crc32c::crc32c(content).to_le_bytes())?;
        file.write_all(&(content.len() as u64).to_le_bytes())?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        for (_, old) in self.files()?.into_iter().skip(1 + KEPT) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The newest whole checkpoint; `None` when there is none.
    ///
    /// # Errors
    /// When the folder cannot be read, or the newest file is of a newer version (never silently skipped: an older
    /// one would bring back cleared latches).
    pub fn load(&self) -> Result<Option<Loaded>, CheckpointError> {
        let io = |path: &Path, source| CheckpointError::Io {
            path: path.to_owned(),
            source,
        };
        let mut damaged = Vec::new();
        for (_, path) in self.files().map_err(|source| io(&self.dir, source))? {
            let data = fs::read(&path).map_err(|source| io(&path, source))?;
            match parse(&data) {
                Parsed::Whole(content) => {
                    return Ok(Some(Loaded {
                        content: content.to_vec(),
                        damaged,
                    }));
                }
                Parsed::Newer(found) => return Err(CheckpointError::Newer { path, found }),
                Parsed::Damaged => damaged.push(path),
            }
        }
        Ok(None)
    }
}

enum Parsed<'a> {
    Whole(&'a [u8]),
    Newer(u32),
    Damaged,
}

fn parse(data: &[u8]) -> Parsed<'_> {
    let Some((head, content)) = data.split_at_checked(24) else {
        return Parsed::Damaged;
    };
    if &head[..8] != MAGIC {
        return Parsed::Damaged;
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(8) != CHECKPOINT_FORMAT {
        return Parsed::Newer(word(8));
    }
    let length = u64::from(word(16)) | (u64::from(word(20)) << 32);
    if content.len() as u64 != length || crc32c::crc32c(content) != word(12) {
        return Parsed::Damaged;
    }
    Parsed::Whole(content)
}
