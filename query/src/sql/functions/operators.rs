//! Operators that would otherwise escape the bounds of functions: `||`, `~` and its kin.

use super::measured::{check_bytes, total};
use super::regexp::regexp_like;
use datafusion::arrow::array::{AsArray, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;

/// Plans operators that would otherwise escape the bounds of this module.
#[derive(Debug)]
pub(in crate::sql) struct OperatorPlanner {
    joined: Arc<ScalarUDF>,
    regexp_like: Arc<ScalarUDF>,
}

impl OperatorPlanner {
    /// Planner with bounded functions.
    pub(in crate::sql) fn new() -> Self {
        Self {
            joined: Arc::new(ScalarUDF::new_from_impl(Joined::new())),
            regexp_like: regexp_like(),
        }
    }
}

impl ExprPlanner for OperatorPlanner {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        _: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let (is_regex, flags, is_negated) = match expr.op {
            BinaryOperator::StringConcat => (false, "", false),
            BinaryOperator::PGRegexMatch => (true, "", false),
            BinaryOperator::PGRegexIMatch => (true, "i", false),
            BinaryOperator::PGRegexNotMatch => (true, "", true),
            BinaryOperator::PGRegexNotIMatch => (true, "i", true),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let call = |function: &Arc<ScalarUDF>, args| {
            Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
        };
        let planned = if is_regex {
            let flags = Expr::Literal(ScalarValue::from(flags), None);
            call(&self.regexp_like, vec![expr.left, expr.right, flags])
        } else {
            call(&self.joined, vec![expr.left, expr.right])
        };
        Ok(PlannerResult::Planned(if is_negated {
            !planned
        } else {
            planned
        }))
    }
}

/// `left || right`: NULL when either is (the function `concat` reads NULL as empty text).
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl Joined {
    fn new() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8View; types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check_bytes("||", total(&args), args.number_rows)?;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (left, right) = (arrays[0].as_string_view(), arrays[1].as_string_view());
        let mut joined = String::new();
        let all = left.iter().zip(right).map(|(left, right)| {
            joined.clear();
            joined.push_str(left?);
            joined.push_str(right?);
            Some(joined.clone())
        });
        Ok(ColumnarValue::Array(Arc::new(
            all.collect::<StringViewArray>(),
        )))
    }
}
