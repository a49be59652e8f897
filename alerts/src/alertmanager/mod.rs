//! Alertmanagers are shown what stands: everything, at every change and every `resend`, as Prometheus does.
//!
//! Alertmanager forgets alerts when it restarts, and resolves by itself what it does not hear of again before `endsAt`. So
//! the whole state is posted, over and over; a lost delivery is mended by the next one, and an order of deliveries does not
//! matter. What fires is posted with `endsAt = now + hold`, and `hold` is long: a slow tick, a failed delivery or a restart
//! of ours resolves nothing, because nothing but the end of the condition is an end. What ended is posted with the time of
//! its end until the receiver took it, and for [`ENDED_RESENT`] in any case (its clock may be behind ours: then the first
//! post of an end is no end yet).
//!
//! Source: prometheus.io/docs/alerting/latest/clients, Alertmanager's OpenAPI v2 and `types.Alert.Merge`.

pub mod payload;
mod sender;

#[cfg(test)]
mod tests;

use crate::Error;
use crate::request::{Request, client, parse_url};
use engine::standing::{Standing, Standings};
use engine::time::Timestamp;
use payload::Alert;
use sender::Sender;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Most alerts in one request, as Prometheus sends them.
pub const AT_ONCE: usize = 256;
/// How long an end is told again after it was taken, as Prometheus does.
pub const ENDED_RESENT: Duration = Duration::from_secs(15 * 60);

/// A configured Alertmanager.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    /// Name: what definitions and status call it.
    pub name: String,
    /// Base addresses; each member of a cluster is shown everything.
    pub urls: Vec<String>,
    /// How often everything is posted.
    pub resend: Duration,
    /// How long an alert is believed when nothing more is heard of it.
    pub hold: Duration,
    /// File with a bearer token, read at every post: tokens are rotated.
    pub token_file: Option<PathBuf>,
    /// Labels of every alert.
    pub labels: BTreeMap<String, String>,
    /// Where people find Tidegate's pages.
    pub pages: String,
}

impl Alertmanager {
    /// The request that posts `standings` to `url` at `now`.
    ///
    /// # Errors
    /// In words, when the address or the token file cannot be used.
    pub fn request<'a>(
        &self,
        url: &str,
        standings: impl IntoIterator<Item = &'a Standing>,
        now: Timestamp,
    ) -> Result<Request, String> {
        let url = parse_url(&self.name, url).map_err(|error| error.to_string())?;
        let alerts = standings.into_iter();
        let alerts: Vec<Alert> = alerts.map(|one| Alert::of(one, self, now)).collect();
        let body = serde_json::to_vec(&alerts).map_err(|error| error.to_string())?;
        let mut request = Request::json(endpoint(url, "alerts"), body);
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path).map_err(|error| {
                format!("cannot read the token file {}: {error}", path.display())
            })?;
            let token = token.lines().next().unwrap_or_default().trim();
            request
                .headers
                .push(("authorization", format!("Bearer {token}")));
        }
        Ok(request)
    }
}

/// `{base}/api/v2/{name}`; a base may have a path of its own.
pub fn endpoint(base: reqwest::Url, name: &str) -> reqwest::Url {
    let mut url = base;
    let path = format!("{}/api/v2/{name}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// How deliveries to one address go; read by `/metrics`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Name of the Alertmanager.
    pub name: String,
    /// Its address.
    pub url: String,
    delivered: AtomicU64,
    failed: AtomicU64,
    delivered_at: AtomicU64,
}

impl Stats {
    /// Rounds that were taken completely.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Rounds that were not.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Unix time of the last round that was taken, s; 0 before the first.
    pub fn delivered_at_secs(&self) -> u64 {
        self.delivered_at.load(Ordering::Relaxed)
    }
}

/// Executors that are ready to run.
#[derive(Debug)]
pub struct Executors {
    senders: Vec<Sender>,
}

impl Executors {
    /// One executor per address.
    ///
    /// # Errors
    /// When an address cannot be used or the HTTP client cannot be made.
    pub fn new(alertmanagers: &[Alertmanager], clock: fn() -> Timestamp) -> Result<Self, Error> {
        let client = client()?;
        let mut senders = Vec::new();
        for alertmanager in alertmanagers {
            let alertmanager = Arc::new(alertmanager.clone());
            for url in &alertmanager.urls {
                parse_url(&alertmanager.name, url)?;
                senders.push(Sender::new(&alertmanager, url, client.clone(), clock));
            }
        }
        Ok(Self { senders })
    }

    /// How each one's deliveries go.
    pub fn stats(&self) -> Vec<Arc<Stats>> {
        self.senders.iter().map(Sender::stats).collect()
    }

    /// Shows what stands until `shutdown` is called. When the engine is gone, what stood last goes on being shown:
    /// silence would be read as an end.
    pub async fn run(
        self,
        standings: watch::Receiver<Arc<Standings>>,
        shutdown: CancellationToken,
    ) {
        let mut tasks = JoinSet::new();
        for sender in self.senders {
            tasks.spawn(sender.run(standings.clone(), shutdown.clone()));
        }
        tasks.join_all().await;
    }
}
