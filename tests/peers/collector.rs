//! A real Collector with the configurations of `deploy/collector`.

use crate::sdks::{Counts, check_counts};
use crate::server::{Server, until};
use crate::{file, finish, place, rust_sdk};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

const COUNTS: Counts = Counts {
    spans: 5_000,
    points: 600,
    logs: 1_000,
};

struct Collector {
    child: Child,
    grpc: String,
}

impl Collector {
    /// The shipped file; its settings are environment variables.
    fn start(tidegate: &Server, backend: &Server) -> Self {
        let [grpc, http] = [free_port(), free_port()];
        let child = collector()
            .env("COLLECTOR_GRPC_PORT", grpc.to_string())
            .env("COLLECTOR_HTTP_PORT", http.to_string())
            .env("TIDEGATE_OTLP", tidegate.grpc.trim_start_matches("http://"))
            .env("BACKEND_OTLP", backend.grpc.trim_start_matches("http://"))
            .env("DECISION_WAIT", "1s")
            .arg("--config")
            .arg(file("deploy/collector/collector.yaml"))
            .spawn()
            .unwrap();
        let is_listening = || TcpStream::connect(("127.0.0.1", grpc)).ok();
        until(is_listening, || "the collector does not listen".to_owned());
        Self {
            child,
            grpc: format!("http://127.0.0.1:{grpc}"),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collector() -> Command {
    Command::new(place("COLLECTOR"))
}

/// A port that was free a moment ago: the Collector does not say which one it took.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Scenario: an SDK sends to the Collector, which copies everything to Tidegate and samples for a backend (here another
/// Tidegate, which counts what it gets) at the tail.
/// Guarantees: Tidegate counts all that was sent, failures and revisions right; the backend has every failure and only
/// some successes, as the sampling says.
#[test]
fn a_copy_ahead_of_tail_sampling_is_complete() {
    let (tidegate, backend) = (Server::start(&[]), Server::start(&[]));
    let collector = Collector::start(&tidegate, &backend);
    rust_sdk::send("grpc", &collector.grpc, "checkout", &COUNTS);
    check_counts(&tidegate, "checkout", &COUNTS);

    let failures = COUNTS.spans / 5 / 10;
    let budgets = backend.wait("/v1/budgets?service=checkout", |budgets| {
        budgets[0]["counts"]["bad"] == failures
    });
    let total = budgets[0]["counts"]["total"].as_u64().unwrap();
    assert!(total < COUNTS.spans / 2, "{budgets:#}");
}

/// Scenario: the Collector reads the configuration with Kubernetes attributes; and one with a value that is none.
/// Guarantees: it is valid, which is all that can be said without a cluster; the check has teeth.
#[test]
fn the_kubernetes_configuration_is_valid() {
    let validate = || {
        let mut command = collector();
        command.arg("validate").env("KUBE_NODE_NAME", "node-1");
        for name in ["collector.yaml", "kubernetes.yaml"] {
            command
                .arg("--config")
                .arg(file("deploy/collector").join(name));
        }
        command
    };
    finish(&mut validate());
    let wrong = validate()
        .env("K8S_AUTH_TYPE", "nonsense")
        .output()
        .unwrap();
    assert!(!wrong.status.success(), "{wrong:?}");
}
