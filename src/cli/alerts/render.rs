//! `tidegate alerts render`: the requests that each configured endpoint would be sent.

use super::occasion::{Event, Occasion};
use super::{EndpointArgs, Receiver};
use crate::cli::client::ServerArgs;
use crate::cli::output::{Format, complain, say};
use crate::clock;
use alerts::request::Request;
use alerts::webhook::Webhook;
use anyhow::{Context, Result};
use clap::Args;
use engine::time::Timestamp;
use query::wire::AlertBody;
use serde_json::{Value, json};

/// Show what the configured webhooks and Alertmanagers would be sent
///
/// Exit codes: 0 shown, 1 nothing to show, 2 usage or configuration.
#[derive(Debug, Args)]
pub(super) struct RenderArgs {
    #[command(flatten)]
    endpoints: EndpointArgs,
    /// A sample of this event
    #[arg(long, value_enum, default_value_t, conflicts_with = "firing")]
    event: Event,
    /// The alerts that fire right now in the running Tidegate, instead of a sample
    #[arg(long)]
    firing: bool,
    /// Output: bodies are laid out for people, or exactly as sent in `body` of the JSON
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// A request and whom it is for.
struct Rendered<'a> {
    receiver: &'a Receiver,
    request: Request,
}

impl RenderArgs {
    /// Prints and returns the exit code.
    pub(super) async fn run(&self) -> u8 {
        let receivers = match self.endpoints.receivers() {
            Ok(receivers) => receivers,
            Err(code) => return code,
        };
        match self.show(&receivers).await {
            Ok(code) => code,
            Err(error) => {
                complain(format!("error: {error:#}"));
                1
            }
        }
    }

    async fn show(&self, receivers: &[Receiver]) -> Result<u8> {
        let now = clock::now();
        let occasions = if self.firing {
            self.firing(now).await?
        } else {
            vec![Occasion::sample(self.event, now)]
        };
        let mut all = Vec::new();
        for receiver in receivers {
            for request in requests(receiver, &occasions, now)? {
                all.push(Rendered { receiver, request });
            }
        }
        if all.is_empty() {
            complain(if occasions.is_empty() {
                "no alert fires"
            } else {
                "no endpoint wants this event"
            });
            return Ok(1);
        }
        match self.output {
            Format::Json => {
                let all: Vec<Value> = all.iter().map(Rendered::json).collect();
                say(serde_json::to_string_pretty(&all)?);
            }
            Format::Table => all.iter().for_each(|one| say(one.text())),
        }
        Ok(0)
    }

    async fn firing(&self, now: Timestamp) -> Result<Vec<Occasion>> {
        let rows: Vec<AlertBody> = self.server.get("/v1/alerts", &[]).await?.json()?;
        let fires = rows.iter().filter(|row| row.state == "firing");
        fires
            .map(|row| {
                Occasion::live(row, now).with_context(|| format!("alert {} cannot be read", row.id))
            })
            .collect()
    }
}

/// Webhooks get one request an event that they want, Alertmanagers one with everything.
fn requests(receiver: &Receiver, occasions: &[Occasion], now: Timestamp) -> Result<Vec<Request>> {
    match receiver {
        Receiver::Webhook(endpoint) => {
            let webhook = Webhook::new(endpoint)?;
            let told = occasions.iter().map(|one| &one.notification);
            told.filter(|one| endpoint.wants(&one.event))
                .enumerate()
                .map(|(number, one)| {
                    // The id of the real message comes from what caused it.
                    let request = webhook.request(number as u128, one, now);
                    request.map_err(anyhow::Error::msg)
                })
                .collect()
        }
        Receiver::Alertmanager(alertmanager) => {
            let standings = || occasions.iter().flat_map(|one| &one.standings);
            if standings().next().is_none() {
                return Ok(Vec::new());
            }
            let urls = alertmanager.urls.iter();
            urls.map(|url| {
                let request = alertmanager.request(url, standings(), now);
                request.map_err(anyhow::Error::msg)
            })
            .collect()
        }
    }
}

impl Rendered<'_> {
    /// Headers as sent, but for the token.
    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.request.headers.iter().map(|(name, value)| {
            let shown = if *name == "authorization" {
                "Bearer <token>"
            } else {
                value
            };
            (*name, shown)
        })
    }

    const fn kind(&self) -> &'static str {
        match self.receiver {
            Receiver::Webhook(_) => "webhook",
            Receiver::Alertmanager(_) => "alertmanager",
        }
    }

    fn json(&self) -> Value {
        let headers: serde_json::Map<String, Value> = self
            .headers()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        json!({
            "endpoint": self.receiver.name(),
            "kind": self.kind(),
            "method": "POST",
            "url": self.request.url.as_str(),
            "headers": headers,
            "body": String::from_utf8_lossy(&self.request.body),
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![
            format!("# {} ({})", self.receiver.name(), self.kind()),
            format!("POST {}", self.request.url),
        ];
        lines.extend(
            self.headers()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        let body: Value = serde_json::from_slice(&self.request.body).unwrap_or_default();
        lines.push(format!("\n{body:#}\n"));
        lines.join("\n")
    }
}
