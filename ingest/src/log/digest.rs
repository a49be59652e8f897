//! The digest of a request's columns: what replay compares with what it decodes itself.

use engine::batch::Batch;
use engine::hash::blake3_128;
use engine::items::{AttributeColumn, ColumnData, ItemColumns, ValueTable};
use engine::log_record::LogBatch;
use engine::metric::MetricBatch;
use engine::span::SpanBatch;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// BLAKE3-128 of the decoded columns of a request: replay compares it with what it decodes itself. Never 0.
///
/// It covers what decides: ids, times, values, anomalies, resources, names, attributes. O(bytes).
pub fn columns_digest(batches: &[Arc<Batch>]) -> u128 {
    let mut digest = 0u128;
    for batch in batches {
        digest = match &**batch {
            Batch::Spans(batch) => spans(digest, batch),
            Batch::Metrics(batch) => points(digest, batch),
            Batch::Logs(batch) => records(digest, batch),
        };
    }
    digest.max(1)
}

fn spans(before: u128, batch: &SpanBatch) -> u128 {
    let own = [
        batch.trace_id.inner().as_slice(),
        batch.span_id.inner().as_slice(),
        batch.parent_id.inner().as_slice(),
        batch.start.inner().as_slice(),
        batch.end.inner().as_slice(),
        batch.duration.inner().as_slice(),
        batch.items.resource.inner().as_slice(),
        batch.name.inner().as_slice(),
        batch.kind.inner().as_slice(),
        batch.status.inner().as_slice(),
        batch.anomalies.inner().as_slice(),
        batch.names.bytes.as_slice(),
    ];
    digest(before, &own, &batch.items)
}

fn points(before: u128, batch: &MetricBatch) -> u128 {
    // The stream covers resource, scope, metric and attributes; temporality is no part of it.
    let metrics: Vec<u8> = batch
        .metrics
        .iter()
        .flat_map(|metric| [metric.instrument as u8, metric.temporality as u8])
        .collect();
    let buckets = buckets(batch);
    let own = [
        &metrics[..],
        batch.metric.inner().as_slice(),
        batch.stream.inner().as_slice(),
        batch.start.inner().as_slice(),
        batch.time.inner().as_slice(),
        &batch.flags,
        batch.anomalies.inner().as_slice(),
        &batch.value_kind,
        batch.value.inner().as_slice(),
        &buckets,
    ];
    digest(before, &own, &batch.items)
}

/// What the child tables of points say, as words.
fn buckets(batch: &MetricBatch) -> Vec<u8> {
    let mut words: Vec<u64> = Vec::new();
    let mut list = |values: &mut dyn Iterator<Item = u64>| {
        let start = words.len();
        words.push(0);
        words.extend(values);
        words[start] = (words.len() - start) as u64;
    };
    for one in &batch.histograms {
        list(&mut [u64::from(one.row), one.count].into_iter());
        list(&mut one.bounds.iter().map(|bound| bound.to_bits()));
        list(&mut one.counts.iter().copied());
    }
    for one in &batch.exponential {
        let scale = one.scale as u64;
        let zero = [one.zero_count, one.zero_threshold.to_bits()];
        list(
            &mut [u64::from(one.row), one.count, scale]
                .into_iter()
                .chain(zero),
        );
        for side in [&one.positive, &one.negative] {
            list(&mut std::iter::once(side.offset as u64).chain(side.counts.iter().copied()));
        }
    }
    for one in &batch.summaries {
        list(&mut [u64::from(one.row), one.count, one.sum.to_bits()].into_iter());
        let quantiles = one.quantiles.iter();
        list(&mut quantiles.flat_map(|(at, value)| [at.to_bits(), value.to_bits()]));
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn records(before: u128, batch: &LogBatch) -> u128 {
    let kinds: Vec<u8> = batch.bodies.kinds.iter().map(|kind| *kind as u8).collect();
    let tables = [
        &batch.severity_texts,
        &batch.event_names,
        &batch.bodies.values,
    ];
    let texts: Vec<u8> = tables.into_iter().flat_map(table_bytes).collect();
    let own = [
        batch.time.inner().as_slice(),
        batch.observed_time.inner().as_slice(),
        batch.trace_id.inner().as_slice(),
        batch.span_id.inner().as_slice(),
        &batch.severity_number,
        batch.severity_text.inner().as_slice(),
        batch.event_name.inner().as_slice(),
        &batch.flags,
        batch.anomalies.inner().as_slice(),
        batch.key.inner().as_slice(),
        &kinds,
        &texts,
    ];
    digest(before, &own, &batch.items)
}

/// The digest of one more batch: its own columns, and those that every signal has.
fn digest(before: u128, own: &[&[u8]], items: &ItemColumns) -> u128 {
    let resources = items.resources.iter();
    let resources: Vec<u8> = resources.flat_map(|one| one.hash.to_le_bytes()).collect();
    let attributes: Vec<u8> = items.attributes.iter().flat_map(column_bytes).collect();
    let before = before.to_le_bytes();
    let mut parts = vec![&before[..]];
    parts.extend_from_slice(own);
    parts.extend_from_slice(&[&resources, &attributes]);
    blake3_128("columns", &parts)
}

fn column_bytes(column: &AttributeColumn) -> Vec<u8> {
    let mut bytes = column.key.as_bytes().to_vec();
    bytes.push(column.kind as u8);
    bytes.extend(column.present.iter().map(u8::from));
    match &column.data {
        ColumnData::Codes { codes, values } => {
            bytes.extend_from_slice(codes.inner().as_slice());
            bytes.extend_from_slice(values.bytes.as_slice());
        }
        ColumnData::Raw(values) => bytes.extend(table_bytes(values)),
    }
    bytes
}

fn table_bytes(table: &ValueTable) -> Vec<u8> {
    [table.offsets.inner().as_slice(), table.bytes.as_slice()].concat()
}
