//! Delivers effects: one task per endpoint, so that a slow one delays nobody else.

use crate::schedule::{Outcome, outcome, wait_before};
use crate::{AT_ONCE, Endpoint, Error, QUEUE_MAX, payload};
use engine::input::{Effect, EffectDone, EffectKind, Input, Notification};
use engine::time::{NANOS_PER_SEC, Timestamp};
use standardwebhooks::Webhook;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tracing::Instrument;
use tracing::field::Empty;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Wait of an overloaded endpoint that names none.
const THROTTLE: Duration = Duration::from_secs(30);

/// Runs until `effects` closes or `shutdown` is called. Outcomes go back as [`Input::EffectDone`].
///
/// # Errors
/// [`Error`] when an endpoint's URL or secret cannot be used; nothing is started then.
pub async fn run(
    endpoints: Vec<Endpoint>,
    mut effects: mpsc::Receiver<Effect>,
    done: mpsc::Sender<Input>,
    clock: fn() -> Timestamp,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Error::Client)?;
    let mut queues = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for endpoint in endpoints {
        let sender = Sender::new(&endpoint, client.clone(), clock)?;
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        queues.insert(endpoint.name.clone(), queue);
        wanted.insert(endpoint.name.clone(), endpoint.events);
        let worker = Worker {
            sender: Arc::new(sender),
            done: done.clone(),
        };
        tasks.spawn(worker.run(waiting, shutdown.clone()));
    }
    loop {
        let effect = tokio::select! {
            effect = effects.recv() => effect,
            () = shutdown.cancelled() => None,
        };
        let Some(effect) = effect else { break };
        let EffectKind::Notify {
            endpoint,
            notification,
        } = effect.kind;
        let message = Message {
            id: effect.id,
            notification,
            attempts: 0,
        };
        let is_wanted = wanted
            .get(&endpoint)
            .is_none_or(|events| events.is_empty() || events.contains(&message.notification.event));
        if !is_wanted {
            report(
                &done,
                &message,
                true,
                "not subscribed to this event".to_owned(),
            )
            .await;
            continue;
        }
        match queues.get(&endpoint) {
            // A full queue pushes back: the engine keeps the effect in its outbox meanwhile.
            Some(queue) => drop(queue.send(message).await),
            None => {
                report(
                    &done,
                    &message,
                    false,
                    format!("no webhook is called `{endpoint}`"),
                )
                .await
            }
        }
    }
    drop(queues);
    tasks.join_all().await;
    Ok(())
}

#[derive(Debug, Clone)]
struct Message {
    id: u128,
    notification: Arc<Notification>,
    attempts: u32,
}

async fn report(done: &mpsc::Sender<Input>, message: &Message, delivered: bool, detail: String) {
    let outcome = EffectDone {
        id: message.id,
        delivered,
        attempts: message.attempts,
        detail,
    };
    // The engine is gone only at shutdown; the effect is then still in its checkpoint.
    drop(done.send(Input::EffectDone(outcome)).await);
}

/// Signs and posts.
struct Sender {
    client: reqwest::Client,
    url: reqwest::Url,
    webhook: Option<Webhook>,
    clock: fn() -> Timestamp,
}

impl Sender {
    fn new(
        endpoint: &Endpoint,
        client: reqwest::Client,
        clock: fn() -> Timestamp,
    ) -> Result<Self, Error> {
        let bad_url = || Error::Url {
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
        };
        let url = reqwest::Url::parse(&endpoint.url).map_err(|_| bad_url())?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(bad_url());
        }
        let webhook = match &endpoint.secret {
            Some(secret) => Some(Webhook::new(secret).map_err(|source| Error::Secret {
                name: endpoint.name.clone(),
                source,
            })?),
            None => None,
        };
        Ok(Self {
            client,
            url,
            webhook,
            clock,
        })
    }

    async fn post(&self, message: &Message) -> (Outcome, String) {
        let body = payload::body(&message.notification);
        let id = format!("msg_{:032x}", message.id);
        let seconds = (self.clock)().0 / NANOS_PER_SEC;
        let mut request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header(standardwebhooks::HEADER_WEBHOOK_ID, &id)
            .header(
                standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
                seconds.to_string(),
            );
        if let Some(webhook) = &self.webhook {
            match webhook.sign(&id, i64::try_from(seconds).unwrap_or(i64::MAX), &body) {
                Ok(signature) => {
                    request = request.header(standardwebhooks::HEADER_WEBHOOK_SIGNATURE, signature);
                }
                Err(error) => return (Outcome::Failed, format!("cannot sign: {error}")),
            }
        }
        match request.body(body).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                tracing::Span::current().record("http.response.status_code", status);
                let retry_after = response
                    .headers()
                    .get("retry-after")
                    .and_then(|v| v.to_str().ok());
                (outcome(status, retry_after), format!("status {status}"))
            }
            Err(error) => (Outcome::Failed, cause(&error)),
        }
    }
}

/// The innermost cause: `connection refused` says more than `error sending request`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// One endpoint's task.
struct Worker {
    sender: Arc<Sender>,
    done: mpsc::Sender<Input>,
}

impl Worker {
    async fn run(self, mut waiting: mpsc::Receiver<Message>, shutdown: CancellationToken) {
        let mut later: DelayQueue<Message> = DelayQueue::new();
        let mut running: JoinSet<(Message, Outcome, String)> = JoinSet::new();
        let mut not_before = Instant::now();
        let mut is_gone = false;
        let mut is_open = true;
        while is_open || !running.is_empty() || !later.is_empty() {
            let message = tokio::select! {
                () = shutdown.cancelled() => return,
                Some(finished) = running.join_next(), if !running.is_empty() => {
                    if let Ok((message, outcome, detail)) = finished {
                        match outcome {
                            Outcome::Gone => is_gone = true,
                            Outcome::Throttled(wait) => not_before = Instant::now() + wait.unwrap_or(THROTTLE),
                            Outcome::Delivered | Outcome::Failed => {}
                        }
                        self.settle(message, outcome, detail, not_before, &mut later).await;
                    }
                    continue;
                }
                Some(due) = std::future::poll_fn(|context| later.poll_expired(context)), if !later.is_empty() && running.len() < AT_ONCE => due.into_inner(),
                received = waiting.recv(), if is_open && running.len() < AT_ONCE => match received {
                    Some(message) => message,
                    None => { is_open = false; continue; }
                },
            };
            if is_gone {
                report(
                    &self.done,
                    &message,
                    false,
                    "the endpoint answered 410: disabled until restart".to_owned(),
                )
                .await;
            } else if Instant::now() < not_before {
                later.insert_at(message, not_before);
            } else {
                let sender = Arc::clone(&self.sender);
                // For Tidegate's own traces.
                let span = tracing::info_span!(
                    "webhook",
                    otel.kind = "client",
                    http.request.method = "POST",
                    server.address = sender.url.host_str(),
                    http.request.resend_count = message.attempts,
                    http.response.status_code = Empty,
                );
                let attempt = async move {
                    let (outcome, detail) = sender.post(&message).await;
                    (
                        Message {
                            attempts: message.attempts + 1,
                            ..message
                        },
                        outcome,
                        detail,
                    )
                };
                running.spawn(attempt.instrument(span));
            }
        }
    }

    async fn settle(
        &self,
        message: Message,
        outcome: Outcome,
        detail: String,
        not_before: Instant,
        later: &mut DelayQueue<Message>,
    ) {
        if outcome == Outcome::Delivered {
            return report(&self.done, &message, true, detail).await;
        }
        match wait_before(message.attempts, message.id) {
            Some(wait) if outcome != Outcome::Gone => {
                tracing::warn!(attempt = message.attempts, wait = ?wait, "webhook not delivered, will be tried again: {detail}");
                later.insert_at(message, (Instant::now() + wait).max(not_before));
            }
            _ => {
                tracing::error!(attempts = message.attempts, "webhook given up: {detail}");
                report(&self.done, &message, false, detail).await;
            }
        }
    }
}
