//! Delivers effects: one task per endpoint, so that a slow one delays nobody else.

use crate::schedule::{Outcome, outcome, wait_before};
use crate::webhook::Webhook;
use crate::{AT_ONCE, Endpoint, Error, QUEUE_MAX, request};
use engine::input::{Effect, EffectDone, EffectKind, Input, Notification};
use engine::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tracing::Instrument;
use tracing::field::Empty;

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
    let client = request::client()?;
    let mut queues = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for endpoint in endpoints {
        let sender = Sender {
            client: client.clone(),
            webhook: Webhook::new(&endpoint)?,
            clock,
        };
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
        // Actions and Events of the cluster have an executor of their own.
        let EffectKind::Notify {
            endpoint,
            notification,
        } = effect.kind
        else {
            continue;
        };
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
        let refused = match queues.get(&endpoint) {
            // Never waited for: one endpoint's backlog must not delay another's messages.
            Some(queue) => match queue.try_send(message) {
                Ok(()) => continue,
                Err(TrySendError::Full(message)) => (
                    message,
                    format!("more than {QUEUE_MAX} messages wait for `{endpoint}`"),
                ),
                Err(TrySendError::Closed(message)) => {
                    (message, format!("nothing is sent to `{endpoint}` any more"))
                }
            },
            None => (message, format!("no webhook is called `{endpoint}`")),
        };
        report(&done, &refused.0, false, refused.1).await;
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
        refusal: None,
    };
    // The engine is gone only at shutdown; the effect is then still in its checkpoint.
    drop(done.send(Input::EffectDone(outcome)).await);
}

/// Posts to one webhook.
struct Sender {
    client: reqwest::Client,
    webhook: Webhook,
    clock: fn() -> Timestamp,
}

impl Sender {
    async fn post(&self, message: &Message) -> (Outcome, String) {
        let now = (self.clock)();
        let request = self.webhook.request(message.id, &message.notification, now);
        let sent = match request {
            Ok(request) => request.send(&self.client).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(answer) => (
                outcome(answer.status, answer.retry_after.as_deref()),
                answer.words(),
            ),
            Err(error) => (Outcome::Failed, error),
        }
    }
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
                    server.address = sender.webhook.host(),
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
