//! The table: which attribute says what of whom a client calls.

/// What an attribute fills. Of several that fill the same slot, the first of the table counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Slot {
    /// The peer's service name.
    Service = 0,
    /// The peer's namespace.
    Namespace = 1,
    /// The peer's host; with the port when the attribute holds both.
    Host = 2,
    /// Envoy's cluster.
    Cluster = 3,
    /// RPC service.
    Rpc = 4,
    /// Kind of database.
    DatabaseSystem = 5,
    /// Which database.
    Database = 6,
    /// Kind of messaging system.
    MessagingSystem = 7,
    /// Queue or topic.
    Destination = 8,
    /// The peer's port.
    Port = 9,
    /// What is done with a message.
    Operation = 10,
    /// How often it was tried before.
    Resend = 11,
}

/// Number of slots that make a peer.
pub(super) const SLOTS: usize = 10;

/// How an attribute's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// A URL: its authority, with the scheme's port when it names none.
    Url,
    /// `package.Service/Method`: the part before the slash.
    FullMethod,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Attribute.
    pub key: &'static str,
    /// What it fills.
    pub slot: Slot,
    /// How it is read.
    pub form: Form,
    /// The attribute with the port that belongs to this host.
    pub port: Option<&'static str>,
    /// Whether it tells the upstream also of a proxy: where a cluster is named, other addresses are the proxy's own.
    pub is_upstream: bool,
}

const fn source(key: &'static str, slot: Slot) -> Source {
    Source {
        key,
        slot,
        form: Form::Plain,
        port: None,
        is_upstream: false,
    }
}

const fn host(key: &'static str, port: Option<&'static str>) -> Source {
    Source {
        port,
        ..source(key, Slot::Host)
    }
}

const fn upstream(key: &'static str) -> Source {
    Source {
        is_upstream: true,
        ..source(key, Slot::Host)
    }
}

const fn url(key: &'static str) -> Source {
    Source {
        form: Form::Url,
        ..source(key, Slot::Host)
    }
}

/// The table. Names come before numbers; URLs tell their host where nothing else does.
pub const SOURCES: &[Source] = &[
    source("service.peer.name", Slot::Service),
    source("peer.service", Slot::Service),
    source("service.peer.namespace", Slot::Namespace),
    source("upstream_cluster", Slot::Cluster),
    source("upstream_cluster.name", Slot::Cluster),
    host("server.address", Some("server.port")),
    host("net.peer.name", Some("net.peer.port")),
    host("net.sock.peer.name", Some("net.sock.peer.port")),
    url("url.full"),
    url("http.url"),
    host("http.host", None),
    upstream("upstream_address"),
    host("network.peer.address", Some("network.peer.port")),
    host("net.peer.ip", Some("net.peer.port")),
    host("net.sock.peer.addr", Some("net.sock.peer.port")),
    upstream("peer.address"),
    source("rpc.service", Slot::Rpc),
    Source {
        form: Form::FullMethod,
        ..source("rpc.method", Slot::Rpc)
    },
    source("db.system.name", Slot::DatabaseSystem),
    source("db.system", Slot::DatabaseSystem),
    source("db.namespace", Slot::Database),
    source("db.name", Slot::Database),
    source("messaging.system", Slot::MessagingSystem),
    source("messaging.destination.template", Slot::Destination),
    source("messaging.destination.name", Slot::Destination),
    source("messaging.destination", Slot::Destination),
    source("messaging.operation.type", Slot::Operation),
    source("messaging.operation", Slot::Operation),
    source("http.request.resend_count", Slot::Resend),
    source("http.resend_count", Slot::Resend),
    source("retry.count", Slot::Resend),
    source("grpc.previous-rpc-attempts", Slot::Resend),
];

/// The authority of `url`, with the scheme's own port where it names none; empty when it has none.
pub(super) fn authority(url: &str) -> (&str, Option<u16>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return ("", None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let names_port = super::host_of(host) != host;
    let port = match scheme {
        _ if names_port => None,
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    (host, port)
}
