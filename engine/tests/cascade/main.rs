//! Detection, culprits and incidents on simulated systems, through the counts API.

mod cascades;
mod healthy;
mod world;
