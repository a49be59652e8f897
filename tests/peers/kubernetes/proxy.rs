//! A small proxy in front of the real API server: it passes everything on, or answers itself, or says nothing, or holds a
//! request at a certain step until its sender is gone.

use crate::stack::Stack;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes it on.
    Pass,
    /// Answers it with this status.
    Status(u16),
    /// Never answers.
    Silent,
}

/// A moment in the life of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The object is asked for, and not answered.
    Asked,
    /// The patch has come, and is not passed on.
    Sent,
    /// The API server has taken the patch, and its answer is not passed on.
    Taken,
    /// The answer has been passed on.
    Answered,
}

impl Step {
    pub(crate) const ALL: [Self; 4] = [Self::Asked, Self::Sent, Self::Taken, Self::Answered];
}

/// The proxy; it ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: String,
    shared: Arc<Shared>,
    reached: Receiver<()>,
}

struct Shared {
    client: reqwest::Client,
    upstream: String,
    mode: watch::Sender<Mode>,
    trap: Mutex<Option<Step>>,
    tell: SyncSender<()>,
    /// Requests that were not answered with what the API server says.
    withheld: Mutex<u64>,
}

impl Proxy {
    pub(crate) fn start(stack: &Stack) -> Self {
        let pem = std::fs::read(stack.authority()).unwrap();
        let authority = reqwest::Certificate::from_pem(&pem).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([authority]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, reached) = sync_channel(8);
        let shared = Arc::new(Shared {
            client: client.build().unwrap(),
            upstream: stack.address.clone(),
            mode: watch::Sender::new(Mode::Pass),
            trap: Mutex::new(None),
            tell,
            withheld: Mutex::new(0),
        });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(std::thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        }));
        Self {
            address,
            shared,
            reached,
        }
    }

    /// From now on; watches that are open are cut off unless everything is passed on.
    pub(crate) fn set(&self, mode: Mode) {
        let _ = self.shared.mode.send_replace(mode);
    }

    /// Requests that were withheld so far.
    pub(crate) fn withheld(&self) -> u64 {
        *self
            .shared
            .withheld
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next patch is caught at `step`.
    pub(crate) fn trap(&self, step: Step) {
        *self
            .shared
            .trap
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(step);
    }

    /// Waits until the trap has caught something.
    pub(crate) fn wait(&self) {
        self.reached.recv_timeout(crate::stack::PATIENCE).unwrap();
    }
}

impl Shared {
    /// Whether the trap stands at `step`; then it is sprung.
    fn springs(&self, step: Step) -> bool {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sprung = *trap == Some(step);
        if is_sprung {
            *trap = None;
            self.tell.try_send(()).unwrap();
        }
        is_sprung
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let mode = *shared.mode.borrow();
    if mode != Mode::Pass {
        *shared
            .withheld
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
    }
    match mode {
        Mode::Pass => {}
        Mode::Silent => return std::future::pending().await,
        Mode::Status(status) => return refusal(status),
    }
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path_and_query().unwrap().to_string();
    let is_dry = path.contains("dryRun");
    let is_patch = head.method == Method::PATCH && !is_dry;
    let is_object = head.method == Method::GET && path.matches('/').count() == 7;
    if is_object && shared.springs(Step::Asked) || is_patch && shared.springs(Step::Sent) {
        return std::future::pending().await;
    }
    let sent = shared
        .client
        .request(head.method, format!("{}{path}", shared.upstream))
        .headers(head.headers)
        .body(body)
        .send()
        .await;
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if is_patch && shared.springs(Step::Taken) {
        return std::future::pending().await;
    }
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "transfer-encoding" && name != "content-length" {
            response = response.header(name, value);
        }
    }
    if is_patch && shared.springs(Step::Answered) {
        let bytes = answer.bytes().await.unwrap_or_default();
        return response.body(Body::from(bytes)).unwrap();
    }
    let mode = shared.mode.subscribe();
    let chunks = stream::unfold((answer, mode), |(mut answer, mut mode)| async move {
        let chunk = tokio::select! {
            chunk = answer.chunk() => chunk.ok().flatten()?,
            _ = mode.wait_for(|mode| *mode != Mode::Pass) => return None,
        };
        Some((Ok::<Bytes, std::io::Error>(chunk), (answer, mode)))
    });
    response.body(Body::from_stream(chunks)).unwrap()
}

/// What an API server says with this status.
fn refusal(status: u16) -> Response {
    let reason = match status {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not now", "reason": reason, "code": status,
    });
    let code = StatusCode::from_u16(status).unwrap();
    let headers = [("content-type", "application/json"), ("retry-after", "1")];
    (code, headers, body.to_string()).into_response()
}
