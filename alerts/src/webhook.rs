//! A webhook: one message a change, signed as Standard Webhooks says.

use crate::request::{Request, parse_url};
use crate::{Endpoint, Error, payload};
use engine::input::Notification;
use engine::time::{NANOS_PER_SEC, Timestamp};
use standardwebhooks::Webhook as Signer;

/// A webhook that can be written to.
pub struct Webhook {
    url: reqwest::Url,
    signer: Option<Signer>,
}

impl Webhook {
    /// Checks address and secret.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let signer = endpoint.secret.as_ref().map(|secret| {
            Signer::new(secret).map_err(|source| Error::Secret {
                name: endpoint.name.clone(),
                source,
            })
        });
        Ok(Self {
            url: parse_url(&endpoint.name, &endpoint.url)?,
            signer: signer.transpose()?,
        })
    }

    /// Host it writes to.
    pub fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    /// The request that tells `notification` under the id of its effect, signed at `now`.
    ///
    /// # Errors
    /// In words, when it cannot be signed.
    pub fn request(
        &self,
        id: u128,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<Request, String> {
        let id = format!("msg_{id:032x}");
        let seconds = now.0 / NANOS_PER_SEC;
        let mut request = Request::json(self.url.clone(), payload::body(notification));
        let signature = self.signer.as_ref().map(|signer| {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            signer
                .sign(&id, seconds, &request.body)
                .map_err(|error| format!("cannot sign: {error}"))
        });
        let signature = signature.transpose()?;
        request.headers.extend([
            (standardwebhooks::HEADER_WEBHOOK_ID, id),
            (
                standardwebhooks::HEADER_WEBHOOK_TIMESTAMP,
                seconds.to_string(),
            ),
        ]);
        request
            .headers
            .extend(signature.map(|one| (standardwebhooks::HEADER_WEBHOOK_SIGNATURE, one)));
        Ok(request)
    }
}
