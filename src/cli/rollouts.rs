//! `tidegate rollouts`: the cluster's rollouts, their verdicts, and what the hand did.

use super::client::ServerArgs;
use super::output::{Format, complain, say, short, table, verdict, words};
use anyhow::Result;
use clap::Args;
use query::wire::{RolloutBody, RolloutsBody};

/// Show the cluster's rollouts, their verdicts, and what was done to them
#[derive(Debug, Args)]
pub(crate) struct RolloutsArgs {
    /// Only those of this service
    #[arg(default_value = "", hide_default_value = true)]
    service: String,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl RolloutsArgs {
    /// Asks, prints and returns the exit code: 0, or 30 when the server cannot be reached.
    pub(crate) async fn run(&self) -> u8 {
        match self.show().await {
            Ok(()) => 0,
            Err(error) => {
                complain(format!("error: {error:#}"));
                30
            }
        }
    }

    async fn show(&self) -> Result<()> {
        let query = [("service", self.service.as_str())];
        let body: RolloutsBody = self.server.get("/v1/rollouts", &query).await?.json()?;
        if self.output == Format::Json {
            say(serde_json::to_string_pretty(&body)?);
        } else {
            say(render(&body));
        }
        Ok(())
    }
}

fn render(body: &RolloutsBody) -> String {
    let hand = &body.hand;
    let mut lines = vec![format!(
        "hand: {} (max level {}, {} actions in the last 10 min)",
        words(&hand.words),
        hand.max_level,
        hand.actions_last_10_minutes
    )];
    if hand.watching && !hand.synced {
        lines.push("the watch has not seen everything yet".to_owned());
    }
    if hand.unwatched > 0 {
        lines.push(format!("{} more rollouts are not watched", hand.unwatched));
    }
    if !body.rollouts.is_empty() {
        lines.push(rows(&body.rollouts));
    }
    lines.join("\n")
}

fn rows(rollouts: &[RolloutBody]) -> String {
    let mut rows = table(&[
        "ROLLOUT",
        "SERVICE",
        "CANDIDATE",
        "PHASE",
        "STEP",
        "LEVEL",
        "VERDICT",
        "HAND",
    ]);
    for row in rollouts {
        let step = row
            .step
            .map_or_else(|| "-".to_owned(), |step| format!("{step} of {}", row.steps));
        let hand = if row.words.is_empty() {
            row.hand.clone()
        } else {
            words(&row.words)
        };
        let candidate = if row.revision.is_empty() || row.revision == row.candidate {
            short(&row.candidate)
        } else {
            format!("{} = {}", short(&row.candidate), short(&row.revision))
        };
        rows.add_row([
            format!(
                "{} {}/{}",
                row.kind,
                short(&row.object_namespace),
                short(&row.object)
            ),
            short(&row.service),
            candidate,
            row.phase.clone(),
            step,
            row.level.clone(),
            format!("{} {}", verdict(&row.verdict), row.code),
            hand,
        ]);
    }
    rows.to_string()
}
