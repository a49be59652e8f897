//! The gate driven as the Decider drives it: counts in, ticks, answers and decisions out.

mod blips;
mod detection;
mod missing;
mod roles;
mod shop;
