//! One query from text to bytes: a session that knows nothing but the snapshot's tables and the listed functions.

use super::attribute::AttributePlanner;
use super::ended::Ended;
use super::error::{SqlCode, SqlError};
use super::fences::Fences;
use super::functions::{self, OperatorPlanner};
use super::output::Output;
use super::table::UTC;
use super::tables::Tables;
use super::{Answer, Request, SqlLimits, guard};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
};
use datafusion::common::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion::functions_window::planner::WindowFunctionPlanner;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use engine::items::ROWS_MAX;
use engine::snapshot::Snapshot;
use futures::StreamExt;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Answers `request`.
///
/// # Errors
/// See [`SqlCode`].
pub(super) async fn answer(
    snapshot: Arc<Snapshot>,
    request: Request,
    limits: &SqlLimits,
    ended: Ended,
) -> Result<Answer, SqlError> {
    let as_of = snapshot.as_of;
    let statement = guard::parse(&request.statement)?;
    let state = session(snapshot, limits, ended).map_err(|error| SqlError::from_library(&error))?;
    let plan = plan(&state, statement).await?;
    let mut output = Output::new(
        &plan.schema(),
        request.encoding,
        request.rows.min(limits.rows),
        limits.answer_bytes,
    )?;
    let mut batches =
        execute_stream(plan, state.task_ctx()).map_err(|error| SqlError::from_library(&error))?;
    while let Some(batch) = batches.next().await {
        output.write(&batch.map_err(|error| SqlError::from_library(&error))?)?;
        if output.is_full() {
            break;
        }
    }
    let (body, is_truncated) = output.finish(as_of)?;
    Ok(Answer {
        body,
        is_truncated,
        as_of,
    })
}

/// Plans a parsed statement; three checks, of which any one would keep it from writing.
async fn plan(
    state: &SessionState,
    statement: datafusion::sql::parser::Statement,
) -> Result<Arc<dyn ExecutionPlan>, SqlError> {
    let library = |error: DataFusionError| SqlError::from_library(&error);
    let logical = state.statement_to_plan(statement).await.map_err(library)?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    read_only
        .verify_plan(&logical)
        .map_err(|error| SqlError::new(SqlCode::NotAllowed, error.strip_backtrace()))?;
    guard::check_plan(&logical)?;
    match state.create_physical_plan(&logical).await {
        Ok(plan) => Ok(plan),
        // Moving `attributes['k']` towards the scan is the optimizer's youngest rule, and fails on some statements
        // (below a UNION): they are planned without it, which is slow and right.
        Err(_) => {
            let mut plain = state.clone();
            let options = plain.config_mut().options_mut();
            options.optimizer.enable_leaf_expression_pushdown = false;
            plain.create_physical_plan(&logical).await.map_err(library)
        }
    }
}

/// A session over `snapshot`: its tables, the listed functions, bounded memory, no disk.
///
/// # Errors
/// Never in practice: the runtime's parts are all given.
pub(super) fn session(
    snapshot: Arc<Snapshot>,
    limits: &SqlLimits,
    ended: Ended,
) -> Result<SessionState, DataFusionError> {
    // Without a disk to spill to, fair shares would only fail sooner: who comes first gets the memory.
    let pool =
        TrackConsumersPool::new(GreedyMemoryPool::new(limits.query_bytes), NonZeroUsize::MIN);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        )
        .build_arc()?;
    Ok(SessionStateBuilder::new()
        .with_config(config(limits))
        .with_runtime_env(runtime)
        .with_catalog_list(catalog(&snapshot)?)
        .with_scalar_functions(functions::scalar(snapshot.as_of))
        .with_aggregate_functions(functions::aggregate())
        .with_window_functions(functions::window())
        .with_expr_planners(vec![
            Arc::new(OperatorPlanner::new()),
            Arc::new(AttributePlanner::new(snapshot)),
            Arc::new(DatetimeFunctionPlanner),
            Arc::new(UnicodeFunctionPlanner),
            Arc::new(AggregateFunctionPlanner),
            Arc::new(WindowFunctionPlanner),
        ])
        .with_physical_optimizer_rule(Arc::new(Fences(ended)))
        .build())
}

const CATALOG: &str = "tidegate";
const SCHEMA: &str = "public";

fn catalog(snapshot: &Arc<Snapshot>) -> Result<Arc<dyn CatalogProviderList>, DataFusionError> {
    let catalog = MemoryCatalogProvider::new();
    let _ = catalog.register_schema(SCHEMA, Arc::new(Tables::new(Arc::clone(snapshot))))?;
    let list = MemoryCatalogProviderList::new();
    let _ = list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}

fn config(limits: &SqlLimits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_batch_size(ROWS_MAX)
        .with_target_partitions(limits.threads)
        .with_sort_spill_reservation_bytes(1 << 20);
    let options = config.options_mut();
    options.execution.time_zone = Some(UTC.to_owned());
    options.execution.enable_recursive_ctes = false;
    options.sql_parser.collect_spans = true;
    config
}
