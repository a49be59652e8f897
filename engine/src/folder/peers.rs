//! Raw peers under small numbers, as [`super::arms`] has it for services: a span needs 4 bytes for whom it called.
//!
//! A shard tells a peer's name when it first meets the peer in a generation, so that the Decider knows it whoever owns
//! which shards, and knows it again after it forgot.

use crate::delta::{Connection, PeerId};
use crate::hash::{FixedMap, SHARDS};
use crate::peer::{ClaimKind, PeerName};

/// Most peers a shard knows at once; calls of further ones are counted as calls of [`NAMELESS`].
pub const PEERS_PER_SHARD_MAX: u32 = 4_096;

/// The number of the peer of whom nothing was said.
pub(super) const NAMELESS: u32 = 0;

#[derive(Debug)]
struct Row {
    name: PeerName,
    /// Shards, as bits, that met it in this and in the previous generation.
    current: u64,
    previous: u64,
}

/// All raw peers of a folder.
#[derive(Debug)]
pub(super) struct Peers {
    index: FixedMap<PeerId, u32>,
    rows: Vec<Row>,
    free: Vec<u32>,
    per_shard: [u32; SHARDS],
    per_shard_max: u32,
    /// Names to tell.
    fresh: Vec<PeerName>,
}

impl Peers {
    pub(super) fn new(per_shard_max: u32) -> Self {
        let nameless = Row {
            name: PeerName::new(Connection::Call, "", "", Vec::new()),
            current: 0,
            previous: 0,
        };
        Self {
            index: FixedMap::default(),
            rows: vec![nameless],
            free: Vec::new(),
            per_shard: [0; SHARDS],
            per_shard_max,
            fresh: Vec::new(),
        }
    }

    /// The number of a peer called by a span in `shard`.
    pub(super) fn admit(&mut self, name: PeerName, shard: u8) -> u32 {
        if name.claims.is_empty() {
            return NAMELESS;
        }
        if let Some(number) = self.index.get(&name.id).copied() {
            return self.admit_known(number, shard);
        }
        if self.per_shard[usize::from(shard)] >= self.per_shard_max {
            return NAMELESS;
        }
        let id = name.id;
        let row = Row {
            name,
            current: 0,
            previous: 0,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.rows[number as usize] = row;
                number
            }
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        self.index.insert(id, number);
        self.admit_known(number, shard)
    }

    /// The same for one whose number is known.
    #[inline]
    pub(super) fn admit_known(&mut self, number: u32, shard: u8) -> u32 {
        let row = &mut self.rows[number as usize];
        let bit = 1u64 << shard;
        if number == NAMELESS || row.current & bit != 0 {
            return number;
        }
        if row.previous & bit == 0 {
            let known = &mut self.per_shard[usize::from(shard)];
            if *known >= self.per_shard_max {
                return NAMELESS;
            }
            *known += 1;
        }
        row.current |= bit;
        self.fresh.push(row.name.clone());
        number
    }

    /// The stable key of a peer.
    pub(super) fn id(&self, number: u32) -> PeerId {
        self.rows[number as usize].name.id
    }

    /// How it is called.
    pub(super) fn connection(&self, number: u32) -> Connection {
        self.rows[number as usize].name.connection
    }

    /// The proxy's cluster, when one was named.
    pub(super) fn cluster(&self, number: u32) -> Option<&str> {
        self.rows[number as usize].name.claim(ClaimKind::Cluster)
    }

    /// Whether the two name the same: an address, a database, a topic, or a service by name.
    pub(super) fn is_same(&self, one: u32, other: u32) -> bool {
        let rows = &self.rows;
        let (one, other) = (&rows[one as usize].name, &rows[other as usize].name);
        one.id == other.id
            || one
                .claims
                .iter()
                .any(|claim| claim.kind != ClaimKind::Rpc && other.claims.contains(claim))
    }

    /// The names to tell since the last call.
    pub(super) fn take_names(&mut self) -> Vec<PeerName> {
        std::mem::take(&mut self.fresh)
    }

    /// The generations of `shard` turned `steps` times: peers it did not meet since lose it, peers no shard met leave.
    pub(super) fn advance(&mut self, shard: u8, steps: u64) {
        for _ in 0..steps.min(2) {
            self.turn(1u64 << shard, usize::from(shard));
        }
    }

    fn turn(&mut self, bit: u64, shard: usize) {
        for (number, row) in self.rows.iter_mut().enumerate().skip(1) {
            let seen = (row.current | row.previous) & bit != 0;
            row.previous = row.previous & !bit | row.current & bit;
            row.current &= !bit;
            if seen && row.previous & bit == 0 {
                self.per_shard[shard] -= 1;
                if row.current | row.previous == 0 {
                    self.index.remove(&row.name.id);
                    self.free.push(number as u32);
                }
            }
        }
    }
}
