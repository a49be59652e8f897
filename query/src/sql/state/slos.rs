//! SLOs, budgets, burn rates, alerts.

use super::{Cell, Column, column, hex, int, text, time, word};
use crate::sql::table::Kind;
use crate::wire::sli_kind;
use engine::snapshot::{AlertRow, SloRow, Snapshot, WindowRow};
use std::sync::Arc;

pub(super) const SLO: &[Column<Arc<SloRow>>] = &[
    column("slo_id", Kind::Text, "Id, 32 hex digits.", |row| {
        hex(row.slo.id.0)
    }),
    column("slo", Kind::Text, "Name, unique per service.", |row| {
        text(&row.slo.name)
    }),
    column("service", Kind::Text, "Service name.", |row| {
        text(&row.slo.service.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |row| text(&row.slo.service.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |row| text(&row.slo.service.environment),
    ),
    column(
        "kind",
        Kind::Text,
        "`availability`, `latency` or `ratio`.",
        |row| word(sli_kind(&row.slo.sli)),
    ),
    column(
        "target",
        Kind::Float,
        "Target ratio of good events, 0..1.",
        |row| Cell::Float(Some(row.slo.target.as_f64())),
    ),
    column("period_seconds", Kind::Int, "Period.", |row| {
        int(row.slo.period_secs)
    }),
    column(
        "implicit",
        Kind::Bool,
        "True when no file defines it.",
        |row| Cell::Bool(row.slo.implicit),
    ),
    column(
        "defined_at",
        Kind::Text,
        "`file:line:column`; NULL for implicit ones.",
        |row| text(&row.slo.defined_at),
    ),
    column(
        "alert_state",
        Kind::Text,
        "`inactive`, `pending`, `firing` or `resolved`.",
        |row| {
            word(
                row.alert
                    .as_ref()
                    .map_or("inactive", |alert| alert.state.name()),
            )
        },
    ),
    column(
        "stale",
        Kind::Bool,
        "True when no event came for 5 minutes: the state is carried.",
        |row| Cell::Bool(row.is_stale),
    ),
    column(
        "observed_since",
        Kind::Time,
        "First event counted; NULL when there is none.",
        |row| time(row.observed_since),
    ),
    column(
        "last_event",
        Kind::Time,
        "Last event counted; NULL when there is none.",
        |row| time(row.last_event),
    ),
];

pub(super) fn slos(snapshot: &Snapshot) -> Vec<Arc<SloRow>> {
    snapshot.slos.values().cloned().collect()
}

pub(super) const BUDGET: &[Column<Arc<SloRow>>] = &[
    column("slo_id", Kind::Text, "SLO id.", |row| hex(row.slo.id.0)),
    column("slo", Kind::Text, "SLO name.", |row| text(&row.slo.name)),
    column("service", Kind::Text, "Service name.", |row| {
        text(&row.slo.service.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |row| text(&row.slo.service.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |row| text(&row.slo.service.environment),
    ),
    column(
        "target",
        Kind::Float,
        "Target ratio of good events, 0..1.",
        |row| Cell::Float(Some(row.slo.target.as_f64())),
    ),
    column("period_seconds", Kind::Int, "Period.", |row| {
        int(row.slo.period_secs)
    }),
    column("good", Kind::Int, "Good events of the period.", |row| {
        int(row.period.good)
    }),
    column("bad", Kind::Int, "Bad events of the period.", |row| {
        int(row.period.bad)
    }),
    column(
        "bad_allowed",
        Kind::Int,
        "Bad events still allowed; negative when overspent.",
        |row| Cell::Int(Some(row.bad_allowed)),
    ),
    column(
        "remaining",
        Kind::Float,
        "What is left of the budget, 1 = all, negative when overspent; NULL without events.",
        |row| Cell::Float(row.budget_remaining),
    ),
    column(
        "exhausted_in_seconds",
        Kind::Int,
        "Until it is gone at the burn rate of the last hour; NULL when it does not burn.",
        |row| {
            Cell::Int(
                row.exhausted_in_secs
                    .and_then(|secs| i64::try_from(secs).ok()),
            )
        },
    ),
    column(
        "observed_since",
        Kind::Time,
        "First event counted; NULL when there is none.",
        |row| time(row.observed_since),
    ),
];

/// An SLO, a revision when it is a slice, and a window of it.
pub(super) type BurnRate = (Arc<SloRow>, Option<String>, WindowRow);

pub(super) const BURN_RATE: &[Column<BurnRate>] = &[
    column("slo_id", Kind::Text, "SLO id.", |(row, ..)| {
        hex(row.slo.id.0)
    }),
    column("slo", Kind::Text, "SLO name.", |(row, ..)| {
        text(&row.slo.name)
    }),
    column("service", Kind::Text, "Service name.", |(row, ..)| {
        text(&row.slo.service.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |(row, ..)| text(&row.slo.service.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |(row, ..)| text(&row.slo.service.environment),
    ),
    column(
        "revision",
        Kind::Text,
        "Revision; NULL for the whole service.",
        |(_, revision, _)| Cell::Text(revision.clone()),
    ),
    column("window_seconds", Kind::Int, "Window.", |(.., window)| {
        int(window.window_secs)
    }),
    column("good", Kind::Int, "Good events in it.", |(.., window)| {
        int(window.counts.good)
    }),
    column("bad", Kind::Int, "Bad events in it.", |(.., window)| {
        int(window.counts.bad)
    }),
    column(
        "burn_rate",
        Kind::Float,
        "1.0 spends the budget exactly over the period; NULL without events.",
        |(.., window)| Cell::Float(window.burn),
    ),
];

pub(super) fn burn_rates(snapshot: &Snapshot) -> Vec<BurnRate> {
    let mut rows = Vec::new();
    for row in snapshot.slos.values() {
        let whole = row
            .windows
            .iter()
            .map(|window| (Arc::clone(row), None, *window));
        rows.extend(whole);
        let service = snapshot.services.get(&row.slo.service_id);
        for slice in &row.slices {
            let known = service.and_then(|service| {
                let mut revisions = service.revisions.iter();
                revisions.find(|known| known.revision.id == slice.revision)
            });
            let name = known.map_or_else(
                || crate::wire::hex(slice.revision.0),
                |known| known.revision.value.clone(),
            );
            let windows = slice.windows.iter();
            rows.extend(windows.map(|window| (Arc::clone(row), Some(name.clone()), *window)));
        }
    }
    rows
}

pub(super) const ALERT: &[Column<Arc<AlertRow>>] = &[
    column(
        "alert_id",
        Kind::Text,
        "Id of this occurrence, 32 hex digits.",
        |row| hex(row.id),
    ),
    column("slo_id", Kind::Text, "SLO id.", |row| hex(row.slo_id.0)),
    column("slo", Kind::Text, "SLO name.", |row| text(&row.slo)),
    column("service", Kind::Text, "Service name.", |row| {
        text(&row.service.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |row| text(&row.service.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |row| text(&row.service.environment),
    ),
    column(
        "team",
        Kind::Text,
        "Owning team; NULL when unknown.",
        |row| text(&row.team),
    ),
    column(
        "state",
        Kind::Text,
        "`pending`, `firing` or `resolved`.",
        |row| word(row.state.name()),
    ),
    column("severity", Kind::Text, "`page` or `ticket`.", |row| {
        word(row.severity.name())
    }),
    column("tier", Kind::Text, "The tier that decides it.", |row| {
        text(&row.tier)
    }),
    column("since", Kind::Time, "When the condition began.", |row| {
        time(row.since)
    }),
    column(
        "fired_at",
        Kind::Time,
        "When it fired; NULL when it has not.",
        |row| Cell::Time(row.fired_at),
    ),
    column(
        "resolved_at",
        Kind::Time,
        "When it resolved; NULL when it has not.",
        |row| Cell::Time(row.resolved_at),
    ),
    column("time", Kind::Time, "Time of the last transition.", |row| {
        time(row.as_of)
    }),
    column("text", Kind::Text, "The burn in words.", |row| {
        text(&row.text)
    }),
    column(
        "long_burn_rate",
        Kind::Float,
        "Burn over the tier's long window at the last transition.",
        |row| Cell::Float(Some(row.long_burn)),
    ),
    column(
        "short_burn_rate",
        Kind::Float,
        "Burn over the tier's short window at the last transition.",
        |row| Cell::Float(Some(row.short_burn)),
    ),
    column(
        "budget_remaining",
        Kind::Float,
        "What was left of the budget at the last transition.",
        |row| Cell::Float(Some(row.budget_remaining)),
    ),
];
