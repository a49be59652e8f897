//! What a batch tells about its senders beside events: marks that `doctor` reads. Nothing of it is counted in an SLI.
//!
//! Columns are found once a batch; a span costs a few bit tests, and nothing where a batch has none of the columns.

use crate::delta::{Mark, Marks};
use crate::items::{AttributeColumn, TAIL_SAMPLERS, Value};
use crate::span::{SpanBatch, kind, status};

const METHODS: [&str; 2] = ["http.request.method", "http.method"];
const ROUTES: [&str; 1] = ["http.route"];
const OUTCOMES: [&str; 3] = [
    "http.response.status_code",
    "http.status_code",
    "error.type",
];
const HEAD_SAMPLER: &str = "sampler.type";

/// The columns of a batch that tell something.
pub(super) struct Telltale<'a> {
    batch: &'a SpanBatch,
    methods: Vec<&'a AttributeColumn>,
    routes: Vec<&'a AttributeColumn>,
    outcomes: Vec<&'a AttributeColumn>,
    tail: Vec<&'a AttributeColumn>,
    head: Vec<&'a AttributeColumn>,
}

impl<'a> Telltale<'a> {
    pub(super) fn new(batch: &'a SpanBatch) -> Self {
        let find = |keys: &[&'a str]| -> Vec<&'a AttributeColumn> {
            let keys = keys.iter();
            keys.flat_map(|key| batch.items.columns(key)).collect()
        };
        Self {
            batch,
            methods: find(&METHODS),
            routes: find(&ROUTES),
            outcomes: find(&OUTCOMES),
            tail: find(&TAIL_SAMPLERS),
            head: find(&[HEAD_SAMPLER]),
        }
    }

    /// Adds what `row` tells to its sender's marks.
    #[inline]
    pub(super) fn mark(&self, row: usize, marks: &mut Marks) {
        match self.batch.kind[row] {
            kind::SERVER => {
                marks.add(Mark::Entry, 1);
                self.mark_http(row, marks);
            }
            kind::CONSUMER => marks.add(Mark::Entry, 1),
            kind::CLIENT | kind::PRODUCER => marks.add(Mark::Call, 1),
            _ => {}
        }
        if self.batch.weight[row] > 1 || self.is_head_sampled(row) {
            marks.add(Mark::HeadSampled, 1);
        }
        let scope = &self.batch.items.scopes[usize::from(self.batch.items.scope[row])];
        if scope.is_tail_sampled || has(&self.tail, row) {
            marks.add(Mark::TailSampled, 1);
        }
    }

    fn mark_http(&self, row: usize, marks: &mut Marks) {
        if !has(&self.methods, row) {
            return;
        }
        if !has(&self.routes, row) {
            marks.add(Mark::NoRoute, 1);
        }
        if self.batch.status[row] == status::UNSET && !has(&self.outcomes, row) {
            marks.add(Mark::NoOutcome, 1);
        }
    }

    /// Jaeger's clients write the sampler on the root span; `const` took every trace.
    fn is_head_sampled(&self, row: usize) -> bool {
        let named = self.head.iter().filter_map(|column| column.get(row));
        named
            .filter_map(Value::as_text)
            .any(|sampler| sampler != "const")
    }
}

fn has(columns: &[&AttributeColumn], row: usize) -> bool {
    columns.iter().any(|column| column.present.value(row))
}
