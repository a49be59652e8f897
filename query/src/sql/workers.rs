//! Where queries run: a few threads of their own, of low priority, and a place for each query that runs.

use super::ended::Ended;
use super::error::{SqlCode, SqlError};
use super::{Answer, Request, Sql, SqlLimits, session};
use engine::snapshot::Snapshot;
use std::sync::{Arc, OnceLock};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

/// Stack of a thread: expressions are walked and dropped recursively, [`super::guard`] bounds how deep. Only touched
/// pages cost memory.
const STACK_BYTES: usize = 32 << 20;
/// How much lower than everything else's their priority is (`nice`).
const NICENESS: i32 = 10;

/// The threads, once they run, and the places.
#[derive(Debug)]
pub(super) struct Workers {
    threads: usize,
    runtime: OnceLock<Option<Runtime>>,
    places: Arc<Semaphore>,
}

impl Workers {
    /// None running yet.
    pub(super) fn new(limits: &SqlLimits) -> Self {
        Self {
            threads: limits.threads,
            runtime: OnceLock::new(),
            places: Arc::new(Semaphore::new(limits.queries)),
        }
    }

    fn runtime(&self) -> Result<&Runtime, SqlError> {
        let started = self.runtime.get_or_init(|| {
            let threads = Builder::new_multi_thread()
                .worker_threads(self.threads)
                .thread_name("sql")
                .thread_stack_size(STACK_BYTES)
                .on_thread_start(lower_priority)
                .build();
            threads
                .inspect_err(|error| {
                    tracing::error!("the threads for SQL cannot be started: {error}")
                })
                .ok()
        });
        started.as_ref().ok_or_else(|| {
            SqlError::new(
                SqlCode::Busy,
                "the threads for SQL cannot be started: see the log",
            )
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            // Whoever drops the last handle may not be allowed to wait.
            runtime.shutdown_background();
        }
    }
}

fn lower_priority() {
    // On Linux the priority set by a thread is its own. Without the right to it, it stays as it is.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!("priority of a thread for SQL: {error}");
    }
}

/// Ends the query when the one who asked is gone.
struct Ending(AbortHandle, Ended);

impl Drop for Ending {
    fn drop(&mut self) {
        self.1.set();
        self.0.abort();
    }
}

impl Sql {
    /// Queries that could start now.
    #[cfg(test)]
    pub(super) fn places_left(&self) -> usize {
        self.workers.places.available_permits()
    }

    /// Answers `request` from `snapshot`, on the threads for SQL. Dropping the future ends the query.
    ///
    /// # Errors
    /// See [`SqlCode`].
    pub async fn answer(
        &self,
        snapshot: Arc<Snapshot>,
        request: Request,
    ) -> Result<Answer, SqlError> {
        let limits = self.limits().clone();
        let Ok(place) = Arc::clone(&self.workers.places).try_acquire_owned() else {
            return Err(SqlError::new(
                SqlCode::Busy,
                format!("{} queries are running: ask again", limits.queries),
            ));
        };
        let timeout = request.timeout.min(limits.timeout);
        let ended = Ended::default();
        let flag = ended.clone();
        let task = self.workers.runtime()?.spawn(async move {
            let answer = session::answer(snapshot, request, &limits, flag).await;
            drop(place);
            answer
        });
        let _ending = Ending(task.abort_handle(), ended);
        match tokio::time::timeout(timeout, task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::error!("a query ended in a panic: {error}");
                Err(SqlError::new(
                    SqlCode::Internal,
                    "the query failed: this is a fault of Tidegate, the log has more",
                ))
            }
            Err(_) => Err(SqlError::new(
                SqlCode::Timeout,
                format!(
                    "the query took longer than {} ms: filter by time, or group by less",
                    timeout.as_millis()
                ),
            )),
        }
    }
}
