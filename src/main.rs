//! tidegate
mod cli {
    pub(crate) mod validate;
}
mod config;
fn main() {}
