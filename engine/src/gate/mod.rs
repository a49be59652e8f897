//! The gate: which revisions are candidates, what is known against and for them, and the answer.

pub mod answer;
