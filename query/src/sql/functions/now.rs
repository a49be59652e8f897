//! `now()`.

use crate::sql::table::{Kind, UTC};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use engine::time::Timestamp;
use std::sync::Arc;

/// `now()`: the snapshot's logical time, so that a statement means the same wherever time comes from.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    as_of: i64,
    signature: Signature,
}

/// The function for a snapshot of that time.
pub(super) fn now(as_of: Timestamp) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Now {
        as_of: i64::try_from(as_of.0).unwrap_or(i64::MAX),
        signature: Signature::exact(Vec::new(), Volatility::Immutable),
    }))
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        "now"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Kind::Time.arrow())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(
            Some(self.as_of),
            Some(UTC.into()),
        )))
    }
}
