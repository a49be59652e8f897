//! The OTLP receivers over real sockets on loopback: every wire and transport case of the bad-input catalogue, with the
//! listed answer, over gRPC and HTTP, and the connection still usable afterwards.
//!
//! Clients here are a raw HTTP/2 connection and a raw TCP stream; answers are decoded by `prost`, never by our own code.

mod bad_input;
mod grpc;
mod http;
mod limits;
mod signals;
mod support;
#[path = "../../../tests/support/wire.rs"]
mod wire;
