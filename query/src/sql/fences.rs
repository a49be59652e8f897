//! What is put between a plan's operators: meters where they hold rows that no pool hears of, and places where a query
//! that is ended can end.
//!
//! Window functions keep all rows of a partition, and joins without keys all batches of their left side, of which the
//! ones without columns count as nothing. A join gives batch after batch without ever waiting, so that whoever drives
//! it (an aggregate, say) would never look up: twelve tables joined without a condition run for years. Source of the
//! second: DataFusion's rule `EnsureCooperative` knows leaves and exchanges only. And a join whose condition is seldom
//! true gives nothing for hours, so that the condition itself fails once the query was ended ([`super::ended`]).

use super::ended::Ended;
use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::spill::get_record_batch_memory_size;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Adds the meters and the places to end.
#[derive(Debug)]
pub(super) struct Fences(pub(super) Ended);

impl PhysicalOptimizerRule for Fences {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let is = Kind::of(&node);
            let node = match is {
                Kind::Window => metered(node, true)?,
                Kind::KeylessJoin => metered(node, false)?,
                Kind::Join => node,
                Kind::Other => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::yes(match is {
                Kind::Join | Kind::KeylessJoin => {
                    Arc::new(CooperativeExec::new(ending(node, &self.0)?))
                }
                Kind::Window | Kind::Other => node,
            }))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "fences"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Window,
    KeylessJoin,
    Join,
    Other,
}

impl Kind {
    fn of(node: &Arc<dyn ExecutionPlan>) -> Self {
        if is::<WindowAggExec>(node) || is::<BoundedWindowAggExec>(node) {
            Self::Window
        } else if is::<CrossJoinExec>(node) || is::<NestedLoopJoinExec>(node) {
            Self::KeylessJoin
        } else if is::<HashJoinExec>(node) || is::<SortMergeJoinExec>(node) {
            Self::Join
        } else {
            Self::Other
        }
    }
}

fn is<T: ExecutionPlan>(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<T>().is_some()
}

/// `node` with a meter below it: on its only or left input, which it keeps.
fn metered(node: Arc<dyn ExecutionPlan>, counts_rows: bool) -> Result<Arc<dyn ExecutionPlan>> {
    let mut children: Vec<_> = node.children().into_iter().cloned().collect();
    if let Some(kept) = children.first_mut() {
        *kept = Arc::new(Metered {
            input: Arc::clone(kept),
            counts_rows,
        });
    }
    with_children(node, children)
}

/// A join whose condition fails once the query was ended.
fn ending(node: Arc<dyn ExecutionPlan>, ended: &Ended) -> Result<Arc<dyn ExecutionPlan>> {
    let guarded = |filter: &JoinFilter| {
        JoinFilter::new(
            ended.guard(filter.expression()),
            filter.column_indices().to_vec(),
            Arc::clone(filter.schema()),
        )
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let filter = join.filter().map(guarded);
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(filter);
        return Ok(Arc::new(join.build()?));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let filter = join.filter().map(guarded);
        return join.builder().with_filter(filter).build_exec();
    }
    Ok(node)
}

fn with_children(
    node: Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    use datafusion::physical_plan::execution_plan::{
        ChildrenPropertiesMode, ReplaceChildrenOptions,
    };
    node.replace_children(
        children,
        ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
    )
}

/// Hands batches on and reserves their memory until the end.
#[derive(Debug)]
struct Metered {
    input: Arc<dyn ExecutionPlan>,
    /// Whether the rows count, or only that there are batches (the operator above counts rows itself).
    counts_rows: bool,
}

/// Memory of a batch without its columns.
const BATCH_BYTES: usize = 256;

impl DisplayAs for Metered {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metered")
    }
}

impl ExecutionPlan for Metered {
    fn name(&self) -> &'static str {
        "Metered"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => Arc::new(Self {
                input,
                counts_rows: self.counts_rows,
            }),
            None => self,
        })
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let reservation = MemoryConsumer::new("kept rows").register(context.memory_pool());
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let counts_rows = self.counts_rows;
        let metered = input.map(move |batch: Result<RecordBatch>| {
            let batch = batch?;
            let rows = if counts_rows {
                get_record_batch_memory_size(&batch)
            } else {
                0
            };
            reservation.try_grow(BATCH_BYTES + rows)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, metered)))
    }
}
