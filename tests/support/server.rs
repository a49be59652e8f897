//! A running `tidegate serve` on ports that the system picks; it ends with the test.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The process and where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
    pub(crate) api: String,
    /// What it printed on standard error so far.
    pub(crate) printed: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Starts `serve` with further arguments and reads its addresses from what it prints.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with environment variables. `--grpc` may be among the arguments.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        program.envs(environment.iter().copied());
        Self::start_as(program, arguments)
    }

    /// The same by another way to start the program.
    pub(crate) fn start_as(mut program: Command, arguments: &[&str]) -> Self {
        let any = "127.0.0.1:0";
        let grpc: &[&str] = if arguments.contains(&"--grpc") {
            &[]
        } else {
            &["--grpc", any]
        };
        let mut child = program
            .args(["serve", "--http", any, "--api", any])
            .args(grpc)
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let sink = Arc::clone(&printed);
        drop(std::thread::Builder::new().spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        }));
        let after = |label: &str| {
            let find = || {
                let lines = printed.lock().unwrap();
                let found = lines
                    .iter()
                    .find_map(|line| line.trim().strip_prefix(label).map(str::to_owned));
                found.map(|rest| rest.trim().trim_start_matches("http://").to_owned())
            };
            until(find, || {
                format!(
                    "serve did not print `{label}`: {:?}",
                    printed.lock().unwrap()
                )
            })
        };
        let [grpc, http, api] = ["OTLP/gRPC", "OTLP/HTTP", "pages, API"]
            .map(|label| format!("http://{}", after(label)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            child,
            grpc,
            http,
            api,
            printed,
            runtime,
        }
    }

    /// `GET path`: status and body.
    pub(crate) fn ask(&self, path: &str) -> (u16, String) {
        self.ask_with(path, "")
    }

    /// The same with a bearer token, when it is not empty.
    pub(crate) fn ask_with(&self, path: &str, token: &str) -> (u16, String) {
        let url = format!("{}{path}", self.api);
        self.runtime.block_on(async {
            let mut request = reqwest::Client::new().get(url);
            if !token.is_empty() {
                request = request.bearer_auth(token);
            }
            match request.send().await {
                Ok(response) => (
                    response.status().as_u16(),
                    response.text().await.unwrap_or_default(),
                ),
                Err(error) => (0, error.to_string()),
            }
        })
    }

    /// `POST path` without a body.
    pub(crate) fn post(&self, path: &str) -> u16 {
        let url = format!("{}{path}", self.api);
        self.runtime.block_on(async {
            reqwest::Client::new()
                .post(url)
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        })
    }

    /// `GET path` as JSON.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (_, body) = self.ask(path);
        serde_json::from_str(&body).unwrap_or(Value::String(body))
    }

    /// Asks until `is_met`; fails with the last answer when that takes too long.
    pub(crate) fn wait(&self, path: &str, is_met: impl Fn(&Value) -> bool) -> Value {
        let answer = || Some(self.get(path)).filter(|answer| is_met(answer));
        until(answer, || format!("still not met: {:#}", self.get(path)))
    }

    /// Runs `future` on the test's runtime.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        drop(self.child.wait());
    }

    /// SIGTERM, and the exit code after it.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks until there is something to see; fails with `complaint` when that takes too long.
pub(crate) fn until<T>(look: impl FnMut() -> Option<T>, complaint: impl Fn() -> String) -> T {
    until_within(PATIENCE, look, complaint)
}

/// The same with another patience.
pub(crate) fn until_within<T>(
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
    complaint: impl Fn() -> String,
) -> T {
    #[expect(
        clippy::disallowed_methods,
        reason = "a deadline of the test, not of the product"
    )]
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < patience, "{}", complaint());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub(crate) fn tidegate(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}
