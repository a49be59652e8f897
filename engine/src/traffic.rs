//! What was observed of the traffic of every service, route by route: what `init --from-traffic` proposes SLOs from.
//!
//! Nothing decides by it, and it is in no checkpoint: observation begins with the process. Two windows of
//! [`WINDOW_NANOS`] make the last half to full hour. Units and latency buckets are those of the gate.

use crate::delta::{Delta, UnitDelta};
use crate::gate::strata::Cell;
use crate::identity::ServiceId;
use crate::latency::bucket_end_nanos;
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Length of one of the two windows.
pub const WINDOW_NANOS: u64 = 1_800 * NANOS_PER_SEC;
/// Most routes of a service; units of later ones are counted as [`OTHER_ROUTES`].
pub const ROUTES_PER_SERVICE_MAX: usize = 64;
/// Most routes of all services together; likewise.
pub const ROUTES_MAX: usize = 20_000;
/// Most services.
pub const SERVICES_MAX: usize = crate::snapshot::SERVICES_MAX;
/// The name of the routes beyond the bounds.
pub const OTHER_ROUTES: &str = "(other routes)";
/// Rows are made anew this often.
const PUBLISH_NANOS: u64 = 5 * NANOS_PER_SEC;

/// Number of [`OTHER_ROUTES`].
const OTHER: u64 = u64::MAX;

#[derive(Debug, Clone, Default)]
struct RouteTraffic {
    name: String,
    windows: [Cell; 2],
}

#[derive(Debug, Clone, Default)]
struct ServiceTraffic {
    since: Timestamp,
    routes: BTreeMap<u64, RouteTraffic>,
}

/// The observed traffic of all services.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    services: BTreeMap<ServiceId, ServiceTraffic>,
    routes: usize,
    window: u64,
    published: u64,
    rows: Arc<BTreeMap<ServiceId, Arc<TrafficRow>>>,
}

/// What one route took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// Name: `http.route`, `rpc.method` or the span's name; pieces with digits read `*`.
    pub name: String,
    /// Requests: retries and several entries of one trace count once.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Requests by the latency they stayed within, ns, ascending; `u64::MAX` = beyond the last edge. Not cumulative.
    pub latency: Vec<(u64, u64)>,
}

/// The observed traffic of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficRow {
    /// Since when it was observed, logical time.
    pub since: Timestamp,
    /// Routes, busiest first.
    pub routes: Vec<RouteRow>,
}

impl Traffic {
    /// Adds what was counted since the last tick. O(units log routes).
    pub fn apply(&mut self, now: Timestamp, delta: &Delta) {
        self.turn(now);
        for row in &delta.units {
            self.count(now, row);
        }
        for named in &delta.routes {
            let service = self.services.get_mut(&named.service);
            let route = service.and_then(|service| service.routes.get_mut(&named.route));
            if let Some(route) = route
                && (route.name.is_empty() || named.name < route.name)
            {
                route.name.clone_from(&named.name);
            }
        }
    }

    fn count(&mut self, now: Timestamp, row: &UnitDelta) {
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(&row.key.service) {
            return;
        }
        let service = self
            .services
            .entry(row.key.service)
            .or_insert_with(|| ServiceTraffic {
                since: now,
                ..ServiceTraffic::default()
            });
        let mut number = row.key.route;
        if !service.routes.contains_key(&number) {
            if service.routes.len() >= ROUTES_PER_SERVICE_MAX || self.routes >= ROUTES_MAX {
                number = OTHER;
            } else {
                self.routes += 1;
            }
        }
        let route = service.routes.entry(number).or_default();
        route.windows[(self.window % 2) as usize].add(row.units, row.failed, &row.latency);
    }

    /// Begins a new window when its time has come, and forgets what is older than two.
    fn turn(&mut self, now: Timestamp) {
        let window = now.0 / WINDOW_NANOS;
        if window == self.window {
            return;
        }
        let is_next = self.window + 1 == window;
        self.window = window;
        for service in self.services.values_mut() {
            for route in service.routes.values_mut() {
                route.windows[(window % 2) as usize] = Cell::default();
                if !is_next {
                    route.windows = Default::default();
                }
            }
            service
                .routes
                .retain(|_, route| route.windows.iter().any(|cell| cell.units != 0));
            let oldest = Timestamp(window.saturating_sub(1) * WINDOW_NANOS);
            service.since = service.since.max(oldest);
        }
        self.services
            .retain(|_, service| !service.routes.is_empty());
        self.routes = self
            .services
            .values()
            .map(|service| {
                service
                    .routes
                    .keys()
                    .filter(|route| **route != OTHER)
                    .count()
            })
            .sum();
    }

    /// The rows as of the last few seconds. O(1), and every [`PUBLISH_NANOS`] O(routes).
    pub fn rows(&mut self, now: Timestamp) -> Arc<BTreeMap<ServiceId, Arc<TrafficRow>>> {
        let moment = now.0 / PUBLISH_NANOS;
        if self.published != moment {
            self.published = moment;
            let rows = self.services.iter();
            self.rows = Arc::new(
                rows.map(|(id, service)| (*id, Arc::new(service.row())))
                    .collect(),
            );
        }
        Arc::clone(&self.rows)
    }
}

impl ServiceTraffic {
    fn row(&self) -> TrafficRow {
        let mut routes: Vec<RouteRow> = self
            .routes
            .iter()
            .map(|(id, route)| route.row(*id))
            .collect();
        routes.retain(|route| route.requests > 0);
        routes.sort_by(|one, other| (other.requests, &one.name).cmp(&(one.requests, &other.name)));
        TrafficRow {
            since: self.since,
            routes,
        }
    }
}

impl RouteTraffic {
    /// Corrections may leave a cell below zero: it counts as empty.
    fn row(&self, id: u64) -> RouteRow {
        let mut sum = self.windows[0].clone();
        sum.merge(&self.windows[1]);
        let requests = sum.units.max(0) as u64;
        let latency = sum.latency.iter().filter(|(_, count)| *count > 0);
        RouteRow {
            name: match (id, self.name.as_str()) {
                (OTHER, _) => OTHER_ROUTES.to_owned(),
                (_, "") => "(not told yet)".to_owned(),
                (_, name) => name.to_owned(),
            },
            requests,
            failed: (sum.failed.max(0) as u64).min(requests),
            latency: latency
                .map(|(bucket, count)| (bucket_end_nanos(*bucket), *count as u64))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests;
