//! The folder against a naive recount, and its independence of order, batching, duplication and sharding.

mod model;
mod points;
mod records;
mod settled;
mod traces;

use super::*;
use crate::delta::Fate;
use crate::delta::{SliDelta, UnitDelta, UnitKey};
use crate::identity::ServiceId;
use crate::items::Resource;
use crate::items::Signal;
use crate::slo::{FailedRule, Sli, Slo, SpanSelector};
use crate::span::{kind, status};
use crate::span_rows::{SpanRow, batch, resource};
use model::{Plan, SEED, definitions, naive, plans};
use proptest::prelude::*;

/// A quiet instant far from the epoch, on a whole second.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn sender(version: &str) -> Arc<Resource> {
    resource(&[("service.name", "checkout"), ("service.version", version)])
}

/// An entry span of `sender` that ended at `end` after 10 ms.
fn entry(sender: &Arc<Resource>, trace: u128, span: u64, end: Timestamp) -> SpanRow {
    let start = end.minus(10_000_000);
    SpanRow::new(sender, (trace, span), (start.0, end.0), kind::SERVER).named("GET /cart")
}

fn whole() -> Folder {
    Folder::new(SEED, 0..64, FolderLimits::default())
}

fn counter(delta: &Delta, counter: Counter) -> u64 {
    delta.counters.get(&counter).copied().unwrap_or(0)
}

fn sums(rows: &[SliDelta]) -> (i64, i64) {
    rows.iter()
        .fold((0, 0), |sum, row| (sum.0 + row.good, sum.1 + row.bad))
}

#[test]
fn a_service_without_definitions_counts_under_its_implicit_slo() {
    let sender = sender("v1");
    let rows = [
        entry(&sender, 1, 1, NOW),
        entry(&sender, 2, 1, NOW).with("http.response.status_code", 503),
        SpanRow::new(&sender, (3, 1), (1, 2), kind::INTERNAL),
    ];
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    let identity = &sender.identity;
    let row = SliDelta {
        slo: Slo::implicit(&identity.service).id,
        revision: identity.revision.id,
        second: NOW.secs(),
        good: 1,
        bad: 1,
    };
    assert_eq!(delta.sli, [row]);
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Accepted)),
        3
    );
    assert_eq!(delta.resources[0].items, 3);
    assert_eq!(delta.resources[0].end_max, NOW);
    assert_eq!(delta.resources[0].lag_min, 0);
    assert!(folder.flush(NOW).is_empty());
}

#[test]
fn copies_count_once_and_conflicts_twice() {
    let sender = sender("v1");
    let one = entry(&sender, 1, 1, NOW);
    let mut other = one.clone();
    other.end += 1;
    let mut folder = whole();
    let rows = [one.clone(), one.clone(), other.clone(), one, other];
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    assert_eq!(sums(&delta.sli), (2, 0));
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Duplicate)),
        3
    );
    assert_eq!(counter(&delta, ID_CONFLICT), 1);
}

#[test]
fn a_client_and_a_server_that_share_a_span_id_do_not_conflict() {
    let sender = sender("v1");
    let one = entry(&sender, 1, 1, NOW);
    let mut other = one.clone();
    other.kind = kind::CONSUMER;
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &[one, other]));
    let delta = folder.flush(NOW);
    assert_eq!(sums(&delta.sli), (2, 0));
    assert_eq!(counter(&delta, ID_CONFLICT), 0);
}

#[test]
fn a_copy_is_known_for_ten_minutes_and_forgotten_after_twenty() {
    let sender = sender("v1");
    let one = batch(SEED, NOW, &[entry(&sender, 1, 1, NOW)]);
    let mut folder = whole();
    let mut counted = Vec::new();
    for step in 0..25 {
        let now = NOW.plus(step * 60 * NANOS_PER_SEC);
        if [0, 10, 21].contains(&step) {
            folder.fold_spans(&one);
        }
        let delta = folder.flush(now);
        counted.push(sums(&delta.sli).0);
        assert_eq!(counter(&delta, Counter::EvictedKeys), 0);
    }
    assert_eq!((counted[0], counted[10], counted[21]), (1, 0, 1));
    assert_eq!(folder.window_secs(), 600);
}

#[test]
fn the_first_flush_forgets_nothing() {
    let sender = sender("v1");
    let one = batch(SEED, NOW, &[entry(&sender, 1, 1, NOW)]);
    let mut folder = whole();
    folder.fold_spans(&one);
    assert_eq!(sums(&folder.flush(NOW).sli), (1, 0));
    folder.fold_spans(&one);
    assert_eq!(sums(&folder.flush(NOW).sli), (0, 0));
}

#[test]
fn a_full_table_shrinks_the_window_and_says_so() {
    let limits = FolderLimits {
        keys_per_shard: 8,
        units_per_shard: 8,
        ..FolderLimits::default()
    };
    let sender = sender("v1");
    let mut folder = Folder::new(SEED, 0..64, limits);
    let mut evicted = 0;
    for second in 0..60u64 {
        let now = NOW.plus(second * NANOS_PER_SEC);
        let rows: Vec<SpanRow> = (0..64)
            .map(|index| entry(&sender, u128::from(second * 64 + index), 1, now))
            .collect();
        folder.fold_spans(&batch(SEED, now, &rows));
        evicted += counter(&folder.flush(now), Counter::EvictedKeys);
    }
    assert!(evicted > 0);
    // A shard sees about one key a second and holds 4 to 8 of them.
    assert!(
        (1..=12).contains(&folder.window_secs()),
        "{}",
        folder.window_secs()
    );
}

#[test]
fn excluded_spans_and_other_kinds_of_revisions_stay_out_of_the_budget() {
    let sender = sender("v1");
    let local = resource(&[
        ("service.name", "checkout"),
        ("service.version", "v1"),
        ("tidegate.revision.kind", "intercept"),
    ]);
    let rows = [
        entry(&sender, 1, 1, NOW).with("http.route", "/healthz"),
        entry(&local, 2, 1, NOW).with_status(status::ERROR),
    ];
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    assert!(delta.sli.is_empty() && delta.units.is_empty());
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Excluded)),
        1
    );
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::OutsideBudget)),
        1
    );
    assert_eq!(delta.resources.len(), 2);
}

#[test]
fn a_span_from_the_future_waits_for_its_end() {
    let sender = sender("v1");
    let end = NOW.plus(90 * NANOS_PER_SEC);
    let mut row = entry(&sender, 1, 1, end);
    row.anomalies = anomaly::FUTURE;
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &[row.clone()]));
    folder.fold_spans(&batch(SEED, NOW, &[row]));
    let early = folder.flush(end.minus(1));
    assert!(early.sli.is_empty() && early.units.is_empty());
    assert_eq!(
        counter(&early, Counter::Items(Signal::Traces, Fate::Future)),
        1
    );
    assert_eq!(
        counter(&early, Counter::Items(Signal::Traces, Fate::Duplicate)),
        1
    );
    assert_eq!(early.resources[0].end_max, Timestamp::EPOCH);
    assert_eq!(early.resources[0].lag_min, -90_000_000_000);
    let due = folder.flush(end);
    assert_eq!((due.sli[0].second, sums(&due.sli)), (end.secs(), (1, 0)));
    assert_eq!(due.units[0].units, 1);
}

#[test]
fn when_too_many_wait_the_latest_are_dropped_whatever_the_order() {
    let limits = FolderLimits {
        held_per_shard: 3,
        ..FolderLimits::default()
    };
    let sender = sender("v1");
    let mut rows: Vec<SpanRow> = (0..10u64)
        .map(|index| {
            let end = NOW.plus((100 + index) * NANOS_PER_SEC);
            let mut row = entry(&sender, 1, index, end);
            row.anomalies = anomaly::FUTURE;
            row
        })
        .collect();
    let mut seconds = Vec::new();
    for _ in 0..2 {
        let mut folder = Folder::new(SEED, 0..64, limits);
        folder.fold_spans(&batch(SEED, NOW, &rows));
        let delta = folder.flush(NOW.plus(1_000 * NANOS_PER_SEC));
        assert_eq!(
            counter(&delta, Counter::Items(Signal::Traces, Fate::Dropped)),
            7
        );
        seconds.push(delta.sli.iter().map(|row| row.second).collect::<Vec<_>>());
        rows.reverse();
    }
    assert_eq!(seconds[0], seconds[1]);
    assert_eq!(seconds[0].last(), Some(&(NOW.secs() + 102)));
}

#[test]
fn late_spans_count_where_they_belong() {
    let sender = sender("v1");
    let mut folder = whole();
    let old = NOW.minus(LATENESS_NANOS + 1);
    let rows = [
        entry(&sender, 1, 1, old),
        entry(&sender, 2, 1, NOW.minus(LATENESS_NANOS)),
    ];
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    assert_eq!(delta.sli[0].second, old.secs());
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Late)),
        1
    );
}

#[test]
fn a_unit_follows_its_earliest_entry_span_across_flushes() {
    let (old, new) = (sender("v1"), sender("v2"));
    let late = entry(&new, 1, 2, NOW).with_status(status::ERROR);
    let first = entry(&old, 1, 1, NOW.minus(NANOS_PER_SEC));
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &[late]));
    let mut all = folder.flush(NOW);
    assert_eq!((all.units[0].units, all.units[0].failed), (1, 1));
    folder.fold_spans(&batch(SEED, NOW, &[first]));
    let correction = folder.flush(NOW);
    assert_eq!(correction.units.len(), 2);
    assert_eq!(counter(&correction, Counter::CollapsedSpans), 1);
    all.merge(correction);
    let key = all.units[0].key;
    assert_eq!(all.units.len(), 1);
    assert_eq!(
        (key.revision, key.second),
        (old.identity.revision.id, NOW.secs() - 1)
    );
    assert_eq!((all.units[0].units, all.units[0].failed), (1, 0));
    assert_eq!(
        all.units[0].latency,
        [(crate::latency::bucket(10_000_000), 1)]
    );
}

#[test]
fn one_trace_is_one_unit_in_each_service() {
    let (one, other) = (sender("v1"), resource(&[("service.name", "cart")]));
    let rows = [
        entry(&one, 1, 1, NOW),
        entry(&other, 1, 2, NOW),
        entry(&other, 1, 3, NOW),
    ];
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    assert_eq!(delta.units.iter().map(|row| row.units).sum::<i64>(), 2);
    assert_eq!(counter(&delta, Counter::CollapsedSpans), 1);
}

#[test]
fn unknown_durations_count_for_availability_alone() {
    let slow = Sli::Latency {
        selector: SpanSelector::default(),
        threshold_nanos: 1,
    };
    let sender = sender("v1");
    let mut folder = whole();
    folder.set_definitions(Arc::new(definitions(&sender.identity.service, [slow])));
    let mut row = entry(&sender, 1, 1, NOW);
    (row.start, row.end) = (row.end, row.start);
    folder.fold_spans(&batch(SEED, NOW, &[row]));
    let delta = folder.flush(NOW);
    assert!(delta.sli.is_empty());
    assert_eq!((delta.units[0].units, delta.units[0].latency.len()), (1, 0));
}

#[test]
fn new_definitions_measure_new_spans_only() {
    let sender = sender("v1");
    let clients = Sli::Availability {
        selector: SpanSelector {
            kinds: vec![kind::CLIENT],
            matches: Vec::new(),
        },
        failed: FailedRule::Default,
    };
    let mut call = entry(&sender, 2, 1, NOW);
    call.kind = kind::CLIENT;
    let rows = [entry(&sender, 1, 1, NOW), call];
    let mut folder = whole();
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let defined = definitions(&sender.identity.service, [clients]);
    let slo = *defined.slos.keys().next().expect("one SLO");
    folder.set_definitions(Arc::new(defined));
    folder.fold_spans(&batch(SEED, NOW, &rows));
    let delta = folder.flush(NOW);
    let of = |wanted: SloId| delta.sli.iter().filter(|row| row.slo == wanted).count();
    assert_eq!((delta.sli.len(), of(slo)), (2, 1));
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Duplicate)),
        1
    );
}

#[test]
fn made_up_services_are_bounded_and_known_ones_stay_exact() {
    let limits = FolderLimits {
        arms_per_shard: 4,
        ..FolderLimits::default()
    };
    let known = sender("v1");
    let mut folder = Folder::new(SEED, 0..64, limits);
    let known_everywhere: Vec<SpanRow> = (0..2_000)
        .map(|trace| entry(&known, trace, 1, NOW))
        .collect();
    folder.fold_spans(&batch(SEED, NOW, &known_everywhere));
    let strangers: Vec<SpanRow> = (0..2_000u128)
        .map(|trace| {
            let stranger = resource(&[("service.name", &format!("svc-{trace}"))]);
            entry(&stranger, trace, 2, NOW)
        })
        .collect();
    folder.fold_spans(&batch(SEED, NOW, &strangers));
    folder.fold_spans(&batch(SEED, NOW, &[entry(&known, 1, 3, NOW)]));
    let delta = folder.flush(NOW);
    let of_known = delta
        .sli
        .iter()
        .filter(|row| row.revision == known.identity.revision.id);
    assert_eq!(of_known.map(|row| row.good).sum::<i64>(), 2_001);
    assert_eq!(
        counter(&delta, Counter::Items(Signal::Traces, Fate::Dropped)),
        2_000 - 3 * 64
    );
    // After two generations without them there is room again.
    for minute in 0..45 {
        folder.flush(NOW.plus(minute * 60 * NANOS_PER_SEC));
    }
    let stranger = resource(&[("service.name", "svc-late")]);
    folder.fold_spans(&batch(SEED, NOW, &[entry(&stranger, 9, 9, NOW)]));
    assert_eq!(sums(&folder.flush(NOW).sli), (1, 0));
}

#[test]
fn routes_forget_ids_and_are_few() {
    let number = |text: &str| route_number(SEED, text);
    assert_eq!(number("GET /user/4711"), number("GET /user/9f3b2"));
    assert_eq!(number("/a?x=1"), number("/a?y=2"));
    assert_ne!(number("/cart"), number("/pay"));
    assert!((0..5_000).all(|index| u64::from(number(&format!("r{index:a>9}"))) < ROUTES));
}

#[test]
fn fingerprints_are_siphash_1_3_whatever_the_length() {
    use std::hash::Hasher;
    for length in 0..40u8 {
        let bytes: Vec<u8> = (0..length).collect();
        let mut streamed = siphasher::sip::SipHasher13::new_with_keys(SEED.0, SEED.1);
        streamed.write(&bytes);
        assert_eq!(SEED.fingerprint(&bytes), streamed.finish());
    }
}

/// How the 64 shards may be spread.
fn spread(folders: usize) -> Vec<Folder> {
    (0..folders)
        .map(|index| {
            let shards = (0..64u8).filter(move |shard| usize::from(*shard) % folders == index);
            Folder::new(SEED, shards, FolderLimits::default())
        })
        .collect()
}

/// The merged Delta of every tick. `plan` says where batches and ticks end.
fn run(folders: usize, rows: &[SpanRow], plan: &Plan) -> Vec<Delta> {
    let definitions = Arc::new(model::shop());
    let mut folders = spread(folders);
    for folder in &mut folders {
        folder.set_definitions(definitions.clone());
    }
    let mut ticks = Vec::new();
    for (index, rows) in plan.split(rows).into_iter().enumerate() {
        let batch = batch(SEED, model::RECEIVED, rows);
        let now = model::RECEIVED.plus(index as u64 * NANOS_PER_SEC);
        let mut tick = Delta::default();
        for folder in &mut folders {
            folder.fold_spans(&batch);
            tick.merge(folder.flush(now));
        }
        ticks.push(tick);
    }
    let mut last = Delta::default();
    for folder in &mut folders {
        last.merge(folder.flush(model::RECEIVED.plus(3_600 * NANOS_PER_SEC)));
    }
    ticks.push(last);
    ticks
}

fn total(ticks: Vec<Delta>) -> Delta {
    let mut total = Delta::default();
    for tick in ticks {
        total.merge(tick);
    }
    total
}

/// Cases of each property: 10,000 in the long lane.
#[expect(
    clippy::disallowed_methods,
    reason = "the lane is told by the environment"
)]
fn cases() -> u32 {
    let long = std::env::var("TIDEGATE_LONG").is_ok_and(|value| value == "1");
    if long { 10_000 } else { 1_000 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// Scenario: random traffic of two services in two revisions, with copies, conflicts, retries, health checks,
    /// clocks ahead and unknown durations; then the same spans shuffled, repeated and batched otherwise.
    /// Guarantees: budgets and units equal a naive recount of the list of spans, whatever the order.
    #[test]
    fn counts_equal_a_naive_recount(
        (rows, shuffled) in plans::traffic_twice(),
        plan in plans::any(),
        other in plans::any(),
    ) {
        let expected = naive(&rows);
        for (rows, plan) in [(&rows, plan), (&shuffled, other)] {
            let delta = total(run(1, rows, &plan));
            prop_assert_eq!(&delta.sli, &expected.sli);
            prop_assert_eq!(&delta.units, &expected.units);
            for (counter, count) in &expected.counters {
                prop_assert_eq!(delta.counters.get(counter), Some(count), "{:?}", counter);
            }
        }
    }

    /// Scenario: the same log read by 1, 2, 7 and 64 folders.
    /// Guarantees: every Tick's merged Delta has the same bytes.
    #[test]
    fn ticks_do_not_depend_on_how_shards_are_spread(
        rows in plans::traffic(),
        plan in plans::any(),
    ) {
        let bytes = |folders| {
            let ticks = run(folders, &rows, &plan);
            postcard::to_stdvec(&ticks).expect("deltas serialize")
        };
        let one = bytes(1);
        for folders in [2, 7, 64] {
            prop_assert!(bytes(folders) == one, "{folders} folders differ from one");
        }
    }
}
