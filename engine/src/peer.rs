//! Whom a client says it calls: the raw peer of a span, read from its attributes.
//!
//! Conventions old and new, of HTTP, RPC, databases, messaging and Envoy, are one table ([`SOURCES`]). A raw peer is
//! a set of *claims*: an address, an RPC service, a proxy's cluster, a database, a topic. No folder decides which
//! service that is; the Decider learns it from calls whose both halves came ([`crate::graph`]).
//!
//! Claims are read once per distinct value of a batch; a row costs a few bit tests and one look-up.
//!
//! Sources: OpenTelemetry semantic conventions 1.44 (general, HTTP, RPC, database, messaging attributes) and the
//! names they replaced; Envoy's tracer tags.

mod read;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use read::Callees;
pub use source::{Form, SOURCES, Slot, Source};

use crate::delta::{Connection, PeerId};
use crate::hash::blake3_128;
use serde::{Deserialize, Serialize};

/// Longest text of a claim kept, bytes.
pub const CLAIM_BYTES_MAX: usize = 120;

/// What a claim is about, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClaimKind {
    /// The name of a service, told as such (`service.peer.name`).
    Service,
    /// A database: `system/namespace`.
    Database,
    /// A queue or topic: `system/destination`.
    Topic,
    /// An address: `host:port`, or the host alone.
    Address,
    /// An Envoy cluster.
    Cluster,
    /// An RPC service.
    Rpc,
}

impl ClaimKind {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Topic => "topic",
            Self::Address => "address",
            Self::Cluster => "cluster",
            Self::Rpc => "rpc",
        }
    }
}

/// One thing that a client said of whom it called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// What it is about.
    pub kind: ClaimKind,
    /// What was said.
    pub text: String,
}

/// A raw peer: what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PeerName {
    /// Its key.
    pub id: PeerId,
    /// How it is called.
    pub connection: Connection,
    /// Environment of the callers; a name means the same only within one.
    pub environment: String,
    /// `service.peer.namespace`, else the caller's namespace.
    pub namespace: String,
    /// What was said, by kind; empty when nothing was.
    pub claims: Vec<Claim>,
}

impl PeerName {
    /// A peer of whom `claims` were made; sorts them and finds the id.
    pub fn new(
        connection: Connection,
        environment: &str,
        namespace: &str,
        mut claims: Vec<Claim>,
    ) -> Self {
        claims.sort_unstable();
        let mut parts: Vec<&[u8]> = vec![
            match connection {
                Connection::Call => b"call",
                Connection::Database => b"database",
                Connection::Messaging => b"messaging",
            },
            environment.as_bytes(),
            namespace.as_bytes(),
        ];
        for claim in &claims {
            parts.push(claim.kind.name().as_bytes());
            parts.push(claim.text.as_bytes());
        }
        Self {
            id: PeerId(blake3_128("peer", &parts)),
            connection,
            environment: environment.to_owned(),
            namespace: namespace.to_owned(),
            claims,
        }
    }

    /// What was said of `kind`.
    pub fn claim(&self, kind: ClaimKind) -> Option<&str> {
        let found = self.claims.iter().find(|claim| claim.kind == kind);
        found.map(|claim| claim.text.as_str())
    }
}

/// The host of `address` (`host:port`, `[v6]:port` or a host alone).
pub fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            if host.contains(':') && !host.ends_with(']') {
                address
            } else {
                host
            }
        }
        _ => address,
    }
}

/// Whether `host` names nobody in particular: a number, or this machine.
pub fn is_anonymous(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    bare.parse::<std::net::IpAddr>().is_ok() || bare == "localhost" || bare.is_empty()
}
