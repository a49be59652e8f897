//! Server-sent events: incidents and verdicts as they change.
//!
//! A client is first sent what stands (open incidents, the newest verdict of every candidate), then every change. A
//! reader that is slower than snapshots come misses intermediate states, never the last one. Limits: see
//! [`STREAMS_MAX`]; a comment goes out every [`KEEP_ALIVE`], so that proxies keep the connection.

use super::ApiState;
use crate::problem::Problem;
use crate::wire::{DecisionBody, IncidentBody};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use engine::cascade::row::IncidentRow;
use engine::snapshot::{Decision, Snapshot};
use futures_core::Stream;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Most streams at once; further ones are answered 503.
const STREAMS_MAX: usize = 256;
/// A comment is sent this often when nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often the snapshot is looked at.
const LOOK: Duration = Duration::from_millis(250);

static STREAMS: AtomicUsize = AtomicUsize::new(0);

/// Incidents (`event: incident`) and recorded verdicts (`event: decision`) as they change, as server-sent events.
#[utoipa::path(get, path = "/v1/stream", responses(
    (status = 200, description = "events `incident` (an Incident) and `decision` (a Decision)", content_type = "text/event-stream"),
    (status = 503, description = "too many streams"),
))]
pub(super) async fn stream(
    State(state): State<ApiState>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Place::take().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streams are open: close one, or poll /v1/incidents",
        )
    })?;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let changes = Changes {
        state,
        ticks,
        seen: Seen::default(),
        waiting: VecDeque::new(),
        _place: place,
    };
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One of [`STREAMS_MAX`]; given back when the client goes.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = STREAMS.fetch_add(1, Ordering::Relaxed);
        let place = Self;
        (taken < STREAMS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        STREAMS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a client was sent.
#[derive(Debug, Default)]
struct Seen {
    generation: Option<u64>,
    incidents: BTreeMap<u128, Arc<IncidentRow>>,
    /// Number of the newest decision.
    decision: u64,
}

impl Seen {
    /// What changed since, oldest first.
    fn changes(&mut self, snapshot: &Snapshot) -> Vec<Event> {
        let is_first = self.generation.is_none();
        if self.generation == Some(snapshot.generation) {
            return Vec::new();
        }
        self.generation = Some(snapshot.generation);
        let mut events = Vec::new();
        for row in snapshot.incidents.iter().rev() {
            let known = self.incidents.get(&row.id);
            let is_new = known.is_none_or(|known| !Arc::ptr_eq(known, row) && known != row);
            if is_new && (!is_first || row.is_open()) {
                events.extend(event("incident", &IncidentBody::from(&**row)));
            }
            self.incidents.insert(row.id, Arc::clone(row));
        }
        let ids: Vec<u128> = snapshot.incidents.iter().map(|row| row.id).collect();
        self.incidents.retain(|id, _| ids.contains(id));
        events.extend(self.decisions(snapshot, is_first));
        events
    }

    fn decisions(&mut self, snapshot: &Snapshot, is_first: bool) -> Vec<Event> {
        let newest = snapshot.decisions.first().map_or(0, |row| row.number);
        let mut rows: Vec<&Arc<Decision>> = if is_first {
            let mut newest_of = BTreeMap::new();
            for row in snapshot.decisions.iter().rev() {
                newest_of.insert((&row.answer.service, &row.answer.candidate), row);
            }
            newest_of.into_values().collect()
        } else {
            let decisions = snapshot.decisions.iter();
            decisions.filter(|row| row.number > self.decision).collect()
        };
        rows.sort_by_key(|row| row.number);
        self.decision = newest;
        rows.into_iter()
            .filter_map(|row| event("decision", &DecisionBody::from(&**row)))
            .collect()
    }
}

fn event(kind: &str, body: &impl serde::Serialize) -> Option<Event> {
    Event::default().event(kind).json_data(body).ok()
}

struct Changes {
    state: ApiState,
    ticks: Interval,
    seen: Seen,
    waiting: VecDeque<Event>,
    _place: Place,
}

impl Stream for Changes {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.ticks.poll_tick(context).is_pending() {
                return Poll::Pending;
            }
            let snapshot = self.state.snapshot();
            let changes = self.seen.changes(&snapshot);
            self.waiting.extend(changes);
        }
    }
}
