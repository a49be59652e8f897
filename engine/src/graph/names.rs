//! Which node a raw peer means: learned from calls whose both halves came, and from what is said together.
//!
//! A claim (an address, an RPC service, a cluster) means a service when every pair made with it says the same one; the
//! surest claim that is known decides. A name that several services answered for means none of them: it stays a peer of
//! its own, as a load balancer is. A claim that is, in its environment, the name of a service means that service. What
//! is left is grouped by its surest name; a peer known by its RPC service alone joins the one peer that has the same.
//!
//! Everything is looked up when the graph is read: what is learned late holds for what was counted early.

use super::counters::Side;
use crate::cascade::node::Node;
use crate::delta::{Callee, Connection, Delta, PeerId};
use crate::hash::{FixedMap, blake3_128};
use crate::identity::{ServiceId, ServiceKey};
use crate::peer::{Claim, ClaimKind, PeerName, host_of, is_anonymous};
use crate::registry::ServiceState;
use crate::time::{NANOS_PER_SEC, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most raw peers known; names of further ones are not learned.
pub const PEERS_MAX: usize = 50_000;
/// A peer that was not met for so long is forgotten, ns.
const FORGET_NANOS: u64 = 7 * 3_600 * NANOS_PER_SEC;

/// A peer and who answered for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Peer {
    name: PeerName,
    last_met: Timestamp,
    /// Pairs by the service that answered.
    answered: BTreeMap<ServiceId, i64>,
}

/// A node that no service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// What to call it.
    pub label: String,
    /// How it is called.
    pub connection: Connection,
    /// Environment of its callers.
    pub environment: String,
    /// Everything that was said of it.
    pub claims: BTreeSet<Claim>,
}

/// The names of all raw peers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Names {
    peers: BTreeMap<PeerId, Peer>,
    #[serde(skip)]
    resolved: Resolved,
}

/// What the names mean.
#[derive(Debug, Clone, Default)]
struct Resolved {
    is_current: bool,
    /// Number of services when it was made.
    services: usize,
    nodes: FixedMap<PeerId, Node>,
    unresolved: BTreeMap<PeerId, Unresolved>,
}

impl Names {
    /// Takes note of names and of who answered. O(rows log peers).
    pub(super) fn apply(&mut self, now: Timestamp, delta: &Delta) {
        for name in &delta.peers {
            if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&name.id) {
                continue;
            }
            let peer = self.peers.entry(name.id).or_insert_with(|| {
                self.resolved.is_current = false;
                Peer {
                    name: name.clone(),
                    last_met: now,
                    answered: BTreeMap::new(),
                }
            });
            peer.last_met = now;
        }
        for row in &delta.aliases {
            let Some(peer) = self.peers.get_mut(&row.peer) else {
                continue;
            };
            let known = peer.answered.entry(row.service).or_default();
            let was = *known > 0;
            *known += row.pairs;
            if (*known > 0) != was {
                self.resolved.is_current = false;
            }
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Timestamp) {
        if now.secs().is_multiple_of(60) {
            let before = self.peers.len();
            self.peers
                .retain(|_, peer| now.since(peer.last_met) <= FORGET_NANOS);
            self.resolved.is_current &= before == self.peers.len();
        }
    }

    /// Which node `callee` means, as of the last [`Names::resolve`].
    pub fn node(&self, callee: Callee) -> Node {
        match callee {
            Callee::Service(party) => Node::Service(party.service),
            Callee::Peer(peer) => self.peer(peer),
        }
    }

    /// Which node a raw peer means, as of the last [`Names::resolve`].
    pub fn peer(&self, peer: PeerId) -> Node {
        let known = self.resolved.nodes.get(&peer);
        known.copied().unwrap_or(Node::Peer(peer))
    }

    /// Every raw peer with its node, by peer.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, Node)> + '_ {
        self.peers.keys().map(|id| (*id, self.peer(*id)))
    }

    /// The nodes that are no services.
    pub const fn unresolved(&self) -> &BTreeMap<PeerId, Unresolved> {
        &self.resolved.unresolved
    }

    /// The cluster that a peer names.
    pub fn cluster(&self, peer: PeerId) -> Option<&str> {
        self.peers.get(&peer)?.name.claim(ClaimKind::Cluster)
    }

    /// Every cluster with the services that answered behind it.
    pub(super) fn clusters(&self) -> impl Iterator<Item = (ServiceId, &str)> {
        self.peers.values().flat_map(|peer| {
            let cluster = peer.name.claim(ClaimKind::Cluster);
            let services = peer.answered.keys();
            services.filter_map(move |service| Some((*service, cluster?)))
        })
    }

    /// What `callee` is called now. Resolves first.
    pub(super) fn side(
        &mut self,
        callee: Callee,
        services: &BTreeMap<ServiceId, ServiceState>,
    ) -> Side {
        self.resolve(services);
        match self.node(callee) {
            Node::Service(id) => {
                let key = services.get(&id).map(|state| state.key.clone());
                let key = key.unwrap_or_default();
                Side {
                    name: key.name,
                    namespace: key.namespace,
                    environment: key.environment,
                    is_service: true,
                }
            }
            Node::Peer(id) => {
                let peer = self.unresolved().get(&id);
                Side {
                    name: peer.map_or_else(|| UNNAMED.to_owned(), |peer| peer.label.clone()),
                    environment: peer.map_or_else(String::new, |peer| peer.environment.clone()),
                    ..Side::default()
                }
            }
        }
    }

    /// Works out what every name means, if something changed. O(peers log peers).
    pub(super) fn resolve(&mut self, services: &BTreeMap<ServiceId, ServiceState>) {
        if self.resolved.is_current && self.resolved.services == services.len() {
            return;
        }
        let learned = Learned::of(&self.peers, services);
        let mut resolved = Resolved {
            is_current: true,
            services: services.len(),
            ..Resolved::default()
        };
        let mut open = Vec::new();
        for (id, peer) in &self.peers {
            match learned.service(peer) {
                Some(service) => {
                    resolved.nodes.insert(*id, Node::Service(service));
                }
                None => open.push(peer),
            }
        }
        group(&open, &mut resolved);
        self.resolved = resolved;
    }
}

/// What a peer without any name is called.
pub const UNNAMED: &str = "(unnamed)";

/// Groups peers that are no services by their surest names.
fn group(open: &[&Peer], resolved: &mut Resolved) {
    let mut by_rpc: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    let mut by_host: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for peer in open {
        let Some(label) = strong_label(&peer.name) else {
            continue;
        };
        let environment = peer.name.environment.as_str();
        if let Some(rpc) = peer.name.claim(ClaimKind::Rpc) {
            let known = by_rpc.entry((environment, rpc)).or_default();
            known.insert(label.clone());
        }
        if let Some(address) = peer.name.claim(ClaimKind::Address)
            && host_of(address) != address
        {
            let known = by_host.entry((environment, host_of(address))).or_default();
            known.insert(label);
        }
    }
    let only = |set: Option<&BTreeSet<String>>| match set {
        Some(set) if set.len() == 1 => set.first().cloned(),
        _ => None,
    };
    for peer in open {
        let name = &peer.name;
        let environment = name.environment.as_str();
        let rpc = name.claim(ClaimKind::Rpc);
        let label = match strong_label(name) {
            Some(label) => match name.claim(ClaimKind::Address) {
                Some(host) if host == label => {
                    only(by_host.get(&(environment, host))).unwrap_or(label)
                }
                _ => label,
            },
            None => rpc
                .and_then(|rpc| only(by_rpc.get(&(environment, rpc))))
                .unwrap_or_else(|| weak_label(name)),
        };
        let id = PeerId(blake3_128(
            "peer node",
            &[
                environment.as_bytes(),
                &[name.connection as u8],
                label.as_bytes(),
            ],
        ));
        resolved.nodes.insert(name.id, Node::Peer(id));
        let node = resolved.unresolved.entry(id).or_insert_with(|| Unresolved {
            label,
            connection: name.connection,
            environment: environment.to_owned(),
            claims: BTreeSet::new(),
        });
        node.claims.extend(name.claims.iter().cloned());
    }
}

/// A name that somebody chose for the peer.
fn strong_label(name: &PeerName) -> Option<String> {
    let said = |kind| name.claim(kind).map(str::to_owned);
    if name.connection == Connection::Database {
        let database = name.claim(ClaimKind::Database)?;
        return Some(match name.claim(ClaimKind::Address) {
            Some(address) => format!("{database} at {address}"),
            None => database.to_owned(),
        });
    }
    said(ClaimKind::Topic)
        .or_else(|| said(ClaimKind::Service))
        .or_else(|| said(ClaimKind::Address).filter(|address| !is_anonymous(host_of(address))))
        .or_else(|| said(ClaimKind::Cluster))
}

fn weak_label(name: &PeerName) -> String {
    let said = [ClaimKind::Rpc, ClaimKind::Address, ClaimKind::Database];
    let found = said.iter().find_map(|kind| name.claim(*kind));
    found.unwrap_or(UNNAMED).to_owned()
}

/// What pairs have taught, and what services are called.
struct Learned<'a> {
    /// Services that answered to a claim, by environment.
    claims: FixedMap<(&'a str, ClaimKind, &'a str), BTreeSet<ServiceId>>,
    /// Likewise to a host, whatever the port.
    hosts: FixedMap<(&'a str, &'a str), BTreeSet<ServiceId>>,
    /// Services by environment and name.
    named: FixedMap<(&'a str, &'a str), Vec<(&'a ServiceKey, ServiceId)>>,
}

impl<'a> Learned<'a> {
    fn of(
        peers: &'a BTreeMap<PeerId, Peer>,
        services: &'a BTreeMap<ServiceId, ServiceState>,
    ) -> Self {
        let mut learned = Self {
            claims: FixedMap::default(),
            hosts: FixedMap::default(),
            named: FixedMap::default(),
        };
        for peer in peers.values() {
            let environment = peer.name.environment.as_str();
            for service in answered(peer) {
                for claim in &peer.name.claims {
                    let key = (environment, claim.kind, claim.text.as_str());
                    learned.claims.entry(key).or_default().insert(service);
                    let host = host_of(&claim.text);
                    if claim.kind == ClaimKind::Address && !is_anonymous(host) {
                        let known = learned.hosts.entry((environment, host));
                        known.or_default().insert(service);
                    }
                }
            }
        }
        for (id, state) in services {
            let key = (state.key.environment.as_str(), state.key.name.as_str());
            let known = learned.named.entry(key).or_default();
            known.push((&state.key, *id));
        }
        learned
    }

    /// The service that a peer surely means.
    fn service(&self, peer: &Peer) -> Option<ServiceId> {
        let own: Vec<ServiceId> = answered(peer).collect();
        match own.as_slice() {
            [only] => return Some(*only),
            [] => {}
            _ => return None,
        }
        let name = &peer.name;
        let environment = name.environment.as_str();
        let taught = |kind| {
            let text = name.claim(kind)?;
            only(self.claims.get(&(environment, kind, text))?)
        };
        if let Some(service) = name.claim(ClaimKind::Service) {
            let found = self.called(name, service, None);
            if let Some(found) = found.or_else(|| taught(ClaimKind::Service)) {
                return Some(found);
            }
        }
        if name.connection == Connection::Messaging {
            return None;
        }
        let address = name.claim(ClaimKind::Address);
        let host = address.map(host_of).filter(|host| !is_anonymous(host));
        let by_host = || only(self.hosts.get(&(environment, host?))?);
        let cluster = name.claim(ClaimKind::Cluster).map(cluster_host);
        taught(ClaimKind::Address)
            .or_else(by_host)
            .or_else(|| self.of_host(name, host?))
            .or_else(|| taught(ClaimKind::Cluster))
            .or_else(|| self.of_host(name, cluster?))
            .or_else(|| {
                let is_call = name.connection == Connection::Call;
                is_call.then(|| taught(ClaimKind::Rpc)).flatten()
            })
    }

    /// The service that a host is the name of: as it is, or as Kubernetes names it (`service.namespace.svc`).
    fn of_host(&self, peer: &PeerName, host: &str) -> Option<ServiceId> {
        if let Some(found) = self.called(peer, host, None) {
            return Some(found);
        }
        let (first, rest) = host.split_once('.')?;
        let second = rest.split('.').next().unwrap_or_default();
        let is_cluster_name = rest.split('.').any(|label| label == "svc");
        let in_namespace = self.called(peer, first, Some(second));
        in_namespace.or_else(|| {
            is_cluster_name
                .then(|| self.called(peer, first, None))
                .flatten()
        })
    }

    /// The one service called `name` that a caller of `peer` can mean.
    fn called(&self, peer: &PeerName, name: &str, namespace: Option<&str>) -> Option<ServiceId> {
        let found = self.named.get(&(peer.environment.as_str(), name))?;
        let within = |wanted: &str| {
            let mut fits = found.iter().filter(|(key, _)| key.namespace == wanted);
            fits.next().map(|(_, id)| *id)
        };
        match (namespace, found.as_slice()) {
            (Some(namespace), _) => within(namespace),
            (None, [(_, only)]) => Some(*only),
            (None, _) => within(&peer.namespace),
        }
    }
}

/// The host in the name that Istio gives to a cluster (`outbound|80|v2|reviews.default.svc.cluster.local`).
fn cluster_host(cluster: &str) -> &str {
    match cluster.splitn(4, '|').nth(3) {
        Some(host) => host,
        None => cluster,
    }
}

fn answered(peer: &Peer) -> impl Iterator<Item = ServiceId> + '_ {
    let services = peer.answered.iter();
    services.filter(|(_, pairs)| **pairs > 0).map(|(id, _)| *id)
}

fn only(set: &BTreeSet<ServiceId>) -> Option<ServiceId> {
    match set.len() {
        1 => set.first().copied(),
        _ => None,
    }
}
