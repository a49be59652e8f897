//! How the spans of one trace call each other: a pure function of the set of its spans.
//!
//! | What is there | What it is |
//! |---|---|
//! | a span of another service below a CLIENT or PRODUCER, or a SERVER or CONSUMER below one | a pair; each of several is one |
//! | the same, with INTERNAL spans of the caller in between | a pair |
//! | a SERVER that shares its id with a CLIENT (Zipkin) | a pair |
//! | a span of another service below a SERVER, CONSUMER or INTERNAL | a call that its caller did not record |
//! | a CLIENT below a CLIENT of another service | both: a pair with the outer one, a call of its own |
//! | an entry, or any span whose parent is remote, without its parent | called by unknown |
//! | a CLIENT around a CLIENT of the same service that names the same peer, without a server half | a wrapper: not counted |
//! | any other CLIENT or PRODUCER without a server half | a call of what it names, counted at once |
//!
//! Either half under the exclusion rule leaves the call out. Spans that repeat ids and kind are one span; of two that
//! differ otherwise the lesser counts, whichever came first.

use super::Cell;
use crate::delta::Outcome;
use crate::identity::ServiceId;
use crate::span::kind;
use crate::trace::trace_flag;

/// Most INTERNAL spans between a call and its server half.
const HOPS_MAX: usize = 16;
/// Up to so many spans a search looks at each; beyond, it is by halves.
const FEW: usize = 24;

const NONE: u32 = u32::MAX;
/// In place of a server half: it is there, and left out.
const LEFT_OUT: u32 = u32::MAX - 1;

/// [`Cell::call`]: it entered the counters as an entry.
pub(in crate::folder) const ENTERED: u8 = 1 << 6;
/// [`Cell::call`]: it links to the span whose message it received.
pub(in crate::folder) const LINKED: u8 = 1 << 5;
const CALL: u8 = 0b111;

/// What a span is as a call; the low bits of [`Cell::call`].
mod call {
    pub(super) const NOTHING: u8 = 0;
    pub(super) const ALONE: u8 = 1;
    pub(super) const PAIRED: u8 = 2;
    pub(super) const WRAPPER: u8 = 3;
    pub(super) const FILTERED: u8 = 4;
    pub(super) const CREATES: u8 = 5;
}

/// What a span is as an entry: a tag, and the place in the trace of the span that called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::folder) struct Said(u32);

const TAG_BITS: u32 = 3;
const ROOT: u32 = 1;
const UNKNOWN: u32 = 2;
const LOCAL: u32 = 3;
/// The first server half of its call.
const FIRST: u32 = 4;
/// A further one.
const MORE: u32 = 5;
/// Called by a span that is no call.
const SERVED: u32 = 6;
const FILTERED: u32 = 7;

impl Said {
    pub(in crate::folder) const NOTHING: Self = Self(0);

    const fn new(tag: u32, by: u32) -> Self {
        Self(by << TAG_BITS | tag)
    }

    const fn tag(self) -> u32 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    const fn by(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }
}

/// One counted call.
#[derive(Debug, Clone, Copy)]
pub(in crate::folder) enum Relation<'a> {
    /// Both halves.
    Pair {
        client: &'a Cell,
        server: &'a Cell,
        is_first: bool,
    },
    /// The caller is known by its span, which is no call.
    Served { caller: &'a Cell, server: &'a Cell },
    /// Nobody knows who called.
    Unknown { server: &'a Cell },
    /// Nobody answered.
    Alone { client: &'a Cell },
}

/// What relating asks of the folder.
pub(in crate::folder) trait World {
    /// The service behind an actor's number.
    fn service(&self, actor: u32) -> ServiceId;
    /// Who made a span and whom it called, under stable keys.
    fn names(&self, cell: &Cell) -> [u128; 3];
    /// Whether two peers are the same as far as their names tell.
    fn is_same_peer(&self, one: u32, other: u32) -> bool;
    /// A relation holds (1) or no longer (-1).
    fn tell(&mut self, relation: Relation<'_>, sign: i64);
    /// A relation enters the counters that never fall.
    fn enter(&mut self, relation: Relation<'_>);
    /// A span is new in its trace.
    fn meet(&mut self, cell: &Cell);
    /// A copy of a span was found.
    fn copy(&mut self);
}

/// Buffers for relating one trace after the other.
#[derive(Debug, Default)]
pub(in crate::folder) struct Relator {
    /// (span id, place), sorted when there are many.
    ids: Vec<(u64, u32)>,
    parents: Vec<u32>,
    entries: Vec<Said>,
    /// By call: its first server half.
    served: Vec<u32>,
    wrapped: Vec<bool>,
    services: Vec<ServiceId>,
}

impl Relator {
    /// Relates `cells`, all of one trace in the order of arrival, of which the first `known` were related before. What
    /// changed is told. O(n log n).
    pub(in crate::folder) fn relate(
        &mut self,
        cells: &mut Vec<Cell>,
        known: usize,
        world: &mut impl World,
    ) {
        self.sort_out(cells, known, world);
        self.services.clear();
        let services = cells.iter().map(|cell| world.service(cell.actor));
        self.services.extend(services);
        self.index(cells);
        self.find_parents(cells);
        self.find_entries(cells);
        self.find_wrappers(cells, world);
        for at in 0..cells.len() {
            self.say(cells, at, world);
        }
    }

    fn index(&mut self, cells: &[Cell]) {
        self.ids.clear();
        let ids = cells.iter().map(|cell| cell.span_id);
        self.ids.extend(ids.zip(0u32..));
        if cells.len() > FEW {
            self.ids.sort_unstable();
        }
    }

    /// Places of the spans with this id.
    fn with_id(&self, id: u64) -> impl Iterator<Item = u32> + '_ {
        let from = if self.ids.len() > FEW {
            self.ids.partition_point(|(known, _)| *known < id)
        } else {
            0
        };
        let is_sorted = self.ids.len() > FEW;
        self.ids[from..]
            .iter()
            .take_while(move |(known, _)| !is_sorted || *known == id)
            .filter(move |(known, _)| *known == id)
            .map(|(_, at)| *at)
    }

    /// Lets copies leave; of spans that repeat ids with other content the lesser stays.
    fn sort_out(&mut self, cells: &mut Vec<Cell>, known: usize, world: &mut impl World) {
        self.index(cells);
        let mut gone: Vec<usize> = Vec::new();
        for at in known..cells.len() {
            let (id, span_kind) = (cells[at].span_id, cells[at].kind);
            let earlier = self
                .with_id(id)
                .map(|other| other as usize)
                .filter(|other| *other < at && cells[*other].kind == span_kind)
                .min();
            let Some(first) = earlier else {
                world.meet(&cells[at]);
                continue;
            };
            world.copy();
            gone.push(at);
            let content = |cell: &Cell| (cell.content(), world.names(cell));
            if content(&cells[at]) < content(&cells[first]) {
                take_back(cells, world);
                let (call, entry) = (cells[first].call, cells[first].entry);
                cells[first] = cells[at];
                (cells[first].call, cells[first].entry) = (call, entry);
            }
        }
        for at in gone.into_iter().rev() {
            cells.remove(at);
        }
    }

    fn find_parents(&mut self, cells: &[Cell]) {
        self.parents.clear();
        for (at, cell) in cells.iter().enumerate() {
            let parent = match cell.parent_id {
                0 => NONE,
                id => {
                    let found = self.with_id(id).filter(|other| *other as usize != at);
                    // Of two halves that share an id, what is below belongs to the server's.
                    let best = found.min_by_key(|other| {
                        let cell = &cells[*other as usize];
                        (is_call_kind(cell), cell.kind)
                    });
                    best.unwrap_or(NONE)
                }
            };
            self.parents.push(parent);
        }
    }

    fn find_entries(&mut self, cells: &[Cell]) {
        self.entries.clear();
        self.served.clear();
        self.served.resize(cells.len(), NONE);
        for at in 0..cells.len() {
            let entry = self.entry(cells, at);
            self.entries.push(entry);
            if entry.tag() == FILTERED && entry.by() > 0 {
                let first = &mut self.served[entry.by() - 1];
                *first = if *first == NONE { LEFT_OUT } else { *first };
            }
            if entry.tag() == FIRST {
                let first = &mut self.served[entry.by()];
                let order = |place: u32| {
                    let cell = &cells[place as usize];
                    (cell.start, cell.span_id, cell.kind)
                };
                if *first >= LEFT_OUT || order(at as u32) < order(*first) {
                    *first = at as u32;
                }
            }
        }
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if entry.tag() == FIRST && self.served[entry.by()] != at as u32 {
                *entry = Said::new(MORE, entry.by() as u32);
            }
        }
    }

    /// What the span at `at` is as an entry; every server half of a call as if it was the first.
    fn entry(&self, cells: &[Cell], at: usize) -> Said {
        let cell = &cells[at];
        let found = self.caller(cells, at);
        let is_excluded = |cell: &Cell| cell.flags & trace_flag::EXCLUDED != 0;
        match found.tag() {
            FIRST | SERVED if is_excluded(cell) || is_excluded(&cells[found.by()]) => {
                let is_half = found.tag() == FIRST;
                Said::new(FILTERED, if is_half { found.by() as u32 + 1 } else { 0 })
            }
            ROOT | UNKNOWN if is_excluded(cell) => Said::new(FILTERED, 0),
            _ => found,
        }
    }

    fn caller(&self, cells: &[Cell], at: usize) -> Said {
        let cell = &cells[at];
        let is_entry_kind = matches!(cell.kind, kind::SERVER | kind::CONSUMER);
        if cell.kind > kind::CONSUMER {
            return Said::NOTHING;
        }
        if is_entry_kind {
            let shared = self.with_id(cell.span_id);
            let calls = shared.filter(|other| is_call_kind(&cells[*other as usize]));
            if let Some(client) = calls.min_by_key(|other| cells[*other as usize].kind) {
                return Said::new(FIRST, client);
            }
        }
        let is_remote = cell.flags & trace_flag::REMOTE_PARENT != 0 && !is_call_kind(cell);
        let is_local = cell.flags & trace_flag::LOCAL_PARENT != 0;
        let parent = self.parents[at];
        if parent == NONE {
            return match is_entry_kind {
                _ if cell.call & LINKED != 0 => Said::new(LOCAL, 0),
                true if cell.parent_id == 0 => Said::new(ROOT, 0),
                true if is_local => Said::new(LOCAL, 0),
                true => Said::new(UNKNOWN, 0),
                false if is_remote && cell.parent_id != 0 => Said::new(UNKNOWN, 0),
                false => Said::NOTHING,
            };
        }
        let is_same = self.services[at] == self.services[parent as usize];
        if !is_entry_kind && is_same && !is_remote {
            return Said::NOTHING;
        }
        let is_within = is_same && is_local && !is_call_kind(&cells[parent as usize]);
        match self.call_above(cells, parent) {
            Some(client) if !is_within => Said::new(FIRST, client),
            _ if is_same => Said::new(LOCAL, 0),
            _ => Said::new(SERVED, parent),
        }
    }

    /// The call that the span at `from` is, or belongs to by INTERNAL spans of its service.
    fn call_above(&self, cells: &[Cell], from: u32) -> Option<u32> {
        let mut at = from;
        for _ in 0..HOPS_MAX {
            let cell = &cells[at as usize];
            if is_call_kind(cell) {
                return Some(at);
            }
            if !matches!(cell.kind, kind::INTERNAL | kind::UNSPECIFIED) {
                return None;
            }
            let above = self.parents[at as usize];
            if above == NONE || self.services[above as usize] != self.services[from as usize] {
                return None;
            }
            at = above;
        }
        None
    }

    fn find_wrappers(&mut self, cells: &[Cell], world: &impl World) {
        self.wrapped.clear();
        self.wrapped.resize(cells.len(), false);
        for (at, cell) in cells.iter().enumerate() {
            let parent = self.parents[at];
            if cell.kind != kind::CLIENT
                || parent == NONE
                || self.services[parent as usize] != self.services[at]
            {
                continue;
            }
            if let Some(outer) = self.call_above(cells, parent) {
                let outside = &cells[outer as usize];
                self.wrapped[outer as usize] |= outside.kind == kind::CLIENT
                    && outside.peer != 0
                    && world.is_same_peer(outside.peer, cell.peer);
            }
        }
    }

    /// What the span at `at` is as a call.
    fn call(&self, cells: &[Cell], at: usize) -> u8 {
        let cell = &cells[at];
        let is_call = is_call_kind(cell) || cell.peer != 0;
        if !is_call || cell.kind > kind::CONSUMER {
            call::NOTHING
        } else if cell.flags & trace_flag::EXCLUDED != 0 || self.served[at] == LEFT_OUT {
            call::FILTERED
        } else if self.served[at] != NONE {
            call::PAIRED
        } else if cell.flags & trace_flag::NO_CALL != 0 {
            call::CREATES
        } else if self.wrapped[at] {
            call::WRAPPER
        } else {
            call::ALONE
        }
    }

    /// Tells what changed of the span at `at`.
    fn say(&self, cells: &mut [Cell], at: usize, world: &mut impl World) {
        let (entry, is) = (self.entries[at], self.call(cells, at));
        let (before, was) = (cells[at].entry, cells[at].call & CALL);
        if entry != before {
            tell_entry(cells, at, before, world, -1);
            tell_entry(cells, at, entry, world, 1);
            cells[at].entry = entry;
            if matches!(entry.tag(), FIRST | MORE) && cells[at].call & ENTERED == 0 {
                cells[at].call |= ENTERED;
                if let Some(relation) = as_entry(cells, at, entry) {
                    world.enter(relation);
                }
            }
        }
        if is != was {
            for (state, sign) in [(was, -1), (is, 1)] {
                if state == call::ALONE {
                    world.tell(Relation::Alone { client: &cells[at] }, sign);
                }
            }
            cells[at].call = cells[at].call & !CALL | is;
        }
    }
}

fn is_call_kind(cell: &Cell) -> bool {
    matches!(cell.kind, kind::CLIENT | kind::PRODUCER)
}

fn as_entry(cells: &[Cell], at: usize, said: Said) -> Option<Relation<'_>> {
    let server = &cells[at];
    Some(match said.tag() {
        FIRST | MORE => Relation::Pair {
            client: &cells[said.by()],
            server,
            is_first: said.tag() == FIRST,
        },
        SERVED => Relation::Served {
            caller: &cells[said.by()],
            server,
        },
        UNKNOWN => Relation::Unknown { server },
        _ => return None,
    })
}

fn tell_entry(cells: &[Cell], at: usize, said: Said, world: &mut impl World, sign: i64) {
    if let Some(relation) = as_entry(cells, at, said) {
        world.tell(relation, sign);
    }
}

/// Takes back all that was said of a trace: a span of it turned out to be another.
fn take_back(cells: &mut [Cell], world: &mut impl World) {
    for at in 0..cells.len() {
        tell_entry(cells, at, cells[at].entry, world, -1);
        if cells[at].call & CALL == call::ALONE {
            world.tell(Relation::Alone { client: &cells[at] }, -1);
        }
    }
    for cell in cells {
        cell.entry = Said::NOTHING;
        cell.call &= !CALL;
    }
}

/// What became of the span at `at` of a related trace that leaves; what waited for that enters the counters.
pub(in crate::folder) fn outcome(cells: &[Cell], at: usize, world: &mut impl World) -> Outcome {
    let cell = &cells[at];
    let is = cell.call & CALL;
    if is == call::ALONE {
        world.enter(Relation::Alone { client: cell });
    }
    let tag = cell.entry.tag();
    if matches!(tag, UNKNOWN | SERVED)
        && cell.call & ENTERED == 0
        && let Some(relation) = as_entry(cells, at, cell.entry)
    {
        world.enter(relation);
    }
    match (tag, is) {
        _ if cell.kind > kind::CONSUMER => Outcome::Invalid,
        (FILTERED, _) | (_, call::FILTERED) => Outcome::Filtered,
        (FIRST | MORE | SERVED, _) | (_, call::PAIRED) => Outcome::Paired,
        _ if cell.call & LINKED != 0 => Outcome::Link,
        (_, call::ALONE) => Outcome::ClientOnly,
        (_, call::WRAPPER) => Outcome::Wrapper,
        (UNKNOWN, _) => Outcome::ServerOnly,
        (ROOT, _) => Outcome::Entry,
        _ => Outcome::Internal,
    }
}
