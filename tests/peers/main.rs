//! Real peers against the real binary. Needs what `cargo xtask test --peers` installs.

mod python;
#[path = "../support/server.rs"]
mod server;
