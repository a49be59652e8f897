//! The trace decoder against `opentelemetry-proto`: the same requests accepted, the same rows, for any bytes.

mod bad_input;
mod differential;
mod fuzz;
mod generate;
mod model;
mod observe;
