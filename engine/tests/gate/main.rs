//! The gate driven as the Decider drives it: counts in, ticks, answers and decisions out.

mod detection;
mod shop;
