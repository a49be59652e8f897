//! What is checked of a statement before and after it is planned: its size, its depth, how often it names tables once
//! its WITH clauses are written out, and that it is one SELECT of what is offered.
//!
//! Sizes are checked because planning cannot be interrupted and literals become columns: one literal of 1 KiB is
//! 8 MiB for every 8,192 rows. Depth is checked because trees are walked recursively, and dropped so.

use super::error::{Position, SqlCode, SqlError};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, WindowFunctionDefinition};
use datafusion::sql::parser::{DFParserBuilder, Statement as ParsedStatement};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Ident, ObjectName, Query, Statement, TableAlias, TableFactor, Value,
    ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

/// Most bytes of a statement.
pub(super) const STATEMENT_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of all text literals of a statement.
pub(super) const LITERAL_BYTES_MAX: usize = 4 * 1024;
/// Deepest nesting the parser follows.
pub(super) const PARSE_DEPTH_MAX: usize = 100;
/// Deepest expression, long chains of AND and + counted by their length.
pub(super) const EXPRESSION_DEPTH_MAX: usize = 500;
/// Most tables and subqueries of a statement, WITH clauses written out.
pub(super) const RELATIONS_MAX: u64 = 32;
/// So many CUBE, ROLLUP and GROUPING SETS are too many; three columns of a CUBE count as one more.
const GROUPINGS_MAX: usize = 4;

/// Parses and measures `text`.
///
/// # Errors
/// When it is too large, does not parse, or is anything but one SELECT.
pub(super) fn parse(text: &str) -> Result<ParsedStatement, SqlError> {
    if text.len() > STATEMENT_BYTES_MAX {
        return Err(too_large(format!(
            "the statement has {} bytes: at most {STATEMENT_BYTES_MAX} are read",
            text.len()
        )));
    }
    let mut parser = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(PARSE_DEPTH_MAX)
        .build()
        .map_err(|error| SqlError::from_library(&error))?;
    let mut statements = parser
        .parse_statements()
        .map_err(|error| SqlError::from_library(&error))?;
    let only = statements.pop_front();
    let (Some(mut statement), true) = (only, statements.is_empty()) else {
        return Err(not_allowed("expected one statement: SELECT ..."));
    };
    let ParsedStatement::Statement(parsed) = &mut statement else {
        return Err(not_allowed(
            "only SELECT is answered: nothing can be changed or written",
        ));
    };
    let Statement::Query(query) = &**parsed else {
        return Err(not_allowed(
            "only SELECT is answered: nothing can be changed or written",
        ));
    };
    if query.with.as_ref().is_some_and(|with| with.recursive) {
        return Err(not_allowed("WITH RECURSIVE is not offered"));
    }
    let mut measure = Measure::default();
    if let ControlFlow::Break(error) = Visit::visit(&**parsed, &mut measure) {
        return Err(error);
    }
    let ControlFlow::Continue(()) = VisitMut::visit(parsed, &mut Naming(0));
    Ok(statement)
}

fn too_large(detail: impl Into<String>) -> SqlError {
    SqlError::new(SqlCode::TooLarge, detail)
}

fn not_allowed(detail: impl Into<String>) -> SqlError {
    SqlError::new(SqlCode::NotAllowed, detail)
}

/// Counts while it walks: depth of expressions, bytes of literals, and how often tables are read once every WITH
/// clause stands where it is named (planning writes them out, so 30 that each name the one before twice are 2^30).
#[derive(Debug, Default)]
struct Measure {
    depth: usize,
    literal_bytes: usize,
    groupings: usize,
    /// Relations counted so far in each query that is open.
    open: Vec<u64>,
    /// Place of a WITH clause's query, to its name.
    clauses: BTreeMap<usize, String>,
    /// Relations behind the name of a WITH clause.
    weights: BTreeMap<String, u64>,
}

impl Measure {
    fn add(&mut self, relations: u64) -> ControlFlow<SqlError> {
        let Some(open) = self.open.last_mut() else {
            return ControlFlow::Continue(());
        };
        *open = open.saturating_add(relations);
        if *open > RELATIONS_MAX {
            return ControlFlow::Break(too_large(format!(
                "the statement reads more than {RELATIONS_MAX} tables, WITH clauses written out"
            )));
        }
        ControlFlow::Continue(())
    }
}

/// Names subqueries in FROM that have no name. The library drops a projection that reads like the one below it, and
/// without a name between them `SELECT x + x AS x FROM (SELECT x + x AS x ...)` reads like its subquery.
struct Naming(usize);

impl VisitorMut for Naming {
    type Break = Infallible;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Infallible> {
        if let TableFactor::Derived { alias, .. } = factor
            && alias.is_none()
        {
            self.0 += 1;
            *alias = Some(TableAlias {
                explicit: true,
                name: Ident::new(format!("_subquery_{}", self.0)),
                columns: Vec::new(),
                at: None,
            });
        }
        ControlFlow::Continue(())
    }
}

fn place(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

impl Visitor for Measure {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        self.open.push(0);
        for clause in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = clause.alias.name.value.to_lowercase();
            self.clauses.insert(place(&clause.query), name);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        let relations = self.open.pop().unwrap_or_default();
        match self.clauses.remove(&place(query)) {
            Some(name) => {
                // Two clauses of one name in different places: the larger counts for both.
                let weight = self.weights.entry(name).or_default();
                *weight = relations.max(*weight).max(1);
                ControlFlow::Continue(())
            }
            None => self.add(relations.max(1)),
        }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<SqlError> {
        let weight = self.weights.get(&name.to_string().to_lowercase());
        self.add(weight.copied().unwrap_or(1))
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<SqlError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return ControlFlow::Break(too_large(format!(
                "an expression is more than {EXPRESSION_DEPTH_MAX} levels deep"
            )));
        }
        match expr {
            // The planner writes out 2^n sets, and the product of several.
            SqlExpr::Cube(columns) => self.groupings += 1 + columns.len() / 3,
            SqlExpr::Rollup(_) | SqlExpr::GroupingSets(_) => self.groupings += 1,
            _ => {}
        }
        if self.groupings >= GROUPINGS_MAX {
            return ControlFlow::Break(too_large(
                "CUBE, ROLLUP and GROUPING SETS make too many sets",
            ));
        }
        if let SqlExpr::Value(ValueWithSpan { value, .. }) = expr {
            self.literal_bytes += match value {
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.len(),
                _ => 0,
            };
        }
        if self.literal_bytes > LITERAL_BYTES_MAX {
            return ControlFlow::Break(too_large(format!(
                "text literals have more than {LITERAL_BYTES_MAX} bytes together"
            )));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &SqlExpr) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Checks what only the plan shows.
///
/// # Errors
/// When an operator or a parameter would escape the bounds of [`super::functions`].
pub(super) fn check_plan(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        if matches!(
            node,
            LogicalPlan::RecursiveQuery(_) | LogicalPlan::Unnest(_)
        ) {
            refused = Some(not_allowed("WITH RECURSIVE and UNNEST are not offered"));
            return Ok(TreeNodeRecursion::Stop);
        }
        node.apply_expressions(|root| {
            root.apply(|expr| {
                refused = refused.take().or_else(|| check_expr(expr));
                Ok(if refused.is_some() {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            })
        })
    });
    match (refused, walked) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(SqlError::from_library(&error)),
        (None, Ok(_)) => Ok(()),
    }
}

fn check_expr(expr: &Expr) -> Option<SqlError> {
    match expr {
        Expr::SimilarTo(_) => Some(not_allowed("SIMILAR TO is not offered: use ~ or LIKE")),
        Expr::BinaryExpr(binary) if is_regex(binary.op) => Some(not_allowed(
            "this form of a regular expression is not offered: use ~",
        )),
        Expr::AggregateFunction(call)
            if call.func.name() == "approx_percentile_cont" && call.params.args.len() > 2 =>
        {
            Some(not_allowed(
                "approx_percentile_cont takes a value and a percentile, no number of centroids",
            ))
        }
        Expr::WindowFunction(call) => check_window(call),
        _ => None,
    }
}

/// Over a moving window these cost the same for every row, however long it is; all others look through it again, in a
/// loop that nothing ends.
const MOVING: [&str; 5] = ["avg", "count", "max", "min", "sum"];

fn check_window(call: &WindowFunction) -> Option<SqlError> {
    let WindowFunctionDefinition::AggregateUDF(function) = &call.fun else {
        return None;
    };
    if MOVING.contains(&function.name()) && !call.params.distinct {
        return None;
    }
    Some(not_allowed(format!(
        "{} is not offered with OVER: {} are, without DISTINCT",
        function.name(),
        MOVING.join(", ")
    )))
}

const fn is_regex(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::StringConcat
    )
}

impl SqlError {
    /// Reads an error of the library: what kind it is, its words without the library's prefixes, its place.
    pub(super) fn from_library(error: &DataFusionError) -> Self {
        let code = match error.find_root() {
            DataFusionError::SQL(..) => SqlCode::Syntax,
            DataFusionError::ResourcesExhausted(_) => SqlCode::Memory,
            DataFusionError::Internal(_) => SqlCode::Internal,
            _ => SqlCode::Invalid,
        };
        if is_too_deep(error.find_root()) {
            return too_large(format!(
                "the statement is nested more than {PARSE_DEPTH_MAX} levels deep"
            ));
        }
        let text = error.find_root().strip_backtrace();
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        let position = span
            .map(|span| Position {
                line: span.start.line,
                column: span.start.column,
            })
            .or_else(|| place_in(&text));
        Self {
            code,
            detail: words(code, &text),
            position,
        }
    }
}

fn is_too_deep(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::SQL(error, _) => matches!(**error, ParserError::RecursionLimitExceeded),
        _ => false,
    }
}

/// "... at Line: 1, Column: 8" as the parser says it.
fn place_in(text: &str) -> Option<Position> {
    let (_, rest) = text.rsplit_once("Line: ")?;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Position {
        line: line.parse().ok()?,
        column: digits.parse().ok()?,
    })
}

/// Longest text of an error.
const WORDS_MAX: usize = 600;

fn words(code: SqlCode, text: &str) -> String {
    let mut words = text;
    for prefix in [
        "SQL error: ",
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "Resources exhausted: ",
        "ParserError(\"",
        "TokenizerError(\"",
    ] {
        words = words.strip_prefix(prefix).unwrap_or(words);
    }
    let words: String = words
        .trim_end_matches("\")")
        .chars()
        .take(WORDS_MAX)
        .collect();
    match code {
        SqlCode::Memory => format!(
            "the query needs more memory than it gets: add a LIMIT, filter by time, or group by fewer values ({words})"
        ),
        _ => words,
    }
}
