//! Functions that make text longer, measured before they run: the memory pool sees operators only.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, resources_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most bytes that one call may make for one batch of rows.
const CALL_BYTES_MAX: usize = 8 << 20;
/// `function`, measured; wraps what makes text; anything else stays as it is.
pub(super) fn measured(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let bound: Bound = match function.name() {
        "concat" => total,
        // The separator stands between all of them.
        "concat_ws" => |args| args.args.len() * text_bytes(args, 0) + total(args),
        "upper" | "lower" | "initcap" | "translate" => |args| 3 * text_bytes(args, 0),
        "replace" => replaced,
        "to_char" => |args| 32 * (text_bytes(args, 1) + args.number_rows),
        _ => return function,
    };
    Arc::new(ScalarUDF::new_from_impl(Measured {
        inner: function,
        bound,
    }))
}

type Bound = fn(&ScalarFunctionArgs) -> usize;

/// Bytes of the text in argument `index` over all rows.
fn text_bytes(args: &ScalarFunctionArgs, index: usize) -> usize {
    match args.args.get(index) {
        Some(ColumnarValue::Scalar(scalar)) => {
            scalar_text(scalar).map_or(0, str::len) * args.number_rows
        }
        Some(ColumnarValue::Array(array)) => array_text_bytes(array),
        None => 0,
    }
}

pub(super) fn total(args: &ScalarFunctionArgs) -> usize {
    (0..args.args.len())
        .map(|index| text_bytes(args, index))
        .sum()
}

fn array_text_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_data().len(),
        DataType::LargeUtf8 => array.as_string::<i64>().value_data().len(),
        DataType::Utf8View => array
            .as_string_view()
            .lengths()
            .map(|length| length as usize)
            .sum(),
        // Anything else is shown in at most so many characters.
        _ => array.len() * 32,
    }
}

pub(super) fn scalar_text(scalar: &ScalarValue) -> Option<&str> {
    scalar.try_as_str().flatten()
}

/// Bound of `replace(text, from, to)`: every `from` in the text becomes the longest `to`; an empty one stands
/// between all characters.
fn replaced(args: &ScalarFunctionArgs) -> usize {
    let text = text_bytes(args, 0);
    let longest = |index: usize| match args.args.get(index) {
        Some(ColumnarValue::Scalar(scalar)) => scalar_text(scalar).map_or(0, str::len),
        Some(ColumnarValue::Array(array)) => array_text_bytes(array),
        None => 0,
    };
    let from = match args.args.get(1) {
        Some(ColumnarValue::Scalar(scalar)) => scalar_text(scalar).map_or(0, str::len),
        _ => 0,
    };
    let places = match from {
        0 => text + args.number_rows,
        from => text / from,
    };
    text.saturating_add(places.saturating_mul(longest(2)))
}

/// A function whose result is bounded before it is made.
#[derive(Debug)]
struct Measured {
    inner: Arc<ScalarUDF>,
    bound: Bound,
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Measured {}

impl Hash for Measured {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check_bytes(self.inner.name(), (self.bound)(&args), args.number_rows)?;
        self.inner.invoke_with_args(args)
    }
}

/// Refuses what `name` would make when it is too much.
pub(super) fn check_bytes(name: &str, bytes: usize, rows: usize) -> Result<()> {
    if bytes <= CALL_BYTES_MAX {
        return Ok(());
    }
    Err(resources_datafusion_err!(
        "{name} would make {} MiB of text for {rows} rows, more than {} MiB",
        bytes >> 20,
        CALL_BYTES_MAX >> 20
    ))
}
