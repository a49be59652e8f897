//! Getting spans out: batching like the SDKs, then OTLP over gRPC or HTTP with retries.

mod batch;
mod connection;
mod exporter;
#[cfg(test)]
pub(crate) mod receiver;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wire_tests;

pub use batch::{BatchPolicy, Batcher};
pub use connection::{Connection, Error, Reply, TIMEOUT};
pub(crate) use connection::{authorization, chain, join, read_body};
pub use exporter::{Counters, Counts, Exporter, REQUESTS_MAX};
