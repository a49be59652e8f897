//! What relations add up to since the last flush: rows of edges, learned aliases, calls for the counters, messages.

use super::arms::Arms;
use super::peers::Peers;
use super::traces::{self, Cell, Relation};
use crate::delta::{
    AliasDelta, CallDelta, Callee, Connection, Delta, EdgeDelta, EdgeKey, LinkDelta, LinkHalf,
    LogMoments, Party,
};
use crate::hash::{FixedMap, HashSeed};
use crate::identity::{RevisionId, ServiceId};
use crate::latency;
use crate::outcome::of_pair;
use crate::span::kind;
use crate::time::Timestamp;
use crate::trace::{FailureClass, TraceSpan, trace_flag};

/// Latency bucket of a duration that is not known.
const NO_LATENCY: u8 = u8::MAX;
/// Most rows between two flushes; beyond it operations of an edge are not told apart.
const ROWS_MAX: usize = 65_536;
/// The operation of rows beyond [`ROWS_MAX`].
const OTHER_OPERATIONS: u16 = super::ROUTES as u16;

/// Which row, in numbers of the folder, packed: hashing one number is cheap.
#[derive(Debug, Clone, Copy)]
struct Place {
    second: u64,
    /// Actor + 1; 0 = unknown.
    caller: u32,
    /// Actor, or peer.
    callee: u32,
    is_peer: bool,
    /// Peer whose cluster names the callee's revision; 0 = none.
    cluster: u32,
    connection: Connection,
    route: u16,
}

const SECOND_BITS: u32 = 35;
const ACTOR_BITS: u32 = 22;
const ROUTE_BITS: u32 = 11;

impl Place {
    fn pack(&self) -> u128 {
        let mut key = u128::from(self.second) & ((1 << SECOND_BITS) - 1);
        for number in [self.caller, self.callee, self.cluster] {
            key = key << ACTOR_BITS | u128::from(number);
        }
        key = key << ROUTE_BITS | u128::from(self.route);
        key << 3 | u128::from(self.connection as u8) << 1 | u128::from(self.is_peer)
    }
}

/// Counts of one row.
#[derive(Debug)]
struct Row {
    place: Place,
    requests: [i64; FailureClass::COUNT],
    logical: i64,
    paired: i64,
    wasted: i64,
    client: Vec<(u8, i64)>,
    server: Vec<(u8, i64)>,
    gap: LogMoments,
}

/// The sums. Emptied by [`EdgeTally::take`].
#[derive(Debug, Default)]
pub(super) struct EdgeTally {
    index: FixedMap<u128, u32>,
    rows: Vec<Row>,
    /// Pairs by (peer, actor).
    aliases: FixedMap<(u32, u32), i64>,
    calls: FixedMap<u128, (Place, CallDelta)>,
    links: Vec<LinkDelta>,
}

/// What one relation says.
struct Facts {
    place: Place,
    class: FailureClass,
    is_logical: bool,
    is_pair: bool,
    is_wasted: bool,
    client: Option<u64>,
    server: Option<u64>,
}

fn duration(cell: &Cell) -> Option<u64> {
    let is_known = cell.flags & trace_flag::NO_DURATION == 0;
    is_known.then(|| cell.end.saturating_sub(cell.start))
}

/// The folder as [`traces::World`] sees it, while one trace is related.
pub(super) struct World<'a> {
    pub(super) seed: HashSeed,
    pub(super) trace: u128,
    pub(super) arms: &'a Arms,
    pub(super) peers: &'a Peers,
    pub(super) edges: &'a mut EdgeTally,
    pub(super) copies: u64,
}

impl World<'_> {
    fn facts(&self, relation: &Relation<'_>) -> Facts {
        let call = |client: &Cell| {
            if client.kind == kind::PRODUCER {
                Connection::Messaging
            } else {
                self.peers.connection(client.peer)
            }
        };
        let serves = |server: &Cell| match server.kind {
            kind::CONSUMER => Connection::Messaging,
            _ => Connection::Call,
        };
        let second = |cell: &Cell| Timestamp(cell.end).secs();
        match relation {
            Relation::Pair {
                client,
                server,
                is_first,
            } => {
                let has_cluster = server.flags & trace_flag::NO_REVISION != 0
                    && client.peer != 0
                    && self.peers.cluster(client.peer).is_some();
                let connection = match (call(client), serves(server)) {
                    (Connection::Call, other) => other,
                    (known, _) => known,
                };
                let timed = duration(client).zip(duration(server)).is_some();
                Facts {
                    place: Place {
                        second: second(client),
                        caller: client.actor + 1,
                        callee: server.actor,
                        is_peer: false,
                        cluster: if has_cluster { client.peer } else { 0 },
                        connection,
                        route: server.route,
                    },
                    class: of_pair(client.class, server.class),
                    is_logical: client.flags & trace_flag::RETRY == 0
                        && (*is_first || connection == Connection::Messaging),
                    is_pair: true,
                    is_wasted: timed && connection == Connection::Call && server.end > client.end,
                    client: duration(client),
                    server: duration(server),
                }
            }
            Relation::Served { caller, server } => Facts {
                place: Place {
                    second: second(server),
                    caller: caller.actor + 1,
                    ..self.serving(server, serves(server))
                },
                ..self.one_sided(server)
            },
            Relation::Unknown { server } => Facts {
                place: self.serving(server, serves(server)),
                ..self.one_sided(server)
            },
            Relation::Alone { client } => Facts {
                place: Place {
                    second: second(client),
                    caller: client.actor + 1,
                    callee: client.peer,
                    is_peer: true,
                    cluster: 0,
                    connection: call(client),
                    route: client.route,
                },
                class: client.class,
                is_logical: client.flags & trace_flag::RETRY == 0,
                is_pair: false,
                is_wasted: false,
                client: duration(client),
                server: None,
            },
        }
    }

    fn serving(&self, server: &Cell, connection: Connection) -> Place {
        Place {
            second: Timestamp(server.end).secs(),
            caller: 0,
            callee: server.actor,
            is_peer: false,
            cluster: 0,
            connection,
            route: server.route,
        }
    }

    fn one_sided(&self, server: &Cell) -> Facts {
        Facts {
            place: self.serving(server, Connection::Call),
            class: server.class,
            is_logical: true,
            is_pair: false,
            is_wasted: false,
            client: None,
            server: duration(server),
        }
    }
}

impl traces::World for World<'_> {
    #[inline]
    fn service(&self, actor: u32) -> ServiceId {
        self.arms.resolve(actor).0
    }

    fn names(&self, cell: &Cell) -> [u128; 3] {
        let (service, revision) = self.arms.resolve(cell.actor);
        [service.0, revision.0, self.peers.id(cell.peer).0]
    }

    fn is_same_peer(&self, one: u32, other: u32) -> bool {
        self.peers.is_same(one, other)
    }

    fn tell(&mut self, relation: Relation<'_>, sign: i64) {
        let facts = self.facts(&relation);
        self.edges.count(&facts, sign);
        if let Relation::Pair { client, server, .. } = relation
            && client.peer != 0
        {
            *self
                .edges
                .aliases
                .entry((client.peer, server.actor))
                .or_default() += sign;
        }
    }

    fn enter(&mut self, relation: Relation<'_>) {
        let facts = self.facts(&relation);
        self.edges.enter(&facts);
    }

    fn meet(&mut self, cell: &Cell) {
        let is_message = cell.kind == kind::PRODUCER
            || cell.kind == kind::CLIENT
                && cell.peer != 0
                && self.peers.connection(cell.peer) == Connection::Messaging;
        if is_message {
            let (service, revision) = self.arms.resolve(cell.actor);
            self.edges.links.push(LinkDelta {
                message: traces::message(self.seed, self.trace, cell.span_id),
                half: LinkHalf::Sent {
                    sender: Party { service, revision },
                    peer: self.peers.id(cell.peer),
                    at: cell.end,
                },
                halves: 1,
            });
        }
    }

    fn copy(&mut self) {
        self.copies += 1;
    }
}

fn add(cells: &mut Vec<(u8, i64)>, nanos: Option<u64>, count: i64) {
    let Some(nanos) = nanos else {
        return;
    };
    let bucket = latency::bucket(nanos);
    match cells.iter_mut().find(|(known, _)| *known == bucket) {
        Some((_, known)) => *known += count,
        None => cells.push((bucket, count)),
    }
}

impl EdgeTally {
    /// The row of a place.
    fn row(&mut self, place: &Place) -> &mut Row {
        let mut place = *place;
        if self.rows.len() >= ROWS_MAX && !self.index.contains_key(&place.pack()) {
            place.route = OTHER_OPERATIONS;
        }
        let next = self.rows.len() as u32;
        let number = *self.index.entry(place.pack()).or_insert(next);
        if number == next {
            self.rows.push(Row {
                place,
                requests: [0; FailureClass::COUNT],
                logical: 0,
                paired: 0,
                wasted: 0,
                client: Vec::new(),
                server: Vec::new(),
                gap: LogMoments::ZERO,
            });
        }
        &mut self.rows[number as usize]
    }

    fn count(&mut self, facts: &Facts, sign: i64) {
        let row = self.row(&facts.place);
        row.requests[facts.class as usize] += sign;
        row.logical += i64::from(facts.is_logical) * sign;
        row.paired += i64::from(facts.is_pair) * sign;
        row.wasted += i64::from(facts.is_wasted) * sign;
        add(&mut row.client, facts.client, sign);
        add(&mut row.server, facts.server, sign);
        if let Some((client, server)) = facts.client.zip(facts.server) {
            let gap = LogMoments::of(client.saturating_sub(server).max(1));
            row.gap.add(if sign < 0 { gap.negated() } else { gap });
        }
    }

    fn enter(&mut self, facts: &Facts) {
        let place = Place {
            second: 0,
            cluster: 0,
            route: 0,
            ..facts.place
        };
        let (_, row) = self.calls.entry(place.pack()).or_insert_with(|| {
            // Who it is, is filled in when it is taken.
            let nobody = Callee::Peer(crate::delta::PeerId(0));
            (place, CallDelta::new(None, nobody, place.connection))
        });
        row.requests += 1;
        row.failed += u64::from(facts.class.is_failure());
        add(&mut row.client, facts.client, 1);
        add(&mut row.server, facts.server, 1);
        let plus = |sum: u64, more: Option<u64>| sum.saturating_add(more.unwrap_or(0));
        row.client_nanos = plus(row.client_nanos, facts.client);
        row.server_nanos = plus(row.server_nanos, facts.server);
    }

    /// A message was received by a span that links to the one that sent it.
    pub(super) fn received(
        &mut self,
        message: u64,
        party: (ServiceId, RevisionId),
        span: &TraceSpan,
    ) {
        let is_known = span.flags & trace_flag::NO_DURATION == 0;
        let (service, revision) = party;
        self.links.push(LinkDelta {
            message,
            half: LinkHalf::Received {
                receiver: Party { service, revision },
                at: span.start,
                second: Timestamp(span.end).secs(),
                class: span.class,
                latency: if is_known {
                    latency::bucket(span.end.saturating_sub(span.start))
                } else {
                    NO_LATENCY
                },
            },
            halves: 1,
        });
    }

    /// Adds everything since the last call to `delta`, not sorted. O(n).
    pub(super) fn take(&mut self, arms: &Arms, peers: &mut Peers, delta: &mut Delta) {
        self.index.clear();
        let mut clusters: FixedMap<(ServiceId, u32), RevisionId> = FixedMap::default();
        let mut callee = |place: &Place, peers: &Peers| {
            if place.is_peer {
                return Callee::Peer(peers.id(place.callee));
            }
            let (service, mut revision) = arms.resolve(place.callee);
            if let Some(cluster) = (place.cluster != 0).then(|| peers.cluster(place.cluster)) {
                let known = clusters.entry((service, place.cluster));
                revision = *known.or_insert_with(|| {
                    RevisionId::of_cluster(service, cluster.unwrap_or_default())
                });
            }
            Callee::Service(Party { service, revision })
        };
        let caller = |place: &Place| {
            let actor = place.caller.checked_sub(1)?;
            let (service, revision) = arms.resolve(actor);
            Some(Party { service, revision })
        };
        delta.edges.extend(self.rows.drain(..).map(|row| EdgeDelta {
            key: EdgeKey {
                caller: caller(&row.place),
                callee: callee(&row.place, peers),
                connection: row.place.connection,
                route: row.place.route.into(),
            },
            second: row.place.second,
            requests: row.requests,
            logical: row.logical,
            paired: row.paired,
            wasted: row.wasted,
            client: row.client,
            server: row.server,
            gap: row.gap,
        }));
        delta
            .calls
            .extend(self.calls.drain().map(|(_, (place, mut row))| {
                row.caller = caller(&place).map(|party| party.service);
                row.callee = match callee(&place, peers) {
                    Callee::Service(party) => Callee::Service(Party {
                        revision: RevisionId(0),
                        ..party
                    }),
                    peer @ Callee::Peer(_) => peer,
                };
                row
            }));
        let aliases = self
            .aliases
            .drain()
            .map(|((peer, actor), pairs)| AliasDelta {
                peer: peers.id(peer),
                service: arms.resolve(actor).0,
                pairs,
            });
        delta.aliases.extend(aliases);
        delta.links.append(&mut self.links);
        delta.peers = peers.take_names();
    }
}
