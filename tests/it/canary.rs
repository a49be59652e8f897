//! Services with a good revision and, when asked for, one that fails every request: a request every quarter second.

use crate::server::{Server, until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause between two requests.
const PERIOD: Duration = Duration::from_millis(250);
/// Spans of the good and of the failing revision in each.
const GOOD: usize = 25;
const BAD: usize = 5;

/// Unix time, ns.
fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos() as u64
}

/// `count` server spans of one resource that end within the last quarter second.
pub(crate) fn resource_spans(
    attributes: &[(&str, &str)],
    count: usize,
    is_failed: bool,
) -> ResourceSpans {
    let now = now();
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    };
    let spans = (0..count as u64).map(|number| {
        let end = now - number * PERIOD.as_nanos() as u64 / count as u64;
        let id = simulator::random::mix_text(&format!("{attributes:?} {now} {number}"));
        Span {
            trace_id: (u128::from(id) << 64 | u128::from(end))
                .to_be_bytes()
                .into(),
            span_id: id.to_be_bytes().into(),
            name: "GET /".to_owned(),
            kind: 2,
            start_time_unix_nano: end - 1_000_000,
            end_time_unix_nano: end,
            status: is_failed.then(|| Status {
                code: 2,
                ..Status::default()
            }),
            ..Span::default()
        }
    });
    ResourceSpans {
        resource: Some(Resource {
            attributes: attributes
                .iter()
                .map(|(key, value)| text(key, value))
                .collect(),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: spans.collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

/// Posts a request over OTLP/HTTP. Returns the status, 0 when nobody is there.
pub(crate) async fn post(http: &str, resource_spans: Vec<ResourceSpans>) -> u16 {
    let request = ExportTraceServiceRequest { resource_spans };
    let post = reqwest::Client::new()
        .post(format!("{http}/v1/traces"))
        .header("content-type", "application/x-protobuf")
        .body(request.encode_to_vec());
    let answer = post.send().await;
    answer.map_or(0, |response| response.status().as_u16())
}

/// Traffic that goes on in the background until it is dropped.
pub(crate) struct Traffic {
    orders: Arc<Mutex<Orders>>,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Orders {
    http: String,
    services: Vec<String>,
    released: BTreeSet<String>,
    mended: BTreeSet<String>,
}

impl Traffic {
    /// Every service serves with its good revision `v1`.
    pub(crate) fn start(http: &str, services: &[String]) -> Self {
        let orders = Arc::new(Mutex::new(Orders {
            http: http.to_owned(),
            services: services.to_vec(),
            released: BTreeSet::new(),
            mended: BTreeSet::new(),
        }));
        let stop = CancellationToken::new();
        let (read, stopped) = (Arc::clone(&orders), stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(std::thread::Builder::new().spawn(move || runtime.block_on(go_on(&read, &stopped))));
        Self { orders, stop }
    }

    /// From now on `service` has a revision `v2` that fails, too.
    pub(crate) fn release(&self, service: &str) {
        let mut orders = self.orders.lock().unwrap();
        orders.released.insert(service.to_owned());
    }

    /// From now on the revision `v2` of `service` serves as well as `v1`.
    pub(crate) fn mend(&self, service: &str) {
        let mut orders = self.orders.lock().unwrap();
        orders.mended.insert(service.to_owned());
    }

    /// The server came back on another port.
    pub(crate) fn redirect(&self, http: &str) {
        http.clone_into(&mut self.orders.lock().unwrap().http);
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn go_on(orders: &Mutex<Orders>, stop: &CancellationToken) {
    let mut times = tokio::time::interval(PERIOD);
    while !stop.is_cancelled() {
        times.tick().await;
        let orders = orders.lock().unwrap().clone();
        let mut all = Vec::new();
        for service in &orders.services {
            let revision = |name| {
                [
                    ("service.name", service.as_str()),
                    ("service.version", name),
                ]
            };
            all.push(resource_spans(&revision("v1"), GOOD, false));
            if orders.released.contains(service) {
                let is_failed = !orders.mended.contains(service);
                all.push(resource_spans(&revision("v2"), BAD, is_failed));
            }
        }
        // While the server is down its spans are lost, as with any exporter that gives up.
        post(&orders.http, all).await;
    }
}

/// Waits until every service is known for long enough that a newcomer is a candidate.
pub(crate) fn wait_until_known(server: &Server, services: &[String]) {
    for service in services {
        // Somebody was there first: then and only then is the next revision a candidate.
        server.wait(&format!("/v1/gate?service={service}"), |answer| {
            answer["code"] == "NO_CANDIDATE" && answer["baseline"][0] == "v1"
        });
    }
}

/// The answer about `service`'s failing revision, once it is a Halt. Until then no other verdict but Wait and Unknown.
pub(crate) fn wait_for_halt(server: &Server, service: &str) -> Value {
    let question = format!("/v1/gate?service={service}&candidate=v2");
    let halt = || {
        let answer = server.get(&question);
        assert_ne!(answer["verdict"], "proceed", "{answer:#}");
        (answer["verdict"] == "halt").then_some(answer)
    };
    until(halt, || format!("no halt: {:#}", server.get(&question)))
}
