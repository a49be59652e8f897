//! DECIDES. The pure core: span columns to counts, counts to budgets, burn rates, alerts and gate answers.
//!
//! - **In / out**: [`batch::Batch`] and [`input::Input`] in; [`input::Effect`] and [`snapshot::Snapshot`] out.
//! - **Does not know**: IO, clocks, threads, locks, async, randomness, logging, YAML, JSON, HTTP, Kubernetes.
//!   Same inputs in the same order give the same effects and the same snapshot, byte for byte.
//! - **Owns**: the state of every SLO, revision, candidate and alert, and the hot store; no threads.
//! - **Limits**: each table names its bound and what happens at it ([`snapshot::SERVICES_MAX`], ...).
//! - **Sources**: Google SRE Workbook ch. 5 (burn rates), OpenSLO v1, OpenTelemetry semantic conventions.
//! - **Read next**: [`time`], [`hash`], [`identity`], [`items`], [`span`], [`slo`], [`delta`], [`input`], [`snapshot`], [`gate`].

pub mod alert;
pub mod anomaly;
pub mod batch;
pub mod blame;
pub mod budget;
pub mod burn_rate;
pub mod cascade;
pub mod decider;
pub mod delta;
pub mod doctor;
pub mod folder;
pub mod gate;
pub mod graph;
pub mod hand;
pub mod hash;
pub mod identity;
pub mod inert;
pub mod input;
pub mod items;
pub mod latency;
pub mod log_record;
pub mod log_rows;
pub mod machine;
pub mod matcher;
pub mod metric;
pub mod metric_rows;
pub mod outcome;
pub mod peer;
pub mod registry;
pub mod ring;
pub mod slo;
pub mod slo_machine;
pub mod snapshot;
pub mod source;
pub mod span;
pub mod span_rows;
pub mod standing;
pub mod stats;
pub mod store;
pub mod stream;
pub mod time;
pub mod trace;
pub mod traffic;
pub mod value_json;

/// Number of the rules that turn a recorded log into state. It counts up whenever the same log would give other
/// bytes; `replay` prints a difference instead of claiming equality when it differs from the log's.
pub const SEMANTICS: u16 = 5;
