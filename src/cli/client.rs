//! Asking a running Tidegate: base URL, token, errors in words.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::time::Duration;

/// Where the running Tidegate is.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Base URL of the running Tidegate
    #[arg(
        long,
        env = "TIDEGATE_SERVER",
        default_value = "http://127.0.0.1:9470",
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// File with the bearer token, when the server asks for one
    #[arg(long, env = "TIDEGATE_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Give up on an answer after this many seconds
    #[arg(
        long,
        env = "TIDEGATE_TIMEOUT",
        default_value_t = 5,
        value_name = "SECONDS"
    )]
    pub(crate) timeout: u64,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    status: u16,
    is_truncated: bool,
    body: Vec<u8>,
}

impl Response {
    /// The body as sent.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether rows were left out (SQL).
    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The problem details, when it is a refusal.
    pub(crate) fn refusal(&self) -> Option<serde_json::Value> {
        (self.status >= 400).then(|| serde_json::from_slice(&self.body).unwrap_or_default())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// When it is not what the API promises, which means a different version or another server.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).with_context(|| {
            let start: String = String::from_utf8_lossy(&self.body)
                .chars()
                .take(120)
                .collect();
            format!("the answer is not Tidegate's: `{start}`")
        })
    }
}

impl ServerArgs {
    /// `GET path` with query parameters; those with an empty value are left out.
    ///
    /// # Errors
    /// When the server cannot be reached in time or the token file cannot be read.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Response> {
        let query: Vec<_> = query
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let url = reqwest::Url::parse_with_params(
            &format!("{}{path}", self.server.trim_end_matches('/')),
            query,
        )
        .with_context(|| format!("`{}` is no URL", self.server))?;
        let response = self.send(client(self.timeout)?.get(url)).await?;
        let status = response.status;
        if (400..500).contains(&status) && status != 401 {
            let problem: serde_json::Value = response.refusal().unwrap_or_default();
            bail!(
                "{} refuses: {}",
                self.server,
                problem["detail"].as_str().unwrap_or("no reason given")
            );
        }
        if status == 401 {
            bail!("{} asks for a token: give --token-file", self.server);
        }
        Ok(response)
    }

    /// `POST path` with a JSON body; a refusal is an answer.
    ///
    /// # Errors
    /// When the server cannot be reached in time or the token file cannot be read.
    pub(crate) async fn post(
        &self,
        path: &str,
        accept: &str,
        body: &impl Serialize,
    ) -> Result<Response> {
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        // The server ends what takes too long; its words are better than ours.
        let client = client(self.timeout.saturating_add(2))?;
        self.send(client.post(url).header("accept", accept).json(body))
            .await
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<Response> {
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token file {}", path.display()))?;
            request = request.bearer_auth(token.trim());
        }
        let response = request.send().await.with_context(|| {
            format!(
                "no answer from {}: is `tidegate serve` running there?",
                self.server
            )
        })?;
        let is_truncated = response
            .headers()
            .get("tidegate-truncated")
            .is_some_and(|value| value == "true");
        Ok(Response {
            status: response.status().as_u16(),
            is_truncated,
            body: response
                .bytes()
                .await
                .context("the answer broke off")?
                .to_vec(),
        })
    }
}

fn client(timeout_secs: u64) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(timeout_secs));
    Ok(builder.build()?)
}
