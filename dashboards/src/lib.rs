//! SHOWS. Pages over `query`.

use axum::Router;
use query::api::ApiState;

/// All pages.
pub fn pages(_state: ApiState) -> Router {
    Router::new()
}
