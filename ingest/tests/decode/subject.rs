//! The three requests, as far as a test does not care which one it is.

use crate::generate;
use crate::model::{Outcome, expected_points, expected_records, expected_spans};
use crate::spell::Speller;
use engine::items::Signal;
use ingest::otlp::DecodeLimits;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

/// An export request: how to make one, and what must come of it.
pub(crate) trait Subject: Message + Clone + std::fmt::Debug + Default + 'static {
    const SIGNAL: Signal;
    fn any() -> BoxedStrategy<Self>;
    fn expected(&self, limits: &DecodeLimits) -> Outcome;
    /// The request in OTLP/JSON.
    fn spell(&self, speller: &mut Speller) -> String;
}

impl Subject for ExportTraceServiceRequest {
    const SIGNAL: Signal = Signal::Traces;

    fn any() -> BoxedStrategy<Self> {
        generate::spans().boxed()
    }

    fn expected(&self, limits: &DecodeLimits) -> Outcome {
        expected_spans(self, limits)
    }

    fn spell(&self, speller: &mut Speller) -> String {
        speller.traces(self)
    }
}

impl Subject for ExportMetricsServiceRequest {
    const SIGNAL: Signal = Signal::Metrics;

    fn any() -> BoxedStrategy<Self> {
        generate::points().boxed()
    }

    fn expected(&self, limits: &DecodeLimits) -> Outcome {
        expected_points(self, limits)
    }

    fn spell(&self, speller: &mut Speller) -> String {
        speller.metrics(self)
    }
}

impl Subject for ExportLogsServiceRequest {
    const SIGNAL: Signal = Signal::Logs;

    fn any() -> BoxedStrategy<Self> {
        generate::records().boxed()
    }

    fn expected(&self, limits: &DecodeLimits) -> Outcome {
        expected_records(self, limits)
    }

    fn spell(&self, speller: &mut Speller) -> String {
        speller.logs(self)
    }
}
