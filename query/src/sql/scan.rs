//! Reading chunks: a plan node that makes arrays of the columns a query names, for the rows its filter leaves.
//!
//! A chunk whose times lie outside the filter is not touched. In the others the filter's terms are evaluated one
//! after the other, each on the rows that the ones before left, each reading only its own columns; the output's
//! columns are read last. `attributes['k']` is one more column here: projections above are taken in when they ask for
//! it ([`ItemScan::try_swapping_with_projection`]). Newest chunks come first, so `LIMIT 10` shows what just happened.

use super::attribute::Attribute;
use super::filter::Filter;
use super::items::{Key, Rows};
use super::table::ItemTable;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, ScalarFunctionExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use engine::batch::Batch;
use engine::items::ROWS_MAX;
use engine::store::StoreView;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a batch from which on it is handed on as it is; smaller ones are joined.
const ROWS_ENOUGH: usize = ROWS_MAX / 2;

/// What a column of the scan is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A column of the table.
    Column(usize),
    /// One attribute.
    Key(Key),
}

impl Source {
    /// Its values in the rows of a chunk.
    pub(super) fn read(&self, table: &ItemTable, chunk: &Batch, rows: &Rows) -> ArrayRef {
        match self {
            Self::Key(key) => key.read(chunk, rows),
            Self::Column(index) => {
                let column = &table.columns[*index];
                let array = column.read.read(chunk, rows);
                array.unwrap_or_else(|| new_null_array(&column.kind.arrow(), rows.len()))
            }
        }
    }

    /// Its field, under another name.
    pub(super) fn field(&self, table: &SchemaRef, name: &str) -> FieldRef {
        Arc::new(match self {
            Self::Column(index) => table.field(*index).clone().with_name(name),
            Self::Key(key) => Field::new(name, key.kind.arrow(), true),
        })
    }
}

/// Name of the column at `index` of [`Sources`]: the library compares names as well as positions.
fn numbered(index: usize) -> String {
    format!("c{index}")
}

/// The sources that expressions over a table's scan need; the expressions then name them by position.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Each once, in order of appearance.
    pub(super) found: Vec<Source>,
}

impl Sources {
    fn index(&mut self, source: &Source) -> usize {
        let known = self.found.iter().position(|known| known == source);
        known.unwrap_or_else(|| {
            self.found.push(source.clone());
            self.found.len() - 1
        })
    }

    /// `expr` over `inputs`, rewritten to be over these sources; `attributes['k']` becomes a column.
    pub(super) fn rewrite(
        &mut self,
        expr: &Arc<dyn PhysicalExpr>,
        inputs: &[Source],
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let rewritten = Arc::clone(expr).transform_down(|node| {
            if let Some((attribute, index)) = attribute_of(&node)
                && matches!(inputs[index], Source::Column(_))
            {
                let column = self.index(&Source::Key(attribute.key().clone()));
                let column: Arc<dyn PhysicalExpr> =
                    Arc::new(Column::new(&numbered(column), column));
                return Ok(Transformed::new(column, true, TreeNodeRecursion::Jump));
            }
            if let Some(column) = node.downcast_ref::<Column>() {
                let index = self.index(&inputs[column.index()]);
                let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&numbered(index), index));
                return Ok(Transformed::new(column, true, TreeNodeRecursion::Jump));
            }
            Ok(Transformed::no(node))
        })?;
        Ok(rewritten.data)
    }

    /// Schema of the sources.
    pub(super) fn schema(&self, table: &SchemaRef) -> SchemaRef {
        let fields = self.found.iter().enumerate();
        let fields = fields.map(|(index, source)| source.field(table, &numbered(index)));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The attribute function that `expr` is, and the column it is of.
fn attribute_of(expr: &Arc<dyn PhysicalExpr>) -> Option<(&Attribute, usize)> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let inner: &dyn std::any::Any = &**call.fun().inner();
    let attribute = inner.downcast_ref::<Attribute>()?;
    let column = call.args().first()?.downcast_ref::<Column>()?;
    Some((attribute, column.index()))
}

fn has_attribute(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.exists(|node| Ok(attribute_of(node).is_some()))
        .unwrap_or(false)
}

/// A scan of one item table.
#[derive(Debug, Clone)]
pub(super) struct ItemScan {
    table: &'static ItemTable,
    table_schema: SchemaRef,
    /// The view it reads; indexes of its chunks of this signal that the filter's times do not exclude, newest first.
    view: StoreView,
    chunks: Arc<Vec<usize>>,
    /// Items of the signal held, when no filter takes any away.
    exact_rows: Option<usize>,
    outputs: Vec<Source>,
    filter: Arc<Filter>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ItemScan {
    /// A scan of `view` that gives the columns `projection`, in at most `partitions` parts.
    pub(super) fn new(
        table: &'static ItemTable,
        view: StoreView,
        projection: Vec<usize>,
        filter: Filter,
        limit: Option<usize>,
        partitions: usize,
    ) -> Self {
        let table_schema = table.schema();
        let of_signal = (0..view.chunks.len())
            .rev()
            .filter(|index| view.chunks[*index].signal() == table.signal);
        let chunks: Vec<usize> = of_signal
            .filter(|index| filter.may_match(view.zones.get(*index)))
            .collect();
        let rows = chunks.iter().map(|index| view.chunks[*index].len()).sum();
        let outputs: Vec<Source> = projection.into_iter().map(Source::Column).collect();
        let names = outputs.iter().map(|source| match source {
            Source::Column(index) => table.columns[*index].name.to_owned(),
            Source::Key(key) => key.key.to_string(),
        });
        let schema = output_schema(&table_schema, &outputs, names);
        let partitions = partitions.clamp(1, chunks.len().max(1));
        Self {
            table,
            view,
            chunks: Arc::new(chunks),
            exact_rows: (filter.is_empty() && limit.is_none()).then_some(rows),
            outputs,
            filter: Arc::new(filter),
            limit,
            properties: Arc::new(properties(schema, partitions)),
            table_schema,
        }
    }

    /// The same scan with other outputs.
    fn with_outputs(&self, outputs: Vec<Source>, names: Vec<String>) -> Self {
        let schema = output_schema(&self.table_schema, &outputs, names.into_iter());
        let partitions = self.properties.output_partitioning().partition_count();
        Self {
            outputs,
            properties: Arc::new(properties(schema, partitions)),
            ..self.clone()
        }
    }

    fn part(&self, partition: usize) -> Range<usize> {
        let parts = self.properties.output_partitioning().partition_count();
        let at = |part: usize| part * self.chunks.len() / parts;
        at(partition)..at(partition + 1)
    }
}

fn output_schema(
    table: &SchemaRef,
    outputs: &[Source],
    names: impl Iterator<Item = String>,
) -> SchemaRef {
    let fields = outputs.iter().zip(names);
    let fields = fields.map(|(source, name)| source.field(table, &name));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn properties(schema: SchemaRef, partitions: usize) -> PlanProperties {
    PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
    .with_scheduling_type(SchedulingType::Cooperative)
}

impl DisplayAs for ItemScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ItemScan: {} of {} chunks of {}, columns {:?}, {}",
            self.chunks.len(),
            self.view.chunks.len(),
            self.table.name,
            self.outputs,
            self.filter
        )
    }
}

impl ExecutionPlan for ItemScan {
    fn name(&self) -> &'static str {
        "ItemScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        // The filter is this node's own; no optimizer rule may change it.
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if args.partition().is_none() {
            let held = || {
                self.chunks
                    .iter()
                    .map(|index| self.view.chunks[*index].len())
                    .sum::<usize>()
            };
            statistics.num_rows = match self.exact_rows {
                Some(rows) => Precision::Exact(rows),
                // A guess, for the order of joins: a filter leaves a tenth.
                None => Precision::Inexact(self.limit.unwrap_or(held() / 10)),
            };
        }
        Ok(Arc::new(statistics))
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let wanted = projection.expr();
        let is_plain = wanted
            .iter()
            .all(|wanted| wanted.expr.downcast_ref::<Column>().is_some());
        if !is_plain && !wanted.iter().any(|wanted| has_attribute(&wanted.expr)) {
            return Ok(None);
        }
        let mut sources = Sources::default();
        let mut rewritten = Vec::new();
        for ProjectionExpr { expr, alias } in wanted {
            let expr = sources.rewrite(expr, &self.outputs)?;
            rewritten.push(ProjectionExpr {
                expr,
                alias: alias.clone(),
            });
        }
        let in_order = rewritten
            .iter()
            .map(|one| one.expr.downcast_ref::<Column>());
        let in_order: Option<Vec<_>> = in_order.map(|column| column.map(Column::index)).collect();
        if let Some(order) = in_order {
            let outputs = order.iter().map(|index| sources.found[*index].clone());
            let names = rewritten.into_iter().map(|one| one.alias);
            let scan = self.with_outputs(outputs.collect(), names.collect());
            return Ok(Some(Arc::new(scan)));
        }
        let names = (0..sources.found.len()).map(numbered);
        let scan = self.with_outputs(sources.found, names.collect());
        let above = ProjectionExec::try_new(rewritten, Arc::new(scan))?;
        Ok(Some(Arc::new(above)))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reader = Reader {
            left: self.part(partition),
            rows_left: self.limit.unwrap_or(usize::MAX),
            joined: BatchCoalescer::new(self.schema(), ROWS_MAX)
                .with_biggest_coalesce_batch_size(Some(ROWS_ENOUGH)),
            ready: VecDeque::new(),
            is_finished: false,
            scan: self.clone(),
        };
        let batches = futures::stream::unfold(reader, |mut reader| async move {
            let batch = reader.next().await?;
            Some((batch, reader))
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), Box::pin(batches));
        Ok(Box::pin(stream))
    }
}

/// One part of a scan under way.
struct Reader {
    scan: ItemScan,
    /// Positions in `scan.chunks` still to be read.
    left: Range<usize>,
    rows_left: usize,
    joined: BatchCoalescer,
    ready: VecDeque<RecordBatch>,
    is_finished: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            if let Some(batch) = self.joined.next_completed_batch() {
                return Some(Ok(batch));
            }
            // A chunk is a few ten thousand operations: between two of them others may run, and a query may end.
            tokio::task::coop::consume_budget().await;
            let position = self.left.next().filter(|_| self.rows_left > 0);
            let step = match position {
                Some(position) => self.read(self.scan.chunks[position]),
                None if self.is_finished => return None,
                None => {
                    self.is_finished = true;
                    self.joined.finish_buffered_batch().map_err(Into::into)
                }
            };
            if let Err(error) = step {
                self.is_finished = true;
                self.left = 0..0;
                return Some(Err(error));
            }
        }
    }

    fn read(&mut self, chunk: usize) -> Result<()> {
        let scan = &self.scan;
        let chunk = &scan.view.chunks[chunk];
        let rows = scan.filter.rows(scan.table, chunk)?.first(self.rows_left);
        self.rows_left -= rows.len();
        if rows.len() == 0 {
            return Ok(());
        }
        let outputs = scan.outputs.iter();
        let arrays = outputs.map(|source| source.read(scan.table, chunk, &rows));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(scan.schema(), arrays.collect(), &options)?;
        if batch.num_columns() == 0 {
            self.ready.push_back(batch);
        } else {
            self.joined.push_batch(batch)?;
        }
        Ok(())
    }
}
