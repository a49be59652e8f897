//! Log records, as they must come out.

use super::{
    Outcome, Own, RECEIVED, Row, SEED, Stored, attributes, event_time, number, origin, origin_hash,
    shorten, stored,
};
use engine::anomaly;
use ingest::otlp::{DecodeLimits, RejectReason};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// The columns that only records have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordRow {
    pub ids: (u128, u64),
    pub times: (u64, u64),
    pub severity: u8,
    pub severity_text: String,
    pub event_name: String,
    pub body: Stored,
    pub flags: u8,
    pub key: u64,
}

/// The records so far, each with its origin, to tell equal ones apart.
type Before = Vec<(u128, Vec<u8>)>;

pub(crate) fn expected(request: &ExportLogsServiceRequest, limits: &DecodeLimits) -> Outcome {
    let mut outcome = Outcome::default();
    let mut before = Before::new();
    for resource_logs in &request.resource_logs {
        let resource = resource_logs.resource.clone().unwrap_or_default();
        for scope_logs in &resource_logs.scope_logs {
            let scope = scope_logs.scope.clone().unwrap_or_default();
            for record in &scope_logs.log_records {
                outcome.add(row(record, (&resource, &scope), &mut before, limits));
            }
        }
    }
    outcome
}

fn row(
    record: &LogRecord,
    (resource, scope): (&Resource, &InstrumentationScope),
    before: &mut Before,
    limits: &DecodeLimits,
) -> Result<Row, RejectReason> {
    let mut odd = 0;
    let (time, observed) = (record.time_unix_nano, record.observed_time_unix_nano);
    if time > i64::MAX as u64 || observed > i64::MAX as u64 {
        return Err(RejectReason::TimeOutOfRange);
    }
    let event = if time != 0 {
        time
    } else if observed != 0 {
        observed
    } else {
        RECEIVED
    };
    event_time(event, &mut odd)?;
    let trace_id = number(&record.trace_id, 16).unwrap_or(0);
    let span_id = number(&record.span_id, 8).unwrap_or(0) as u64;
    let wrong = |id: &[u8], len: usize| !id.is_empty() && id.len() != len;
    if wrong(&record.trace_id, 16) || wrong(&record.span_id, 8) {
        odd |= anomaly::BAD_TRACE_ID;
    }
    let body_limits = DecodeLimits {
        value_bytes_max: limits.body_bytes_max,
        ..*limits
    };
    let key = key(record, origin_hash(resource, scope), before);
    Ok(Row {
        origin: origin(resource, scope, limits, &mut odd),
        attributes: attributes(&record.attributes, limits, &mut odd),
        shard: match trace_id {
            0 => SEED.shard(u128::from(key)),
            trace_id => SEED.shard(trace_id),
        },
        own: Own::Record(RecordRow {
            ids: (trace_id, span_id),
            times: (event, observed),
            severity: u8::try_from(record.severity_number).unwrap_or(255),
            severity_text: shorten(&record.severity_text, limits, &mut odd),
            event_name: shorten(&record.event_name, limits, &mut odd),
            body: stored(record.body.as_ref(), &body_limits, &mut odd),
            flags: (record.flags % 256) as u8,
            key,
        }),
        anomalies: odd,
    })
}

fn key(record: &LogRecord, origin: u128, before: &mut Before) -> u64 {
    let encoded = record.encode_to_vec();
    let mut parts = origin.to_le_bytes().to_vec();
    parts.extend_from_slice(&SEED.fingerprint(&encoded).to_le_bytes());
    let same = (origin, encoded);
    let ordinal = before.iter().filter(|other| **other == same).count() as u32;
    parts.extend_from_slice(&ordinal.to_le_bytes());
    before.push(same);
    SEED.fingerprint(&parts)
}
