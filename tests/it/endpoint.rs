//! Receivers of webhooks: they answer as they are told to, check signatures and remember what came.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Every endpoint's secret.
const SECRET: &str = "whsec_dGlkZWdhdGUtdGVzdHMtd2ViaG9vay1zZWNyZXQ=";

/// What to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// This status.
    Status(u16),
    /// 503, and how many seconds to stay away.
    RetryAfter(u32),
    /// No answer at all.
    Never,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) id: String,
    /// Whether the signature is right.
    pub(crate) is_signed: bool,
    pub(crate) message: Value,
}

/// A receiver; it ends with the test.
pub(crate) struct Endpoint {
    name: &'static str,
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Inbox {
    received: Arc<Mutex<Vec<Received>>>,
    reply: fn(usize) -> Reply,
}

impl Endpoint {
    /// Listens on a free port; `reply` is asked with the number of each request, from 0.
    pub(crate) fn start(name: &'static str, reply: fn(usize) -> Reply) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/{name}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let inbox = Inbox {
            received: Arc::clone(&received),
            reply,
        };
        let app = Router::new().fallback(receive).with_state(inbox);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(std::thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    result = async { axum::serve(listener, app).await } => result.unwrap(),
                    () = stopped.cancelled() => {}
                }
            });
        }));
        Self {
            name,
            url,
            received,
            stop,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What came so far of one type about one service.
    pub(crate) fn about(&self, event: &str, service: &str) -> Vec<Received> {
        let mut all = self.received();
        all.retain(|one| one.message["type"] == event && one.message["data"]["service"] == service);
        all
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> Response {
    let verified =
        standardwebhooks::Webhook::new(SECRET).and_then(|webhook| webhook.verify(&body, &headers));
    let id = headers
        .get("webhook-id")
        .map_or("", |id| id.to_str().unwrap());
    let number = {
        let mut received = inbox.received.lock().unwrap();
        received.push(Received {
            at: Instant::now(),
            id: id.to_owned(),
            is_signed: verified.is_ok(),
            message: serde_json::from_slice(&body).unwrap_or_default(),
        });
        received.len() - 1
    };
    match (inbox.reply)(number) {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::RetryAfter(seconds) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", seconds.to_string())],
        )
            .into_response(),
        Reply::Never => std::future::pending().await,
    }
}

/// Writes a configuration that knows `endpoints`, with their secret, into `folder`.
pub(crate) fn configuration(folder: &Path, endpoints: &[&Endpoint]) -> PathBuf {
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mut text = "webhooks:\n".to_owned();
    for endpoint in endpoints {
        let (name, url, secret) = (endpoint.name, endpoint.url(), secret.display());
        writeln!(
            text,
            "- {{name: {name}, url: '{url}', secret_file: '{secret}'}}"
        )
        .unwrap();
    }
    let file = folder.join("tidegate.yaml");
    std::fs::write(&file, text).unwrap();
    file
}
