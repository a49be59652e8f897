//! `attributes['key']`: planned to a function of the column and the key, which the optimizer moves down to the scan,
//! where it is k's own column ([`super::scan`]). Wherever it is not moved down (above a UNION, say) it reads the JSON
//! text, which gives the same and is slow.
//!
//! The type is that of all values of the key in the snapshot, or text when they differ.

use super::items::{AttributeType, Key, Scope, attribute_type};
use super::table::{KEYED, read_marker};
use datafusion::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ExpressionPlacement, GetFieldAccess, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use engine::batch::Batch;
use engine::items::Signal;
use engine::snapshot::Snapshot;
use std::sync::Arc;

/// The function behind `attributes['key']`; its one argument is the column.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Attribute {
    key: Key,
    signature: Signature,
}

impl Attribute {
    fn new(key: Key) -> Self {
        Self {
            key,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    /// The attribute it reads.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}

impl ScalarUDFImpl for Attribute {
    fn name(&self) -> &str {
        "attribute"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let column = args.first().map(|arg| arg.schema_name().to_string());
        let column = column.unwrap_or_default();
        Ok(format!("{column}['{}']", self.key.key))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.key.kind.arrow())
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        match args {
            [ExpressionPlacement::Column] => ExpressionPlacement::MoveTowardsLeafNodes,
            _ => ExpressionPlacement::KeepInPlace,
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = as_string_view_array(&arrays[0])?;
        Ok(ColumnarValue::Array(from_json(texts, &self.key)))
    }
}

/// The slow way: out of the JSON text.
fn from_json(texts: &StringViewArray, key: &Key) -> ArrayRef {
    let values = texts.iter().map(|text| {
        let mut object: serde_json::Value = serde_json::from_str(text?).ok()?;
        object.as_object_mut()?.remove(&*key.key)
    });
    match key.kind {
        AttributeType::Text => Arc::new(
            values
                .map(|value| match value? {
                    serde_json::Value::String(text) => Some(text),
                    serde_json::Value::Null => Some(String::new()),
                    other => Some(other.to_string()),
                })
                .collect::<StringViewArray>(),
        ),
        AttributeType::Int => Arc::new(values.map(|value| value?.as_i64()).collect::<Int64Array>()),
        AttributeType::Double => Arc::new(
            values
                .map(|value| match value? {
                    // NaN and infinities are text in JSON.
                    serde_json::Value::String(text) => text.parse().ok(),
                    other => other.as_f64(),
                })
                .collect::<Float64Array>(),
        ),
        AttributeType::Bool => Arc::new(
            values
                .map(|value| value?.as_bool())
                .collect::<BooleanArray>(),
        ),
    }
}

/// Plans `column['key']`.
#[derive(Debug)]
pub(super) struct AttributePlanner {
    snapshot: Arc<Snapshot>,
}

impl AttributePlanner {
    /// For the keys of `snapshot`.
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot }
    }

    fn key(&self, signal: Signal, scope: Scope, key: &str) -> Key {
        let chunks = self.snapshot.store.chunks.iter().map(|chunk| &**chunk);
        let chunks = chunks.filter(|chunk: &&Batch| chunk.signal() == signal);
        Key {
            scope,
            key: key.into(),
            kind: attribute_type(chunks, scope, key),
        }
    }
}

impl ExprPlanner for AttributePlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let (_, field) = access.expr.to_field(schema)?;
        let marked = field
            .metadata()
            .get(KEYED)
            .and_then(|marker| read_marker(marker));
        let Some((signal, scope)) = marked else {
            return plan_err!(
                "`{}` has no keys: only attributes['key'] and resource_attributes['key'] have",
                access.expr.schema_name()
            );
        };
        let GetFieldAccess::NamedStructField {
            name: ScalarValue::Utf8(Some(key)),
        } = &access.field_access
        else {
            return plan_err!("a key is text in single quotes: attributes['http.route']");
        };
        let function = ScalarUDF::new_from_impl(Attribute::new(self.key(signal, scope, key)));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(
            ScalarFunction::new_udf(Arc::new(function), vec![access.expr]),
        )))
    }
}
