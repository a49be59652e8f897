//! The decoders against `opentelemetry-proto`: the same requests accepted, the same rows, for any bytes.

mod bad_input;
mod bad_points;
mod bad_records;
mod differential;
mod fuzz;
mod generate;
mod json;
mod model;
mod observe;
mod spell;
mod subject;
