//! Writes every page of a sample fleet as files that a browser opens without a server:
//! `cargo run -p dashboards --example page -- <directory>`.

mod sample;

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::http::Request;
use query::api::ApiState;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use tower::ServiceExt;

const PAGE_BYTES_MAX: usize = 1 << 22;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: page <directory>")?;
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory)?;
    let (mut seen, mut waiting) = (BTreeSet::new(), vec!["/".to_owned(), "/nowhere".to_owned()]);
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let mut text = get(&path).await?;
        for link in links(&text) {
            text = text.replace(
                &format!("href=\"{link}\""),
                &format!("href=\"{}\"", file(&link)),
            );
            waiting.push(link);
        }
        std::fs::write(directory.join(file(&path)), text)?;
    }
    println!(
        "{} files: open {}",
        seen.len(),
        directory.join("index.html").display()
    );
    Ok(())
}

async fn get(path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (control, _inputs) = tokio::sync::mpsc::channel(1);
    let (reload, _asked) = tokio::sync::mpsc::channel(1);
    let state = ApiState {
        snapshot: Arc::new(ArcSwap::from_pointee(sample::snapshot())),
        control,
        reload,
        receivers: Arc::new(Vec::new),
        sql: query::sql::Sql::default(),
        token: None,
        endpoints: Arc::default(),
    };
    let request = Request::get(path)
        .header("accept", "text/html")
        .body(Body::empty())?;
    let response = dashboards::pages(state).oneshot(request).await?;
    let body = axum::body::to_bytes(response.into_body(), PAGE_BYTES_MAX).await?;
    Ok(String::from_utf8(body.to_vec())?)
}

/// Links to other pages and to the stylesheet; the API has no files.
fn links(html: &str) -> Vec<String> {
    let targets = html
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let links: BTreeSet<&str> = targets
        .filter(|link| link.starts_with('/') && !link.starts_with("/v1") && *link != "/metrics")
        .collect();
    links.into_iter().map(str::to_owned).collect()
}

fn file(path: &str) -> String {
    match path {
        "/" => "index.html".to_owned(),
        "/assets/tidegate.css" => "tidegate.css".to_owned(),
        path => format!("{}.html", path.trim_start_matches('/').replace('/', "-")),
    }
}
