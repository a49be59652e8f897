//! RECEIVES. Everything that comes in: OTLP requests, definition files, and the log that keeps both.
//!
//! - **In / out**: bytes from sockets and files in; [`engine::span::SpanBatch`] and [`engine::input`] types out.
//! - **Does not know**: what any of it means for a budget or a rollout; it accepts or refuses, it never decides.
//! - **Owns**: the OTLP listeners, the definitions watcher, the log's files.
//! - **Limits**: items and bytes of a request are budgeted before anything is allocated; queues are bounded.
//! - **Sources**: OTLP 1.11, OpenSLO v1.
//! - **Read next**: [`receive`], [`otlp`], [`definitions`], [`log`].

pub mod definitions;
pub mod log;
pub mod otlp;
pub mod receive;
