//! Which records are errors, and which of them are of one place.

use super::{Errors, place_number};
use crate::hash::HashSeed;
use crate::log_rows::{LogRow, batch};
use crate::span_rows::resource;
use crate::time::Timestamp;

fn row() -> LogRow {
    LogRow::new(&resource(&[("service.name", "shop")]), 1, 0)
}

fn place(row: &LogRow) -> u64 {
    let rows = [row.clone()];
    place_number(
        HashSeed(1, 2),
        &batch(HashSeed(1, 2), Timestamp(0), &rows),
        0,
    )
}

#[test]
fn severities_that_are_errors() {
    for (number, text, expected) in [
        (17, "", true),
        (24, "INFO", true),
        (16, "ERROR", false),
        (0, "Error", true),
        (0, "FATAL", true),
        (0, "warning", false),
        (0, "", false),
    ] {
        let rows = [row().of_severity(number, text)];
        let batch = batch(HashSeed(1, 2), Timestamp(0), &rows);
        let errors = Errors::new(&batch);
        assert_eq!(errors.is_error(0), expected, "{number} {text}");
        assert_eq!(errors.any(), expected);
    }
}

#[test]
fn ids_in_a_body_make_no_new_place() {
    let one = row().saying("order 4711 of user-8f3a: card refused (took 12ms)");
    let other = row().saying("order 815 of user-77: card refused (took 9ms)");
    let third = row().saying("order 815 of user-77: card accepted (took 9ms)");
    assert_eq!(place(&one), place(&other));
    assert_ne!(place(&one), place(&third));
}

#[test]
fn the_line_of_code_goes_before_the_exception_and_that_before_the_body() {
    let at = |line: i64| row().with("code.lineno", line).saying("failed");
    assert_ne!(place(&at(243)), place(&at(302)));
    assert_eq!(place(&at(243)), place(&at(243).saying("otherwise")));
    let thrown = |kind: &str| row().with("exception.type", kind).saying("failed");
    assert_ne!(place(&thrown("A")), place(&thrown("B")));
    assert_eq!(place(&thrown("A")), place(&thrown("A").saying("otherwise")));
}
