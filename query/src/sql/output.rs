//! Rows to JSON, CSV or an Arrow stream, batch by batch, up to a number of rows and of bytes.

use super::Encoding;
use super::error::{SqlCode, SqlError};
use super::table::type_name;
use crate::wire::rfc3339;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::time::Timestamp;
use engine::value_json::write_text;
use std::fmt::Write;
use std::sync::Arc;

/// Writes the rows of one answer.
pub(super) struct Output {
    schema: SchemaRef,
    form: Form,
    rows_left: usize,
    bytes_max: usize,
    is_truncated: bool,
}

enum Form {
    Json { text: String, has_rows: bool },
    Csv(String),
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Output {
    /// An answer of at most so many rows and encoded bytes.
    ///
    /// # Errors
    /// When the schema cannot be written.
    pub(super) fn new(
        schema: &Schema,
        encoding: Encoding,
        rows: usize,
        bytes_max: usize,
    ) -> Result<Self, SqlError> {
        let schema = named(schema);
        let form = match encoding {
            Encoding::Json => Form::Json {
                text: json_head(&schema),
                has_rows: false,
            },
            Encoding::Csv => Form::Csv(csv_head(&schema)),
            Encoding::Arrow => Form::Arrow(Box::new(
                StreamWriter::try_new(Vec::new(), &schema).map_err(|error| internal(&error))?,
            )),
        };
        Ok(Self {
            schema,
            form,
            rows_left: rows,
            bytes_max,
            is_truncated: false,
        })
    }

    /// Whether nothing more fits; asking for it is then in vain.
    pub(super) fn is_full(&self) -> bool {
        self.is_truncated
    }

    /// Appends as much of `batch` as fits.
    ///
    /// # Errors
    /// When a value cannot be shown.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        if batch.num_rows() > self.rows_left {
            self.is_truncated = true;
        }
        let rows = batch.num_rows().min(self.rows_left);
        self.rows_left -= rows;
        let batch = batch.slice(0, rows);
        match &mut self.form {
            Form::Arrow(writer) => {
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let schema = Arc::clone(&self.schema);
                let renamed =
                    RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options)
                        .map_err(|error| internal(&error))?;
                if !self.is_truncated && renamed.get_array_memory_size() > self.bytes_max {
                    self.is_truncated = true;
                    return Ok(());
                }
                writer.write(&renamed).map_err(|error| internal(&error))?;
                self.is_truncated |= writer.get_ref().len() > self.bytes_max;
            }
            Form::Json { text, has_rows } => {
                let columns = cells(&batch).map_err(|error| internal(&error))?;
                for row in 0..rows {
                    let before = text.len();
                    text.push_str(if *has_rows { ",[" } else { "[" });
                    write_row(&columns, row, text, |cell, row, out| cell.json(row, out));
                    text.push(']');
                    if text.len() > self.bytes_max {
                        text.truncate(before);
                        self.is_truncated = true;
                        break;
                    }
                    *has_rows = true;
                }
            }
            Form::Csv(text) => {
                let columns = cells(&batch).map_err(|error| internal(&error))?;
                for row in 0..rows {
                    let before = text.len();
                    write_row(&columns, row, text, |cell, row, out| cell.csv(row, out));
                    text.push_str("\r\n");
                    if text.len() > self.bytes_max {
                        text.truncate(before);
                        self.is_truncated = true;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The encoded answer, and whether rows are missing.
    ///
    /// # Errors
    /// When the end of an Arrow stream cannot be written.
    pub(super) fn finish(self, as_of: Timestamp) -> Result<(Vec<u8>, bool), SqlError> {
        let body = match self.form {
            Form::Json { mut text, .. } => {
                put(
                    &mut text,
                    format_args!("],\"truncated\":{},\"as_of\":", self.is_truncated),
                );
                write_text(&rfc3339(as_of), &mut text);
                text.push('}');
                text.into_bytes()
            }
            Form::Csv(text) => text.into_bytes(),
            Form::Arrow(writer) => writer.into_inner().map_err(|error| internal(&error))?,
        };
        Ok((body, self.is_truncated))
    }
}

/// Writing to a string does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok());
}

fn internal(error: &ArrowError) -> SqlError {
    SqlError::new(SqlCode::Internal, error.to_string())
}

/// The schema with names as a person would write them: `attributes['k']` instead of `spans.attributes['k']`, unless
/// two columns would then be called the same.
fn named(schema: &Schema) -> SchemaRef {
    let short = |name: &str| match name.split_once('.') {
        Some((table, rest))
            if rest.contains("attributes['")
                && table
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            rest.to_owned()
        }
        _ => name.to_owned(),
    };
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| short(field.name()))
        .collect();
    let fields = schema.fields().iter().zip(&names).map(|(field, name)| {
        let is_unique = names.iter().filter(|other| *other == name).count() == 1;
        let name = if is_unique { name } else { field.name() };
        Field::new(name, field.data_type().clone(), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn json_head(schema: &Schema) -> String {
    let mut text = String::from("{\"columns\":[");
    for (index, field) in schema.fields().iter().enumerate() {
        text.push_str(if index > 0 {
            ",{\"name\":"
        } else {
            "{\"name\":"
        });
        write_text(field.name(), &mut text);
        text.push_str(",\"type\":");
        write_text(&type_name(field.data_type()), &mut text);
        text.push('}');
    }
    text + "],\"rows\":["
}

fn csv_head(schema: &Schema) -> String {
    let mut text = String::new();
    for (index, field) in schema.fields().iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_csv(field.name(), &mut text);
    }
    text + "\r\n"
}

fn write_row(
    columns: &[Cell<'_>],
    row: usize,
    out: &mut String,
    write: impl Fn(&Cell<'_>, usize, &mut String),
) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(column, row, out);
    }
}

/// A column as it is written.
struct Cell<'a> {
    array: &'a ArrayRef,
    formatter: ArrayFormatter<'a>,
}

fn cells(batch: &RecordBatch) -> Result<Vec<Cell<'_>>, ArrowError> {
    const FORMAT: FormatOptions<'static> = FormatOptions::new()
        .with_display_error(true)
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"));
    let columns = batch.columns().iter();
    columns
        .map(|array| {
            Ok(Cell {
                array,
                formatter: ArrayFormatter::try_new(array, &FORMAT)?,
            })
        })
        .collect()
}

impl Cell<'_> {
    fn json(&self, row: usize, out: &mut String) {
        if self.array.is_null(row) {
            out.push_str("null");
            return;
        }
        match self.array.data_type() {
            DataType::Null => out.push_str("null"),
            DataType::Boolean => put(out, format_args!("{}", self.array.as_boolean().value(row))),
            DataType::Int64 => {
                put(
                    out,
                    format_args!("{}", self.array.as_primitive::<Int64Type>().value(row)),
                );
            }
            DataType::Float64 => {
                let value = self.array.as_primitive::<Float64Type>().value(row);
                if value.is_finite() {
                    put(out, format_args!("{value:?}"));
                } else {
                    put(out, format_args!("\"{value}\""));
                }
            }
            kind if kind.is_integer() => put(out, format_args!("{}", self.formatter.value(row))),
            DataType::Utf8View => write_text(self.array.as_string_view().value(row), out),
            _ => write_text(&self.formatter.value(row).to_string(), out),
        }
    }

    fn csv(&self, row: usize, out: &mut String) {
        if self.array.is_null(row) {
            return;
        }
        match self.array.data_type() {
            DataType::Null => {}
            kind if kind.is_numeric() || *kind == DataType::Boolean => {
                put(out, format_args!("{}", self.formatter.value(row)));
            }
            DataType::Utf8View => write_csv(self.array.as_string_view().value(row), out),
            _ => write_csv(&self.formatter.value(row).to_string(), out),
        }
    }
}

/// Text as a CSV field: quoted when RFC 4180 asks for it; empty text is `""`, NULL is nothing. A field that a
/// spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV injection").
fn write_csv(text: &str, out: &mut String) {
    let is_formula = text
        .trim_start_matches(|c: char| c.is_whitespace() && c != '\t' && c != '\r' || c == '"')
        .starts_with([
            '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
        ]);
    let is_quoted = text.is_empty() || is_formula || text.contains([',', '"', '\n', '\r', ';']);
    if !is_quoted {
        out.push_str(text);
        return;
    }
    out.push('"');
    if is_formula {
        out.push('\'');
    }
    for c in text.chars() {
        if c == '"' {
            out.push('"');
        }
        out.push(c);
    }
    out.push('"');
}
