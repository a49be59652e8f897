//! A program without SQL: every query is answered by saying so.

use super::{Answer, Request, Sql, SqlCode, SqlError};
use engine::snapshot::Snapshot;
use std::sync::Arc;

impl Sql {
    /// Answers `request` from `snapshot`.
    ///
    /// # Errors
    /// Always: this program was built without SQL.
    pub async fn answer(&self, _: Arc<Snapshot>, _: Request) -> Result<Answer, SqlError> {
        Err(SqlError::new(
            SqlCode::NotBuilt,
            "this Tidegate was built without SQL: build it with `--features sql`, or take the released binary",
        ))
    }
}
