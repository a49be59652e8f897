//! What observed traffic would have kept: targets from a ladder, thresholds from latency edges. Integers only.

use query::wire::{LatencyBody, RouteBody, TrafficBody};
use std::collections::BTreeSet;

/// Targets, 1/10,000, lowest first. Nothing above: an hour says nothing about one failure in 10,000. Nothing below: the
/// default page tier, a burn of 14.4, could never fire.
const LADDER: [u64; 5] = [9_500, 9_900, 9_950, 9_990, 9_995];
/// One, in units of the ladder.
const ONE: u64 = 10_000;
/// A target needs so much traffic that it allows this many failures: otherwise luck would choose it.
const ALLOWED_MIN: u64 = 10;
/// Latency targets, by how many requests there were.
const LATENCY_TARGETS: [(u64, u64); 2] = [(1_000, 9_900), (0, 9_500)];
/// Fewer requests than this say nothing.
const REQUESTS_MIN: u64 = 20;
/// Routes listed in the comment.
const ROUTES_LISTED: usize = 10;

/// What is proposed for one service.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    pub(super) body: &'a TrafficBody,
    /// Name of the objects and of the file.
    pub(super) slug: String,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Target of the availability SLO, 1/10,000, and whether the observed traffic keeps it.
    pub(super) availability: (u64, bool),
    /// Threshold, us, and target of the latency SLO; `None` when latencies are unknown or too long.
    pub(super) latency: Option<(u64, u64)>,
    pub(super) quantiles: Vec<(&'static str, Option<f64>)>,
    pub(super) routes: Vec<Route<'a>>,
}

/// A route for the comment.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) name: &'a str,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// 99 % of them took at most so long, s.
    pub(super) within: Option<f64>,
}

/// Why nothing is proposed for a service.
pub(super) fn refuses(body: &TrafficBody) -> Option<String> {
    let requests: u64 = body.routes.iter().map(|route| route.requests).sum();
    if body.defined {
        return Some("it has SLOs already".to_owned());
    }
    if body.service.starts_with("unknown_service") || body.service == "__overflow__" {
        return Some("it has no service.name: see `tidegate doctor`".to_owned());
    }
    (requests < REQUESTS_MIN)
        .then(|| format!("{requests} requests say nothing; {REQUESTS_MIN} are needed"))
}

/// A name for objects and file: lower-case letters, digits and `-`, and its own.
pub(super) fn slug(body: &TrafficBody, taken: &mut BTreeSet<String>) -> String {
    let plain = |text: &str| -> String {
        let letters = text.chars().map(|letter| match letter {
            'a'..='z' | '0'..='9' => letter,
            'A'..='Z' => letter.to_ascii_lowercase(),
            _ => '-',
        });
        let text: String = letters.take(40).collect();
        let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
        parts.join("-")
    };
    let name = Some(plain(&body.service)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "service".to_owned());
    let longer = format!("{name}-{}", plain(&body.environment));
    let numbered = (2u32..).map(|number| format!("{name}-{number}"));
    let candidates = [name.clone(), longer.trim_end_matches('-').to_owned()];
    let mut candidates = candidates.into_iter().chain(numbered);
    let free = candidates.find(|candidate| taken.insert(candidate.clone()));
    free.unwrap_or(name)
}

/// What `body` would have kept.
pub(super) fn proposal(body: &TrafficBody, slug: String) -> Proposal<'_> {
    let requests = body.routes.iter().map(|route| route.requests).sum();
    let failed = body.routes.iter().map(|route| route.failed).sum();
    let latency = merged(&body.routes);
    let quantiles = [("half", 5_000), ("95 %", 9_500), ("99 %", 9_900)];
    Proposal {
        body,
        slug,
        requests,
        failed,
        availability: availability(requests, failed),
        latency: threshold(&latency),
        quantiles: quantiles
            .map(|(name, share)| (name, within(&latency, share)))
            .to_vec(),
        routes: body.routes.iter().take(ROUTES_LISTED).map(route).collect(),
    }
}

fn route(body: &RouteBody) -> Route<'_> {
    Route {
        name: &body.route,
        requests: body.requests,
        failed: body.failed,
        within: within(&body.latency, 9_900),
    }
}

/// The highest target of which at most half the budget was used, and that the traffic is enough for. When none is:
/// the highest that was kept at all up to 99 %; when none was, the lowest, which burns.
fn availability(requests: u64, failed: u64) -> (u64, bool) {
    let allowed = |target: u64| requests * (ONE - target);
    let is_calm = |target: &u64| {
        allowed(*target) >= ALLOWED_MIN * ONE && 2 * failed * ONE <= allowed(*target)
    };
    let is_kept = |target: &u64| *target <= 9_900 && failed * ONE <= allowed(*target);
    let ladder = || LADDER.iter().rev().copied();
    let calm = ladder().find(is_calm);
    match calm.or_else(|| ladder().find(is_kept)) {
        Some(target) => (target, true),
        None => (LADDER[0], false),
    }
}

/// Latencies of all routes by edge, ascending; the last, without an edge, is beyond all.
fn merged(routes: &[RouteBody]) -> Vec<LatencyBody> {
    let mut all: Vec<LatencyBody> = routes
        .iter()
        .flat_map(|route| route.latency.clone())
        .collect();
    let edge = |row: &LatencyBody| row.le_seconds.unwrap_or(f64::INFINITY);
    all.sort_by(|one, other| edge(one).total_cmp(&edge(other)));
    all.dedup_by(|row, into| {
        let is_same = edge(row) == edge(into);
        if is_same {
            into.count += row.count;
        }
        is_same
    });
    all
}

/// The edge that at least `share` (1/10,000) of the requests stayed within, s.
fn within(latency: &[LatencyBody], share: u64) -> Option<f64> {
    let all: u64 = latency.iter().map(|row| row.count).sum();
    let mut sum = 0;
    let found = latency.iter().find(|row| {
        sum += row.count;
        sum * ONE >= all * share
    });
    found.and_then(|row| row.le_seconds)
}

/// A round threshold, us, and a target of which the observed traffic used at most half the budget.
fn threshold(latency: &[LatencyBody]) -> Option<(u64, u64)> {
    let all: u64 = latency.iter().map(|row| row.count).sum();
    let (_, target) = LATENCY_TARGETS
        .into_iter()
        .find(|(least, _)| all >= *least)?;
    let edge = within(latency, ONE - (ONE - target) / 2)?;
    Some((round_up((edge * 1e6).ceil() as u64), target))
}

/// The next number of the form 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.
fn round_up(micros: u64) -> u64 {
    let steps = [10, 15, 20, 25, 30, 40, 50, 60, 80];
    let scales = std::iter::successors(Some(1u64), |scale| scale.checked_mul(10));
    let mut numbers = scales.flat_map(|scale| steps.map(|step| step * scale));
    numbers.find(|number| *number >= micros).unwrap_or(micros)
}
