//! Who can fail: a service, or a peer that only its clients tell of.

use crate::delta::{Callee, PeerId};
use crate::identity::ServiceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Node {
    /// A service that sends spans, or did.
    Service(ServiceId),
    /// A database, a queue, a host: known by its address alone.
    Peer(PeerId),
}

impl Node {
    /// 128 bits for hashing.
    pub const fn number(self) -> u128 {
        match self {
            Self::Service(id) => id.0,
            Self::Peer(id) => id.0,
        }
    }

    /// The service, when it is one.
    pub const fn service(self) -> Option<ServiceId> {
        match self {
            Self::Service(id) => Some(id),
            Self::Peer(_) => None,
        }
    }
}

/// Which service answers behind which raw peer, as pairs of halves have taught.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases(pub BTreeMap<PeerId, ServiceId>);

impl Aliases {
    /// Whom `callee` means.
    pub fn node(&self, callee: Callee) -> Node {
        match callee {
            Callee::Service(party) => Node::Service(party.service),
            Callee::Peer(peer) => self
                .0
                .get(&peer)
                .map_or(Node::Peer(peer), |service| Node::Service(*service)),
        }
    }
}
