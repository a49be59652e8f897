//! `docs/sql.md`, written from the tables, functions and bounds that are in force; a test compares them.

use super::functions::{AGGREGATE, SCALAR, WINDOW};
use super::guard::{
    EXPRESSION_DEPTH_MAX, LITERAL_BYTES_MAX, PARSE_DEPTH_MAX, RELATIONS_MAX, STATEMENT_BYTES_MAX,
};
use super::table::{Kind, type_name};
use super::{SqlLimits, items, state};
use std::fmt::Write;

/// Statements for the reference; a test runs each of them.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    (
        "Every span of one trace",
        "SELECT time, service, name, kind, status, duration\nFROM spans\nWHERE trace_id = '5b8efff798038103d269b633813fc60c'\nORDER BY start_time",
    ),
    (
        "The slowest failed requests of the last 15 minutes",
        "SELECT time, trace_id, service, revision, name, duration, status_message\nFROM spans\nWHERE time > now() - INTERVAL '15 minutes' AND status = 'error'\nORDER BY duration DESC\nLIMIT 20",
    ),
    (
        "Errors by revision and route",
        "SELECT service, revision, attributes['http.route'] AS route,\n       count(*) AS requests,\n       count(*) FILTER (WHERE status = 'error') AS errors\nFROM spans\nWHERE kind = 'server'\nGROUP BY service, revision, route\nORDER BY errors DESC\nLIMIT 20",
    ),
    (
        "Requests and the 99th percentile, minute by minute",
        "SELECT date_trunc('minute', time) AS minute, service, count(*) AS requests,\n       approx_percentile_cont(duration, 0.99) AS p99\nFROM spans\nWHERE kind = 'server'\nGROUP BY minute, service\nORDER BY minute, service",
    ),
    (
        "Who calls whom",
        "SELECT caller.service AS caller, callee.service AS callee, count(*) AS calls,\n       count(*) FILTER (WHERE callee.status = 'error') AS errors\nFROM spans AS callee\nJOIN spans AS caller\n  ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.span_id\nWHERE callee.kind = 'server' AND caller.kind = 'client'\nGROUP BY caller.service, callee.service\nORDER BY calls DESC",
    ),
    (
        "Which pods send what",
        "SELECT resource_attributes['k8s.pod.name'] AS pod, scope_name, count(*) AS spans\nFROM spans\nGROUP BY pod, scope_name\nORDER BY spans DESC",
    ),
    (
        "Log records of a trace, with its spans",
        "SELECT logs.time, logs.service, logs.severity_text, logs.body, spans.name AS span\nFROM logs\nLEFT JOIN spans ON logs.trace_id = spans.trace_id AND logs.span_id = spans.span_id\nWHERE logs.severity_number >= 17\nORDER BY logs.time DESC\nLIMIT 50",
    ),
    (
        "The last value of a gauge, per instance",
        "SELECT service, instance, last_value(value ORDER BY time) AS value\nFROM metrics\nWHERE name = 'queue.length'\nGROUP BY service, instance",
    ),
    (
        "Budgets, the emptiest first",
        "SELECT service, slo, remaining, bad, bad_allowed\nFROM budgets\nORDER BY remaining NULLS LAST",
    ),
    (
        "Revisions that burn faster than their service",
        "SELECT slice.service, slice.slo, slice.revision, slice.burn_rate, whole.burn_rate AS service_burn_rate\nFROM burn_rates AS slice\nJOIN burn_rates AS whole\n  ON slice.slo_id = whole.slo_id AND slice.window_seconds = whole.window_seconds\nWHERE slice.revision IS NOT NULL AND whole.revision IS NULL\n  AND slice.burn_rate > whole.burn_rate AND slice.window_seconds = 3600",
    ),
    (
        "Halts and why",
        "SELECT time, service, candidate, code, reasons\nFROM decisions\nWHERE verdict = 'halt'\nORDER BY number DESC",
    ),
    (
        "What fires",
        "SELECT service, slo, severity, since, text FROM alerts WHERE state = 'firing'",
    ),
    (
        "Every key that spans of a service carry is in `attributes`",
        "SELECT name, attributes, resource_attributes FROM spans WHERE service = 'checkout' LIMIT 5",
    ),
];

/// The reference page.
pub fn reference() -> String {
    let mut page = String::from(HEAD);
    for (title, statement) in EXAMPLES {
        line(
            &mut page,
            &format!("{title}:\n\n```sql\n{statement}\n```\n"),
        );
    }
    line(&mut page, "## Tables\n");
    for table in items::tables() {
        let columns = table.columns.iter();
        let columns = columns.map(|column| (column.name, column.kind, column.doc));
        write_table(&mut page, table.name, table.doc, columns);
    }
    for table in state::tables() {
        let columns = table.columns.iter();
        let columns = columns.map(|column| (column.name, column.kind, column.doc));
        write_table(&mut page, table.name, table.doc, columns);
    }
    write_functions(&mut page);
    write_limits(&mut page);
    page
}

const HEAD: &str = "\
# SQL

This page is written by the program: `cargo test --workspace --features sql --lib reference` compares it, and writes it anew with `TIDEGATE_BLESS=1`.

One SELECT is answered from one snapshot: the spans, metric points and log records that are in the hot store, and what the engine makes of them.
Nothing can be changed, no file is read, and a query that asks for too much memory or time is ended.

```
tidegate query \"SELECT service, count(*) FROM spans GROUP BY service\"
curl http://127.0.0.1:9470/v1/sql -H 'content-type: application/json' -d '{\"query\": \"SELECT 1\"}'
```

`-o json` and `-o csv` (with HTTP: `Accept: text/csv`, or `Accept: application/vnd.apache.arrow.stream` for Arrow) give other forms.
The dialect is DataFusion's, which is close to PostgreSQL's: joins, subqueries, `WITH`, `UNION`, window functions, `FILTER`, `GROUPING SETS`.
Names are lower case; `now()` is the time of the snapshot; times are UTC.
`attributes['key']` and `resource_attributes['key']` work wherever a column does, for any key: in SELECT, WHERE, GROUP BY, ORDER BY and JOIN.
A key has the type it was sent with; when it was sent with several types it is text; a key that nothing carries is NULL.
Text matches by `=`, `LIKE`, `ILIKE`, and by regular expression with `~`, `~*`, `!~`, `!~*` or `regexp_like`, whose pattern is a literal.

## Examples

";

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

fn write_table<'a>(
    page: &mut String,
    name: &str,
    doc: &str,
    columns: impl Iterator<Item = (&'a str, Kind, &'a str)>,
) {
    line(
        page,
        &format!("### {name}\n\n{doc}\n\n| column | type | what it is |\n|---|---|---|"),
    );
    for (name, kind, doc) in columns {
        line(
            page,
            &format!("| `{name}` | {} | {doc} |", type_name(&kind.arrow())),
        );
    }
    page.push('\n');
}

fn write_functions(page: &mut String) {
    line(page, "## Functions\n");
    for (title, names) in [
        ("Scalar functions", SCALAR),
        ("Aggregates", AGGREGATE),
        (
            "Window functions, beside `avg`, `count`, `max`, `min` and `sum`",
            WINDOW,
        ),
    ] {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        line(page, &format!("{title}: {}.\n", names.join(", ")));
    }
    line(
        page,
        "Operators such as `||`, `LIKE`, `CASE`, `CAST`, `EXTRACT`, `SUBSTRING` and `POSITION` work as usual.\n\
         There is no other function: what makes much out of little (`repeat`, `lpad`, `generate_series`, `array_agg`, `string_agg`) would take memory that nobody accounts.\n",
    );
}

fn write_limits(page: &mut String) {
    let limits = SqlLimits::default();
    let mib = |bytes: usize| bytes >> 20;
    let mut rows = String::new();
    for (what, bound, code) in [
        (
            "statement",
            format!(
                "{STATEMENT_BYTES_MAX} bytes, {LITERAL_BYTES_MAX} of text literals, parentheses {PARSE_DEPTH_MAX} deep, expressions {EXPRESSION_DEPTH_MAX}, {RELATIONS_MAX} tables with WITH written out"
            ),
            "400 `SQL_TOO_LARGE`",
        ),
        (
            "memory of a query",
            format!(
                "{} MiB (setting `sql.query_bytes`), nothing goes to disk",
                mib(limits.query_bytes)
            ),
            "422 `SQL_MEMORY`",
        ),
        (
            "time of a query",
            format!(
                "{} s (setting `sql.timeout`), or `timeout_ms`",
                limits.timeout.as_secs()
            ),
            "422 `SQL_TIMEOUT`",
        ),
        (
            "queries at once",
            format!(
                "{} (setting `sql.queries`), on {} threads of low priority",
                limits.queries, limits.threads
            ),
            "429 `SQL_BUSY`",
        ),
        (
            "answer",
            format!(
                "{} rows (1,000 unless `max_rows` says more), {} MiB",
                limits.rows,
                mib(limits.answer_bytes)
            ),
            "cut, `truncated` is true",
        ),
    ] {
        let written = writeln!(rows, "| {what} | {bound} | {code} |");
        debug_assert!(written.is_ok());
    }
    line(
        page,
        &format!("## Limits\n\n| what | bound | at the bound |\n|---|---|---|\n{rows}"),
    );
    page.push_str(
        "Anything but a SELECT is 400 `SQL_NOT_ALLOWED`, a statement that does not parse 400 `SQL_SYNTAX`, a name or type that does not fit 422 `SQL_INVALID`; `position` says where, when that is known.\n\
         In CSV, text that a spreadsheet would run as a formula has an apostrophe before it.\n",
    );
}
