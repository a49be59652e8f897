//! The listed bad inputs, one by one.
