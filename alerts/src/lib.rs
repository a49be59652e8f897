//! ACTS. Everything that goes out: signed webhooks with retries.
//!
//! - **In / out**: [`engine::input::Effect`] in; HTTP requests and [`engine::input::EffectDone`] out.
//! - **Does not know**: why; an effect holds everything, executors make no choices.
//! - **Owns**: one task and one bounded queue per endpoint; nothing durable: the engine's outbox is, and hands
//!   undelivered effects over again after a restart, with the same `webhook-id`.
//! - **Limits**: [`QUEUE_MAX`] waiting messages an endpoint (more stay in the engine's outbox), [`AT_ONCE`] requests
//!   at a time, 20 KB a message.
//! - **Sources**: Standard Webhooks 1.0.0 (signatures, response codes, schedule).
//! - **Read next**: [`outbox`], [`schedule`], [`payload`].

pub mod outbox;
pub mod payload;
pub mod schedule;

/// Most messages that wait for one endpoint in memory.
pub const QUEUE_MAX: usize = 1_024;
/// Most requests to one endpoint at a time.
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
    #[error("webhook `{name}`: expected an http or https URL, got `{url}`")]
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
