//! The tally: everything counted since the last flush. Counts only add up, so no order matters here.

use super::arms::Arms;
use super::units::{LATENCY_UNKNOWN, Unit};
use crate::anomaly;
use crate::delta::{
    Counter, Delta, DoubtDelta, Fate, InstrumentDelta, Outcome, ResourceDelta, RouteName, SliDelta,
    UnitDelta, UnitKey,
};
use crate::hash::FixedMap;
use crate::identity::{RevisionId, ServiceId, ServiceKey};
use crate::items::Signal;
use crate::metric::Instrument;
use crate::slo::{Slo, SloId};
use crate::time::{NANOS_PER_SEC, Timestamp};
use std::collections::BTreeMap;

/// Names of routes are told this often.
const NAMES_EVERY_NANOS: u64 = 5 * NANOS_PER_SEC;

/// The events of one (slo, revision); remembers its last cell, since neighbours mostly share a second.
#[derive(Debug)]
struct Series {
    slo: SloId,
    revision: RevisionId,
    last: u32,
}

/// The events of one series in one second.
#[derive(Debug)]
struct Cell {
    series: u32,
    second: u64,
    good: i64,
    bad: i64,
}

/// The counts. Emptied by [`Tally::take`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    series: Vec<Series>,
    series_index: FixedMap<(SloId, RevisionId), u32>,
    cells: Vec<Cell>,
    cell_index: FixedMap<(u32, u64), u32>,
    /// (units, failed) by packed key.
    units: FixedMap<u128, (i64, i64)>,
    resources: FixedMap<(u128, Signal), ResourceDelta>,
    doubts: FixedMap<(SloId, u64), i64>,
    instruments: FixedMap<SloId, InstrumentDelta>,
    implicit: FixedMap<ServiceId, SloId>,
    routes: BTreeMap<(ServiceId, u16), String>,
    /// Which [`NAMES_EVERY_NANOS`] names were told last.
    told: u64,
    counters: Counters,
}

impl Tally {
    /// The number of the series (slo, revision), valid until the next [`Tally::take`].
    pub(super) fn series(&mut self, slo: SloId, revision: RevisionId) -> u32 {
        let next = self.series.len() as u32;
        let number = *self.series_index.entry((slo, revision)).or_insert(next);
        if number == next {
            self.series.push(Series {
                slo,
                revision,
                last: u32::MAX,
            });
        }
        number
    }

    /// The id of the implicit SLO of `service`.
    pub(super) fn implicit_slo(&mut self, service: &ServiceKey, id: ServiceId) -> SloId {
        *self
            .implicit
            .entry(id)
            .or_insert_with(|| Slo::implicit(service).id)
    }

    /// Counts one event.
    #[inline]
    pub(super) fn event(&mut self, series: u32, second: u64, bad: bool) {
        self.events(series, second, i64::from(!bad), i64::from(bad));
    }

    /// Counts changes in good and bad events.
    #[inline]
    pub(super) fn events(&mut self, series: u32, second: u64, good: i64, bad: i64) {
        let last = self.series[series as usize].last as usize;
        let at = match self.cells.get(last) {
            Some(cell) if cell.second == second => last,
            _ => self.cell(series, second),
        };
        let cell = &mut self.cells[at];
        cell.good = cell.good.saturating_add(good);
        cell.bad = cell.bad.saturating_add(bad);
    }

    /// Counts events whose side is not known.
    pub(super) fn doubt(&mut self, slo: SloId, second: u64, events: i64) {
        if events != 0 {
            let cell = self.doubts.entry((slo, second)).or_default();
            *cell = cell.saturating_add(events);
        }
    }

    /// Takes note of the type that a point selected by `slo` had.
    pub(super) fn instrument(&mut self, slo: SloId, instrument: Instrument, is_right: bool) {
        let row = self.instruments.entry(slo).or_insert(InstrumentDelta {
            slo,
            wrong: None,
            right: false,
        });
        if is_right {
            row.right = true;
        } else {
            row.wrong = Some(row.wrong.map_or(instrument, |known| known.min(instrument)));
        }
    }

    fn cell(&mut self, series: u32, second: u64) -> usize {
        let next = self.cells.len() as u32;
        let number = *self.cell_index.entry((series, second)).or_insert(next);
        if number == next {
            self.cells.push(Cell {
                series,
                second,
                good: 0,
                bad: 0,
            });
        }
        self.series[series as usize].last = number;
        number as usize
    }

    /// Adds `change` (1 or -1) times `unit`.
    #[inline]
    pub(super) fn unit(&mut self, unit: &Unit, change: i64) {
        let cell = self.units.entry(pack(unit)).or_default();
        cell.0 += change;
        cell.1 += if unit.failed { change } else { 0 };
    }

    /// Adds what a batch said of one resource.
    pub(super) fn resource(&mut self, row: ResourceDelta) {
        match self.resources.get_mut(&(row.hash, row.signal)) {
            Some(into) => {
                into.absorb(&row);
            }
            None => {
                self.resources.insert((row.hash, row.signal), row);
            }
        }
    }

    /// Counts what became of one item.
    pub(super) fn item(&mut self, signal: Signal, fate: Fate) {
        self.count(Counter::Items(signal, fate), 1);
    }

    /// What a route is called; of several names the least.
    pub(super) fn route(&mut self, service: ServiceId, route: u16, name: String) {
        match self.routes.get_mut(&(service, route)) {
            Some(known) if *known <= name => {}
            Some(known) => *known = name,
            None => {
                self.routes.insert((service, route), name);
            }
        }
    }

    /// The names learned, when it is time to tell them: that is the same moment in every folder.
    fn take_routes(&mut self, now: Timestamp) -> Vec<RouteName> {
        let moment = now.0 / NAMES_EVERY_NANOS;
        if std::mem::replace(&mut self.told, moment) == moment {
            return Vec::new();
        }
        let named = std::mem::take(&mut self.routes).into_iter();
        named
            .map(|((service, route), name)| RouteName {
                service,
                route: route.into(),
                name,
            })
            .collect()
    }

    /// Adds to a counter.
    pub(super) fn count(&mut self, counter: Counter, times: u64) {
        self.counters.add(counter, times);
    }

    /// Everything since the last call, to be normalized. O(n log n) in the distinct keys.
    pub(super) fn take(&mut self, now: Timestamp, arms: &Arms) -> Delta {
        let delta = Delta {
            resources: self.resources.drain().map(|(_, row)| row).collect(),
            sli: self.cells.iter().map(|cell| self.sli(cell)).collect(),
            doubts: self
                .doubts
                .drain()
                .map(|((slo, second), events)| DoubtDelta {
                    slo,
                    second,
                    events,
                })
                .collect(),
            instruments: self.instruments.drain().map(|(_, row)| row).collect(),
            units: self.take_units(arms),
            routes: self.take_routes(now),
            counters: self.counters.take(),
            ..Delta::default()
        };
        self.series.clear();
        self.series_index.clear();
        self.cells.clear();
        self.cell_index.clear();
        self.implicit.clear();
        delta
    }

    fn sli(&self, cell: &Cell) -> SliDelta {
        let series = &self.series[cell.series as usize];
        SliDelta {
            slo: series.slo,
            revision: series.revision,
            second: cell.second,
            good: cell.good,
            bad: cell.bad,
        }
    }

    fn take_units(&mut self, arms: &Arms) -> Vec<UnitDelta> {
        let mut cells: Vec<(u128, (i64, i64))> = self.units.drain().collect();
        cells.sort_unstable_by_key(|(key, _)| *key);
        cells
            .chunk_by(|one, other| one.0 >> LATENCY_BITS == other.0 >> LATENCY_BITS)
            .map(|same| unit_delta(same, arms))
            .collect()
    }
}

const LATENCY_BITS: u32 = 8;
const ROUTE_BITS: u32 = 10;
const ARM_BITS: u32 = 32;
/// A `u64` of nanoseconds holds less than 2^35 seconds.
const SECOND_BITS: u32 = 35;

/// One unit's place in one number, latency bucket last: hashing and sorting numbers is cheap.
fn pack(unit: &Unit) -> u128 {
    let mut key = u128::from(unit.second);
    key = key << SECOND_BITS | u128::from(Timestamp(unit.start).secs());
    key = key << ARM_BITS | u128::from(unit.arm);
    key = key << ROUTE_BITS | u128::from(unit.route);
    key << LATENCY_BITS | u128::from(unit.latency)
}

/// The last `bits` of `key`, which loses them.
fn unpack(key: &mut u128, bits: u32) -> u64 {
    let field = *key & ((1 << bits) - 1);
    *key >>= bits;
    field as u64
}

fn unit_delta(cells: &[(u128, (i64, i64))], arms: &Arms) -> UnitDelta {
    let mut key = cells[0].0 >> LATENCY_BITS;
    let route = unpack(&mut key, ROUTE_BITS);
    let arm = unpack(&mut key, ARM_BITS) as u32;
    let started = unpack(&mut key, SECOND_BITS);
    let second = unpack(&mut key, SECOND_BITS);
    let (service, revision) = arms.resolve(arm);
    let bucket = |key: u128| (key & 0xff) as u8;
    UnitDelta {
        key: UnitKey {
            service,
            second,
            started,
            route,
            revision,
        },
        units: cells.iter().map(|(_, (units, _))| units).sum(),
        failed: cells.iter().map(|(_, (_, failed))| failed).sum(),
        latency: cells
            .iter()
            .filter(|(key, _)| bucket(*key) != LATENCY_UNKNOWN)
            .map(|(key, (units, _))| (bucket(*key), *units))
            .collect(),
    }
}

/// Counters as arrays: they are counted per span, and shown per Tick.
#[derive(Debug, Default)]
struct Counters {
    items: [[u64; Fate::ALL.len()]; Signal::ALL.len()],
    collapsed_spans: u64,
    evicted_keys: u64,
    anomalies: [u64; anomaly::NAMES.len()],
    traced: [u64; Outcome::ALL.len()],
    traced_copies: u64,
}

impl Counters {
    fn add(&mut self, counter: Counter, times: u64) {
        *match counter {
            Counter::Items(signal, fate) => &mut self.items[signal as usize][fate as usize],
            Counter::CollapsedSpans => &mut self.collapsed_spans,
            Counter::EvictedKeys => &mut self.evicted_keys,
            Counter::Anomaly(index) => &mut self.anomalies[usize::from(index)],
            Counter::Traced(outcome) => &mut self.traced[outcome as usize],
            Counter::TracedCopies => &mut self.traced_copies,
        } += times;
    }

    fn take(&mut self) -> BTreeMap<Counter, u64> {
        let counters = std::mem::take(self);
        let items = Signal::ALL.into_iter().zip(counters.items);
        let items = items.flat_map(|(signal, fates)| {
            let fates = Fate::ALL.into_iter().zip(fates);
            fates.map(move |(fate, count)| (Counter::Items(signal, fate), count))
        });
        let traced = Outcome::ALL.into_iter().zip(counters.traced);
        let traced = traced.map(|(outcome, count)| (Counter::Traced(outcome), count));
        let anomalies = (0u8..).map(Counter::Anomaly).zip(counters.anomalies);
        items
            .chain([
                (Counter::CollapsedSpans, counters.collapsed_spans),
                (Counter::EvictedKeys, counters.evicted_keys),
                (Counter::TracedCopies, counters.traced_copies),
            ])
            .chain(traced)
            .chain(anomalies)
            .filter(|(_, count)| *count != 0)
            .collect()
    }
}
