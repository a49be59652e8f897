//! Random log requests: mostly what senders send, some records twice.

use super::{any_value, id, key_value, resource, scope, text, time};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn record() -> impl Strategy<Value = LogRecord> {
    let none = || prop_oneof![1 => Just(0u64), 3 => time()];
    let severity = prop_oneof![8 => 0i32..25, 1 => any::<i32>()];
    let level = prop::sample::select(vec!["INFO", "ERROR", "warn"]).prop_map(str::to_owned);
    let level = prop_oneof![3 => level, 1 => text()];
    let name = prop_oneof![3 => Just(String::new()), 1 => text()];
    let ids = (
        prop_oneof![Just(Vec::new()), id(16)],
        prop_oneof![Just(Vec::new()), id(8)],
    );
    let about = (none(), none(), severity, level, name, any::<u32>());
    let own = (option::weighted(0.9, any_value()), vec(key_value(), 0..6));
    (about, ids, own).prop_map(
        |((time, observed, severity_number, severity_text, event_name, flags), ids, own)| {
            LogRecord {
                time_unix_nano: time,
                observed_time_unix_nano: observed,
                severity_number,
                severity_text,
                body: own.0,
                attributes: own.1,
                dropped_attributes_count: 0,
                flags,
                trace_id: ids.0,
                span_id: ids.1,
                event_name,
            }
        },
    )
}

/// Records, some of which come again.
fn records() -> impl Strategy<Value = Vec<LogRecord>> {
    let repeated = (record(), 1usize..4).prop_map(|(record, times)| vec![record; times]);
    let some = prop_oneof![4 => record().prop_map(|record| vec![record]), 1 => repeated];
    vec(some, 0..5).prop_map(|parts| parts.concat())
}

/// A request of up to a few dozen records.
pub(crate) fn request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs =
        (option::of(scope()), records(), text()).prop_map(|(scope, log_records, schema_url)| {
            ScopeLogs {
                scope,
                log_records,
                schema_url,
            }
        });
    let resource_logs = (option::of(resource()), vec(scope_logs, 0..3), text()).prop_map(
        |(resource, scope_logs, schema_url)| ResourceLogs {
            resource,
            scope_logs,
            schema_url,
        },
    );
    vec(resource_logs, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}
