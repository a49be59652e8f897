//! SHOWS. Everything that is read: the HTTP API, gate answers, metrics.
//!
//! - **In / out**: [`engine::snapshot::Snapshot`] in; JSON, Prometheus text and an OpenAPI document out.
//! - **Does not know**: how anything was decided; it reads the last published snapshot and never asks the engine.
//! - **Owns**: no state.
//! - **Limits**: one snapshot per request; bodies of posted events are capped.
//! - **Sources**: CloudEvents 1.0, RFC 9457 (problem details), Prometheus exposition format.
//! - **Read next**: [`wire`], [`api`], [`metrics`].

pub mod api;
pub mod metrics;
pub mod problem;
pub mod server;
pub mod wire;
