//! Who can fail: a service, or a peer that only its clients tell of.

use crate::delta::{Callee, Delta, PeerId};
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

/// Most peers remembered.
const PEERS_MAX: usize = 65_536;

/// Which service answers behind which raw peer, as pairs of halves have taught, and what peers are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aliases {
    pairs: BTreeMap<PeerId, BTreeMap<ServiceId, i64>>,
    names: BTreeMap<PeerId, String>,
}

impl Aliases {
    /// Takes in what the folders saw. O(rows log peers).
    pub fn learn(&mut self, delta: &Delta) {
        for row in &delta.aliases {
            if self.pairs.len() < PEERS_MAX || self.pairs.contains_key(&row.peer) {
                let services = self.pairs.entry(row.peer).or_default();
                *services.entry(row.service).or_default() += row.pairs;
            }
        }
        for peer in &delta.peers {
            if self.names.len() < PEERS_MAX && !self.names.contains_key(&peer.id) {
                let said = peer.claims.first().map(|claim| claim.text.clone());
                self.names
                    .insert(peer.id, said.unwrap_or_else(|| "(unnamed)".to_owned()));
            }
        }
    }

    /// Whom `callee` means. A peer that several services answered for stays a peer.
    pub fn node(&self, callee: Callee) -> Node {
        let peer = match callee {
            Callee::Service(party) => return Node::Service(party.service),
            Callee::Peer(peer) => peer,
        };
        let services = self.pairs.get(&peer).into_iter().flatten();
        let mut answering = services.filter(|(_, pairs)| **pairs > 0);
        match (answering.next(), answering.next()) {
            (Some((service, _)), None) => Node::Service(*service),
            _ => Node::Peer(peer),
        }
    }

    /// What a peer is called.
    pub fn name(&self, peer: PeerId) -> &str {
        self.names.get(&peer).map_or("(unnamed)", String::as_str)
    }
}
