//! The trace decoder against `opentelemetry-proto`: the same requests accepted, the same rows, for any bytes.

mod bad_input;
mod differential;
mod fuzz;
mod generate;
mod json;
mod model;
mod observe;
mod spell;
