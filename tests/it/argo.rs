//! The analysis template of `deploy/argo`: its settings, and that its question is one the server understands.

use crate::server::{Server, get};
use serde_json::Value;

fn read(name: &str) -> Value {
    let path = format!("{}/deploy/argo/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}
