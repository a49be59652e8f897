//! The rules: what of a snapshot is worth saying, and how bad it is.

use super::{Endpoints, Finding, Level, errors, fixes, is_overflow, live};
use crate::anomaly;
use crate::delta::{Counter, Fate, Mark, Marks};
use crate::gate::words::{self, count, duration, list};
use crate::identity::{RevisionKind, UNKNOWN_SERVICE};
use crate::items::Signal;
use crate::registry::is_revision_unknown;
use crate::snapshot::{RevisionRow, ServiceRow, Snapshot};
use crate::source::{LATE_FOR_NANOS, Sampling, SourceRow};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Difference of least lags that forbids comparing two revisions, ns.
const SKEW_NANOS: u64 = 2 * NANOS_PER_SEC;
/// Spans a minute from which a least lag says something about a clock.
const SKEW_SPANS_MIN: u64 = 20;
/// A clock ahead of ours by this much is said, ns.
const AHEAD_NANOS: i64 = -(NANOS_PER_SEC as i64);
/// Shares of the items of a source from which something is said.
const LATE_SHARE: f64 = 0.01;
const DUPLICATE_SHARE: f64 = 0.05;
const HALF: f64 = 0.5;
/// Revisions named in a sentence.
const NAMED_MAX: usize = 4;
/// Anomalies that are no news here: they have findings of their own.
const TOLD: u16 = anomaly::FUTURE | anomaly::LATE;

/// Longest name in a sentence, characters.
const NAME_CHARS_MAX: usize = 80;

fn short(text: String) -> String {
    match text.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn called(row: &ServiceRow) -> String {
    short(words::service(&row.key))
}

fn label(row: &RevisionRow) -> String {
    short(row.revision.label())
}

fn finding(code: &'static str, level: Level, message: String, fix: impl Into<String>) -> Finding {
    Finding {
        code,
        level,
        message,
        fix: fix.into(),
    }
}

/// What is to be said of Tidegate itself and of what reached it.
pub(super) fn own(snapshot: &Snapshot, at: &Endpoints) -> Vec<Finding> {
    let mut findings = Vec::new();
    let counters = &snapshot.status.counters;
    let items = |fate: Fate| -> u64 {
        let counts = Signal::ALL.map(|signal| counters.get(&Counter::Items(signal, fate)).copied());
        counts.into_iter().flatten().sum()
    };
    if items(Fate::Accepted) == 0 && !has_sources(snapshot) {
        findings.push(finding(
            "NO_TELEMETRY",
            Level::Error,
            format!(
                "nothing has arrived yet: OTLP is received over gRPC at {} and over HTTP at {}",
                at.grpc, at.http
            ),
            fixes::exporters(at),
        ));
    }
    if items(Fate::Rejected) > 0 {
        findings.push(finding(
            "REJECTED",
            Level::Warning,
            format!(
                "{} items were rejected one by one (invalid ids or times), the others of their requests counted",
                count(items(Fate::Rejected))
            ),
            "OTEL_LOG_LEVEL=debug   # the exporter prints the partial success it was answered",
        ));
    }
    if items(Fate::Dropped) > 0 {
        findings.push(finding(
            "DROPPED",
            Level::Error,
            format!(
                "{} items were accepted but not counted because a table was full",
                count(items(Fate::Dropped))
            ),
            "curl -s http://<tidegate>/metrics | grep -E 'dropped|services|resources'   # names with ids in them?",
        ));
    }
    let refused = errors(&snapshot.status.problems);
    if refused > 0 {
        findings.push(finding(
            "DEFINITIONS_REFUSED",
            Level::Error,
            format!(
                "the definitions have {refused} error{}: generation {} stays in force",
                if refused == 1 { "" } else { "s" },
                snapshot.status.definitions_generation
            ),
            "tidegate validate <the definitions directory>",
        ));
    }
    if snapshot.services.values().any(|row| is_overflow(row)) {
        findings.push(finding(
            "TOO_MANY_SERVICES",
            Level::Error,
            format!(
                "more than {} services: later ones share one and have no gate",
                count(crate::snapshot::SERVICES_MAX as u64)
            ),
            fixes::attribute("service.name", "<one name per service, without ids>"),
        ));
    }
    findings
}

fn has_sources(snapshot: &Snapshot) -> bool {
    let mut services = snapshot.services.values();
    services.any(|row| row.first_seen != Timestamp::EPOCH)
}

/// What is to be said of one service.
pub(super) fn service(snapshot: &Snapshot, row: &ServiceRow, at: &Endpoints) -> Vec<Finding> {
    if row.first_seen == Timestamp::EPOCH {
        return vec![not_seen(snapshot, row, at)];
    }
    let mut findings = identity(row);
    findings.extend(spans(row, at));
    findings.extend(skew(row));
    for signal in Signal::ALL {
        findings.extend(arrivals(row, signal));
    }
    findings.extend(contents(row));
    findings
}

/// A file names it and nothing came: most often a name, namespace or environment is spelled otherwise.
fn not_seen(snapshot: &Snapshot, row: &ServiceRow, at: &Endpoints) -> Finding {
    let seen = snapshot.services.values().filter(|other| {
        other.first_seen != Timestamp::EPOCH && other.key.name.eq_ignore_ascii_case(&row.key.name)
    });
    let seen: Vec<String> = seen.map(|other| called(other)).collect();
    let message = format!(
        "a file names {}, but nothing of it came{}",
        called(row),
        match seen.len() {
            0 => String::new(),
            _ => format!("; seen: {}", list(&seen, NAMED_MAX)),
        }
    );
    let fix = if seen.is_empty() {
        fixes::exporters(at)
    } else {
        "# the definitions' Service, as the spans say it:\n\
         annotations: {tidegate.dev/namespace: <service.namespace>, tidegate.dev/environment: <deployment.environment.name>}".to_owned()
    };
    finding("NOT_SEEN", Level::Warning, message, fix)
}

/// What the resource attributes leave open.
fn identity(row: &ServiceRow) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (name, key) = (called(row), &row.key);
    let is_nameless = key.name == UNKNOWN_SERVICE || key.name.starts_with("unknown_service:");
    if is_nameless {
        findings.push(finding(
            "NO_SERVICE_NAME",
            Level::Error,
            format!("what sends as `{name}` has no service.name: nothing can be said of it"),
            fixes::attribute("service.name", "<service>"),
        ));
    }
    if live(row).any(|row| is_revision_unknown(&row.revision)) {
        findings.push(finding(
            "REVISION_UNKNOWN",
            Level::Error,
            format!("nothing tells the revisions of {name} apart: its gate answers unknown"),
            fixes::revision(&key.name),
        ));
    }
    if key.environment.is_empty() && !is_nameless {
        findings.push(finding(
            "NO_ENVIRONMENT",
            Level::Info,
            format!("{name} has no deployment.environment.name: staging and production would be one service"),
            fixes::attribute("deployment.environment.name", "production"),
        ));
    }
    if key.namespace.is_empty() && !is_nameless {
        findings.push(finding(
            "NO_NAMESPACE",
            Level::Info,
            format!(
                "{name} has no service.namespace: services of one name in two systems would be one"
            ),
            fixes::attribute("service.namespace", "<system>"),
        ));
    }
    let outside = live(row).filter(|row| row.revision.kind != RevisionKind::Release);
    let outside: Vec<String> = outside.map(label).collect();
    if !outside.is_empty() {
        findings.push(finding(
            "OUTSIDE_BUDGET",
            Level::Info,
            format!(
                "{} of {name} is an intercept or branch deployment: shown, not counted in budgets",
                list(&outside, NAMED_MAX)
            ),
            fixes::attribute("tidegate.revision.kind", "release"),
        ));
    }
    findings
}

/// The live revisions whose spans fulfil `rule`, by name.
fn named(row: &ServiceRow, rule: impl Fn(&RevisionRow, &SourceRow) -> bool) -> Vec<String> {
    let revisions = live(row).filter(|row| row.spans().is_some_and(|spans| rule(row, spans)));
    revisions.map(label).collect()
}

/// How spans arrive: late, chosen, lopsided.
fn spans(row: &ServiceRow, at: &Endpoints) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = called(row);
    let late = named(row, |_, spans| spans.is_late);
    if !late.is_empty() {
        let lags = live(row).filter_map(|row| {
            row.spans()?
                .lag_nanos
                .filter(|_| row.spans().is_some_and(|spans| spans.is_late))
        });
        let lag = lags.min().unwrap_or(0).unsigned_abs() / NANOS_PER_SEC;
        findings.push(finding(
            "LATE_INPUT",
            Level::Error,
            format!(
                "for {} no span of {name} ({}) came earlier than {} after it had ended: tail sampling or batching on the way; its rollouts cannot be tested",
                duration(LATE_FOR_NANOS / NANOS_PER_SEC),
                list(&late, NAMED_MAX),
                duration(lag)
            ),
            fixes::fan_out(at),
        ));
    }
    for (code, level, sampling, words, fix) in [
        (
            "TAIL_SAMPLED",
            Level::Error,
            Sampling::Tail,
            "were chosen by a tail sampler: failure rates and budgets are those of the sample",
            fixes::fan_out(at),
        ),
        (
            "HEAD_SAMPLED",
            Level::Warning,
            Sampling::Head,
            "are sampled at their start: ratios hold, counts and low-traffic guards are those of the sample",
            fixes::ALWAYS_ON.to_owned(),
        ),
    ] {
        let sampled = named(row, |_, spans| spans.sampling == sampling);
        if !sampled.is_empty() {
            let message = format!("spans of {name} ({}) {words}", list(&sampled, NAMED_MAX));
            findings.push(finding(code, level, message, fix));
        }
    }
    findings.extend(no_entries(row, &name));
    findings
}

/// Nothing that an SLI counts.
fn no_entries(row: &ServiceRow, name: &str) -> Option<Finding> {
    let sums = sum(row, Signal::Traces);
    let level = if row.policy.implicit {
        Level::Info
    } else {
        Level::Warning
    };
    if sums.items == 0 {
        let others: u64 = [Signal::Metrics, Signal::Logs]
            .map(|signal| sum(row, signal).items)
            .iter()
            .sum();
        return (others > 0).then(|| {
            finding(
                "NO_SPANS",
                Level::Info,
                format!("{name} sends metrics or logs but no spans: its gate has nothing to test"),
                "OTEL_TRACES_EXPORTER=otlp",
            )
        });
    }
    (sums.marks.of(Mark::Entry) == 0).then(|| {
        finding(
            "NO_ENTRY_SPANS",
            level,
            format!(
                "none of {} spans of {name} is of kind SERVER or CONSUMER ({} are CLIENT or PRODUCER): no request is counted",
                count(sums.items),
                count(sums.marks.of(Mark::Call))
            ),
            "OTEL_TRACES_EXPORTER=otlp   # with the instrumentation of its server framework, not of its clients alone",
        )
    })
}

/// Revisions whose clocks, or ways to Tidegate, differ.
fn skew(row: &ServiceRow) -> Option<Finding> {
    let mut lags: Vec<(i64, &RevisionRow)> = live(row)
        .filter_map(|row| {
            let spans = row
                .spans()
                .filter(|row| row.items_last_minute >= SKEW_SPANS_MIN)?;
            Some((spans.lag_nanos?, row))
        })
        .collect();
    lags.sort_by_key(|(lag, row)| (*lag, row.revision.id));
    let ((least, first), (most, last)) = (lags.first()?, lags.last()?);
    let name = called(row);
    let seconds = |nanos: u64| format!("{:.1} s", nanos as f64 / NANOS_PER_SEC as f64);
    if most.abs_diff(*least) > SKEW_NANOS {
        return Some(finding(
            "CLOCK_SKEW",
            Level::Warning,
            format!(
                "{} and {} of {name} are {} apart: their seconds cannot be compared (clocks, or one is batched on the way)",
                label(first),
                label(last),
                seconds(most.abs_diff(*least))
            ),
            fixes::CLOCK,
        ));
    }
    (*least < AHEAD_NANOS).then(|| {
        finding(
            "CLOCK_AHEAD",
            Level::Warning,
            format!(
                "the clock of {} of {name} is {} ahead of Tidegate's",
                label(first),
                seconds(least.unsigned_abs())
            ),
            fixes::CLOCK,
        )
    })
}

/// Items, marks and anomalies of all revisions.
struct Sums {
    items: u64,
    marks: Marks,
    odd: u16,
}

fn sum(row: &ServiceRow, signal: Signal) -> Sums {
    let sources = row.revisions.iter().flat_map(|row| &row.sources);
    let mut sums = Sums {
        items: 0,
        marks: Marks::default(),
        odd: 0,
    };
    for source in sources.filter(|source| source.signal == signal) {
        sums.items += source.items;
        sums.marks.merge(&source.marks);
        sums.odd |= source.odd;
    }
    sums
}

type Rule = (bool, &'static str, Level, String, String);

fn told(rules: impl IntoIterator<Item = Rule>) -> impl Iterator<Item = Finding> {
    let found = rules.into_iter().filter(|rule| rule.0);
    found.map(|(_, code, level, message, fix)| finding(code, level, message, fix))
}

/// What became of the items of one signal, of the last five to ten minutes.
fn arrivals(row: &ServiceRow, signal: Signal) -> impl Iterator<Item = Finding> {
    let sums = sum(row, signal);
    let (name, items) = (called(row), signal.items());
    let of = |mark: Mark| sums.marks.of(mark);
    // Of spans only entries are looked up for it.
    let late_among = match signal {
        Signal::Traces => of(Mark::Entry),
        Signal::Metrics | Signal::Logs => sums.items,
    };
    let share = |mark: Mark, all: u64| of(mark) as f64 / all.max(1) as f64;
    told([
        (
            of(Mark::Dropped) > 0,
            "DROPPED",
            Level::Error,
            format!(
                "{} {items} of {name} were accepted but not counted: a table was full",
                count(of(Mark::Dropped))
            ),
            match signal {
                Signal::Metrics => fixes::STREAMS.to_owned(),
                Signal::Traces | Signal::Logs => {
                    fixes::attribute("service.version", "<version, without ids>")
                }
            },
        ),
        (
            share(Mark::Late, late_among) > LATE_SHARE,
            "LATE_ITEMS",
            Level::Warning,
            format!(
                "{} of {} {items} of {name} came more than 10 min after their end: counted as corrections, tested never",
                count(of(Mark::Late)),
                count(late_among)
            ),
            match signal {
                Signal::Traces => "OTEL_BSP_SCHEDULE_DELAY=1000",
                Signal::Metrics => "OTEL_METRIC_EXPORT_INTERVAL=60000",
                Signal::Logs => "OTEL_BLRP_SCHEDULE_DELAY=1000",
            }
            .to_owned(),
        ),
        (
            of(Mark::Future) > 0,
            "FUTURE",
            Level::Warning,
            format!(
                "{} {items} of {name} are dated more than a minute in the future: they wait for their time",
                count(of(Mark::Future))
            ),
            fixes::CLOCK.to_owned(),
        ),
        (
            share(Mark::Duplicate, sums.items) > DUPLICATE_SHARE,
            "DUPLICATES",
            Level::Warning,
            format!(
                "{} of {} {items} of {name} came before: counted once; is it exported on two ways?",
                count(of(Mark::Duplicate)),
                count(sums.items)
            ),
            fixes::ONE_WAY.to_owned(),
        ),
    ])
}

/// What the spans themselves leave open, of the last five to ten minutes.
fn contents(row: &ServiceRow) -> impl Iterator<Item = Finding> {
    let sums = sum(row, Signal::Traces);
    let name = called(row);
    let entries = sums.marks.of(Mark::Entry);
    let share = |mark: Mark, all: u64| sums.marks.of(mark) as f64 / all.max(1) as f64;
    let said = |mark: Mark, all: u64| format!("{} of {}", count(sums.marks.of(mark)), count(all));
    told([
        (
            share(Mark::NoOutcome, entries) > LATE_SHARE,
            "NO_OUTCOME",
            Level::Warning,
            format!(
                "{} requests to {name} have neither an HTTP status code nor a span status: failures would not show",
                said(Mark::NoOutcome, entries)
            ),
            fixes::NEW_CONVENTIONS.to_owned(),
        ),
        (
            share(Mark::NoInstance, sums.items) > HALF,
            "NO_INSTANCE",
            Level::Warning,
            format!(
                "the instances of {name} cannot be told apart (no service.instance.id, pod or host): one that stalls does not show"
            ),
            format!(
                "{}\n{}",
                fixes::attribute("service.instance.id", "$(hostname)"),
                fixes::kubernetes()
            ),
        ),
        (
            share(Mark::NoRoute, entries) > HALF,
            "NO_ROUTE",
            Level::Info,
            format!(
                "{} requests to {name} have no http.route: they are told apart by span name",
                said(Mark::NoRoute, entries)
            ),
            fixes::ROUTE.to_owned(),
        ),
        (
            sums.odd & !TOLD != 0,
            "ODD",
            Level::Info,
            format!(
                "spans of {name} are accepted although odd: {}",
                odd(sums.odd & !TOLD)
            ),
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=4095   # and the newest SDK".to_owned(),
        ),
    ])
}

fn odd(bits: u16) -> String {
    let names = anomaly::NAMES.iter().filter(|(bit, _)| bits & bit != 0);
    let names: Vec<String> = names.map(|(_, name)| (*name).to_owned()).collect();
    list(&names, names.len())
}
