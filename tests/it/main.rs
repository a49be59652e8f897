//! End to end: the real binary over loopback sockets, and the rules of the house.

mod alertmanager;
mod architecture;
#[path = "../support/burning.rs"]
mod burning;
mod canary;
mod commands;
mod definitions;
mod demo;
mod emissary;
mod endpoint;
mod first_hour;
mod gate_script;
mod hand;
mod keep;
mod latch;
mod marked;
mod self_telemetry;
mod serve;
#[path = "../support/server.rs"]
mod server;
mod signals;
#[cfg(feature = "sql")]
mod sql;
mod traffic;
mod webhooks;
