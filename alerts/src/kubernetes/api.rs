//! The API server: one request at a time, with everything that its answer says.

use super::{Error, Settings};
use http::{Method, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer that is no watch.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection on which an answer is waited for, and nothing comes for so long, is given up: longer than any watch that is
/// alive is silent, because the API server ends each after [`WATCH_SECS`].
const SILENCE: Duration = Duration::from_secs(WATCH_SECS as u64 + 10);
/// How long the API server lets a watch go on before it is begun again where it stood, s. A watch on a connection that leads
/// nowhere any more would be silent for ever.
pub(super) const WATCH_SECS: u32 = 30;

/// A cluster's API server.
pub(super) struct Cluster {
    pub(super) client: kube::Client,
    pub(super) namespace: Option<String>,
    pub(super) selector: Option<String>,
}

/// What the API server said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Value,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// "status 403: deployments.apps is forbidden ...", in one line.
    pub(super) fn words(&self) -> String {
        let message = self.body["message"].as_str().unwrap_or_default();
        let said: String = engine::inert::inert(message).chars().take(300).collect();
        format!("status {}: {said}", self.status)
    }
}

impl Cluster {
    pub(super) async fn connect(settings: &Settings) -> Result<Self, Error> {
        let config = |error: Box<dyn std::error::Error + Send + Sync>| Error::Config(error);
        let mut found = match &settings.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| config(error.into()))?;
                let options = KubeConfigOptions::default();
                let read = kube::Config::from_custom_kubeconfig(file, &options).await;
                read.map_err(|error| config(error.into()))?
            }
            None => kube::Config::infer()
                .await
                .map_err(|error| config(error.into()))?,
        };
        found.connect_timeout = Some(CONNECT);
        found.read_timeout = Some(SILENCE);
        let client = kube::Client::try_from(found);
        Ok(Self {
            client: client.map_err(|error| Error::Client(Box::new(error)))?,
            namespace: settings.namespace.clone(),
            selector: settings.selector.clone(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.send(Method::POST, path, Some(("application/json", body)))
            .await
    }

    /// A JSON patch (RFC 6902): its tests are part of the request, so the object cannot change in between.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.send(
            Method::PATCH,
            path,
            Some(("application/json-patch+json", body)),
        )
        .await
    }

    /// The error says, in words, that there was no answer: what was asked for may have happened or not.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(path);
        let mut bytes = Vec::new();
        if let Some((kind, body)) = body {
            request = request.header(http::header::CONTENT_TYPE, kind);
            bytes = body.to_string().into_bytes();
        }
        let request = request
            .body(Body::from(bytes))
            .map_err(|error| error.to_string())?;
        let answer = async {
            let response = self.client.send(request).await.map_err(|e| cause(&e))?;
            let (head, body) = response.into_parts();
            let body = body.collect_bytes().await.map_err(|e| cause(&e))?;
            let wait = head.headers.get(http::header::RETRY_AFTER);
            let wait = wait.and_then(|value| value.to_str().ok()?.parse().ok());
            Ok(Answer {
                status: head.status.as_u16(),
                retry_after: wait.map(Duration::from_secs),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            })
        };
        tokio::time::timeout(ANSWER, answer)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {ANSWER:?}")))
    }
}

/// The innermost cause.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
