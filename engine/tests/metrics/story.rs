//! One stream's life as a list of events, and the exports that carried them: the oracle of the budgets.
//!
//! Nothing here knows how the engine counts. A run is a process that exports its counter; events happen, exports carry
//! those they cover, some exports are lost, processes crash before their next one. What must be counted is told event
//! by event: it belongs to the first delivered export that covers it, unless that one is a baseline.

use engine::metric::Temporality;
use std::collections::BTreeMap;

/// When observation begins, s.
pub(crate) const OBSERVED: u64 = 1_700_000_000;

/// SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..n.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Whether one in `n` happens.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Puts `list` into a random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            list.swap(last, other);
        }
    }
}

/// One export of one stream, s.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Export {
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) temporality: Temporality,
    pub(crate) value: u64,
}

/// A stream's exports that were delivered, and what they must be counted as.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) delivered: Vec<Export>,
    /// Events by the second in which they must be counted.
    pub(crate) counted: BTreeMap<u64, u64>,
    /// Events of baselines.
    pub(crate) before: u64,
    /// Events that no delivered export carried, with their time.
    pub(crate) uncarried: Vec<u64>,
    /// All events.
    pub(crate) events: u64,
}

/// Events of a process: seconds, ascending, several in one second now and then.
fn events(rng: &mut Rng, from: u64, to: u64) -> Vec<u64> {
    let gap = 1 + rng.below(40);
    let mut events = Vec::new();
    let mut at = from;
    loop {
        at += rng.below(2 * gap + 1);
        if at >= to {
            return events;
        }
        // An export at `at` carries what happened before it.
        events.push(at + 1);
    }
}

fn up_to(events: &[u64], time: u64) -> u64 {
    events.iter().filter(|at| **at <= time).count() as u64
}

impl Story {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        match rng.below(6) {
            0 | 1 => Self::restarts(rng, rng_start(rng.0)),
            2 => Self::without_starts(rng),
            3 => Self::flips(rng),
            4 => Self::two_writers(rng),
            _ => Self::two_delta_writers(rng),
        }
    }

    /// Tells where the events of one cumulative or delta run are counted. `is_new`: its first export is no baseline.
    fn tell(&mut self, events: &[u64], exports: &[Export], is_new: bool) {
        self.events += events.len() as u64;
        for at in events {
            let covers = |export: &&Export| match export.temporality {
                Temporality::Delta => export.start < *at && *at <= export.time,
                _ => *at <= export.time,
            };
            match exports.iter().find(covers) {
                None => self.uncarried.push(*at),
                Some(export) if !is_new && *export == exports[0] => self.before += 1,
                Some(export) => *self.counted.entry(export.time).or_default() += 1,
            }
        }
        self.delivered.extend_from_slice(exports);
    }

    /// Processes one after the other, of either temporality; exports get lost, and what a crash swallows is lost too.
    fn restarts(rng: &mut Rng, begin: u64) -> Self {
        let mut story = Self::default();
        let mut from = begin;
        for _ in 0..1 + rng.below(4) {
            let to = from + 60 + rng.below(900);
            let events = events(rng, from, to);
            let (interval, is_delta) = (5 + rng.below(90), rng.one_in(3));
            let is_unknown = !is_delta && rng.one_in(4);
            let exports = run(rng, &events, (from, to), interval, is_delta);
            let is_first = story.delivered.is_empty();
            match exports.split_first() {
                // A first point of no duration: the start is unknown, its value came about before.
                Some((first, rest)) if is_unknown => {
                    let start = first.time;
                    let mut exports = vec![Export {
                        start,
                        ..first.clone()
                    }];
                    exports.extend(rest.iter().map(|one| Export {
                        start,
                        ..one.clone()
                    }));
                    story.tell(&events, &exports, false);
                }
                _ => {
                    let is_new = is_delta || from >= OBSERVED || !is_first;
                    story.tell(&events, &exports, is_new);
                }
            }
            from = to + 1 + rng.below(30);
        }
        story
    }

    /// A sender that sends no start: only a fall of its value tells that it began again.
    fn without_starts(rng: &mut Rng) -> Self {
        let mut story = Self::default();
        let mut from = rng_start(rng.next());
        let mut last = u64::MAX;
        for _ in 0..1 + rng.below(4) {
            let to = from + 60 + rng.below(900);
            let events = events(rng, from, to);
            let interval = 5 + rng.below(90);
            let mut exports = run(rng, &events, (from, to), interval, false);
            for export in &mut exports {
                export.start = 0;
            }
            let (Some(first), Some(end)) = (exports.first(), exports.last()) else {
                continue;
            };
            if first.value >= last {
                break;
            }
            last = end.value;
            let is_new = !story.delivered.is_empty();
            story.tell(&events, &exports, is_new);
            from = to + 1 + rng.below(30);
        }
        story
    }

    /// One process that changes its temporality to deltas and back: the way back holds everything once more.
    fn flips(rng: &mut Rng) -> Self {
        let mut story = Self::default();
        let from = rng_start(rng.next());
        let interval = 5 + rng.below(90);
        let turns = [2 + rng.below(6), 2 + rng.below(6), 2 + rng.below(6)];
        let to = from + turns.iter().sum::<u64>() * interval;
        let events = events(rng, from, to);
        let all = run_all(&events, (from, to), interval);
        let (first, rest) = all.split_at(turns[0] as usize);
        let (middle, last) = rest.split_at(turns[1] as usize);
        let deltas: Vec<Export> = middle
            .iter()
            .map(|export| Export {
                start: export.time - interval,
                temporality: Temporality::Delta,
                value: export.value - up_to(&events, export.time - interval),
                ..export.clone()
            })
            .collect();
        let turn = |part: &[Export]| part.last().map_or(from, |export| export.time);
        let within = |after: u64, until: u64| -> Vec<u64> {
            let inside = |at: &&u64| after < **at && **at <= until;
            events.iter().filter(inside).copied().collect()
        };
        let (one, two) = (turn(first), turn(middle));
        story.tell(&within(0, one), first, from >= OBSERVED);
        story.tell(&within(one, two), &deltas, true);
        story.tell(&within(two, u64::MAX), last, false);
        story
    }

    /// A second writer says the same for a while, from one export of the first to another.
    fn two_writers(rng: &mut Rng) -> Self {
        let mut story = Self::default();
        let from = OBSERVED + rng.below(100);
        let interval = 20 + rng.below(90);
        let turns = [1 + rng.below(5), 1 + rng.below(5), 1 + rng.below(5)];
        let to = from + turns.iter().sum::<u64>() * interval;
        let events = events(rng, from, to);
        let all = run_all(&events, (from, to), interval);
        let (begin, end) = (
            from + turns[0] * interval,
            from + (turns[0] + turns[1]) * interval,
        );
        let ahead = 1 + rng.below(interval - 1);
        let second: Vec<Export> = all
            .iter()
            .filter(|export| begin < export.time && export.time <= end)
            .map(|export| {
                let time = if export.time == end {
                    end
                } else {
                    export.time - ahead
                };
                Export {
                    start: begin,
                    time,
                    temporality: Temporality::Cumulative,
                    value: up_to(&events, time) - up_to(&events, begin),
                }
            })
            .collect();
        let first_word = second.first().map_or(end, |export| export.time);
        let mut second = second;
        if first_word == end {
            // It must be heard before the first writer's next word, or both are believed.
            let time = end - ahead;
            let value = up_to(&events, time) - up_to(&events, begin);
            second.insert(
                0,
                Export {
                    start: begin,
                    time,
                    temporality: Temporality::Cumulative,
                    value,
                },
            );
        }
        let within = |after: u64, until: u64| -> Vec<u64> {
            let inside = |at: &&u64| after < **at && **at <= until;
            events.iter().filter(inside).copied().collect()
        };
        let parts = |test: &dyn Fn(&Export) -> bool| -> Vec<Export> {
            all.iter().filter(|export| test(export)).cloned().collect()
        };
        story.tell(
            &within(0, begin),
            &parts(&|export| export.time <= begin),
            true,
        );
        story.tell(&within(begin, end), &second, true);
        story.tell(
            &within(end, u64::MAX),
            &parts(&|export| export.time > end),
            true,
        );
        let doubled = parts(&|export| begin < export.time && export.time <= end);
        story.delivered.extend(doubled);
        story
    }

    /// Two writers of deltas whose intervals lie across each other's: the first one counts.
    fn two_delta_writers(rng: &mut Rng) -> Self {
        let mut story = Self::default();
        let from = rng_start(rng.next());
        let interval = 20 + rng.below(90);
        let turns = 2 + rng.below(10);
        let to = from + turns * interval;
        let events = events(rng, from, to);
        let deltas = |shift: u64, count: u64| -> Vec<Export> {
            (0..count)
                .map(|turn| {
                    let start = from + shift + turn * interval;
                    let time = start + interval;
                    let value = up_to(&events, time) - up_to(&events, start);
                    Export {
                        start,
                        time,
                        temporality: Temporality::Delta,
                        value,
                    }
                })
                .collect()
        };
        story.tell(&events, &deltas(0, turns), true);
        story.delivered.extend(deltas(interval / 2, turns - 1));
        story
    }
}

/// Before, at or after the beginning of observation.
fn rng_start(seed: u64) -> u64 {
    OBSERVED - 600 + seed % 1_200
}

/// The exports of a run that were delivered: some are lost, and so may be the last one (a crash).
fn run(
    rng: &mut Rng,
    events: &[u64],
    (from, to): (u64, u64),
    interval: u64,
    is_delta: bool,
) -> Vec<Export> {
    let loses = [2, 5, 1_000][rng.below(3) as usize];
    let mut exports = run_all(events, (from, to), interval);
    if rng.one_in(2) {
        exports.pop();
    }
    let mut previous = from;
    for export in &mut exports {
        if is_delta {
            export.start = previous;
            export.temporality = Temporality::Delta;
            export.value = up_to(events, export.time) - up_to(events, previous);
        }
        previous = export.time;
    }
    exports.retain(|_| !rng.one_in(loses));
    exports
}

/// The cumulative exports of a run, the last one at its end.
fn run_all(events: &[u64], (from, to): (u64, u64), interval: u64) -> Vec<Export> {
    let mut times: Vec<u64> = (from + interval..to).step_by(interval as usize).collect();
    times.push(to);
    times
        .into_iter()
        .map(|time| Export {
            start: from,
            time,
            temporality: Temporality::Cumulative,
            value: up_to(events, time),
        })
        .collect()
}
