//! A real Envoy with the configuration of `deploy/envoy`, in front of a small upstream.

use crate::server::{Server, until};
use crate::{file, place};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Requests of each kind.
const EACH: u64 = 25;

/// An upstream that answers by path: `/flaky` fails the first attempt, `/broken` every one, `/missing` is not there.
struct Upstream {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_stopped);
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if flag.load(Ordering::Relaxed) {
                    return;
                }
                answer(&stream);
            }
        };
        let thread = std::thread::Builder::new().spawn(serve).unwrap();
        Self {
            address,
            is_stopped,
            thread: Some(thread),
        }
    }

    /// Nobody listens there any more.
    fn stop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(mut stream: &TcpStream) {
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else {
        return;
    };
    let is_first = lines
        .iter()
        .any(|line| line.eq_ignore_ascii_case("x-envoy-attempt-count: 1"));
    let status = match path {
        "/broken" => "500 Internal Server Error",
        "/flaky" if is_first => "503 Service Unavailable",
        "/missing" => "404 Not Found",
        _ => "200 OK",
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    drop(stream.write_all(head.as_bytes()));
}

struct Envoy {
    child: Child,
    admin: String,
    ingress: String,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// The shipped file with only its ports changed.
    fn start(server: &Server, v1: &Upstream, v2: &Upstream) -> Self {
        let mut text = std::fs::read_to_string(file("deploy/envoy/envoy.yaml")).unwrap();
        let grpc: SocketAddr = server.grpc.trim_start_matches("http://").parse().unwrap();
        let ports = [
            (9901, 0),
            (10000, 0),
            (8081, v1.address.port()),
            (8082, v2.address.port()),
            (4317, grpc.port()),
        ];
        for (shipped, used) in ports {
            let shipped = format!("port_value: {shipped}}}");
            assert_eq!(text.matches(&shipped).count(), 1, "{shipped}");
            text = text.replace(&shipped, &format!("port_value: {used}}}"));
        }
        let folder = tempfile::tempdir().unwrap();
        let (config, admin) = (
            folder.path().join("envoy.yaml"),
            folder.path().join("admin"),
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(place("ENVOY"))
            .args([
                "--use-dynamic-base-id",
                "--log-level",
                "warning",
                "--config-path",
            ])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let address = || {
            std::fs::read_to_string(&admin)
                .ok()
                .filter(|text| !text.is_empty())
        };
        let admin = until(address, || "envoy has no admin address".to_owned());
        let mut envoy = Self {
            child,
            admin: format!("http://{admin}"),
            ingress: String::new(),
            _folder: folder,
        };
        let listener = || {
            let listeners = envoy.ask(server, "/listeners?format=json");
            let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
            let port = address["port_value"].as_u64()?;
            Some(format!("http://127.0.0.1:{port}"))
        };
        envoy.ingress = until(listener, || "envoy has no listener".to_owned());
        envoy
    }

    fn ask(&self, server: &Server, path: &str) -> Value {
        let url = format!("{}{path}", self.admin);
        server.block_on(async {
            let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
            serde_json::from_str(&answer).unwrap_or(Value::Null)
        })
    }

    /// `EACH` requests for `path`; all must be answered with `status`.
    fn send(&self, server: &Server, path: &str, is_canary: bool, status: u16) {
        let url = format!("{}{path}", self.ingress);
        let client = reqwest::Client::new();
        server.block_on(async {
            for _ in 0..EACH {
                let mut request = client.get(&url);
                if is_canary {
                    request = request.header("x-canary", "always");
                }
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status().as_u16(), status, "{path}");
            }
        });
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Scenario: Envoy proxies requests that succeed, fail, succeed at the second attempt, are not found, and meet a dead
/// canary.
/// Guarantees: a span for every request and every attempt, a log record for every request, stats, and nothing refused;
/// only what the caller saw fail is a failure, and spans, access log and stats agree on it.
#[test]
fn spans_access_log_and_stats() {
    let slos = file("deploy/envoy/slos");
    let server = Server::start(&["--definitions", slos.to_str().unwrap()]);
    let (v1, mut v2) = (Upstream::start(), Upstream::start());
    let envoy = Envoy::start(&server, &v1, &v2);
    envoy.send(&server, "/", false, 200);
    envoy.send(&server, "/flaky", false, 200);
    envoy.send(&server, "/broken", false, 500);
    envoy.send(&server, "/missing", false, 404);
    envoy.send(&server, "/", true, 200);
    v2.stop();
    envoy.send(&server, "/", true, 503);

    let requests = 6 * EACH;
    let attempts = (1 + 2 + 3 + 1 + 1 + 3) * EACH;
    let spans = requests + attempts;
    // Stats come every five seconds, in as many points as Envoy has counters.
    let status = server.wait("/v1/status", |status| {
        let accepted = &status["accepted"];
        accepted["spans"] == spans
            && accepted["records"] == requests
            && accepted["points"].as_u64().is_some_and(|points| points > 0)
    });
    for lost in ["rejected", "dropped"] {
        let counts = status[lost].as_object().unwrap();
        assert!(
            counts.values().all(|count| *count == 0),
            "{lost}: {counts:?}"
        );
    }
    server.wait("/v1/budgets?service=front-proxy", |budgets| {
        let budgets = budgets.as_array().map_or(&[][..], Vec::as_slice);
        let is_right = |budget: &Value| {
            let counts = &budget["counts"];
            counts["total"] == requests && counts["bad"] == 2 * EACH
        };
        budgets.len() == 3 && budgets.iter().all(is_right)
    });
}
