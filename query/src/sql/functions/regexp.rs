//! Regular expressions within bounds.

use super::measured::scalar_text;
use datafusion::arrow::array::{AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a compiled regular expression.
const REGEX_BYTES_MAX: usize = 2 << 20;
/// Most bytes of its cache while matching.
const REGEX_CACHE_BYTES_MAX: usize = 2 << 20;

/// The function.
pub(super) fn regexp_like() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(RegexpLike::new()))
}

/// `regexp_like(text, pattern[, flags])`, also behind `~`: the library's own compiles whatever a row says, as large
/// as it comes. Here the pattern is a literal, compiled once, within bounds.
#[derive(Debug)]
struct RegexpLike {
    signature: Signature,
    compiled: Mutex<Vec<(String, regex::Regex)>>,
}

/// Compiled patterns kept by one query.
const PATTERNS_KEPT: usize = 64;

impl RegexpLike {
    fn new() -> Self {
        let texts = |count| TypeSignature::String(count);
        Self {
            signature: Signature::one_of(vec![texts(2), texts(3)], Volatility::Immutable),
            compiled: Mutex::new(Vec::new()),
        }
    }

    fn compile(&self, pattern: &str, flags: &str) -> Result<regex::Regex> {
        if let Some(unknown) = flags.chars().find(|flag| !"imsx".contains(*flag)) {
            return exec_err!("regexp_like: no flag `{unknown}`: expected i, m, s or x");
        }
        let whole = if flags.is_empty() {
            pattern.to_owned()
        } else {
            format!("(?{flags}:{pattern})")
        };
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, regex)) = compiled.iter().find(|(known, _)| *known == whole) {
            return Ok(regex.clone());
        }
        let built = regex::RegexBuilder::new(&whole)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
            .nest_limit(64)
            .build();
        match built {
            Ok(regex) => {
                compiled.truncate(PATTERNS_KEPT - 1);
                compiled.push((whole, regex.clone()));
                Ok(regex)
            }
            Err(error) => exec_err!("regular expression: {error}"),
        }
    }
}

impl PartialEq for RegexpLike {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for RegexpLike {}

impl Hash for RegexpLike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for RegexpLike {
    fn name(&self) -> &str {
        "regexp_like"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let literal = |index: usize| match args.args.get(index) {
            None => Ok(Some("")),
            Some(ColumnarValue::Scalar(scalar)) => Ok(scalar_text(scalar)),
            Some(ColumnarValue::Array(_)) => {
                exec_err!("regexp_like: pattern and flags must be literals")
            }
        };
        let (Some(pattern), Some(flags)) = (literal(1)?, literal(2)?) else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        };
        let regex = self.compile(pattern, flags)?;
        let texts = args.args[0].to_array(args.number_rows)?;
        let texts = datafusion::arrow::compute::cast(&texts, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        let matches: BooleanArray = texts
            .iter()
            .map(|text| text.map(|text| regex.is_match(text)))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(matches)))
    }
}
