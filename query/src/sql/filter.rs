//! The filter of a scan: terms joined by AND, of which the library keeps none.

use super::items::{Rows, trace_ids};
use super::scan::{Source, Sources};
use super::table::ItemTable;
use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use engine::batch::Batch;
use engine::store::Zone;
use std::fmt;
use std::sync::Arc;

/// One term: evaluated over its own few columns.
#[derive(Debug)]
struct Term {
    inputs: Vec<Source>,
    schema: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
}

/// Which rows of a table are wanted.
#[derive(Debug)]
pub(super) struct Filter {
    /// Earliest and latest event time that can match, ns; only to pass chunks over.
    times: (i64, i64),
    /// `trace_id = '...'`, compared as a number.
    trace: Option<u128>,
    /// Everything else, also times.
    terms: Vec<Term>,
}

impl Filter {
    /// The filter that all of `filters` make together.
    ///
    /// # Errors
    /// When an expression cannot be planned.
    pub(super) fn new(table: &ItemTable, filters: &[Expr], session: &dyn Session) -> Result<Self> {
        let table_schema = table.schema();
        let schema = DFSchema::try_from(Arc::clone(&table_schema))?;
        let columns: Vec<Source> = (0..table.columns.len()).map(Source::Column).collect();
        let mut filter = Self {
            times: (i64::MIN, i64::MAX),
            trace: None,
            terms: Vec::new(),
        };
        for expr in filters.iter().flat_map(split_conjunction) {
            filter.narrow_times(expr);
            if filter.trace.is_none()
                && let Some(trace) = wanted_trace(expr)
            {
                filter.trace = Some(trace);
                continue;
            }
            let physical = session.create_physical_expr(expr.clone(), &schema)?;
            let mut sources = Sources::default();
            let expr = sources.rewrite(&physical, &columns)?;
            filter.terms.push(Term {
                schema: sources.schema(&table_schema),
                inputs: sources.found,
                expr,
            });
        }
        Ok(filter)
    }

    /// Whether it takes nothing away.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.trace.is_none()
    }

    /// False when no row of a chunk with these times can match.
    pub(super) fn may_match(&self, zone: Option<&Zone>) -> bool {
        let Some(zone) = zone else { return true };
        let time = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        time(zone.last) >= self.times.0 && time(zone.first) <= self.times.1
    }

    /// The rows of a chunk that match.
    ///
    /// # Errors
    /// When an expression fails on a value.
    pub(super) fn rows(&self, table: &ItemTable, chunk: &Batch) -> Result<Rows> {
        let mut rows = Rows::All(chunk.len());
        if let Some(wanted) = self.trace {
            let ids = trace_ids(chunk).unwrap_or_default();
            // Most chunks have none: a plain search first.
            if !ids.contains(&wanted) {
                return Ok(Rows::All(0));
            }
            let found = ids.iter().enumerate().filter(|(_, id)| **id == wanted);
            let found: Vec<u32> = found.map(|(row, _)| row as u32).collect();
            rows = Rows::Some(found.into());
        }
        for term in &self.terms {
            rows = term.narrow(table, chunk, rows)?;
            if rows.len() == 0 {
                break;
            }
        }
        Ok(rows)
    }

    fn narrow_times(&mut self, expr: &Expr) {
        let Some((operator, bound)) =
            comparison(expr, "time").and_then(|(operator, value)| match value {
                ScalarValue::TimestampNanosecond(Some(nanos), _) => Some((operator, *nanos)),
                _ => None,
            })
        else {
            return;
        };
        // Whole nanoseconds either way: a bound that is one too wide only reads a chunk more.
        match operator {
            Operator::Gt | Operator::GtEq => self.times.0 = self.times.0.max(bound),
            Operator::Lt | Operator::LtEq => self.times.1 = self.times.1.min(bound),
            Operator::Eq => self.times = (self.times.0.max(bound), self.times.1.min(bound)),
            _ => {}
        }
    }
}

impl Term {
    fn narrow(&self, table: &ItemTable, chunk: &Batch, rows: Rows) -> Result<Rows> {
        let arrays = self
            .inputs
            .iter()
            .map(|source| source.read(table, chunk, &rows));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays.collect(),
            &options,
        )?;
        let mask = self.expr.evaluate(&batch)?.into_array(rows.len())?;
        let left = Rows::picked(mask.as_boolean());
        Ok(match (rows, left) {
            (rows, Rows::All(_)) => rows,
            (Rows::All(_), left) => left,
            (Rows::Some(before), Rows::Some(left)) => {
                let rows = left.values().iter().map(|at| before.value(*at as usize));
                Rows::Some(
                    rows.collect::<Vec<u32>>()
                        .into_iter()
                        .collect::<UInt32Array>(),
                )
            }
        })
    }
}

/// `column operator literal`, also the other way round.
fn comparison<'a>(expr: &'a Expr, column: &str) -> Option<(Operator, &'a ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return None;
    };
    match (&**left, &**right) {
        (Expr::Column(named), Expr::Literal(value, _)) if named.name == column => {
            Some((*op, value))
        }
        (Expr::Literal(value, _), Expr::Column(named)) if named.name == column => {
            Some((op.swap()?, value))
        }
        _ => None,
    }
}

fn wanted_trace(expr: &Expr) -> Option<u128> {
    let (Operator::Eq, value) = comparison(expr, "trace_id")? else {
        return None;
    };
    let text = value.try_as_str().flatten()?;
    let is_ours = text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // 0 is shown as NULL, which equals nothing.
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|id| is_ours && *id != 0)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter")?;
        if let Some(trace) = self.trace {
            write!(f, " trace {trace:032x}")?;
        }
        for term in &self.terms {
            write!(f, " [{}]", term.expr)?;
        }
        Ok(())
    }
}
