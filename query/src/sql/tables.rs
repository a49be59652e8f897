//! The schema of a query: every table by name, made when a statement names it.

use super::filter::Filter;
use super::items;
use super::scan::ItemScan;
use super::state;
use super::table::ItemTable;
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use engine::snapshot::Snapshot;
use engine::store::StoreView;
use std::sync::Arc;

/// The tables of a snapshot.
#[derive(Debug)]
pub(super) struct Tables {
    snapshot: Arc<Snapshot>,
}

impl Tables {
    /// Of `snapshot`.
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let items = items::tables().iter().map(|table| table.name);
        let state = state::tables().iter().map(|table| table.name);
        items.chain(state).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(table) = items::tables().iter().find(|table| table.name == name) {
            return Ok(Some(Arc::new(Items {
                table,
                schema: table.schema(),
                view: self.snapshot.store.clone(),
            })));
        }
        let Some(table) = state::tables().iter().find(|table| table.name == name) else {
            return Ok(None);
        };
        let batch = table.batch(&self.snapshot)?;
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// An item table over a view of the store.
#[derive(Debug)]
struct Items {
    table: &'static ItemTable,
    schema: SchemaRef,
    view: StoreView,
}

#[async_trait]
impl TableProvider for Items {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // Whatever can be evaluated on a row is evaluated in the scan, where only the columns it names are read.
        let exact = |expr: &&Expr| match expr.is_volatile() {
            true => TableProviderFilterPushDown::Unsupported,
            false => TableProviderFilterPushDown::Exact,
        };
        Ok(filters.iter().map(exact).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.table.columns.len()).collect();
        Ok(Arc::new(ItemScan::new(
            self.table,
            self.view.clone(),
            projection.cloned().unwrap_or_else(all),
            Filter::new(self.table, filters, session)?,
            limit,
            session.config().target_partitions(),
        )))
    }
}
