//! Columns of a Parquet file.

use parquet::column::reader::ColumnReader;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::HashMap;
use std::path::Path;

/// A column of numbers or of texts; texts as numbers of distinct ones.
#[derive(Debug)]
pub(super) enum Column {
    Numbers(Vec<i64>),
    Texts {
        /// Index into `distinct`; `None` = null.
        codes: Vec<Option<u32>>,
        distinct: Vec<String>,
    },
}

impl Column {
    pub(super) fn number(&self, row: usize) -> i64 {
        let Self::Numbers(values) = self else {
            panic!("this is a column of texts")
        };
        values[row]
    }

    pub(super) fn text(&self, row: usize) -> Option<&str> {
        let Self::Texts { codes, distinct } = self else {
            panic!("this is a column of numbers")
        };
        codes[row].map(|code| &*distinct[code as usize])
    }
}

/// A whole file, by column name.
#[derive(Debug)]
pub(super) struct Table {
    columns: HashMap<String, Column>,
    pub(super) rows: usize,
}

impl Table {
    /// Reads `path`; columns that are neither numbers nor texts are left out.
    pub(super) fn read(path: &Path) -> Self {
        let file =
            std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let reader = SerializedFileReader::new(file).unwrap();
        let schema = reader.metadata().file_metadata().schema_descr_ptr();
        let columns = (0..schema.num_columns()).filter_map(|index| {
            let name = schema.column(index).name().to_owned();
            Some((name, read_column(&reader, index)?))
        });
        Self {
            columns: columns.collect(),
            rows: reader.metadata().file_metadata().num_rows() as usize,
        }
    }

    pub(super) fn column(&self, name: &str) -> &Column {
        &self.columns[name]
    }
}

fn read_column(reader: &SerializedFileReader<std::fs::File>, index: usize) -> Option<Column> {
    let mut numbers = Vec::new();
    let mut codes = Vec::new();
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut distinct = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        let rows = group.metadata().num_rows() as usize;
        let mut defined = Vec::new();
        match group.get_column_reader(index).unwrap() {
            ColumnReader::Int64ColumnReader(mut column) => {
                let read = column.read_records(rows, Some(&mut defined), None, &mut numbers);
                assert_eq!(read.unwrap().0, rows);
            }
            ColumnReader::ByteArrayColumnReader(mut column) => {
                let mut values = Vec::new();
                let read = column.read_records(rows, Some(&mut defined), None, &mut values);
                assert_eq!(read.unwrap().0, rows);
                let mut values = values.into_iter();
                let is_nullable = !defined.is_empty();
                codes.extend((0..rows).map(|row| {
                    if is_nullable && defined[row] == 0 {
                        return None;
                    }
                    let value = values.next().unwrap();
                    let text = value.as_utf8().unwrap();
                    Some(known.get(text).copied().unwrap_or_else(|| {
                        let code = distinct.len() as u32;
                        known.insert(text.to_owned(), code);
                        distinct.push(text.to_owned());
                        code
                    }))
                }));
            }
            _ => return None,
        }
    }
    match codes.is_empty() {
        true => Some(Column::Numbers(numbers)),
        false => Some(Column::Texts { codes, distinct }),
    }
}
