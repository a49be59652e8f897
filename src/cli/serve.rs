//! `tidegate serve`.

use super::output::complain;
use super::status::REVISION_SNIPPET;
use crate::config::{self, Config, ConfigArgs};
use crate::serve;
use crate::shell::Published;
use anyhow::Result;
use clap::Args;
use engine::registry::is_revision_unknown;
use std::collections::BTreeSet;

/// Receive telemetry, keep budgets, answer the gate
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print every setting with its default and its comment, and exit
    #[arg(long)]
    print_config: bool,
}

/// Exit code for settings that cannot work.
const USAGE: u8 = 2;

impl ServeArgs {
    /// Serves until SIGINT or SIGTERM. Returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        if self.print_config {
            super::output::say(config::example().trim_end());
            return 0;
        }
        let loaded = config::load(&self.config, std::env::vars());
        if !loaded.problems.is_empty() {
            complain(ingest::definitions::show::problems_text(&loaded.problems).trim_end());
        }
        let Some(settings) = loaded.config else {
            return USAGE;
        };
        match serve(&settings).await {
            Ok(()) => 0,
            Err(error) => {
                complain(format!("error: {error:#}"));
                1
            }
        }
    }
}

async fn serve(settings: &Config) -> Result<()> {
    let running = serve::start(settings).await?;
    complain(format!(
        "tidegate {} is listening\n  OTLP/gRPC  {}\n  OTLP/HTTP  http://{}\n  pages, API http://{}",
        env!("CARGO_PKG_VERSION"),
        running.grpc,
        running.http,
        running.api
    ));
    if settings.definitions.is_none() {
        complain(
            "no --definitions: every service has the implicit SLO (availability 99 %, never pages)",
        );
    }
    let notice = tokio::spawn(tell_unknown_revisions(running.published.clone()));
    until_stopped().await?;
    complain("stopping: finishing what was accepted");
    notice.abort();
    running.drain().await;
    Ok(())
}

/// Says once per service that nothing tells its revisions apart, with the line that mends it.
async fn tell_unknown_revisions(mut published: Published) {
    let mut told = BTreeSet::new();
    while published.generation.changed().await.is_ok() {
        let snapshot = published.snapshot.load_full();
        for service in snapshot.services.values() {
            let mut live = service.revisions.iter().filter(|row| row.is_live);
            if live.any(|row| is_revision_unknown(&row.revision)) && told.insert(service.id) {
                complain(format!(
                    "REVISION_UNKNOWN: nothing tells the revisions of {} apart. Start it with {REVISION_SNIPPET}",
                    super::output::inert(&service.key.name)
                ));
            }
        }
    }
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn until_stopped() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
