//! The table of peers, row by row.
