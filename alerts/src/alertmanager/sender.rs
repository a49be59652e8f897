//! One address of an Alertmanager: when to post what.

use super::{AT_ONCE, Alertmanager, ENDED_RESENT, Stats};
use engine::standing::{Standing, Standings};
use engine::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

/// First wait after a failure; it doubles up to the resend interval.
const RETRY: Duration = Duration::from_secs(1);

/// Posts to one address.
#[derive(Debug)]
pub(super) struct Sender {
    to: Arc<Alertmanager>,
    client: reqwest::Client,
    clock: fn() -> Timestamp,
    stats: Arc<Stats>,
    taken: Taken,
}

/// Ends that the receiver took, by row and time of the end. Not durable: after a restart they are told once more.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<u128, Timestamp>);

impl Taken {
    /// Whether `row` is to be told at `now`: while it holds, and its end until it was taken and a while longer.
    pub(super) fn is_due(&self, id: u128, row: &Standing, now: Timestamp) -> bool {
        let Some(ended) = row.ended else { return true };
        now.since(ended) < ENDED_RESENT.as_nanos() as u64 || self.0.get(&id) != Some(&ended)
    }

    /// The receiver took `row`.
    pub(super) fn note(&mut self, id: u128, row: &Standing) {
        match row.ended {
            Some(ended) => self.0.insert(id, ended),
            None => self.0.remove(&id),
        };
    }

    fn forget(&mut self, standings: &Standings) {
        let known: std::collections::BTreeSet<u128> = standings.rows().map(|(id, _)| id).collect();
        self.0.retain(|id, _| known.contains(id));
    }
}

impl Sender {
    pub(super) fn new(
        to: &Arc<Alertmanager>,
        url: &str,
        client: reqwest::Client,
        clock: fn() -> Timestamp,
    ) -> Self {
        let stats = Stats {
            name: to.name.clone(),
            url: url.to_owned(),
            ..Stats::default()
        };
        Self {
            to: Arc::clone(to),
            client,
            clock,
            stats: Arc::new(stats),
            taken: Taken::default(),
        }
    }

    pub(super) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    pub(super) async fn run(
        mut self,
        mut standings: watch::Receiver<Arc<Standings>>,
        shutdown: CancellationToken,
    ) {
        let mut failures = 0u32;
        let mut complaint = String::new();
        let mut is_engine_there = true;
        // What a restart restored is told at once.
        let mut due = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
                // While it fails, a change waits for the next try like everything else.
                changed = standings.changed(), if is_engine_there && failures == 0 => {
                    is_engine_there = changed.is_ok();
                    if !is_engine_there {
                        continue;
                    }
                }
            }
            let all = Arc::clone(&standings.borrow_and_update());
            let posted = tokio::select! {
                () = shutdown.cancelled() => return,
                posted = self.post(&all) => posted,
            };
            let wait = match posted {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(
                            alertmanager = self.to.name,
                            url = self.stats.url,
                            "alerts are taken again"
                        );
                    }
                    (failures, complaint) = (0, String::new());
                    self.to.resend
                }
                Err(error) => {
                    self.stats.failed.fetch_add(1, Ordering::Relaxed);
                    if error != complaint {
                        tracing::warn!(
                            alertmanager = self.to.name,
                            url = self.stats.url,
                            "alerts are not taken, and are sent again until they are: {error}"
                        );
                        complaint = error;
                    }
                    let wait = RETRY
                        .saturating_mul(1 << failures.min(16))
                        .min(self.to.resend);
                    failures = failures.saturating_add(1);
                    wait
                }
            };
            due = Instant::now() + wait;
        }
    }

    /// Posts everything that is due. A part that is refused does not keep the others from being sent.
    async fn post(&mut self, standings: &Standings) -> Result<(), String> {
        self.taken.forget(standings);
        let now = (self.clock)();
        let rows: Vec<(u128, &Arc<Standing>)> = standings
            .rows()
            .filter(|(_, row)| row.endpoints.contains(&self.to.name))
            .filter(|(id, row)| self.taken.is_due(*id, row, now))
            .collect();
        let mut refused = None;
        for part in rows.chunks(AT_ONCE) {
            let alerts = part.iter().map(|(_, row)| row.as_ref());
            let request = self.to.request(&self.stats.url, alerts, (self.clock)())?;
            let span = tracing::info_span!(
                "alertmanager",
                otel.kind = "client",
                http.request.method = "POST",
                server.address = request.url.host_str(),
                http.response.status_code = Empty,
            );
            let answer = request.send(&self.client).instrument(span).await?;
            if answer.is_success() {
                part.iter().for_each(|(id, row)| self.taken.note(*id, row));
            } else {
                refused.get_or_insert(answer.words());
            }
        }
        if let Some(words) = refused {
            return Err(words);
        }
        if !rows.is_empty() {
            self.stats.delivered.fetch_add(1, Ordering::Relaxed);
            let secs = now.0 / NANOS_PER_SEC;
            self.stats.delivered_at.store(secs, Ordering::Relaxed);
        }
        Ok(())
    }
}
