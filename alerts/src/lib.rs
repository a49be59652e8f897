//! ACTS. Everything that goes out: signed webhooks with retries, and what stands to Alertmanagers, again and again.
//!
//! - **In / out**: [`engine::input::Effect`] and [`engine::standing::Standings`] in; HTTP requests and
//!   [`engine::input::EffectDone`] out.
//! - **Does not know**: why; an effect holds everything and a standing row says where it is shown. Executors make no choices.
//! - **Owns**: one task and one bounded queue per webhook, one task per address of an Alertmanager; nothing durable (but the
//!   cluster's `actions.log`): the
//!   engine's outbox and what stands are in its checkpoint. After a restart undelivered effects come again, with the same
//!   `webhook-id`, and everything that stands is shown at once.
//! - **Limits**: [`QUEUE_MAX`] waiting messages a webhook (more are given up and listed), [`AT_ONCE`] requests
//!   at a time, 20 KB a message; [`alertmanager::AT_ONCE`] alerts a request.
//! - **Sources**: Standard Webhooks 1.0.0 (signatures, response codes, schedule); Alertmanager API v2.
//! - **Read next**: [`outbox`], [`schedule`], [`payload`], [`alertmanager`].

pub mod alertmanager;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod outbox;
pub mod payload;
pub mod request;
pub mod schedule;
pub mod webhook;

/// Most messages that wait for one webhook in memory: more than the engine's outbox holds, so that one which wants nothing
/// delays nobody else.
pub const QUEUE_MAX: usize = 12_000;
/// Most requests to one webhook at a time.
pub const AT_ONCE: usize = 4;

/// A configured webhook.
#[derive(Clone)]
pub struct Endpoint {
    /// Name: what definitions and status call it.
    pub name: String,
    /// Where messages are posted.
    pub url: String,
    /// Secret, `whsec_` and base64; `None` sends unsigned.
    pub secret: Option<String>,
    /// Events it wants (`alert.firing`, `gate.halt`, ...); empty = all.
    pub events: Vec<String>,
}

impl Endpoint {
    /// Whether it is told of `event`.
    pub fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|wanted| wanted == event)
    }
}

impl std::fmt::Debug for Endpoint {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret is not `whsec_` and base64.
    #[error("webhook `{name}`: the secret is not base64 with the prefix `whsec_`")]
    Secret {
        /// Endpoint.
        name: String,
        /// Cause.
        #[source]
        source: standardwebhooks::WebhookError,
    },
    /// The URL cannot be used.
    #[error("endpoint `{name}`: expected an http or https URL, got `{url}`")]
    Url {
        /// Endpoint.
        name: String,
        /// What was given.
        url: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}
