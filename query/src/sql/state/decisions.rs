//! Gate decisions.

use super::{Cell, Column, column, hex, int, text, time, word};
use crate::sql::table::Kind;
use engine::snapshot::Decision;
use std::sync::Arc;

pub(super) const DECISION: &[Column<Arc<Decision>>] = &[
    column(
        "decision_id",
        Kind::Text,
        "Id, 32 hex digits: the hash of the chain's link.",
        |row| hex(row.id),
    ),
    column(
        "number",
        Kind::Int,
        "Position in the log of decisions, from 1.",
        |row| int(row.number),
    ),
    column("time", Kind::Time, "Logical time.", |row| {
        time(row.answer.as_of)
    }),
    column("service", Kind::Text, "Service name.", |row| {
        text(&row.answer.service.name)
    }),
    column(
        "namespace",
        Kind::Text,
        "Namespace; NULL when it has none.",
        |row| text(&row.answer.service.namespace),
    ),
    column(
        "environment",
        Kind::Text,
        "Environment; NULL when it has none.",
        |row| text(&row.answer.service.environment),
    ),
    column(
        "candidate",
        Kind::Text,
        "Candidate; NULL when there is none.",
        |row| text(&row.answer.candidate),
    ),
    column(
        "baseline",
        Kind::Text,
        "Baseline revisions, comma-separated; NULL when there is none.",
        |row| text(&row.answer.baseline.join(",")),
    ),
    column("phase", Kind::Text, "`admit` or `advance`.", |row| {
        word(row.answer.phase.name())
    }),
    column(
        "verdict",
        Kind::Text,
        "`proceed`, `wait`, `halt` or `unknown`.",
        |row| word(row.answer.verdict.name()),
    ),
    column("code", Kind::Text, "The reason for programs.", |row| {
        word(row.answer.code.name())
    }),
    column("reasons", Kind::Text, "The reasons in words.", |row| {
        text(&row.answer.reasons.join("; "))
    }),
    column(
        "counterfactual",
        Kind::Text,
        "What would change the answer.",
        |row| text(&row.answer.counterfactual),
    ),
    column(
        "candidate_units",
        Kind::Int,
        "Requests of the candidate in the test.",
        |row| int(row.answer.evidence.candidate.units),
    ),
    column(
        "candidate_failed",
        Kind::Int,
        "How many of them failed.",
        |row| int(row.answer.evidence.candidate.failed),
    ),
    column(
        "baseline_units",
        Kind::Int,
        "Requests of the baseline in the test.",
        |row| int(row.answer.evidence.baseline.units),
    ),
    column(
        "baseline_failed",
        Kind::Int,
        "How many of them failed.",
        |row| int(row.answer.evidence.baseline.failed),
    ),
    column(
        "latched",
        Kind::Bool,
        "True when this decision latched a Halt.",
        |row| Cell::Bool(row.latched),
    ),
    column(
        "cleared_reason",
        Kind::Text,
        "Why a person cleared a latch; NULL when nobody did.",
        |row| text(&row.cleared_reason),
    ),
];
