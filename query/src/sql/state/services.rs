//! Services, revisions, events.

use super::{Cell, Column, column, int, text, time, word};
use crate::sql::table::Kind;
use engine::identity::{RevisionKind, ServiceKey};
use engine::snapshot::{EventRow, RevisionRow, ServiceRow, Snapshot};
use std::sync::Arc;

pub(super) const SERVICE: &[Column<Arc<ServiceRow>>] = &[
    column("service", Kind::Text, "Name.", |row| text(&row.key.name)),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |row| text(&row.key.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |row| text(&row.key.environment),
    ),
    column(
        "team",
        Kind::Text,
        "Owning team; NULL when unknown.",
        |row| text(&row.policy.team),
    ),
    column(
        "maturity",
        Kind::Text,
        "`prototype`, `growth` or `mission-critical`.",
        |row| word(row.policy.maturity.name()),
    ),
    column(
        "implicit",
        Kind::Bool,
        "True when no file names the service.",
        |row| Cell::Bool(row.policy.implicit),
    ),
    column("revisions", Kind::Int, "Revisions known.", |row| {
        int(row.revisions.len() as u64)
    }),
    column("slos", Kind::Int, "SLOs.", |row| int(row.slos.len() as u64)),
    column(
        "first_seen",
        Kind::Time,
        "First span; NULL when none came yet.",
        |row| time(row.first_seen),
    ),
    column(
        "last_seen",
        Kind::Time,
        "Last span; NULL when none came yet.",
        |row| time(row.last_seen),
    ),
];

pub(super) fn services(snapshot: &Snapshot) -> Vec<Arc<ServiceRow>> {
    snapshot.services.values().cloned().collect()
}

pub(super) type RevisionOf = (ServiceKey, RevisionRow);

pub(super) const REVISION: &[Column<RevisionOf>] = &[
    column("service", Kind::Text, "Service name.", |(key, _)| {
        text(&key.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |(key, _)| text(&key.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |(key, _)| text(&key.environment),
    ),
    column(
        "revision",
        Kind::Text,
        "The value that tells it; NULL when nothing does.",
        |(_, row)| text(&row.revision.value),
    ),
    column(
        "label",
        Kind::Text,
        "What a person calls it.",
        |(_, row)| Cell::Text(Some(row.revision.label())),
    ),
    column(
        "source",
        Kind::Text,
        "The attribute that tells it.",
        |(_, row)| text(row.revision.source.attribute()),
    ),
    column(
        "kind",
        Kind::Text,
        "`release`, `intercept` or `branch`.",
        |(_, row)| {
            word(match row.revision.kind {
                RevisionKind::Release => "release",
                RevisionKind::Intercept => "intercept",
                RevisionKind::Branch => "branch",
            })
        },
    ),
    column("first_seen", Kind::Time, "First span.", |(_, row)| {
        time(row.first_seen)
    }),
    column("last_seen", Kind::Time, "Last span.", |(_, row)| {
        time(row.last_seen)
    }),
    column(
        "spans_last_minute",
        Kind::Int,
        "Spans of the last minute.",
        |(_, row)| int(row.spans_last_minute),
    ),
    column(
        "instances",
        Kind::Int,
        "Instances seen in the last minute.",
        |(_, row)| int(row.instances),
    ),
    column("live", Kind::Bool, "Seen within a minute.", |(_, row)| {
        Cell::Bool(row.is_live)
    }),
    column(
        "known_good",
        Kind::Bool,
        "Served well before.",
        |(_, row)| Cell::Bool(row.is_known_good),
    ),
    column(
        "lag_seconds",
        Kind::Float,
        "Least (receive - end) of the last minute, seconds.",
        |(_, row)| Cell::Float(Some(row.lag_secs)),
    ),
];

pub(super) fn revisions(snapshot: &Snapshot) -> Vec<RevisionOf> {
    let services = snapshot.services.values();
    services
        .flat_map(|service| {
            let rows = service.revisions.iter();
            rows.map(|row| (service.key.clone(), row.clone()))
        })
        .collect()
}

pub(super) const EVENT: &[Column<EventRow>] = &[
    column("time", Kind::Time, "Logical time.", |row| time(row.at)),
    column("kind", Kind::Text, "What kind of event.", |row| {
        text(&row.kind)
    }),
    column(
        "service",
        Kind::Text,
        "Service name; NULL for the engine's own.",
        |row| text(&row.service),
    ),
    column("text", Kind::Text, "Words.", |row| text(&row.text)),
];
