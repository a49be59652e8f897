//! SQL over one snapshot, read-only, in a sandbox: spans, metric points and log records of the hot store, and the
//! engine's own rows. `docs/sql.md` is the reference for users, generated from the tables defined here.
//!
//! The statement of a stranger runs beside the gate, so nothing in it may write, read a file, take the machine's
//! memory or delay anybody. Five fences, each of which the others do not replace: the statement is measured before
//! and after parsing ([`guard`]); only functions on a list exist ([`functions`]), those that make text longer are
//! measured before they run; operators share a small pool of memory, have no disk and can be ended ([`fences`]);
//! time, rows and bytes of an answer are bounded; and it all runs on few threads of low priority ([`workers`]).
//!
//! Item tables are not copied: [`scan`] walks the store's chunks and makes arrays of the columns that a query names,
//! for the rows that its filter leaves. `attributes['k']` is k's column, found by [`attribute`].
//!
//! Without the feature `sql` only the shapes exist, and every query is answered `SQL_NOT_BUILT`.

#[cfg(not(feature = "sql"))]
mod absent;
#[cfg(feature = "sql")]
mod attribute;
#[cfg(feature = "sql")]
mod ended;
mod error;
#[cfg(feature = "sql")]
mod fences;
#[cfg(feature = "sql")]
mod filter;
#[cfg(feature = "sql")]
mod functions;
#[cfg(feature = "sql")]
mod guard;
#[cfg(feature = "sql")]
mod items;
#[cfg(feature = "sql")]
mod output;
#[cfg(feature = "sql")]
mod reference;
#[cfg(feature = "sql")]
mod scan;
#[cfg(feature = "sql")]
mod session;
#[cfg(feature = "sql")]
mod state;
#[cfg(feature = "sql")]
mod table;
#[cfg(feature = "sql")]
mod tables;
#[cfg(all(test, feature = "sql"))]
mod tests;
#[cfg(feature = "sql")]
mod workers;

#[cfg(feature = "sql")]
pub use reference::reference;

pub use error::{Position, SqlCode, SqlError};

use engine::time::Timestamp;
use std::time::Duration;

/// Bounds of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLimits {
    /// Memory that the operators of one query may hold, bytes.
    pub query_bytes: usize,
    /// Queries that run at once; more are refused.
    pub queries: usize,
    /// Threads that all queries share; also the parts that one query is cut into.
    pub threads: usize,
    /// Longest time of a query; a request may ask for less.
    pub timeout: Duration,
    /// Most rows of an answer; a request may ask for fewer.
    pub rows: usize,
    /// Most bytes of an answer, as encoded.
    pub answer_bytes: usize,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            query_bytes: 40 << 20,
            queries: 2,
            threads: 2,
            timeout: Duration::from_secs(10),
            rows: 100_000,
            answer_bytes: 16 << 20,
        }
    }
}

/// How an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// One JSON document.
    #[default]
    Json,
    /// RFC 4180, header line first; text that a spreadsheet would run is quoted with an apostrophe.
    Csv,
    /// Arrow IPC stream.
    Arrow,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// One SELECT.
    pub statement: String,
    /// Most rows wanted; bounded by [`SqlLimits::rows`].
    pub rows: usize,
    /// Longest time; bounded by [`SqlLimits::timeout`].
    pub timeout: Duration,
    /// Form of the answer.
    pub encoding: Encoding,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The encoded rows.
    pub body: Vec<u8>,
    /// True when there were more rows than may be in an answer.
    pub is_truncated: bool,
    /// Logical time of the snapshot it speaks of.
    pub as_of: Timestamp,
}

/// Answers SQL. Cheap to clone; threads start with the first query.
#[derive(Debug, Clone)]
pub struct Sql {
    limits: SqlLimits,
    #[cfg(feature = "sql")]
    workers: std::sync::Arc<workers::Workers>,
}

impl Default for Sql {
    fn default() -> Self {
        Self::new(SqlLimits::default())
    }
}

impl Sql {
    /// SQL within `limits`.
    pub fn new(limits: SqlLimits) -> Self {
        Self {
            #[cfg(feature = "sql")]
            workers: std::sync::Arc::new(workers::Workers::new(&limits)),
            limits,
        }
    }

    /// The bounds in force.
    pub fn limits(&self) -> &SqlLimits {
        &self.limits
    }
}
