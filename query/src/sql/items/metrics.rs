//! The table `metrics`.

use super::arrays::{flags, hex128, optional_floats, optional_ints, texts, times};
use super::common::{ATTRIBUTES, SENDER, anomalies};
use super::{Read, Rows};
use crate::sql::table::{Column, ItemTable, Kind};
use datafusion::arrow::array::ArrayRef;
use engine::items::Signal;
use engine::metric::{ExponentialBuckets, MetricBatch, Number, flag};

const fn column(
    name: &'static str,
    kind: Kind,
    doc: &'static str,
    read: fn(&MetricBatch, &Rows) -> ArrayRef,
) -> Column {
    Column {
        name,
        kind,
        doc,
        read: Read::Metrics(read),
        keyed: None,
    }
}

const TIMES: [Column; 2] = [
    column(
        "time",
        Kind::Time,
        "When the point was observed.",
        |points, rows| times(&points.time, rows),
    ),
    column(
        "start_time",
        Kind::Time,
        "Start of what the value covers; NULL when not sent.",
        |points, rows| times(&points.start, rows),
    ),
];

const OWN: [Column; 17] = [
    column(
        "name",
        Kind::Text,
        "Metric name, as sent.",
        |points, rows| texts(rows, |row| Some(&points.metric_of(row).name)),
    ),
    column(
        "unit",
        Kind::Text,
        "Unit, as sent; NULL when empty.",
        |points, rows| {
            texts(rows, |row| {
                Some(&points.metric_of(row).unit).filter(|unit| !unit.is_empty())
            })
        },
    ),
    column(
        "instrument",
        Kind::Text,
        "`gauge`, `counter`, `updowncounter`, `histogram`, `exponential_histogram` or `summary`.",
        |points, rows| texts(rows, |row| Some(points.metric_of(row).instrument.name())),
    ),
    column(
        "temporality",
        Kind::Text,
        "`delta` or `cumulative`; NULL for gauges and summaries.",
        |points, rows| {
            texts(rows, |row| {
                Some(points.metric_of(row).temporality.name()).filter(|name| !name.is_empty())
            })
        },
    ),
    column(
        "stream",
        Kind::Text,
        "32 hex digits, the same for all points of one time series.",
        |points, rows| hex128(&points.stream, rows),
    ),
    column(
        "value",
        Kind::Float,
        "Value of a number point; NULL for others.",
        |points, rows| {
            optional_floats(rows, |row| match points.number(row) {
                Number::Int(int) => Some(int as f64),
                Number::Double(double) => Some(double),
                Number::None => None,
            })
        },
    ),
    column(
        "value_int",
        Kind::Int,
        "Value of an integer point, exact; NULL for others.",
        |points, rows| {
            optional_ints(rows, |row| match points.number(row) {
                Number::Int(int) => Some(int),
                _ => None,
            })
        },
    ),
    column(
        "count",
        Kind::Int,
        "Events of a histogram or summary point; NULL for others.",
        |points, rows| {
            optional_ints(rows, |row| {
                let classic = points.histogram(row).map(|point| point.count);
                let exponential = || points.exponential(row).map(|point| point.count);
                let summary = || points.summary(row).map(|point| point.count);
                classic
                    .or_else(exponential)
                    .or_else(summary)
                    .map(|count| count as i64)
            })
        },
    ),
    column(
        "sum",
        Kind::Float,
        "Sum of the events' values; NULL when not sent.",
        |points, rows| {
            optional_floats(rows, |row| {
                let classic = points.histogram(row).and_then(|point| point.sum);
                let exponential = || points.exponential(row).and_then(|point| point.sum);
                let summary = || points.summary(row).map(|point| point.sum);
                classic.or_else(exponential).or_else(summary)
            })
        },
    ),
    column(
        "min",
        Kind::Float,
        "Least value of a histogram point; NULL when not sent.",
        |points, rows| {
            optional_floats(rows, |row| {
                let classic = points.histogram(row).and_then(|point| point.min);
                classic.or_else(|| points.exponential(row).and_then(|point| point.min))
            })
        },
    ),
    column(
        "max",
        Kind::Float,
        "Greatest value of a histogram point; NULL when not sent.",
        |points, rows| {
            optional_floats(rows, |row| {
                let classic = points.histogram(row).and_then(|point| point.max);
                classic.or_else(|| points.exponential(row).and_then(|point| point.max))
            })
        },
    ),
    column(
        "bounds",
        Kind::Text,
        "Upper bounds of a classic histogram's buckets, inclusive, as a JSON array; NULL for others.",
        |points, rows| {
            texts(rows, |row| {
                points.histogram(row).map(|point| array(&point.bounds))
            })
        },
    ),
    column(
        "bucket_counts",
        Kind::Text,
        "Events per bucket of a classic histogram, one more than bounds, as a JSON array; NULL for others.",
        |points, rows| {
            texts(rows, |row| {
                points.histogram(row).map(|point| array(&point.counts))
            })
        },
    ),
    column(
        "exponential",
        Kind::Text,
        "Buckets of an exponential histogram as a JSON object; NULL for others.",
        |points, rows| {
            texts(rows, |row| {
                points.exponential(row).map(|point| {
                format!(
                    "{{\"scale\":{},\"zero_count\":{},\"zero_threshold\":{:?},\"positive\":{},\"negative\":{}}}",
                    point.scale, point.zero_count, point.zero_threshold, buckets(&point.positive), buckets(&point.negative)
                )
            })
            })
        },
    ),
    column(
        "quantiles",
        Kind::Text,
        "Quantiles of a summary as a JSON array of `[quantile, value]`; NULL for others.",
        |points, rows| {
            texts(rows, |row| {
                points.summary(row).map(|point| {
                    let pairs = point.quantiles.iter();
                    let pairs = pairs.map(|(quantile, value)| {
                        format!("[{},{}]", number(*quantile), number(*value))
                    });
                    format!("[{}]", pairs.collect::<Vec<_>>().join(","))
                })
            })
        },
    ),
    column(
        "is_end",
        Kind::Bool,
        "True when the point says that the stream has ended (no recorded value).",
        |points, rows| flags(rows, |row| points.flags[row] & flag::NO_RECORDED_VALUE != 0),
    ),
    column(
        "anomalies",
        Kind::Text,
        "What was odd about it, comma-separated; NULL when nothing.",
        |points, rows| anomalies(&points.anomalies, rows),
    ),
];

pub(super) fn table() -> ItemTable {
    let columns = [&TIMES[..], &SENDER, &OWN, &ATTRIBUTES];
    ItemTable {
        name: "metrics",
        doc: "One row a metric point in the hot store.",
        signal: Signal::Metrics,
        columns: columns.concat(),
    }
}

/// A number as JSON; those it does not have as text.
fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:?}")
    } else {
        format!("\"{value}\"")
    }
}

fn array<T: std::fmt::Debug>(values: &[T]) -> String {
    format!("{values:?}").replace(' ', "")
}

fn buckets(side: &ExponentialBuckets) -> String {
    format!(
        "{{\"offset\":{},\"counts\":{}}}",
        side.offset,
        array(&side.counts)
    )
}
