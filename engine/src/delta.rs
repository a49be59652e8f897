//! `Delta`: what a Folder tells the Decider at a Tick. Integer counts under stable 128-bit keys.
//!
//! Counts are a commutative group (a later span may take back what an earlier one said: entries may be negative);
//! maxima and minima are monoids. Merging the deltas of any number of folders in any order gives the same Delta.
//! All lists are sorted by their key and hold each key once: `Delta`s are compared and hashed byte for byte.

use crate::identity::{Identity, RevisionId, ServiceId};
use crate::items::Signal;
use crate::metric::Instrument;
use crate::peer::PeerName;
use crate::slo::SloId;
use crate::time::Timestamp;
use crate::trace::FailureClass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fate {
    /// Accepted and folded.
    Accepted,
    /// Rejected at decoding, by partial success.
    Rejected,
    /// Accepted but not counted, because a cap was reached.
    Dropped,
    /// Left out of SLIs by the exclusion rule.
    Excluded,
    /// Seen before (same ids and content) inside the dedup window.
    Duplicate,
    /// Of an intercept or branch deployment: outside the budget.
    OutsideBudget,
    /// Older than the allowed lateness, counted as a correction.
    Late,
    /// Waiting because it lies in the future.
    Future,
}

impl Fate {
    /// Every fate, in order.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Rejected,
        Self::Dropped,
        Self::Excluded,
        Self::Duplicate,
        Self::OutsideBudget,
        Self::Late,
        Self::Future,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
            Self::Excluded => "excluded",
            Self::Duplicate => "duplicate",
            Self::OutsideBudget => "outside_budget",
            Self::Late => "late",
            Self::Future => "future",
        }
    }
}

/// What is counted besides SLIs; exported as `tidegate_ingest_*_total` and in `/v1/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Counter {
    /// Items of a signal by what became of them.
    Items(Signal, Fate),
    /// Entry spans that joined a unit judged earlier (retries, several entries of one trace).
    CollapsedSpans,
    /// Unit or item-key table entries evicted by a cap before their window ended.
    EvictedKeys,
    /// One anomaly kind: index into [`crate::anomaly::NAMES`].
    Anomaly(u8),
    /// Spans by what became of them in the graph, told when their trace has ended.
    Traced(Outcome),
    /// Copies of a span that its trace held already.
    TracedCopies,
}

/// What became of a span in the service graph: exactly one of these. Accepted spans less copies less those of open
/// traces are their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// Its other half was there, or its parent told who called.
    Paired,
    /// A call whose server half never came: counted under what the client said.
    ClientOnly,
    /// An entry whose caller never came: counted as called by unknown.
    ServerOnly,
    /// An entry without a parent: where a request came in.
    Entry,
    /// Work inside a service.
    Internal,
    /// A call around the call that was counted.
    Wrapper,
    /// A message's half, related by links: the Decider joins them across traces.
    Link,
    /// Left out by the exclusion rule, it or its other half.
    Filtered,
    /// Of a kind that does not exist.
    Invalid,
    /// Its trace left before its time, for want of room; what had been counted stays.
    Evicted,
}

impl Outcome {
    /// Every outcome, in order.
    pub const ALL: [Self; 10] = [
        Self::Paired,
        Self::ClientOnly,
        Self::ServerOnly,
        Self::Entry,
        Self::Internal,
        Self::Wrapper,
        Self::Link,
        Self::Filtered,
        Self::Invalid,
        Self::Evicted,
    ];

    /// The label in metrics and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::ClientOnly => "client_only",
            Self::ServerOnly => "server_only",
            Self::Entry => "entry",
            Self::Internal => "internal",
            Self::Wrapper => "wrapper",
            Self::Link => "link",
            Self::Filtered => "filtered",
            Self::Invalid => "invalid",
            Self::Evicted => "evicted",
        }
    }
}

/// What doctors look for in the items of one source, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mark {
    /// Spans of kind SERVER or CONSUMER: what SLIs count.
    Entry,
    /// Spans of kind CLIENT or PRODUCER.
    Call,
    /// HTTP entry spans without `http.route`.
    NoRoute,
    /// HTTP entry spans with neither a status code nor a span status: a failure would not show.
    NoOutcome,
    /// Items that a head sampler left over (`ot=th:` below 1, or Jaeger's `sampler.type`).
    HeadSampled,
    /// Items that a tail sampler left over ([`crate::items::TAIL_SAMPLERS`]).
    TailSampled,
    /// Older than the allowed lateness.
    Late,
    /// End more than a minute after they were received.
    Future,
    /// Seen before.
    Duplicate,
    /// Accepted but not counted, because a cap was reached.
    Dropped,
    /// Of a resource without any instance attribute.
    NoInstance,
}

impl Mark {
    /// Number of marks.
    pub const COUNT: usize = 11;

    /// The mark of an item that met this fate, where doctors look for it.
    pub const fn of_fate(fate: Fate) -> Option<Self> {
        match fate {
            Fate::Dropped => Some(Self::Dropped),
            Fate::Duplicate => Some(Self::Duplicate),
            Fate::Late => Some(Self::Late),
            Fate::Future => Some(Self::Future),
            Fate::Accepted | Fate::Rejected | Fate::Excluded | Fate::OutsideBudget => None,
        }
    }
}

/// Counts by [`Mark`]. Merge: sum (saturating).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks([u32; Mark::COUNT]);

impl Marks {
    /// How many items bear `mark`.
    pub const fn of(&self, mark: Mark) -> u64 {
        self.0[mark as usize] as u64
    }

    /// Adds `items` to `mark`.
    pub const fn add(&mut self, mark: Mark, items: u32) {
        let count = &mut self.0[mark as usize];
        *count = count.saturating_add(items);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
}

/// What one resource sent of one signal during a tick. Merge: sum, max, min.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDelta {
    /// BLAKE3-128 of the encoded resource.
    pub hash: u128,
    /// Of which signal.
    pub signal: Signal,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Items folded.
    pub items: u64,
    /// Latest event time (of a span: its end) seen: its watermark.
    pub end_max: Timestamp,
    /// Least (receive - end), ns; negative when its clock runs ahead.
    pub lag_min: i64,
    /// What was remarkable, counted.
    pub marks: Marks,
    /// Bits of [`crate::anomaly`] that any of the items bears.
    pub odd: u16,
}

impl ResourceDelta {
    /// Adds what was said of the same resource and signal elsewhere.
    pub fn absorb(&mut self, other: &Self) {
        self.items += other.items;
        self.end_max = self.end_max.max(other.end_max);
        self.lag_min = self.lag_min.min(other.lag_min);
        self.marks.merge(&other.marks);
        self.odd |= other.odd;
    }
}

/// The name behind a route number: for showing, nothing decides by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteName {
    /// Service.
    pub service: ServiceId,
    /// Number, as in [`UnitKey::route`].
    pub route: u64,
    /// Name; the least one where several share a number.
    pub name: String,
}

/// Most route names a service may have in a Delta: those with the least numbers.
pub const ROUTE_NAMES_MAX: usize = 256;

/// Events of one SLI in one second of event time, of one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliDelta {
    /// The SLO measured.
    pub slo: SloId,
    /// Revision the events belong to.
    pub revision: RevisionId,
    /// Event second (span end).
    pub second: u64,
    /// Change in good events.
    pub good: i64,
    /// Change in bad events.
    pub bad: i64,
}

/// Events of one SLI in one second whose side cannot be told, because a histogram's bucket holds the threshold. They are
/// counted in [`SliDelta`] on the side that costs budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoubtDelta {
    /// The SLO measured.
    pub slo: SloId,
    /// Event second.
    pub second: u64,
    /// Change in such events.
    pub events: i64,
}

/// Which types the points selected by a metric SLI had. Merge: least, or.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstrumentDelta {
    /// The SLO.
    pub slo: SloId,
    /// A type that its definition does not allow, if one arrived; such points are not counted.
    pub wrong: Option<Instrument>,
    /// Whether points of an allowed type arrived.
    pub right: bool,
}

/// Where a unit of assignment is counted for the gate's stratified tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitKey {
    /// Service.
    pub service: ServiceId,
    /// Event second: end of the unit's earliest entry span.
    pub second: u64,
    /// Second in which that span started; the Decider maps it to a weight epoch.
    pub started: u64,
    /// Fingerprint of (route or operation, caller).
    pub route: u64,
    /// Revision that served it.
    pub revision: RevisionId,
}

/// Units of assignment, (trace, service) collapsed to its earliest entry span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitDelta {
    /// Where.
    pub key: UnitKey,
    /// Change in units.
    pub units: i64,
    /// Change in failed units.
    pub failed: i64,
    /// Change per latency bucket ([`crate::latency`]), ascending by bucket; unknown durations are in none.
    pub latency: Vec<(u8, i64)>,
}

/// A service and its revision, as one side of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Party {
    /// Service.
    pub service: ServiceId,
    /// Revision.
    pub revision: RevisionId,
}

/// Stable 128-bit key of a raw peer: BLAKE3-128 of (kind, address, namespace, caller's environment), as a client told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(#[serde(with = "crate::hash::hex128")] pub u128);

/// The called side of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Callee {
    /// The server half came, or its parent tells it.
    Service(Party),
    /// Only the client half is there: what it called, unresolved. The Decider resolves it when it is read.
    Peer(PeerId),
}

/// What kind of connection an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Connection {
    /// A synchronous call.
    Call,
    /// A database.
    Database,
    /// Through a queue or topic.
    Messaging,
}

/// Which edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeKey {
    /// Who called; `None` = unknown (a server half whose client half is missing).
    pub caller: Option<Party>,
    /// Who was called.
    pub callee: Callee,
    /// How.
    pub connection: Connection,
    /// Number of the operation called, as in [`UnitKey::route`]; the server's where it is known.
    pub route: u64,
}

/// Logarithms of durations, summed: enough for a mean and a deviation, and a commutative group.
///
/// Each value is log2(ns) in 1/256, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogMoments {
    /// Change in values.
    pub count: i64,
    /// Change in their sum.
    pub sum: i64,
    /// Change in the sum of their squares.
    pub squares: i64,
}

impl LogMoments {
    /// No values.
    pub const ZERO: Self = Self {
        count: 0,
        sum: 0,
        squares: 0,
    };

    /// One duration, ns.
    pub const fn of(nanos: u64) -> Self {
        let value = log2_256(nanos);
        Self {
            count: 1,
            sum: value,
            squares: value * value,
        }
    }

    /// Adds another's.
    pub const fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The same with its sign turned: to take back.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self {
            count: -self.count,
            sum: -self.sum,
            squares: -self.squares,
        }
    }
}

/// log2 of `nanos` in 1/256, linear between powers of two (at most 0.0861, that is 22 steps, too small), in `0..16,384`; 0 for 0. Integers
/// alone, so that every machine agrees.
pub const fn log2_256(nanos: u64) -> i64 {
    if nanos == 0 {
        return 0;
    }
    let whole = nanos.ilog2();
    let rest = (((nanos as u128) << 8) >> whole) as i64 - 256;
    (whole as i64) * 256 + rest
}

/// What happened on one edge in one second of event time (end of the client half; of the server half without one).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeDelta {
    /// Which edge.
    pub key: EdgeKey,
    /// Event second.
    pub second: u64,
    /// Change in requests (attempts: one per pair of halves) by [`FailureClass`] number.
    pub requests: [i64; FailureClass::COUNT],
    /// Change in logical calls: the first attempts among them.
    pub logical: i64,
    /// Change in requests whose both halves are there.
    pub paired: i64,
    /// Change in wasted requests: the server half ended after the client half.
    pub wasted: i64,
    /// Change per latency bucket ([`crate::latency`]) of the client half.
    pub client: Vec<(u8, i64)>,
    /// Likewise of the server half.
    pub server: Vec<(u8, i64)>,
    /// Client minus server duration of pairs: the network, and waiting. Values below 1 ns count as 1 ns.
    pub gap: LogMoments,
}

impl EdgeDelta {
    /// Nothing yet.
    pub const fn new(key: EdgeKey, second: u64) -> Self {
        Self {
            key,
            second,
            requests: [0; FailureClass::COUNT],
            logical: 0,
            paired: 0,
            wasted: 0,
            client: Vec::new(),
            server: Vec::new(),
            gap: LogMoments::ZERO,
        }
    }

    /// Adds what was counted of the same edge and second elsewhere. Latency cells are joined by [`Delta::normalize`].
    pub fn absorb(&mut self, other: &mut Self) {
        for (count, more) in self.requests.iter_mut().zip(other.requests) {
            *count += more;
        }
        self.logical += other.logical;
        self.paired += other.paired;
        self.wasted += other.wasted;
        self.client.append(&mut other.client);
        self.server.append(&mut other.server);
        self.gap.add(other.gap);
    }

    fn is_nothing(&self) -> bool {
        self.requests.iter().all(|count| *count == 0)
            && [self.logical, self.paired, self.wasted] == [0; 3]
            && self.client.is_empty()
            && self.server.is_empty()
            && self.gap == LogMoments::ZERO
    }
}

/// A raw peer that services were seen to answer for. Merge: sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasDelta {
    /// What the client said.
    pub peer: PeerId,
    /// Whose server half came.
    pub service: ServiceId,
    /// Change in such pairs.
    pub pairs: i64,
}

/// Calls that entered the counters which never fall: when they paired, or when their trace ended. Never taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDelta {
    /// Who called; `None` = unknown.
    pub caller: Option<ServiceId>,
    /// Who was called. A service's revision is not told: [`RevisionId`] 0.
    pub callee: Callee,
    /// How.
    pub connection: Connection,
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Requests per latency bucket ([`crate::latency`]) of the client half.
    pub client: Vec<(u8, i64)>,
    /// Likewise of the server half.
    pub server: Vec<(u8, i64)>,
    /// Sum of the client halves' durations, ns (saturating).
    pub client_nanos: u64,
    /// Likewise of the server halves'.
    pub server_nanos: u64,
}

impl CallDelta {
    /// Nothing yet.
    pub const fn new(caller: Option<ServiceId>, callee: Callee, connection: Connection) -> Self {
        Self {
            caller,
            callee,
            connection,
            requests: 0,
            failed: 0,
            client: Vec::new(),
            server: Vec::new(),
            client_nanos: 0,
            server_nanos: 0,
        }
    }

    /// Its key.
    pub const fn key(&self) -> (Option<ServiceId>, Callee, Connection) {
        (self.caller, self.callee, self.connection)
    }

    /// Adds what was counted under the same key elsewhere. Latency cells are joined by [`Delta::normalize`].
    pub fn absorb(&mut self, other: &mut Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.client.append(&mut other.client);
        self.server.append(&mut other.server);
        self.client_nanos = self.client_nanos.saturating_add(other.client_nanos);
        self.server_nanos = self.server_nanos.saturating_add(other.server_nanos);
    }
}

/// One half of a message that may have its other half in another trace. Merge: sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDelta {
    /// 64-bit fingerprint of the producing span's (trace id, span id).
    pub message: u64,
    /// Which half.
    pub half: LinkHalf,
    /// Change in such halves.
    pub halves: i64,
}

/// The halves of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LinkHalf {
    /// It was sent.
    Sent {
        /// By whom.
        sender: Party,
        /// Where to.
        peer: PeerId,
        /// When the sending ended, ns since the epoch.
        at: u64,
    },
    /// It was received: the consuming span links to the producing one.
    Received {
        /// By whom.
        receiver: Party,
        /// When the receiving span started, ns since the epoch.
        at: u64,
        /// Event second: when it ended.
        second: u64,
        /// How it ended.
        class: FailureClass,
        /// Latency bucket of the receiving span; `u8::MAX` = unknown.
        latency: u8,
    },
}

/// Where a failing trace's failure began, by the second in which its root (or earliest span) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlameKey {
    /// Service of the root.
    pub root: ServiceId,
    /// Who is blamed: the origin of the error, or the edge's caller when the callee could not be reached.
    pub origin: Party,
    /// The unreachable or late callee, when an edge is blamed.
    pub callee: Option<Callee>,
    /// What kind of failure it was there.
    pub class: FailureClass,
    /// Whether it made the root fail; otherwise somebody on the way coped with it.
    pub fatal: bool,
    /// Event second.
    pub second: u64,
}

/// One trace with n origins gives each of them this many shares divided by n: 2,520 divides evenly up to n = 10.
pub const BLAME_SHARES: i64 = 2_520;

/// Blame under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlameDelta {
    /// Which.
    pub key: BlameKey,
    /// Change in shares, in 1/[`BLAME_SHARES`] of a trace.
    pub shares: i64,
}

/// Where work is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkKey {
    /// Who works.
    pub party: Party,
    /// Number of the operation, as in [`UnitKey::route`].
    pub route: u64,
    /// Event second (span end).
    pub second: u64,
}

/// What the spans of one operation did in one second, of settled traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkDelta {
    /// Where.
    pub key: WorkKey,
    /// Change in spans.
    pub spans: i64,
    /// Change in failed spans.
    pub failed: i64,
    /// Change in their exclusive time (duration less the union of the children clipped to the span), ns.
    pub exclusive_nanos: i64,
    /// The same by its logarithm; values below 1 ns count as 1 ns.
    pub exclusive: LogMoments,
    /// Change in exclusive time on critical paths, ns.
    pub critical_nanos: i64,
    /// Change in child spans.
    pub children: i64,
}

impl WorkDelta {
    /// Adds what was counted under the same key elsewhere. Times wrap, so that made-up durations can be taken back too.
    pub const fn absorb(&mut self, other: &Self) {
        self.spans += other.spans;
        self.failed += other.failed;
        self.exclusive_nanos = self.exclusive_nanos.wrapping_add(other.exclusive_nanos);
        self.exclusive.add(other.exclusive);
        self.critical_nanos = self.critical_nanos.wrapping_add(other.critical_nanos);
        self.children += other.children;
    }

    fn is_nothing(&self) -> bool {
        self.exclusive == LogMoments::ZERO
            && [self.spans, self.failed, self.children] == [0; 3]
            && [self.exclusive_nanos, self.critical_nanos] == [0; 2]
    }
}

/// Error records of one place in the code, in one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogErrorKey {
    /// Who logged.
    pub party: Party,
    /// Fingerprint of scope name and the body without what varies.
    pub place: u64,
    /// Event second.
    pub second: u64,
}

/// Error records (severity ERROR and above).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogErrorDelta {
    /// Where.
    pub key: LogErrorKey,
    /// Change in records.
    pub records: i64,
}

/// Everything the folders counted since the last Tick.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// By resource hash and signal.
    pub resources: Vec<ResourceDelta>,
    /// By (slo, revision, second).
    pub sli: Vec<SliDelta>,
    /// By (slo, second).
    pub doubts: Vec<DoubtDelta>,
    /// By slo.
    pub instruments: Vec<InstrumentDelta>,
    /// By key.
    pub units: Vec<UnitDelta>,
    /// By (key, second).
    pub edges: Vec<EdgeDelta>,
    /// By (peer, service).
    pub aliases: Vec<AliasDelta>,
    /// By id: what the peers in `edges`, `aliases` and `calls` are called; told now and then.
    pub peers: Vec<PeerName>,
    /// By key.
    pub calls: Vec<CallDelta>,
    /// By (message, half).
    pub links: Vec<LinkDelta>,
    /// By key.
    pub blame: Vec<BlameDelta>,
    /// By key.
    pub work: Vec<WorkDelta>,
    /// By key.
    pub log_errors: Vec<LogErrorDelta>,
    /// Names of routes, told every few seconds.
    pub routes: Vec<RouteName>,
    /// Counters that changed.
    pub counters: BTreeMap<Counter, u64>,
}

impl Delta {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.sli.is_empty()
            && self.doubts.is_empty()
            && self.instruments.is_empty()
            && self.units.is_empty()
            && self.edges.is_empty()
            && self.aliases.is_empty()
            && self.peers.is_empty()
            && self.calls.is_empty()
            && self.links.is_empty()
            && self.blame.is_empty()
            && self.work.is_empty()
            && self.log_errors.is_empty()
            && self.routes.is_empty()
            && self.counters.is_empty()
    }

    /// Adds `other` to `self`; commutative and associative. O((n + m) log (n + m)).
    pub fn merge(&mut self, other: Self) {
        for (counter, count) in other.counters {
            *self.counters.entry(counter).or_default() += count;
        }
        self.resources.extend(other.resources);
        self.sli.extend(other.sli);
        self.doubts.extend(other.doubts);
        self.instruments.extend(other.instruments);
        self.units.extend(other.units);
        self.edges.extend(other.edges);
        self.aliases.extend(other.aliases);
        self.peers.extend(other.peers);
        self.calls.extend(other.calls);
        self.links.extend(other.links);
        self.blame.extend(other.blame);
        self.work.extend(other.work);
        self.log_errors.extend(other.log_errors);
        self.routes.extend(other.routes);
        self.normalize();
    }

    /// Sorts every list by key, joins equal keys and drops rows that came to nothing.
    pub fn normalize(&mut self) {
        join(
            &mut self.resources,
            |row| (row.hash, row.signal),
            |into, row| into.absorb(row),
        );
        join(
            &mut self.sli,
            |row| (row.slo, row.revision, row.second),
            |into, row| {
                into.good += row.good;
                into.bad += row.bad;
            },
        );
        self.sli.retain(|row| row.good != 0 || row.bad != 0);
        join(
            &mut self.doubts,
            |row| (row.slo, row.second),
            |into, row| into.events += row.events,
        );
        self.doubts.retain(|row| row.events != 0);
        join(
            &mut self.instruments,
            |row| row.slo,
            |into, row| {
                into.wrong = [into.wrong, row.wrong].into_iter().flatten().min();
                into.right |= row.right;
            },
        );
        join(
            &mut self.units,
            |row| row.key,
            |into, row| {
                into.units += row.units;
                into.failed += row.failed;
                into.latency.append(&mut row.latency);
            },
        );
        for row in &mut self.units {
            join_cells(&mut row.latency);
        }
        self.units
            .retain(|row| row.units != 0 || row.failed != 0 || !row.latency.is_empty());
        self.normalize_traces();
        self.name_routes();
        self.counters.retain(|_, count| *count != 0);
    }

    /// The same for what traces tell.
    fn normalize_traces(&mut self) {
        join(
            &mut self.edges,
            |row| (row.key, row.second),
            |into, row| into.absorb(row),
        );
        for row in &mut self.edges {
            join_cells(&mut row.client);
            join_cells(&mut row.server);
        }
        self.edges.retain(|row| !row.is_nothing());
        self.normalize_calls();
        join(
            &mut self.blame,
            |row| row.key,
            |into, row| into.shares += row.shares,
        );
        self.blame.retain(|row| row.shares != 0);
        join(&mut self.work, |row| row.key, |into, row| into.absorb(row));
        self.work.retain(|row| !row.is_nothing());
        join(
            &mut self.log_errors,
            |row| row.key,
            |into, row| into.records += row.records,
        );
        self.log_errors.retain(|row| row.records != 0);
    }

    /// The same for what stands beside edges.
    fn normalize_calls(&mut self) {
        join(
            &mut self.aliases,
            |row| (row.peer, row.service),
            |into, row| into.pairs += row.pairs,
        );
        self.aliases.retain(|row| row.pairs != 0);
        self.peers.sort_unstable();
        self.peers.dedup();
        join(&mut self.calls, CallDelta::key, |into, row| {
            into.absorb(row);
        });
        for row in &mut self.calls {
            join_cells(&mut row.client);
            join_cells(&mut row.server);
        }
        join(
            &mut self.links,
            |row| (row.message, row.half),
            |into, row| into.halves += row.halves,
        );
        self.links.retain(|row| row.halves != 0);
    }

    /// One name per route, at most [`ROUTE_NAMES_MAX`] per service.
    fn name_routes(&mut self) {
        self.routes.sort_unstable();
        self.routes
            .dedup_by(|row, into| (row.service, row.route) == (into.service, into.route));
        let mut of_service = (None, 0);
        self.routes.retain(|row| {
            if of_service.0 != Some(row.service) {
                of_service = (Some(row.service), 0);
            }
            of_service.1 += 1;
            of_service.1 <= ROUTE_NAMES_MAX
        });
    }
}

/// Sorts `rows` by `key` and joins rows with the same one. Sums do not depend on the order of equal keys.
fn join<T, K: Ord>(rows: &mut Vec<T>, key: impl Fn(&T) -> K, absorb: impl Fn(&mut T, &mut T)) {
    rows.sort_by_key(&key);
    rows.dedup_by(|row, into| {
        let same = key(row) == key(into);
        if same {
            absorb(into, row);
        }
        same
    });
}

/// Joins the cells of a histogram by bucket and drops empty ones.
fn join_cells(cells: &mut Vec<(u8, i64)>) {
    join(cells, |cell| cell.0, |into, cell| into.1 += cell.1);
    cells.retain(|(_, count)| *count != 0);
}
