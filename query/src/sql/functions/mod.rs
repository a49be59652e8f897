//! The functions that exist: a list, so that a new one in the library does not become reachable by itself.
//!
//! Left out is what makes much out of little before the memory pool can see it (`repeat`, `lpad`, `array_agg`,
//! `string_agg`, `generate_series`), what is quadratic in its input (`levenshtein`), what costs kilobytes a group
//! before it is accounted (`approx_distinct`) and what is not the same twice (`random`, `uuid`). What makes text
//! longer and is wanted all the same is [`Measured`]: its result is bounded before it runs.

mod measured;
mod now;
mod operators;
mod regexp;

pub(super) use operators::OperatorPlanner;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use engine::time::Timestamp;
use std::sync::Arc;

/// Scalar functions.
pub(super) const SCALAR: &[&str] = &[
    "abs",
    "acos",
    "arrow_typeof",
    "ascii",
    "asin",
    "atan",
    "atan2",
    "bit_length",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "chr",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "cos",
    "cot",
    "date_bin",
    "date_part",
    "date_trunc",
    "degrees",
    "ends_with",
    "exp",
    "floor",
    "from_unixtime",
    "gcd",
    "greatest",
    "initcap",
    "isnan",
    "iszero",
    "lcm",
    "least",
    "left",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "make_date",
    "nanvl",
    "now",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "pi",
    "power",
    "radians",
    "regexp_like",
    "replace",
    "reverse",
    "right",
    "round",
    "rtrim",
    "signum",
    "sin",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "tan",
    "to_char",
    "to_date",
    "to_hex",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
    "translate",
    "trunc",
    "upper",
];

/// Aggregates.
pub(super) const AGGREGATE: &[&str] = &[
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "percentile_cont",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// Window functions, beside the aggregates that `guard` lists.
pub(super) const WINDOW: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// The scalar functions of a query of a snapshot.
pub(super) fn scalar(as_of: Timestamp) -> Vec<Arc<ScalarUDF>> {
    let library = datafusion::functions::all_default_functions();
    let listed = library
        .into_iter()
        .filter(|function| SCALAR.contains(&function.name()))
        // These two are ours.
        .filter(|function| !["now", "regexp_like"].contains(&function.name()))
        .map(measured::measured);
    listed
        .chain([now::now(as_of), regexp::regexp_like()])
        .collect()
}

/// The aggregates.
pub(super) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let library = datafusion::functions_aggregate::all_default_aggregate_functions();
    library
        .into_iter()
        .filter(|function| AGGREGATE.contains(&function.name()))
        .collect()
}

/// The window functions.
pub(super) fn window() -> Vec<Arc<WindowUDF>> {
    let library = datafusion::functions_window::all_default_window_functions();
    library
        .into_iter()
        .filter(|function| WINDOW.contains(&function.name()))
        .collect()
}
