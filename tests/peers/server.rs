//! A running `tidegate serve` on ports that the system picks; it ends with the test.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process and where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
    api: String,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Starts it and reads its addresses from what it prints.
    pub(crate) fn start() -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["serve", "--grpc", any, "--http", any, "--api", any])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut after = |label: &str| {
            let mut found = lines.by_ref().map_while(Result::ok).filter_map(|line| {
                let rest = line.trim().strip_prefix(label)?;
                Some(rest.trim().trim_start_matches("http://").to_owned())
            });
            found
                .next()
                .unwrap_or_else(|| panic!("serve did not print `{label}`"))
        };
        let grpc = format!("http://{}", after("OTLP/gRPC"));
        let http = format!("http://{}", after("OTLP/HTTP"));
        let api = format!("http://{}", after("pages, API"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            child,
            grpc,
            http,
            api,
            runtime,
        }
    }

    /// `GET path` as JSON.
    pub(crate) fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.api);
        self.runtime.block_on(async {
            let response = reqwest::get(url).await.unwrap();
            response.json().await.unwrap()
        })
    }

    /// Asks until `is_met`; fails with the last answer when that takes too long.
    pub(crate) fn wait(&self, path: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        #[expect(
            clippy::disallowed_methods,
            reason = "a deadline of the test, not of the product"
        )]
        let started = Instant::now();
        loop {
            let answer = self.get(path);
            if is_met(&answer) {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "still not met: {answer:#}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
