//! Random traffic, and the slow recount it is checked against.

use super::*;
use crate::delta::Fate;
use crate::items::Signal;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SEED: HashSeed = HashSeed(3, 5);
/// When every batch of random traffic is received.
pub(super) const RECEIVED: Timestamp = Timestamp::from_secs(1_700_000_000);
const LIMIT_NANOS: u64 = 200_000_000;

/// One SLO per SLI, for `service`.
pub(super) fn definitions(
    service: &crate::identity::ServiceKey,
    slis: impl IntoIterator<Item = Sli>,
) -> Definitions {
    let mut definitions = Definitions::default();
    for (index, sli) in slis.into_iter().enumerate() {
        let mut slo = Slo::implicit(service);
        slo.id = Slo::id_of(slo.service_id, &format!("slo-{index}"));
        slo.implicit = false;
        slo.sli = sli;
        definitions.slos.insert(slo.id, slo);
    }
    definitions
}

/// `shop` has an availability and a latency SLO; `cart` has none.
pub(super) fn shop() -> Definitions {
    definitions(
        &senders()[0].identity.service,
        [
            Sli::Availability {
                selector: SpanSelector::default(),
                failed: FailedRule::Default,
            },
            Sli::Latency {
                selector: SpanSelector::default(),
                threshold_nanos: LIMIT_NANOS,
            },
        ],
    )
}

fn senders() -> [Arc<Resource>; 4] {
    let of = |name, version| resource(&[("service.name", name), ("service.version", version)]);
    [
        of("shop", "v1"),
        of("shop", "v2"),
        of("cart", "v1"),
        of("cart", "v2"),
    ]
}

/// Where batches end, as shares of what is left.
#[derive(Debug, Clone)]
pub(super) struct Plan(Vec<usize>);

impl Plan {
    pub(super) fn split<'a>(&self, rows: &'a [SpanRow]) -> Vec<&'a [SpanRow]> {
        let mut left = rows;
        let mut parts = Vec::new();
        for size in self.0.iter().cycle() {
            if left.is_empty() {
                return parts;
            }
            let (part, rest) = left.split_at((*size).min(left.len()));
            parts.push(part);
            left = rest;
        }
        parts
    }
}

/// A span out of few enough possibilities that copies, conflicts, retries and ties are common. Everything that an
/// item key does not cover follows from what it covers: two spans with one key are copies.
fn span((trace, span, kind, second, nanos, failing): (u8, u8, u8, i64, u64, u8)) -> SpanRow {
    let senders = senders();
    let sender = &senders[usize::from(trace / 3 + span) % 4];
    let end = (RECEIVED.secs() as i64 + second) as u64 * NANOS_PER_SEC + u64::from(span);
    let start = if nanos == 0 { end + 5 } else { end - nanos };
    let times = if nanos == 1 { (0, end) } else { (start, end) };
    let ids = (u128::from(trace), u64::from(span));
    let mut row =
        SpanRow::new(sender, ids, times, kind).named(["GET /a", "POST /b"][span as usize % 2]);
    let event = row.end.max(row.start);
    if event > RECEIVED.plus(60 * NANOS_PER_SEC).0 {
        row.anomalies = anomaly::FUTURE;
    }
    row = match failing {
        0 => row.with_status(status::ERROR),
        _ if event.is_multiple_of(3) => row.with("http.status_code", "503"),
        _ => row.with("http.status_code", "200"),
    };
    if event.is_multiple_of(5) {
        row = row.with("http.request.method", "GET");
    }
    if event.is_multiple_of(7) {
        row = row.with("tailsampling.policy", "errors");
    }
    if second == -7 {
        row.with("http.route", "/healthz")
    } else {
        row
    }
}

pub(super) mod plans {
    use super::*;

    pub(crate) fn any() -> impl Strategy<Value = Plan> {
        prop::collection::vec(1usize..40, 1..5).prop_map(Plan)
    }

    pub(crate) fn traffic() -> impl Strategy<Value = Vec<SpanRow>> {
        let second = prop_oneof![6 => -8i64..1, 1 => 61i64..70, 1 => -900i64..-500];
        let nanos = prop::sample::select(vec![
            0,
            1,
            1_000_000,
            LIMIT_NANOS,
            LIMIT_NANOS + 1,
            3_000_000_000,
        ]);
        let one = (0u8..12, 0u8..6, 1u8..6, second, nanos, 0u8..4);
        prop::collection::vec(one.prop_map(span), 0..120)
    }

    /// Traffic, and the same traffic in another order with copies in it.
    pub(crate) fn traffic_twice() -> impl Strategy<Value = (Vec<SpanRow>, Vec<SpanRow>)> {
        traffic().prop_flat_map(|rows| {
            let copies = prop::collection::vec(0usize..rows.len().max(1), 0..20);
            let doubled = (Just(rows.clone()), copies).prop_map(|(rows, copies)| {
                let more: Vec<SpanRow> = copies
                    .into_iter()
                    .filter_map(|index| rows.get(index).cloned())
                    .collect();
                [rows, more].concat()
            });
            (Just(rows), doubled.prop_shuffle())
        })
    }
}

fn is_failed(row: &SpanRow) -> bool {
    let code = row
        .attributes
        .iter()
        .find(|(key, _)| key == "http.status_code");
    row.status == status::ERROR || code.is_some_and(|(_, code)| *code == "503".into())
}

/// The facts of a span that an item key covers.
fn content(row: &SpanRow) -> (u128, u64, u8, u64, u64, u8) {
    (
        row.trace_id,
        row.span_id,
        row.kind,
        row.start,
        row.end,
        row.status,
    )
}

/// Counts `rows` one by one: what the folder must come to, from the definitions' words alone.
pub(super) fn naive(rows: &[SpanRow]) -> Delta {
    let definitions = shop();
    let mut seen = BTreeSet::new();
    let mut ids: BTreeMap<(u128, u64, u8), u64> = BTreeMap::new();
    let mut counters = BTreeMap::from([
        (Counter::Items(Signal::Traces, Fate::Excluded), 0),
        (Counter::CollapsedSpans, 0),
    ]);
    let mut sli = Vec::new();
    let mut units: BTreeMap<(u128, ServiceId), (u64, u64, u64, UnitDelta)> = BTreeMap::new();
    for row in rows {
        if ![kind::SERVER, kind::CONSUMER].contains(&row.kind) || !seen.insert(content(row)) {
            continue;
        }
        *ids.entry((row.trace_id, row.span_id, row.kind))
            .or_default() += 1;
        if row.attributes.iter().any(|(key, _)| key == "http.route") {
            *counters
                .entry(Counter::Items(Signal::Traces, Fate::Excluded))
                .or_default() += 1;
            continue;
        }
        let identity = &row.resource.identity;
        let second = row.end.max(row.start) / NANOS_PER_SEC;
        let duration = (row.start != 0 && row.end >= row.start).then(|| row.end - row.start);
        let mut event = |slo: SloId, bad: bool| {
            sli.push(SliDelta {
                slo,
                revision: identity.revision.id,
                second,
                good: i64::from(!bad),
                bad: i64::from(bad),
            });
        };
        let own: Vec<&Slo> = definitions.slos_of(identity.service_id).collect();
        for slo in &own {
            match (&slo.sli, duration) {
                (Sli::Availability { .. }, _) => event(slo.id, is_failed(row)),
                (Sli::Latency { .. }, Some(nanos)) => event(slo.id, nanos > LIMIT_NANOS),
                _ => {}
            }
        }
        if own.is_empty() {
            event(Slo::implicit(&identity.service).id, is_failed(row));
        }
        let unit = unit_of(row, second, duration);
        let key = (row.trace_id, identity.service_id);
        match units.get_mut(&key) {
            None => {
                units.insert(key, unit);
            }
            Some(known) => {
                *counters.entry(Counter::CollapsedSpans).or_default() += 1;
                if (unit.0, unit.1, unit.2) < (known.0, known.1, known.2) {
                    *known = unit;
                }
            }
        }
    }
    counters.insert(ID_CONFLICT, ids.values().map(|count| count - 1).sum());
    counters.retain(|_, count| *count > 0);
    let mut delta = Delta {
        sli,
        units: units.into_values().map(|(_, _, _, unit)| unit).collect(),
        counters,
        ..Delta::default()
    };
    delta.normalize();
    delta
}

/// (start, span id, content fingerprint) and the unit.
fn unit_of(row: &SpanRow, second: u64, duration: Option<u64>) -> (u64, u64, u64, UnitDelta) {
    let identity = &row.resource.identity;
    let start = if row.start == 0 { row.end } else { row.start };
    let key = ItemKey::of(SEED, &batch(SEED, RECEIVED, std::slice::from_ref(row)), 0);
    let unit = UnitDelta {
        key: UnitKey {
            service: identity.service_id,
            second,
            started: start / NANOS_PER_SEC,
            route: u64::from(route_number(SEED, &row.name)),
            revision: identity.revision.id,
        },
        units: 1,
        failed: i64::from(is_failed(row)),
        latency: duration
            .map(|nanos| (crate::latency::bucket(nanos), 1))
            .into_iter()
            .collect(),
    };
    (start, row.span_id, key.content, unit)
}
