//! `actions.log`: what is about to be done, before it is tried, and how it ended. One JSON object a line, appended and synced.
//!
//! It is what makes an action safe to repeat after a crash: one that ended is not done again, one that only began is looked at
//! and finished. At 3 actions in 10 min it grows by less than half a megabyte a day.

use engine::hand::Action;
use engine::input::EffectDone;
use engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct Error {
    /// The file.
    path: PathBuf,
    /// Cause.
    #[source]
    source: std::io::Error,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Intent {
        at: Timestamp,
        #[serde(with = "engine::hash::hex128")]
        id: u128,
        action: Action,
    },
    Outcome {
        at: Timestamp,
        done: EffectDone,
    },
}

/// The open log.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// How every action in it ended.
    outcomes: BTreeMap<u128, EffectDone>,
}

impl Journal {
    /// Opens or creates `path` and reads what is there. A torn last line is ended, not read.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error {
            path: path.to_owned(),
            source,
        };
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let mut outcomes = BTreeMap::new();
        for line in text.lines() {
            if let Ok(Line::Outcome { done, .. }) = serde_json::from_str(line) {
                outcomes.insert(done.id, done);
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.map_err(failed)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        Ok(Self { file, outcomes })
    }

    /// How `id` ended, if it did.
    pub(super) fn outcome(&self, id: u128) -> Option<&EffectDone> {
        self.outcomes.get(&id)
    }

    /// Writes that `action` is about to be done. It must not be tried when this fails.
    pub(super) fn begin(
        &mut self,
        at: Timestamp,
        id: u128,
        action: &Action,
    ) -> std::io::Result<()> {
        self.write(&Line::Intent {
            at,
            id,
            action: action.clone(),
        })
    }

    /// Writes how an action ended.
    pub(super) fn end(&mut self, at: Timestamp, done: &EffectDone) -> std::io::Result<()> {
        self.outcomes.insert(done.id, done.clone());
        self.write(&Line::Outcome {
            at,
            done: done.clone(),
        })
    }

    fn write(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }
}
