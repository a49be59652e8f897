//! Why a statement is not answered: a code for programs, words for people, and the place when it is known.

use crate::problem::Problem;
use axum::http::StatusCode;
use serde_json::json;

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlCode {
    /// The program was built without SQL.
    NotBuilt,
    /// The statement is longer, deeper or wider than is read.
    TooLarge,
    /// It does not parse.
    Syntax,
    /// It asks for something that is not offered: anything but one SELECT, a function that is not on the list.
    NotAllowed,
    /// It parses and means nothing here: an unknown table or column, types that do not go together.
    Invalid,
    /// It needs more memory than a query gets.
    Memory,
    /// It took longer than its time.
    Timeout,
    /// Too many queries at once: ask again.
    Busy,
    /// A mistake of Tidegate's own.
    Internal,
}

impl SqlCode {
    /// The word in the answer's `code`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotBuilt => "SQL_NOT_BUILT",
            Self::TooLarge => "SQL_TOO_LARGE",
            Self::Syntax => "SQL_SYNTAX",
            Self::NotAllowed => "SQL_NOT_ALLOWED",
            Self::Invalid => "SQL_INVALID",
            Self::Memory => "SQL_MEMORY",
            Self::Timeout => "SQL_TIMEOUT",
            Self::Busy => "SQL_BUSY",
            Self::Internal => "SQL_INTERNAL",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NotBuilt => StatusCode::NOT_IMPLEMENTED,
            Self::TooLarge | Self::Syntax | Self::NotAllowed => StatusCode::BAD_REQUEST,
            Self::Invalid | Self::Memory | Self::Timeout => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A place in the statement, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

/// A statement that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SqlError {
    /// For programs.
    pub code: SqlCode,
    /// For people: what is wrong and what to do.
    pub detail: String,
    /// Where, when it is known.
    pub position: Option<Position>,
}

impl SqlError {
    /// An error without a place.
    pub fn new(code: SqlCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            position: None,
        }
    }
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        let problem =
            Self::new(error.code.status(), error.detail).with("code", json!(error.code.name()));
        match error.position {
            Some(at) => problem.with("position", json!({"line": at.line, "column": at.column})),
            None => problem,
        }
    }
}
