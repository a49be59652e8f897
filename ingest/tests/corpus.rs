//! Real recordings: every span counted.
