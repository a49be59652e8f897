//! The gate: which revisions are candidates, what is known against and for them, and the answer.
//!
//! The problem: say within seconds that *this* revision is bad, and never say it of a revision that merely shares
//! an incident with everybody else. Comparing fleet numbers fails (a 1 % canary is invisible in them), comparing
//! averages over time fails (a shared blip that one arm's exporter reports later looks like a regression).
//! So units of assignment are compared only within strata: same event second, same traffic weight, same route.
//!
//! - **In / out**: [`crate::delta::Delta`], rollout events and [`facts::GateFacts`] in; [`answer::ServiceGate`] rows
//!   and recorded decisions out. [`ask::ask`] answers from a published snapshot and changes nothing.
//! - **Limits**: see the constants of [`strata`], [`service`] and [`chain`]; what did not fit is counted.
//! - **Sources**: DESIGN 5 and 10.
//! - **Read next**: [`answer`], [`facts`], [`machine`], [`service`], [`roles`], [`candidate`], [`strata`], [`flow`],
//!   [`judge`], [`reasons`], [`words`], [`mod@ask`], [`chain`].

pub mod answer;
pub mod ask;
pub mod candidate;
pub mod chain;
pub mod facts;
pub mod flow;
pub mod judge;
pub mod machine;
mod reasons;
mod roles;
pub mod service;
pub mod strata;
pub(crate) mod words;

pub use ask::{Question, ask};
pub use chain::{ChainError, verify};
pub use facts::{BudgetFacts, GateFacts, GateTransition, IncidentFacts, ServiceFacts};
pub use machine::GateMachine;
