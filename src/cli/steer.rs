//! `tidegate disarm` and `tidegate arm`: stop the hand, let it act again.

use super::client::ServerArgs;
use super::output::{complain, say};
use anyhow::{Result, bail};
use clap::Args;
use query::api::{CloudEvent, EventData};

/// Why, by whom, where.
#[derive(Debug, Args)]
struct Why {
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides it
    #[arg(
        long,
        env = "USER",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    author: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// Halt no rollout any more until `tidegate arm`
#[derive(Debug, Args)]
pub(crate) struct DisarmArgs {
    #[command(flatten)]
    why: Why,
}

/// Let rollouts be halted again after `tidegate disarm`, or after Tidegate disarmed itself
#[derive(Debug, Args)]
pub(crate) struct ArmArgs {
    #[command(flatten)]
    why: Why,
}

impl DisarmArgs {
    /// Posts the event. Exit code 0, or 30 when it was not taken.
    pub(crate) async fn run(&self) -> u8 {
        self.why.run("hand.disarmed", "disarmed").await
    }
}

impl ArmArgs {
    /// Posts the event. Exit code 0, or 30 when it was not taken.
    pub(crate) async fn run(&self) -> u8 {
        self.why.run("hand.armed", "armed").await
    }
}

impl Why {
    async fn run(&self, kind: &str, done: &str) -> u8 {
        match self.post(kind).await {
            Ok(()) => {
                say(format!("{done}: {}", self.reason));
                0
            }
            Err(error) => {
                complain(format!("error: {error:#}"));
                30
            }
        }
    }

    async fn post(&self, kind: &str) -> Result<()> {
        let now = crate::clock::now();
        let event = CloudEvent {
            specversion: "1.0".to_owned(),
            id: format!("{:x}-{:x}", now.0, std::process::id()),
            source: "tidegate".to_owned(),
            kind: kind.to_owned(),
            time: None,
            data: EventData {
                reason: self.reason.clone(),
                author: self.author.clone(),
                ..EventData::default()
            },
        };
        let path = "/v1/events";
        let answer = self.server.post(path, "application/json", &event).await?;
        match answer.refusal() {
            Some(problem) => bail!(
                "{} refuses: {}",
                self.server.server,
                problem["detail"].as_str().unwrap_or("no reason given")
            ),
            None => Ok(()),
        }
    }
}
