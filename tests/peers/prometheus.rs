//! A real Prometheus scrapes Tidegate and is asked what Grafana's service graph asks (the Tempo data source).

use crate::canary::post;
use crate::place;
use crate::server::{Server, until_within};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longer than the 90 s after which a call without a server half enters the counters.
const PATIENCE: Duration = Duration::from_secs(150);
/// Pause between two rounds of traffic.
const PERIOD: Duration = Duration::from_millis(500);
/// What Grafana puts in for `$__range`.
const RANGE: &str = "1m";

const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(Any::StringValue((*value).to_owned())),
            }),
            ..KeyValue::default()
        })
        .collect()
}

fn sent_by(service: &str, span: Span) -> ResourceSpans {
    ResourceSpans {
        resource: Some(Resource {
            attributes: attributes(&[("service.name", service), ("service.namespace", "shop")]),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

/// One span of the trace `number`, which ended now after `millis`.
fn span(number: u64, (id, parent): (u8, u8), kind: i32, millis: u64, is_failed: bool) -> Span {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let end = now.as_nanos() as u64;
    let span_id = |id: u8| match id {
        0 => Vec::new(),
        id => (number << 8 | u64::from(id)).to_be_bytes().to_vec(),
    };
    Span {
        trace_id: (u128::from(number) << 64 | 1).to_be_bytes().to_vec(),
        span_id: span_id(id),
        parent_span_id: span_id(parent),
        name: "POST /orders".to_owned(),
        kind,
        start_time_unix_nano: end - millis * 1_000_000,
        end_time_unix_nano: end,
        status: is_failed.then(|| Status {
            code: 2,
            ..Status::default()
        }),
        ..Span::default()
    }
}

/// frontend calls cart, which fails every second time, and a payments that nobody serves; cart calls its database.
fn round(number: u64) -> Vec<ResourceSpans> {
    let is_failed = number.is_multiple_of(2);
    let mut query = span(number, (3, 2), CLIENT, 5, false);
    query.attributes = attributes(&[
        ("db.system.name", "postgresql"),
        ("db.namespace", "orders"),
        ("server.address", "db.internal"),
    ]);
    let mut dead = span(number, (4, 0), CLIENT, 1, true);
    dead.attributes = attributes(&[
        ("server.address", "payments.example.com"),
        ("error.type", "ECONNREFUSED"),
    ]);
    vec![
        sent_by("frontend", span(number, (1, 0), CLIENT, 60, is_failed)),
        sent_by("cart", span(number, (2, 1), SERVER, 50, is_failed)),
        sent_by("cart", query),
        sent_by("frontend", dead),
    ]
}

/// Traffic until dropped.
struct Traffic {
    is_stopped: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Traffic {
    fn start(http: &str) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stop, http) = (Arc::clone(&is_stopped), http.to_owned());
        let send = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut clock = tokio::time::interval(PERIOD);
                for number in 1.. {
                    clock.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    assert_eq!(post(&http, round(number)).await, 200);
                }
            });
        };
        Self {
            is_stopped,
            thread: Some(std::thread::Builder::new().spawn(send).unwrap()),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = server.api.trim_start_matches("http://");
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: tidegate, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(&config, text).unwrap();
        // It takes no port 0: one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut child = Command::new(place("PROMETHEUS"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        drop(std::thread::Builder::new().spawn(move || lines.map_while(Result::ok).for_each(drop)));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// `GET path` with one parameter.
    fn get(&self, server: &Server, path: &str, parameter: (&str, &str)) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.address);
        server.block_on(async {
            let url = reqwest::Url::parse_with_params(&url, [parameter]).unwrap();
            match reqwest::get(url).await {
                Ok(answer) => answer.json().await.unwrap_or_default(),
                Err(_) => Value::Null,
            }
        })
    }

    /// An instant query: (labels, value) of every series.
    fn query(&self, server: &Server, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let answer = self.get(server, "query", ("query", query));
        let rows = answer["data"]["result"].as_array().into_iter().flatten();
        rows.map(|row| {
            let labels = row["metric"].as_object().into_iter().flatten();
            let labels = labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            (labels, row["value"][1].as_str().unwrap().parse().unwrap())
        })
        .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Values by (client, server).
fn by_edge(rows: Vec<(BTreeMap<String, String>, f64)>) -> BTreeMap<(String, String), f64> {
    let edge = |labels: BTreeMap<String, String>| {
        assert_eq!(labels.len(), 2, "{labels:?}");
        (labels["client"].clone(), labels["server"].clone())
    };
    rows.into_iter()
        .map(|(labels, value)| (edge(labels), value))
        .collect()
}

/// Scenario: a Prometheus scrapes Tidegate while a service calls one that answers, one that is dead, and a database.
/// Guarantees: each query that Grafana's service graph sends finds every edge under the labels it reads, with rates, failures
/// and latency that are those of the traffic; a dead callee is a node.
#[test]
fn grafanas_service_graph_finds_what_it_asks_for() {
    let server = Server::start(&[]);
    let traffic = Traffic::start(&server.http);
    let prometheus = Prometheus::start(&server);
    let rate = |metric: &str| {
        let query = format!("sum by (client, server) (rate({metric}{{}}[{RANGE}]))");
        by_edge(prometheus.query(&server, &query))
    };
    let edge = |client: &str, server: &str| (client.to_owned(), server.to_owned());
    let cart = edge("frontend", "cart");
    let all = |rates: &BTreeMap<(String, String), f64>| {
        rates.len() >= 3 && rates.values().all(|rate| *rate > 0.5)
    };
    let requests = until_within(
        PATIENCE,
        || Some(rate("traces_service_graph_request_total")).filter(all),
        || format!("{:?}", rate("traces_service_graph_request_total")),
    );
    assert_eq!(requests.len(), 3, "{requests:?}");
    let others: Vec<&(String, String)> = requests.keys().filter(|key| **key != cart).collect();
    assert!(
        others
            .iter()
            .any(|(client, server)| client == "cart" && server.contains("orders"))
    );
    assert!(
        others
            .iter()
            .any(|(client, server)| client == "frontend" && server.contains("payments"))
    );

    // Two rounds a second; half of the calls of cart fail, all of the dead one.
    let failed = rate("traces_service_graph_request_failed_total");
    for (key, requests) in &requests {
        let share = failed.get(key).copied().unwrap_or_default() / requests;
        let expected = match key.1.as_str() {
            "cart" => 0.5,
            name if name.contains("payments") => 1.0,
            _ => 0.0,
        };
        assert!((share - expected).abs() < 0.1, "{key:?}: {share}");
    }
    assert!((requests[&cart] - 2.0).abs() < 0.3, "{requests:?}");
    let seconds = rate("traces_service_graph_request_server_seconds_sum");
    let mean = seconds[&cart] / requests[&cart];
    assert!((mean - 0.05).abs() < 0.005, "{mean}");

    let kinds = prometheus.query(
        &server,
        "group by (client, connection_type, server) (traces_service_graph_request_total{})",
    );
    let kind_of = |name: &str| {
        let found = kinds
            .iter()
            .find(|(labels, _)| labels["server"].contains(name));
        found.map(|(labels, _)| labels.get("connection_type").cloned().unwrap_or_default())
    };
    assert_eq!(kind_of("cart").as_deref(), Some(""));
    assert_eq!(kind_of("orders").as_deref(), Some("database"));
    assert_eq!(kind_of("payments").as_deref(), Some("virtual_node"));

    let quantile = format!(
        "histogram_quantile(0.9, sum(rate(traces_service_graph_request_server_seconds_bucket{{client=\"frontend\",server=\"cart\"}}[{RANGE}])) by (le, client, server))"
    );
    let quantile = by_edge(prometheus.query(&server, &quantile));
    assert!((0.032..=0.064).contains(&quantile[&cart]), "{quantile:?}");

    // With "include namespace", and what its selectors offer.
    let named = prometheus.query(
        &server,
        "sum by (client, server, client_service_namespace, server_service_namespace) (rate(traces_service_graph_request_total{client=\"frontend\",server=\"cart\"}[1m]))",
    );
    let [(labels, _)] = &named[..] else {
        panic!("{named:?}")
    };
    for side in ["client_service_namespace", "server_service_namespace"] {
        assert_eq!(labels[side], "shop");
    }
    let matcher = "{__name__=~\"traces_service_graph_request_server_seconds_sum|traces_service_graph_request_total|traces_service_graph_request_failed_total\"}";
    let labels = prometheus.get(&server, "labels", ("match[]", matcher));
    for label in ["client", "server", "connection_type"] {
        let listed = labels["data"].as_array().unwrap();
        assert!(listed.iter().any(|one| one == label), "{labels}");
    }
    let values = prometheus.get(&server, "label/server/values", ("match[]", matcher));
    assert_eq!(values["data"].as_array().unwrap().len(), 3, "{values}");
    drop(traffic);
}
