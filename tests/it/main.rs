//! End to end: the real binary over loopback sockets, and the rules of the house.

mod architecture;
mod commands;
mod definitions;
mod demo;
mod keep;
mod serve;
#[path = "../support/server.rs"]
mod server;
mod traffic;
