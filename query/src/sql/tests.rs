//! SQL against snapshots built by hand.

mod answers;
mod attributes;
mod fixture;
mod guards;
mod tables;

use super::*;
use fixture::{ask, ask_as, rows, snapshot};

/// Scenario: the page in `docs`.
/// Guarantees: it says what the code does; `TIDEGATE_BLESS=1` writes it anew.
#[test]
fn reference_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md");
    let fresh = reference();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(path, &fresh).unwrap();
    }
    let held = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        held == fresh,
        "docs/sql.md is stale: TIDEGATE_BLESS=1 cargo test -p query --features sql reference"
    );
}
