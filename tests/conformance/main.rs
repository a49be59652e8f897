//! The statements of OTLP 1.11 as black-box tests, named by their number in `docs/conformance.md`, over every signal and
//! every transport that they concern; and the catalogue of bad input.
//!
//! They speak to a running receiver through sockets and look at nothing but its answers, and at its counts when it is
//! Tidegate. `TIDEGATE_CONFORMANCE_GRPC` and `TIDEGATE_CONFORMANCE_HTTP` (addresses) point them at another receiver;
//! `cargo xtask conformance` does so and writes the table. Tests of the module `own` need Tidegate's settings.

mod catalogue;
mod grpc;
mod http;
mod items;
mod json;
mod own;
mod payload;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../support/server.rs"]
mod server;
mod target;
#[path = "../support/wire.rs"]
mod wire;
