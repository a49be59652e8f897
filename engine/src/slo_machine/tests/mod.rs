//! Tests of the SLO machine.

mod definitions;
mod detection;
mod lifecycle;
mod low_traffic;
mod recount;
mod restart;
mod rig;
mod slices;
