//! What the decoder made of a request, read back from its columns row by row.

use crate::model::{Outcome, RECEIVED, Row, SEED, Stored};
use engine::batch::Batch;
use engine::items::{AttributeColumn, ColumnData, DICTIONARY_MAX, ROWS_MAX, ValueKind, ValueTable};
use engine::span::SpanBatch;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, Decoded, Decoder};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Decodes `body` and reads everything back; checks on the way that the columns are well formed.
pub(crate) fn observed(decoder: &mut Decoder, body: &[u8]) -> Result<Outcome, DecodeError> {
    let decoded = decoder.decode_traces(body, Timestamp(RECEIVED), SEED)?;
    let mut outcome = Outcome::default();
    for batch in decoded.batches.iter().filter_map(Batch::spans) {
        check_shape(batch);
        for row in 0..batch.len() {
            outcome.rows.push(read_row(batch, row));
        }
    }
    for group in &decoded.rejected {
        outcome.rejected.insert(group.reason, group.count);
        assert!(group.count > 0 && !group.first.is_empty());
    }
    assert_eq!(decoded.items_accepted(), outcome.rows.len() as u64);
    Ok(outcome)
}

fn check_shape(batch: &SpanBatch) {
    let rows = batch.len();
    assert!((1..=ROWS_MAX).contains(&rows));
    let lengths = [
        batch.span_id.len(),
        batch.parent_id.len(),
        batch.start.len(),
        batch.duration.len(),
        batch.end.len(),
        batch.items.resource.len(),
        batch.items.scope.len(),
        batch.name.len(),
        batch.kind.len(),
        batch.status.len(),
        batch.flags.len(),
        batch.anomalies.len(),
        batch.shard.len(),
        batch.weight.len(),
    ];
    assert!(lengths.iter().all(|len| *len == rows), "{lengths:?}");
    let order = |column: &AttributeColumn| (column.key.clone(), column.kind);
    assert!(
        batch
            .items
            .attributes
            .is_sorted_by(|a, b| order(a) < order(b))
    );
    for column in &batch.items.attributes {
        assert_eq!(column.present.len(), rows);
        assert!(
            column.present.count_set_bits() > 0,
            "{} is empty",
            column.key
        );
        match &column.data {
            ColumnData::Raw(values) => assert_eq!(values.len(), rows),
            ColumnData::Codes { codes, values } => {
                assert_eq!(codes.len(), rows);
                assert!(values.len() <= DICTIONARY_MAX);
                assert!(codes.iter().all(|code| usize::from(*code) < values.len()));
            }
        }
    }
}

fn read_row(batch: &SpanBatch, row: usize) -> Row {
    let resource = batch.items.resource_of(row);
    let scope = &batch.items.scopes[usize::from(batch.items.scope[row])];
    let canonical = Resource::decode(&*resource.encoded).unwrap();
    let events = batch
        .events
        .iter()
        .filter(|event| event.row as usize == row);
    let links = batch.links.iter().filter(|link| link.row as usize == row);
    Row {
        ids: (
            batch.trace_id[row],
            batch.span_id[row],
            batch.parent_id[row],
        ),
        times: (batch.start[row], batch.end[row], batch.duration[row]),
        kind: batch.kind[row],
        status: batch.status[row],
        flags: batch.flags[row],
        anomalies: batch.anomalies[row],
        shard: batch.shard[row],
        weight: batch.weight[row],
        name: batch.name_of(row).to_owned(),
        status_message: batch.status_message.get(row).map(str::to_owned),
        trace_state: batch.trace_state.get(row).map(str::to_owned),
        resource: canonical.encode_to_vec(),
        resource_attributes: resource
            .attributes
            .iter()
            .map(|(key, kind, bytes)| (key.clone(), canonical_value(*kind, bytes)))
            .collect(),
        service: resource.identity.service.name.clone(),
        scope: (scope.name.clone(), scope.version.clone()),
        attributes: batch
            .items
            .attributes
            .iter()
            .filter_map(|column| {
                let bytes = value_bytes(column, row)?;
                Some((column.key.to_string(), canonical_value(column.kind, bytes)))
            })
            .collect(),
        events: events
            .map(|event| {
                (
                    event.time,
                    event.name.clone(),
                    key_values(&event.attributes),
                )
            })
            .collect(),
        links: links
            .map(|link| (link.trace_id, link.span_id, link.flags))
            .collect(),
    }
}

fn value_bytes(column: &AttributeColumn, row: usize) -> Option<&[u8]> {
    column.present.value(row).then(|| match &column.data {
        ColumnData::Codes { codes, values } => values.get(usize::from(codes[row])),
        ColumnData::Raw(values) => values.get(row),
    })
}

fn canonical_value(kind: ValueKind, bytes: &[u8]) -> Stored {
    match kind {
        ValueKind::Nested => (kind, AnyValue::decode(bytes).unwrap().encode_to_vec()),
        ValueKind::Text => (
            kind,
            std::str::from_utf8(bytes).unwrap().as_bytes().to_vec(),
        ),
        _ => (kind, bytes.to_vec()),
    }
}

fn key_values(mut encoded: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !encoded.is_empty() {
        let one = KeyValue::decode_length_delimited(&mut encoded).unwrap();
        all.push(one.encode_to_vec());
    }
    all
}

/// Every byte of a decoded request's columns, without the addresses that Arrow's `Debug` prints.
pub(crate) fn representation(decoded: &Decoded) -> String {
    let table = |table: &ValueTable| format!("{:?} {:?}", &*table.offsets, table.bytes.as_slice());
    let column = |column: &AttributeColumn| {
        let present: Vec<bool> = column.present.iter().collect();
        let data = match &column.data {
            ColumnData::Raw(values) => format!("raw {}", table(values)),
            ColumnData::Codes { codes, values } => {
                format!("codes {:?} {}", &**codes, table(values))
            }
        };
        format!("{} {:?} {present:?} {data}", column.key, column.kind)
    };
    let batch = |batch: &SpanBatch| {
        let columns: Vec<String> = batch.items.attributes.iter().map(column).collect();
        let fixed = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            &*batch.trace_id,
            &*batch.span_id,
            &*batch.parent_id,
            &*batch.start,
            &*batch.duration,
            &*batch.end,
            &*batch.items.resource,
            &*batch.items.scope,
            &*batch.name,
            &*batch.kind,
            &*batch.status,
            &*batch.flags,
            &*batch.anomalies,
            &*batch.shard,
            &*batch.weight,
        );
        let rest = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            batch.items.resources,
            batch.items.scopes,
            batch.status_message,
            batch.trace_state,
            batch.events,
            batch.links,
        );
        format!("{fixed} {rest} {} {columns:#?}", table(&batch.names))
    };
    let batches: Vec<String> = decoded
        .batches
        .iter()
        .filter_map(Batch::spans)
        .map(batch)
        .collect();
    format!("{batches:#?} {:?} {}", decoded.rejected, decoded.items_seen)
}
