//! The shape of the simulated shop: services, their operations, who calls whom.
//!
//! ```text
//! shopper -> frontend -> checkout  -> payments, inventory, shipping
//!                     -> catalog
//!                     -> inventory
//!                     -> search    -> catalog
//!                     -> recommendations (nobody minds when it fails)
//! ```
//!
//! Numbers are chosen so that every service that may get a bad release sees at least a quarter of the shoppers:
//! a demo must reach its verdict in seconds.

/// Index of a service in [`Topology::services`].
pub type ServiceIndex = usize;

/// What the services speak among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP semantic conventions.
    Http,
    /// gRPC semantic conventions.
    Grpc,
}

/// How a service's SDK ships its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// OTLP/gRPC, uncompressed.
    Grpc,
    /// OTLP/gRPC, gzip.
    GrpcGzip,
    /// OTLP/HTTP protobuf, uncompressed.
    Http,
    /// OTLP/HTTP protobuf, gzip.
    HttpGzip,
}

/// One outgoing call of an operation. Calls of an operation are made one after the other.
#[derive(Debug, Clone)]
pub struct Call {
    /// Callee.
    pub service: ServiceIndex,
    /// Index of the callee's operation.
    pub operation: usize,
    /// Probability that a request makes this call at all, 0..=1.
    pub probability: f64,
    /// Attempts in all, at least 1: the caller retries while the call fails.
    pub attempts: u8,
    /// Whether a failed call fails the caller.
    pub required: bool,
}

/// One operation of a service.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Span name of the server side.
    pub name: &'static str,
    /// HTTP method; empty for gRPC.
    pub method: &'static str,
    /// HTTP route, or the gRPC service name.
    pub route: &'static str,
    /// Median of the operation's own work, ns; log-normal.
    pub work_nanos: f64,
    /// Shape of the log-normal.
    pub sigma: f64,
    /// Errors of a healthy revision, 0..=1: small, never nothing.
    pub error_ratio: f64,
    /// Honest "no such thing" answers, 0..=1: client errors, not failures.
    pub not_found_ratio: f64,
    /// What it calls.
    pub calls: Vec<Call>,
}

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// `service.name`.
    pub name: &'static str,
    /// `telemetry.sdk.language`.
    pub language: &'static str,
    /// What its operations speak.
    pub protocol: Protocol,
    /// How its SDK exports.
    pub wire: Wire,
    /// Port it listens on, for `server.port`.
    pub port: u16,
    /// Version that runs when the story begins.
    pub version: &'static str,
    /// Pods of that version.
    pub pods: usize,
    /// What it can do.
    pub operations: Vec<Operation>,
}

/// A way in: what shoppers ask for.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Service asked.
    pub service: ServiceIndex,
    /// Operation asked.
    pub operation: usize,
    /// Share of the shoppers, any unit.
    pub share: u64,
}

/// The whole shop.
#[derive(Debug, Clone)]
pub struct Topology {
    /// `service.namespace` of every service.
    pub namespace: &'static str,
    /// `deployment.environment.name` of every service.
    pub environment: &'static str,
    /// Services; callees may stand anywhere, but there is no cycle.
    pub services: Vec<Service>,
    /// Ways in.
    pub entries: Vec<Entry>,
}

/// Milliseconds as nanoseconds.
const fn ms(millis: f64) -> f64 {
    millis * 1e6
}

const FRONTEND: ServiceIndex = 0;
const CHECKOUT: ServiceIndex = 1;
const PAYMENTS: ServiceIndex = 2;
const INVENTORY: ServiceIndex = 3;
const SHIPPING: ServiceIndex = 4;
const CATALOG: ServiceIndex = 5;
const SEARCH: ServiceIndex = 6;
const RECOMMENDATIONS: ServiceIndex = 7;

impl Topology {
    /// The shop of the demo: eight services, four ways in.
    pub fn shop() -> Self {
        Self {
            namespace: "shop",
            environment: "demo",
            services: vec![
                frontend(),
                checkout(),
                payments(),
                inventory(),
                shipping(),
                catalog(),
                search(),
                recommendations(),
            ],
            entries: (0..4)
                .zip([25, 25, 15, 35])
                .map(|(operation, share)| Entry {
                    service: FRONTEND,
                    operation,
                    share,
                })
                .collect(),
        }
    }

    /// The index of the service called `name`.
    pub fn find(&self, name: &str) -> Option<ServiceIndex> {
        self.services
            .iter()
            .position(|service| service.name == name)
    }

    /// Every service that `service` calls, directly or not. O(services x calls).
    pub fn callees(&self, service: ServiceIndex) -> Vec<ServiceIndex> {
        let mut found = Vec::new();
        let mut open = vec![service];
        while let Some(next) = open.pop() {
            for call in self.services[next]
                .operations
                .iter()
                .flat_map(|op| &op.calls)
            {
                if !found.contains(&call.service) {
                    found.push(call.service);
                    open.push(call.service);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// Requests of `service` for each request of a shopper when nothing fails: its share of the traffic.
    pub fn traffic(&self, service: ServiceIndex) -> f64 {
        let total: u64 = self.entries.iter().map(|entry| entry.share).sum();
        self.entries
            .iter()
            .map(|entry| {
                let share = entry.share as f64 / total as f64;
                share * self.visits(entry.service, entry.operation, service)
            })
            .sum()
    }

    /// Typical duration of an operation, ns: its own median work and that of whatever it calls.
    pub fn typical_nanos(&self, service: ServiceIndex, operation: usize) -> f64 {
        let operation = &self.services[service].operations[operation];
        let calls = operation.calls.iter();
        let called: f64 = calls
            .map(|call| call.probability * self.typical_nanos(call.service, call.operation))
            .sum();
        operation.work_nanos + called
    }

    fn visits(&self, at: ServiceIndex, operation: usize, wanted: ServiceIndex) -> f64 {
        let below: f64 = self.services[at].operations[operation]
            .calls
            .iter()
            .map(|call| call.probability * self.visits(call.service, call.operation, wanted))
            .sum();
        below + f64::from(u8::from(at == wanted))
    }
}

fn service(
    name: &'static str,
    language: &'static str,
    protocol: Protocol,
    wire: Wire,
    version: &'static str,
    operations: Vec<Operation>,
) -> Service {
    let port = match protocol {
        Protocol::Http => 8080,
        Protocol::Grpc => 9090,
    };
    Service {
        name,
        language,
        protocol,
        wire,
        port,
        version,
        pods: 2,
        operations,
    }
}

fn operation(
    name: &'static str,
    method: &'static str,
    route: &'static str,
    work_nanos: f64,
    calls: Vec<Call>,
) -> Operation {
    Operation {
        name,
        method,
        route,
        work_nanos,
        sigma: 0.35,
        error_ratio: 0.0002,
        not_found_ratio: 0.0,
        calls,
    }
}

fn call(service: ServiceIndex, operation: usize) -> Call {
    Call {
        service,
        operation,
        probability: 1.0,
        attempts: 1,
        required: true,
    }
}

fn frontend() -> Service {
    let recommendations = Call {
        probability: 0.9,
        required: false,
        ..call(RECOMMENDATIONS, 0)
    };
    let product = vec![
        call(CATALOG, 1),
        call(INVENTORY, 1),
        recommendations.clone(),
    ];
    service(
        "frontend",
        "nodejs",
        Protocol::Http,
        Wire::Http,
        "v31",
        vec![
            operation(
                "GET /",
                "GET",
                "/",
                ms(6.0),
                vec![call(CATALOG, 0), recommendations],
            ),
            operation(
                "GET /products/{id}",
                "GET",
                "/products/{id}",
                ms(5.0),
                product,
            ),
            operation(
                "GET /search",
                "GET",
                "/search",
                ms(4.0),
                vec![call(SEARCH, 0)],
            ),
            operation(
                "POST /checkout",
                "POST",
                "/checkout",
                ms(8.0),
                vec![call(CHECKOUT, 0)],
            ),
        ],
    )
}

fn checkout() -> Service {
    let charge = Call {
        attempts: 2,
        ..call(PAYMENTS, 0)
    };
    let calls = vec![call(INVENTORY, 0), charge, call(SHIPPING, 0)];
    service(
        "checkout",
        "java",
        Protocol::Http,
        Wire::Grpc,
        "v1",
        vec![operation(
            "POST /orders",
            "POST",
            "/orders",
            ms(12.0),
            calls,
        )],
    )
}

fn payments() -> Service {
    let operations = vec![operation(
        "shop.Payments/Charge",
        "",
        "shop.Payments",
        ms(25.0),
        Vec::new(),
    )];
    service(
        "payments",
        "go",
        Protocol::Grpc,
        Wire::GrpcGzip,
        "v12",
        operations,
    )
}

fn inventory() -> Service {
    let operations = vec![
        operation(
            "shop.Inventory/Reserve",
            "",
            "shop.Inventory",
            ms(7.0),
            Vec::new(),
        ),
        operation(
            "shop.Inventory/Stock",
            "",
            "shop.Inventory",
            ms(3.0),
            Vec::new(),
        ),
    ];
    service(
        "inventory",
        "go",
        Protocol::Grpc,
        Wire::Grpc,
        "v8",
        operations,
    )
}

fn shipping() -> Service {
    let operations = vec![operation(
        "POST /shipments",
        "POST",
        "/shipments",
        ms(10.0),
        Vec::new(),
    )];
    service(
        "shipping",
        "python",
        Protocol::Http,
        Wire::HttpGzip,
        "v5",
        operations,
    )
}

fn catalog() -> Service {
    let product = Operation {
        not_found_ratio: 0.01,
        ..operation(
            "GET /products/{id}",
            "GET",
            "/products/{id}",
            ms(4.0),
            Vec::new(),
        )
    };
    let operations = vec![
        operation("GET /products", "GET", "/products", ms(9.0), Vec::new()),
        product,
    ];
    service(
        "catalog",
        "rust",
        Protocol::Http,
        Wire::HttpGzip,
        "v20",
        operations,
    )
}

fn search() -> Service {
    let calls = vec![call(CATALOG, 0)];
    let operations = vec![operation("GET /query", "GET", "/query", ms(15.0), calls)];
    service(
        "search",
        "java",
        Protocol::Http,
        Wire::Http,
        "v3",
        operations,
    )
}

fn recommendations() -> Service {
    let operations = vec![operation(
        "GET /recommendations",
        "GET",
        "/recommendations",
        ms(11.0),
        Vec::new(),
    )];
    service(
        "recommendations",
        "python",
        Protocol::Http,
        Wire::Http,
        "v7",
        operations,
    )
}
