//! OpenSLO files to [`engine::slo::Definitions`]: every problem of every file at once, all or nothing.
//!
//! - **In / out**: YAML or JSON files in, [`engine::input::DefinitionsLoaded`] out (through [`mod@watch`] into a channel).
//! - **Does not know**: the engine's state; what a definition does there is the engine's business.
//! - **Owns**: the mapping from OpenSLO v1 to the engine's types, and the words of its messages.
//! - **Limits**: 1 MiB a file ([`yaml::BYTES_MAX`]), [`yaml::DEPTH_MAX`] levels, [`yaml::NODES_MAX`] values with aliases
//!   expanded, [`load::FILES_MAX`] files; beyond them the file is refused at a named line.
//! - **Sources**: OpenSLO v1 specification; SRE Workbook chapter 5 (burn tiers).
//! - **Read next**: [`load`] (files to definitions), [`openslo`] (envelopes), [`slo`], [`sli`], [`alerts`], [`values`].
//!
//! Lenient by default: what other tools write and OpenSLO forbids is accepted with a warning; strict mode makes
//! warnings errors. What OpenSLO has and Tidegate has not yet is an error that starts with `comes later:`.

pub mod alerts;
pub mod load;
pub mod openslo;
mod points;
pub mod reader;
mod records;
pub mod show;
pub mod sli;
pub mod slo;
pub mod values;
pub mod watch;
pub mod yaml;

pub use load::{LoadOptions, Source, load_dir, load_files, load_sources};
pub use watch::{Reloader, Watch, WatchOptions, watch};

#[cfg(test)]
mod tests;
