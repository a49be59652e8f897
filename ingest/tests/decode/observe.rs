//! What the decoder made of a request, read back from its columns row by row.

use crate::model::{
    Origin, Outcome, Own, PointRow, PointValue, RECEIVED, RecordRow, Row, SEED, SpanRow, Stored,
};
use engine::batch::Batch;
use engine::items::{
    AttributeColumn, ColumnData, DICTIONARY_MAX, ROWS_MAX, Signal, ValueKind, ValueTable,
};
use engine::log_record::LogBatch;
use engine::metric::{MetricBatch, Number};
use engine::span::SpanBatch;
use engine::time::Timestamp;
use ingest::otlp::{DecodeError, Decoded, Decoder, Format};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// Decodes `body` and reads everything back; checks on the way that the columns are well formed.
pub(crate) fn observed(
    decoder: &mut Decoder,
    signal: Signal,
    body: &[u8],
) -> Result<Outcome, DecodeError> {
    let decoded = decoder.decode((signal, Format::Protobuf), body, Timestamp(RECEIVED), SEED)?;
    let mut outcome = Outcome::default();
    for batch in &decoded.batches {
        assert_eq!(batch.signal(), signal);
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

/// The number of entries of every row column.
fn lengths(batch: &Batch) -> Vec<usize> {
    let items = batch.items();
    let mut lengths = vec![items.resource.len(), items.scope.len()];
    match batch {
        Batch::Spans(batch) => lengths.extend([
            batch.trace_id.len(),
            batch.span_id.len(),
            batch.parent_id.len(),
            batch.start.len(),
            batch.duration.len(),
            batch.end.len(),
            batch.name.len(),
            batch.kind.len(),
            batch.status.len(),
            batch.flags.len(),
            batch.anomalies.len(),
            batch.shard.len(),
            batch.weight.len(),
        ]),
        Batch::Metrics(batch) => lengths.extend([
            batch.metric.len(),
            batch.start.len(),
            batch.time.len(),
            batch.flags.len(),
            batch.anomalies.len(),
            batch.stream.len(),
            batch.shard.len(),
            batch.value_kind.len(),
            batch.value.len(),
        ]),
        Batch::Logs(batch) => lengths.extend([
            batch.time.len(),
            batch.observed_time.len(),
            batch.trace_id.len(),
            batch.span_id.len(),
            batch.severity_number.len(),
            batch.severity_text.len(),
            batch.event_name.len(),
            batch.bodies.kinds.len(),
            batch.bodies.values.len(),
            batch.flags.len(),
            batch.anomalies.len(),
            batch.key.len(),
            batch.shard.len(),
        ]),
    }
    lengths
}

fn check_shape(batch: &Batch) {
    let rows = batch.len();
    assert!((1..=ROWS_MAX).contains(&rows));
    let lengths = lengths(batch);
    assert!(lengths.iter().all(|len| *len == rows), "{lengths:?}");
    let order = |column: &AttributeColumn| (column.key.clone(), column.kind);
    let attributes = &batch.items().attributes;
    assert!(attributes.is_sorted_by(|a, b| order(a) < order(b)));
    for column in attributes {
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

fn read_row(batch: &Batch, row: usize) -> Row {
    let items = batch.items();
    let resource = items.resource_of(row);
    let scope = &items.scopes[usize::from(items.scope[row])];
    let canonical = Resource::decode(&*resource.encoded).unwrap();
    let (anomalies, shard, own) = match batch {
        Batch::Spans(batch) => (&batch.anomalies, &batch.shard, Own::Span(span(batch, row))),
        Batch::Metrics(batch) => (
            &batch.anomalies,
            &batch.shard,
            Own::Point(point(batch, row)),
        ),
        Batch::Logs(batch) => (
            &batch.anomalies,
            &batch.shard,
            Own::Record(record(batch, row)),
        ),
    };
    Row {
        origin: Origin {
            resource: canonical.encode_to_vec(),
            resource_attributes: resource
                .attributes
                .iter()
                .map(|(key, kind, bytes)| (key.clone(), canonical_value(*kind, bytes)))
                .collect(),
            service: resource.identity.service.name.clone(),
            scope: (scope.name.clone(), scope.version.clone()),
        },
        attributes: items
            .attributes
            .iter()
            .filter_map(|column| {
                let bytes = value_bytes(column, row)?;
                Some((column.key.to_string(), canonical_value(column.kind, bytes)))
            })
            .collect(),
        anomalies: anomalies[row],
        shard: shard[row],
        own,
    }
}

fn span(batch: &SpanBatch, row: usize) -> SpanRow {
    let events = batch
        .events
        .iter()
        .filter(|event| event.row as usize == row);
    let links = batch.links.iter().filter(|link| link.row as usize == row);
    SpanRow {
        ids: (
            batch.trace_id[row],
            batch.span_id[row],
            batch.parent_id[row],
        ),
        times: (batch.start[row], batch.end[row], batch.duration[row]),
        kind: batch.kind[row],
        status: batch.status[row],
        flags: batch.flags[row],
        weight: batch.weight[row],
        name: batch.name_of(row).to_owned(),
        status_message: batch.status_message.get(row).map(str::to_owned),
        trace_state: batch.trace_state.get(row).map(str::to_owned),
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

fn point(batch: &MetricBatch, row: usize) -> PointRow {
    let metric = batch.metric_of(row);
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let histogram = batch.histogram(row).map(|one| PointValue::Histogram {
        count: one.count,
        rest: [bits(one.sum), bits(one.min), bits(one.max)],
        bounds: one.bounds.iter().map(|bound| bound.to_bits()).collect(),
        counts: one.counts.to_vec(),
    });
    let exponential = batch.exponential(row).map(|one| PointValue::Exponential {
        count: one.count,
        rest: [bits(one.sum), bits(one.min), bits(one.max)],
        scale: one.scale,
        zero: (one.zero_count, one.zero_threshold.to_bits()),
        positive: (one.positive.offset, one.positive.counts.to_vec()),
        negative: (one.negative.offset, one.negative.counts.to_vec()),
    });
    let summary = batch.summary(row).map(|one| PointValue::Summary {
        count: one.count,
        sum: one.sum.to_bits(),
        quantiles: one
            .quantiles
            .iter()
            .map(|(at, value)| (at.to_bits(), value.to_bits()))
            .collect(),
    });
    let number = match batch.number(row) {
        Number::None => PointValue::None,
        Number::Int(int) => PointValue::Int(int),
        Number::Double(double) => PointValue::Double(double.to_bits()),
    };
    let child = histogram.or(exponential).or(summary);
    assert!(child.is_none() || number == PointValue::None);
    PointRow {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        instrument: metric.instrument,
        temporality: metric.temporality,
        times: (batch.start[row], batch.time[row]),
        flags: batch.flags[row],
        stream: batch.stream[row],
        value: child.unwrap_or(number),
    }
}

fn record(batch: &LogBatch, row: usize) -> RecordRow {
    let code = |column: &[u16]| usize::from(column[row]);
    let body = batch.bodies.values.get(row);
    RecordRow {
        ids: (batch.trace_id[row], batch.span_id[row]),
        times: (batch.time[row], batch.observed_time[row]),
        severity: batch.severity_number[row],
        severity_text: batch
            .severity_texts
            .text(code(&batch.severity_text))
            .to_owned(),
        event_name: batch.event_names.text(code(&batch.event_name)).to_owned(),
        body: canonical_value(batch.bodies.kinds[row], body),
        flags: batch.flags[row],
        key: batch.key[row],
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
    let batch = |batch: &Batch| {
        let items = batch.items();
        let columns: Vec<String> = items.attributes.iter().map(column).collect();
        let own = match batch {
            Batch::Spans(batch) => format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
                &*batch.trace_id,
                &*batch.span_id,
                &*batch.parent_id,
                &*batch.start,
                &*batch.duration,
                &*batch.end,
                &*batch.name,
                &*batch.kind,
                &*batch.status,
                &*batch.flags,
                &*batch.anomalies,
                &*batch.shard,
                &*batch.weight,
                batch.status_message,
                batch.trace_state,
                batch.events,
                batch.links,
                table(&batch.names),
            ),
            Batch::Metrics(batch) => format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                batch.metrics,
                &*batch.metric,
                &*batch.start,
                &*batch.time,
                &*batch.flags,
                &*batch.anomalies,
                &*batch.stream,
                &*batch.shard,
                &*batch.value_kind,
                &*batch.value,
                batch.histograms,
                batch.exponential,
                batch.summaries,
            ),
            Batch::Logs(batch) => format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {} {}",
                &*batch.time,
                &*batch.observed_time,
                &*batch.trace_id,
                &*batch.span_id,
                &*batch.severity_number,
                &*batch.severity_text,
                &*batch.event_name,
                batch.bodies.kinds,
                &*batch.flags,
                &*batch.anomalies,
                &*batch.key,
                &*batch.shard,
                table(&batch.severity_texts),
                table(&batch.event_names),
                table(&batch.bodies.values),
            ),
        };
        format!(
            "{own} {:?} {:?} {:?} {:?} {columns:#?}",
            &*items.resource, &*items.scope, items.resources, items.scopes,
        )
    };
    let batches: Vec<String> = decoded.batches.iter().map(batch).collect();
    format!("{batches:#?} {:?} {}", decoded.rejected, decoded.items_seen)
}
