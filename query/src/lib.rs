//! SHOWS. Everything that is read: the HTTP API, gate answers, SQL, metrics.
//!
//! - **In / out**: [`engine::snapshot::Snapshot`] in; JSON, CSV, Arrow, Prometheus text and an OpenAPI document out.
//! - **Does not know**: how anything was decided; it reads the last published snapshot and never asks the engine.
//! - **Owns**: no state; a few threads of low priority once SQL is asked.
//! - **Limits**: one snapshot per request; bodies of posted events are capped; SQL by [`sql::SqlLimits`].
//! - **Sources**: CloudEvents 1.0, RFC 9457 (problem details), Prometheus exposition format.
//! - **Read next**: [`wire`], [`api`], [`sql`], [`metrics`].

pub mod api;
pub mod metrics;
pub mod problem;
pub mod server;
pub mod sql;
pub mod wire;
