//! Somebody on call: a small receiver that checks webhook signatures the way any receiver would.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Secret of the demo's webhook, as `whsec_` and base64.
const SECRET: &str = "whsec_dGlkZWdhdGUtZGVtby13ZWJob29rLXNlY3JldCE=";

/// The receiver; clones share what arrived.
#[derive(Clone)]
pub(super) struct OnCall {
    address: SocketAddr,
    inbox: Arc<Inbox>,
    count: watch::Receiver<usize>,
}

struct Inbox {
    /// Touched for one push or one drain. Event type and title of every verified message, and what was told of them.
    messages: Mutex<(Vec<(String, String)>, usize)>,
    count: watch::Sender<usize>,
}

impl OnCall {
    /// Listens on a free loopback port.
    pub(super) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (sender, count) = watch::channel(0);
        let inbox = Arc::new(Inbox {
            messages: Mutex::default(),
            count: sender,
        });
        let app = Router::new()
            .route("/oncall", post(receive))
            .with_state(Arc::clone(&inbox));
        drop(tokio::spawn(
            async move { axum::serve(listener, app).await },
        ));
        Ok(Self {
            address,
            inbox,
            count,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/oncall", self.address)
    }

    pub(super) const fn secret(&self) -> &'static str {
        SECRET
    }

    /// Titles that arrived since the last call.
    pub(super) fn news(&self) -> Vec<String> {
        let mut messages = self
            .inbox
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (all, told) = &mut *messages;
        let news = all[*told..]
            .iter()
            .map(|(event, title)| format!("{event}, signature checked: {title}"))
            .collect();
        *told = all.len();
        news
    }

    /// Waits until a verified message of type `event` is there.
    pub(super) async fn wait_for(&self, event: &str, patience: Duration) -> bool {
        let mut count = self.count.clone();
        let arrived = count.wait_for(|_| {
            let messages = self
                .inbox
                .messages
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            messages.0.iter().any(|(kind, _)| kind == event)
        });
        tokio::time::timeout(patience, arrived)
            .await
            .is_ok_and(|found| found.is_ok())
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let checked =
        standardwebhooks::Webhook::new(SECRET).and_then(|webhook| webhook.verify(&body, &headers));
    if checked.is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut messages = inbox
        .messages
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    messages
        .0
        .push((text(&message["type"]), text(&message["data"]["title"])));
    inbox.count.send_replace(messages.0.len());
    StatusCode::NO_CONTENT
}
