//! From bare facts to what real SDKs send: semantic-convention attributes for each shape of span.

use super::{Attribute, Ids, Origin, SpanSpec, SpanTemplate};
use crate::shop::{Pod, PodIndex};
use crate::span::{Outcome, Role, Shape, Span};
use crate::topology::{Operation, Protocol, Service, Topology};
use foldhash::fast::FixedState;
use std::collections::HashMap;

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const STATUS_UNSET: u8 = 0;
const STATUS_ERROR: u8 = 2;

/// Encodes batches of spans; remembers templates by shape and origins by pod.
#[derive(Debug)]
pub struct Dresser {
    topology: Topology,
    templates: HashMap<Shape, SpanTemplate, FixedState>,
    origins: HashMap<PodIndex, Origin, FixedState>,
    spans: Vec<u8>,
}

impl Dresser {
    /// A dresser for the spans of this shop.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            templates: HashMap::default(),
            origins: HashMap::default(),
            spans: Vec::new(),
        }
    }

    /// Encodes an `ExportTraceServiceRequest` with one resource, as an SDK sends it.
    pub fn request(&mut self, index: PodIndex, pod: &Pod, spans: &[Span]) -> Vec<u8> {
        self.spans.clear();
        for span in spans {
            let template = self
                .templates
                .entry(span.shape)
                .or_insert_with(|| SpanTemplate::new(&spec(&self.topology, &span.shape)));
            template.write(&ids(span), &mut self.spans);
        }
        let origin = self.origins.entry(index).or_insert_with(|| {
            let attributes = resource_attributes(&self.topology, pod);
            Origin::new(&attributes, "shop-instrumentation", "1.4.0")
        });
        let mut request = Vec::with_capacity(self.spans.len() + 1024);
        origin.wrap(&self.spans, &mut request);
        request
    }
}

fn ids(span: &Span) -> Ids {
    Ids {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent_id: span.parent_id,
        start: span.start,
        end: span.end,
        mark: span.shopper,
    }
}

/// What a pod says about itself.
pub fn resource_attributes(topology: &Topology, pod: &Pod) -> Vec<Attribute> {
    let service = &topology.services[pod.service];
    let replica_set = format!("{}-{}", service.name, pod.template_hash);
    vec![
        Attribute::text("service.name", service.name),
        Attribute::text("service.namespace", topology.namespace),
        Attribute::text("service.version", pod.version.as_str()),
        Attribute::text("service.instance.id", pod.instance_id.as_str()),
        Attribute::text("deployment.environment.name", topology.environment),
        Attribute::text("k8s.namespace.name", topology.namespace),
        Attribute::text("k8s.deployment.name", service.name),
        Attribute::text("k8s.replicaset.name", replica_set),
        Attribute::text("k8s.pod.name", pod.name.as_str()),
        Attribute::text(
            "k8s.pod.label.pod-template-hash",
            pod.template_hash.as_str(),
        ),
        Attribute::text("telemetry.sdk.name", "opentelemetry"),
        Attribute::text("telemetry.sdk.language", service.language),
        Attribute::text("telemetry.sdk.version", "1.45.1"),
    ]
}

fn spec(topology: &Topology, shape: &Shape) -> SpanSpec {
    let service = &topology.services[shape.service];
    match shape.role {
        Role::HealthCheck => health_check(service),
        Role::Server => server(service, &service.operations[shape.operation], shape),
        Role::Client(call) => {
            let call = &service.operations[shape.operation].calls[usize::from(call)];
            let callee = &topology.services[call.service];
            client(callee, &callee.operations[call.operation], shape)
        }
    }
}

fn health_check(service: &Service) -> SpanSpec {
    let (name, attributes) = match service.protocol {
        Protocol::Http => (
            "GET /healthz",
            vec![
                Attribute::text("http.request.method", "GET"),
                Attribute::text("http.route", "/healthz"),
                Attribute::text("url.path", "/healthz"),
                Attribute::text("url.scheme", "http"),
                Attribute::text("user_agent.original", "kube-probe/1.36"),
                Attribute::int("http.response.status_code", 200),
            ],
        ),
        Protocol::Grpc => (
            "grpc.health.v1.Health/Check",
            vec![
                Attribute::text("rpc.system", "grpc"),
                Attribute::text("rpc.service", "grpc.health.v1.Health"),
                Attribute::text("rpc.method", "Check"),
                Attribute::int("rpc.grpc.status_code", 0),
            ],
        ),
    };
    SpanSpec {
        name: name.to_owned(),
        kind: SERVER,
        attributes,
        status: STATUS_UNSET,
        message: String::new(),
        has_parent: false,
    }
}

fn server(service: &Service, operation: &Operation, shape: &Shape) -> SpanSpec {
    let mut attributes = match service.protocol {
        Protocol::Http => {
            let path = operation.route.trim_end_matches("{id}");
            vec![
                Attribute::text("http.request.method", operation.method),
                Attribute::text("http.route", operation.route),
                path_attribute("url.path", path, operation),
                Attribute::text("url.scheme", "http"),
                Attribute::text("network.protocol.version", "1.1"),
                Attribute::text("user_agent.original", "shop-client/2.1"),
            ]
        }
        Protocol::Grpc => rpc_attributes(operation),
    };
    attributes.push(Attribute::text("server.address", service.name));
    attributes.push(Attribute::int("server.port", i64::from(service.port)));
    attributes.push(Attribute::marked("enduser.pseudo.id", "shopper-"));
    // A missing thing is the asker's fault: the server's status stays unset (semantic conventions, HTTP and gRPC).
    let is_error = shape.outcome.is_failed();
    finish(
        operation,
        service.protocol,
        SERVER,
        attributes,
        is_error,
        shape,
    )
}

fn client(callee: &Service, operation: &Operation, shape: &Shape) -> SpanSpec {
    let mut attributes = match callee.protocol {
        Protocol::Http => {
            let path = operation.route.trim_end_matches("{id}");
            let url = format!("http://{}:{}{path}", callee.name, callee.port);
            let mut attributes = vec![
                Attribute::text("http.request.method", operation.method),
                path_attribute("url.full", &url, operation),
            ];
            if shape.resends > 0 {
                let resends = i64::from(shape.resends);
                attributes.push(Attribute::int("http.request.resend_count", resends));
            }
            attributes
        }
        Protocol::Grpc => rpc_attributes(operation),
    };
    attributes.push(Attribute::text("server.address", callee.name));
    attributes.push(Attribute::int("server.port", i64::from(callee.port)));
    let is_error = shape.outcome != Outcome::Fine;
    finish(
        operation,
        callee.protocol,
        CLIENT,
        attributes,
        is_error,
        shape,
    )
}

fn path_attribute(key: &str, path: &str, operation: &Operation) -> Attribute {
    if operation.route.ends_with("{id}") {
        Attribute::marked(key, path)
    } else {
        Attribute::text(key, path)
    }
}

fn rpc_attributes(operation: &Operation) -> Vec<Attribute> {
    let method = operation.name.rsplit('/').next().unwrap_or(operation.name);
    vec![
        Attribute::text("rpc.system", "grpc"),
        Attribute::text("rpc.service", operation.route),
        Attribute::text("rpc.method", method),
    ]
}

fn finish(
    operation: &Operation,
    protocol: Protocol,
    kind: u8,
    mut attributes: Vec<Attribute>,
    is_error: bool,
    shape: &Shape,
) -> SpanSpec {
    if let Some(code) = status_code(protocol, shape.outcome) {
        let key = match protocol {
            Protocol::Http => "http.response.status_code",
            Protocol::Grpc => "rpc.grpc.status_code",
        };
        attributes.push(Attribute::int(key, code));
    }
    if is_error {
        attributes.push(Attribute::text(
            "error.type",
            error_type(protocol, shape.outcome),
        ));
    }
    let name = match (protocol, kind) {
        // HTTP clients know no route: their spans are named by the method alone.
        (Protocol::Http, CLIENT) => operation.method,
        _ => operation.name,
    };
    let message = match (is_error, shape.outcome) {
        (true, Outcome::Refused) => "connection refused",
        (true, Outcome::Internal) if kind == SERVER => "internal error",
        _ => "",
    };
    SpanSpec {
        name: name.to_owned(),
        kind,
        attributes,
        status: if is_error { STATUS_ERROR } else { STATUS_UNSET },
        message: message.to_owned(),
        has_parent: shape.has_parent,
    }
}

/// `None` when no answer came: a refused HTTP connection has no status (real SDKs agree on that much).
const fn status_code(protocol: Protocol, outcome: Outcome) -> Option<i64> {
    match (protocol, outcome) {
        (Protocol::Http, Outcome::Fine) => Some(200),
        (Protocol::Http, Outcome::NotFound) => Some(404),
        (Protocol::Http, Outcome::Internal) => Some(500),
        (Protocol::Http, Outcome::Dependency) => Some(502),
        (Protocol::Http, Outcome::Refused) => None,
        (Protocol::Grpc, Outcome::Fine) => Some(0),
        (Protocol::Grpc, Outcome::NotFound) => Some(5),
        (Protocol::Grpc, Outcome::Internal) => Some(13),
        (Protocol::Grpc, Outcome::Dependency | Outcome::Refused) => Some(14),
    }
}

const fn error_type(protocol: Protocol, outcome: Outcome) -> &'static str {
    match (protocol, outcome) {
        (_, Outcome::Fine) => "",
        (Protocol::Http, Outcome::NotFound) => "404",
        (Protocol::Http, Outcome::Internal) => "500",
        (Protocol::Http, Outcome::Dependency) => "502",
        (Protocol::Http, Outcome::Refused) => "ConnectionError",
        (Protocol::Grpc, Outcome::NotFound) => "NOT_FOUND",
        (Protocol::Grpc, Outcome::Internal) => "INTERNAL",
        (Protocol::Grpc, Outcome::Dependency | Outcome::Refused) => "UNAVAILABLE",
    }
}
