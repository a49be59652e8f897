//! Getting spans out: batching like the SDKs ([`batch`]), then OTLP over gRPC or HTTP.

mod batch;
#[cfg(test)]
mod tests;

pub use batch::{BatchPolicy, Batcher};
