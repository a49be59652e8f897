//! Real peers against the real binary. Needs what `cargo xtask test --peers` installs.

mod python;
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
#[path = "../support/server.rs"]
mod server;
