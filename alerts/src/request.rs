//! One HTTP request to a receiver, complete: what is sent is what `tidegate alerts render` shows.

use crate::Error;
use std::time::Duration;

/// Longest wait for an answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes read of an answer's body: enough to say what was wrong.
const ANSWER_BYTES_MAX: usize = 2_048;

/// Method is POST; the body is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub url: reqwest::Url,
    /// Names and values, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

/// What the receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// The beginning of the body, at most 2 KB, as text.
    pub body: String,
}

impl Answer {
    /// Whether the status is 2xx.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// "status 400: invalid label set", in one line.
    pub fn words(&self) -> String {
        let said = engine::inert::inert(self.body.trim());
        if said.is_empty() {
            format!("status {}", self.status)
        } else {
            let said: String = said.chars().take(200).collect();
            format!("status {}: {said}", self.status)
        }
    }
}

/// The client of all receivers: redirects are not followed, answers are waited for [`TIMEOUT`].
///
/// # Errors
/// When TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Error::Client)
}

/// Reads the address of endpoint `name`.
///
/// # Errors
/// When it is not http or https with a host.
pub fn parse_url(name: &str, url: &str) -> Result<reqwest::Url, Error> {
    let bad = || Error::Url {
        name: name.to_owned(),
        url: url.to_owned(),
    };
    let parsed = reqwest::Url::parse(url).map_err(|_| bad())?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
        return Err(bad());
    }
    Ok(parsed)
}

impl Request {
    /// A request with a JSON body.
    pub(crate) fn json(url: reqwest::Url, body: Vec<u8>) -> Self {
        Self {
            url,
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        }
    }

    /// Posts it.
    ///
    /// # Errors
    /// The innermost cause, in words, when no answer came: `connection refused` says more than `error sending request`.
    pub async fn send(self, client: &reqwest::Client) -> Result<Answer, String> {
        let mut post = client.post(self.url).body(self.body);
        for (name, value) in &self.headers {
            post = post.header(*name, value);
        }
        let mut response = post.send().await.map_err(|error| cause(&error))?;
        let status = response.status().as_u16();
        tracing::Span::current().record("http.response.status_code", status);
        let header = response.headers().get("retry-after");
        let retry_after = header.and_then(|value| value.to_str().ok().map(str::to_owned));
        let mut body = Vec::new();
        // The status decides; a body that breaks off changes nothing.
        while body.len() < ANSWER_BYTES_MAX
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(ANSWER_BYTES_MAX);
        Ok(Answer {
            status,
            retry_after,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
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
