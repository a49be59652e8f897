//! The public HTTP interface of Tidegate as a deployer sees it: ask the gate, post events.

use crate::controller::{GateReply, Question};
use crate::export::{Error, authorization, chain, join, read_body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of a post; a rollout event that is lost blinds the gate to a weight change.
const POST_TRIES: u32 = 10;
/// Pause between them.
const POST_PAUSE: Duration = Duration::from_millis(300);

/// A client of one Tidegate. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    headers: HeaderMap,
}

impl Api {
    /// A client of the Tidegate whose pages and API are at `base`.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(base: &str, token: Option<&str>) -> Result<Self, Error> {
        join(base, "/v1/gate")?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: base.to_owned(),
            headers: authorization(token)?,
        })
    }

    /// Asks the gate. Whatever is no 200 with a body is "nobody answered": never a pass.
    pub async fn gate(&self, question: &Question) -> GateReply {
        let answer = self
            .exchange("GET", &question.path_and_query(), Bytes::new())
            .await;
        match answer {
            Ok((StatusCode::OK, body)) => match serde_json::from_slice(&body) {
                Ok(body) => GateReply::from_body(body),
                Err(error) => unreachable(&error.to_string()),
            },
            Ok((status, _)) => unreachable(status.as_str()),
            Err(error) => unreachable(&error),
        }
    }

    /// Posts a CloudEvent; true when it was taken. Tries again unless the event itself is refused (4xx).
    pub async fn post_event(&self, event: &Value) -> bool {
        let body = Bytes::from(event.to_string());
        for _ in 0..POST_TRIES {
            match self.exchange("POST", "/v1/events", body.clone()).await {
                Ok((status, _)) if status.is_success() => return true,
                Ok((status, body)) if status.is_client_error() => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    tracing::warn!(%status, text, "event refused");
                    return false;
                }
                Ok((status, _)) => tracing::debug!(%status, "event not taken"),
                Err(error) => tracing::debug!(error, "event not taken"),
            }
            tokio::time::sleep(POST_PAUSE).await;
        }
        tracing::warn!(tries = POST_TRIES, "event given up");
        false
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let uri = join(&self.base, path).map_err(chain)?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body))
            .map_err(chain)?;
        request.headers_mut().extend(self.headers.clone());
        if method == "POST" {
            let json = HeaderValue::from_static("application/cloudevents+json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let exchange = async {
            let response = self.client.request(request).await.map_err(chain)?;
            let status = response.status();
            Ok((status, read_body(response.into_body()).await?))
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }
}

fn unreachable(why: &str) -> GateReply {
    tracing::debug!(why, "the gate did not answer");
    GateReply::unreachable()
}
