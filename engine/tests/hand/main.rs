//! The hand through the whole core: what is halted, what is left alone, and that a death at any moment changes nothing.

mod cluster;
mod deaths;
mod rules;
mod steps;
