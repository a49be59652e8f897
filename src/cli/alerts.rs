//! `tidegate alerts`: what the configured webhooks and Alertmanagers are sent, shown (`render`) or tried (`test`).

mod occasion;
mod render;
mod test;

use super::output::complain;
use crate::config::{self, ConfigArgs};
use crate::serve;
use alerts::Endpoint;
use alerts::alertmanager::Alertmanager;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Exit code when there is nothing that could be shown or tried.
const USAGE: u8 = 2;

/// Show or try what webhooks and Alertmanagers are sent
#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
enum AlertsCommand {
    Render(render::RenderArgs),
    Test(test::TestArgs),
}

impl AlertsArgs {
    /// Runs the command and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        match &self.command {
            AlertsCommand::Render(args) => args.run().await,
            AlertsCommand::Test(args) => args.run().await,
        }
    }
}

/// Which of the configured endpoints.
#[derive(Debug, Clone, Args)]
struct EndpointArgs {
    /// Configuration file [default: tidegate.yaml when there is one] [env: TIDEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only the webhook or Alertmanager of this name
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
}

/// A configured endpoint.
#[derive(Debug)]
enum Receiver {
    Webhook(Endpoint),
    Alertmanager(Alertmanager),
}

impl Receiver {
    fn name(&self) -> &str {
        match self {
            Self::Webhook(one) => &one.name,
            Self::Alertmanager(one) => &one.name,
        }
    }
}

impl EndpointArgs {
    /// Reads the configuration as `serve` would.
    ///
    /// # Errors
    /// The exit code, after saying what is wrong.
    fn receivers(&self) -> Result<Vec<Receiver>, u8> {
        let args = ConfigArgs::of_file(self.config.clone());
        let loaded = config::load(&args, std::env::vars());
        if !loaded.problems.is_empty() {
            complain(ingest::definitions::show::problems_text(&loaded.problems).trim_end());
        }
        let settings = loaded.config.ok_or(USAGE)?;
        let webhooks = serve::endpoints(&settings).map_err(|error| {
            complain(format!("error: {error:#}"));
            USAGE
        })?;
        let pages = serve::pages_of(&settings, settings.listen.api);
        let alertmanagers = serve::alertmanagers(&settings, &pages);
        let mut all: Vec<Receiver> = webhooks.into_iter().map(Receiver::Webhook).collect();
        all.extend(alertmanagers.into_iter().map(Receiver::Alertmanager));
        if all.is_empty() {
            complain(
                "error: neither `webhooks` nor `alertmanagers` are configured\n  hint: `tidegate serve --print-config` shows how",
            );
            return Err(USAGE);
        }
        let Some(wanted) = &self.endpoint else {
            return Ok(all);
        };
        let names: Vec<String> = all.iter().map(|one| one.name().to_owned()).collect();
        all.retain(|one| one.name() == wanted);
        if all.is_empty() {
            complain(format!(
                "error: --endpoint: expected one of {}, got `{wanted}`",
                names.join(", ")
            ));
            return Err(USAGE);
        }
        Ok(all)
    }
}
