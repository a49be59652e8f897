//! The cluster: what its workloads are (`seen.rs`), and what is done to them (`act.rs`), without choosing.
//!
//! - **In / out**: [`Effect`]s that are for the cluster in; [`engine::hand::ClusterReport`]s and outcomes out, as inputs.
//! - **Owns**: one task a watched kind, one a running action; `actions.log`, where every action stands before it is tried and
//!   after it ended, on disk.
//! - **Limits**: [`ACTIONS_AT_ONCE`] actions at a time; an action is given up after [`GIVE_UP`].
//! - **Sources**: Kubernetes API conventions (watches, patches, Events); Argo Rollouts 1.9 (`status.abort`).

mod act;
mod api;
mod dry_run;
mod journal;
mod patch;
mod seen;
mod watch;

use act::Executor;
use api::Cluster;
use engine::hand::Level;
use engine::input::{Effect, Input};
use engine::time::Timestamp;
use journal::Journal;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use act::{ACTIONS_AT_ONCE, GIVE_UP};
pub use journal::Error as JournalError;

/// What is watched, and how far the hand may go.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Kubeconfig file; `None`: the pod's service account, else the usual places.
    pub kubeconfig: Option<PathBuf>,
    /// The only namespace watched; `None`: all.
    pub namespace: Option<String>,
    /// Label selector; `None`: everything.
    pub selector: Option<String>,
    /// Environment of the cluster's telemetry; empty: any.
    pub environment: String,
    /// Highest level of any service.
    pub max_level: Level,
    /// Where every action is written before and after it is tried; `None`: nothing is done.
    pub actions_log: Option<PathBuf>,
}

/// Why the cluster cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No kubeconfig and no service account.
    #[error("the cluster's address and credentials cannot be read")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client cannot be made.
    #[error("the client of the cluster cannot be set up")]
    Client(#[source] Box<kube::Error>),
    /// The log of actions cannot be used.
    #[error("the log of actions cannot be used")]
    Journal(#[source] JournalError),
}

/// A cluster that can be watched.
pub struct Hand {
    cluster: Arc<Cluster>,
    settings: Settings,
    journal: Option<Journal>,
}

impl Hand {
    /// Reads credentials and the log of actions; does not connect yet: an API server that is away is waited for.
    ///
    /// # Errors
    /// [`Error`], when waiting would not help.
    pub async fn new(settings: Settings) -> Result<Self, Error> {
        let journal = settings.actions_log.as_deref().map(Journal::open);
        Ok(Self {
            cluster: Arc::new(Cluster::connect(&settings).await?),
            journal: journal.transpose().map_err(Error::Journal)?,
            settings,
        })
    }

    /// Watches and acts until `shutdown`.
    pub async fn run(
        self,
        effects: mpsc::Receiver<Effect>,
        inputs: mpsc::Sender<Input>,
        clock: fn() -> Timestamp,
        shutdown: CancellationToken,
    ) {
        let is_logged = self.journal.is_some();
        let mut tasks = JoinSet::new();
        for kind in watch::KINDS {
            let watch = watch::Watch {
                cluster: Arc::clone(&self.cluster),
                environment: self.settings.environment.clone(),
                kind,
                inputs: inputs.clone(),
            };
            tasks.spawn(watch.run());
        }
        let dry_run = dry_run::DryRun {
            cluster: Arc::clone(&self.cluster),
            max_level: self.settings.max_level,
            is_logged,
            inputs: inputs.clone(),
        };
        tasks.spawn(dry_run.run());
        let executor = Executor::new(self.cluster, self.journal, inputs, clock);
        tasks.spawn(executor.run(effects));
        shutdown.cancelled().await;
        // An action that is cut off here stands in the log as begun, and is resumed at the next start.
        tasks.shutdown().await;
    }
}
