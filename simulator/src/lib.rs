//! A simulated shop that sends real OTLP: what `demo`, `loadgen`, the benchmark and the tests are fed with.
//!
//! - **Does**: plays services, releases, faults and rollout controllers from a seed, and sends what they would send.
//! - **In / out**: a seed in; OTLP requests, CloudEvents and gate questions out; the truth beside it.
//! - **Does not know** the engine, nor any other crate of the workspace: it speaks to Tidegate over its public
//!   interfaces only, like anybody else. The machines are pure; only [`live`], [`loadgen`], [`export`] and [`api`] do IO.
//! - **Owns** the connections and tasks of its exporters; everything ends when the caller's token is cancelled.
//! - **Limits**: an exporter's queue holds 2,048 spans and 16 requests; beyond, spans are dropped and counted.
//! - **Sources**: OTLP 1.11, OpenTelemetry specification (batching processor, exporter retry), semantic conventions.
//! - **Read next**: [`topology`], [`shop`], [`play`], [`virtual_run`], [`controller`], [`scenario`], [`encode`].

pub mod api;
pub mod controller;
pub mod definitions;
pub mod encode;
pub mod export;
pub mod live;
pub mod loadgen;
pub mod payload;
pub mod play;
pub mod random;
pub mod scenario;
pub mod shop;
pub mod span;
pub mod topology;
pub mod truth;
pub mod virtual_run;
