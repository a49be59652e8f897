//! The doctor over the whole core: spans in, findings out.

use super::*;
use crate::batch::Batch;
use crate::decider::Decider;
use crate::folder::FolderLimits;
use crate::hash::HashSeed;
use crate::input::{DefinitionsLoaded, Input};
use crate::items::Resource;
use crate::log_rows::{LogRow, batch as records};
use crate::machine::{Engine, EngineConfig};
use crate::metric::{Instrument, Temporality};
use crate::metric_rows::{PointRow, PointValue, batch as points, metric};
use crate::slo::{AttributeMatch, Definitions, PointSelector, Side, Sli, Slo};
use crate::span::kind;
use crate::span_rows::{SpanRow, batch, resource};
use std::collections::BTreeSet;
use std::sync::Arc;

const SEED: HashSeed = HashSeed(3, 5);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

fn engine() -> Engine {
    engine_with(FolderLimits::default())
}

fn engine_with(limits: FolderLimits) -> Engine {
    let config = EngineConfig {
        seed: SEED,
        folders: 2,
        limits,
        store_bytes: 1 << 20,
    };
    Engine::new(&config, Decider::default())
}

/// A source that wants for nothing.
fn whole(version: &str) -> Arc<Resource> {
    resource(&[
        ("service.name", "shop"),
        ("service.version", version),
        ("service.namespace", "market"),
        ("deployment.environment.name", "production"),
        ("service.instance.id", "i-1"),
        ("telemetry.sdk.language", "python"),
        ("telemetry.sdk.version", "1.45.1"),
    ])
}

/// A request that ended `lag_secs` before `now`.
fn request(of: &Arc<Resource>, id: u64, now: Timestamp, lag_secs: u64) -> SpanRow {
    let end = now.minus(lag_secs * NANOS_PER_SEC).0;
    let row = SpanRow::new(
        of,
        (u128::from(id) << 64 | 7, id),
        (end - 1_000_000, end),
        kind::SERVER,
    );
    row.named("GET /")
        .with("http.request.method", "GET")
        .with("http.route", "/")
        .with("http.response.status_code", 200)
}

/// `seconds` of traffic, ticked every second.
fn run(
    engine: &mut Engine,
    seconds: u64,
    rows: impl Fn(u64, Timestamp) -> Vec<SpanRow>,
) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for second in 0..seconds {
        let now = START.plus(second * NANOS_PER_SEC);
        engine.fold(Arc::new(Batch::Spans(batch(SEED, now, &rows(second, now)))));
        snapshot = engine.tick(now, &mut Vec::new());
    }
    snapshot
}

fn codes(snapshot: &Snapshot) -> BTreeSet<&'static str> {
    let reports = examine(snapshot, &Endpoints::default());
    let findings = reports.iter().flat_map(|report| &report.findings);
    for finding in findings.clone() {
        assert!(
            !finding.fix.is_empty() && !finding.message.is_empty(),
            "{finding:?}"
        );
    }
    findings.map(|finding| finding.code).collect()
}

/// Scenario: nothing at all.
/// Guarantees: it is said, with the ports to send to.
#[test]
fn silence_is_said_with_the_ports() {
    let endpoints = Endpoints {
        grpc: "tidegate:14317".to_owned(),
        http: "tidegate:14318".to_owned(),
    };
    let reports = examine(&engine().tick(START, &mut Vec::new()), &endpoints);
    let [report] = reports.as_slice() else {
        panic!("{reports:?}")
    };
    let finding = &report.findings[0];
    assert_eq!(
        (finding.code, worst(&reports)),
        ("NO_TELEMETRY", Some(Level::Error))
    );
    for part in [
        "http://tidegate:14318",
        "endpoint: tidegate:14317",
        "OTEL_RESOURCE_ATTRIBUTES",
    ] {
        assert!(finding.fix.contains(part), "{}", finding.fix);
    }
}

/// Scenario: a source that wants for nothing.
/// Guarantees: no finding; revisions, signals, SDK and lag are told.
#[test]
fn a_healthy_source_has_no_finding() {
    let shop = whole("v1");
    let snapshot = run(&mut engine(), 3, |id, now| vec![request(&shop, id, now, 1)]);
    let reports = examine(&snapshot, &Endpoints::default());
    assert_eq!(worst(&reports), None, "{reports:?}");
    let report = &reports[0];
    assert_eq!(report.revisions, ["v1"]);
    assert_eq!(report.sdks, ["python 1.45.1"]);
    let signal = report.signals[0];
    assert_eq!((signal.items_last_minute, signal.lag_secs), (3, Some(1.0)));
}

/// Scenario: one thing wrong with the spans or their resource, thing by thing.
/// Guarantees: exactly that is found.
#[test]
fn each_fault_has_its_finding() {
    type Change = fn(SpanRow) -> SpanRow;
    let without = |key: &str, span: SpanRow| {
        let mut span = span;
        span.attributes.retain(|(name, _)| name != key);
        span
    };
    let cases: [(&str, &dyn Fn(SpanRow) -> SpanRow); 6] = [
        ("NO_ROUTE", &|span| without("http.route", span)),
        ("NO_OUTCOME", &|span| {
            without("http.response.status_code", span)
        }),
        ("TAIL_SAMPLED", &|span| {
            span.with("meta.refinery.reason", "keep errors")
        }),
        ("HEAD_SAMPLED", &|span| {
            span.with("sampler.type", "probabilistic")
        }),
        ("LATE_ITEMS", &|mut span: SpanRow| {
            span.start -= 700 * NANOS_PER_SEC;
            span.end -= 700 * NANOS_PER_SEC;
            span
        }),
        ("NO_ENTRY_SPANS", &|mut span: SpanRow| {
            span.kind = kind::CLIENT;
            span
        }),
    ];
    let shop = whole("v1");
    for (code, change) in cases {
        let snapshot = run(&mut engine(), 3, |id, now| {
            vec![change(request(&shop, id, now, 1))]
        });
        assert_eq!(codes(&snapshot), BTreeSet::from([code]));
    }
    let keep: Change = |span| span.with("sampler.type", "const");
    let snapshot = run(&mut engine(), 3, |id, now| {
        vec![keep(request(&shop, id, now, 1))]
    });
    assert_eq!(
        codes(&snapshot),
        BTreeSet::new(),
        "`const` takes every trace"
    );
    let conflicting = run(&mut engine(), 3, |_, now| vec![request(&shop, 1, now, 1)]);
    assert_eq!(
        codes(&conflicting),
        BTreeSet::from(["ODD"]),
        "spans of one id that differ"
    );
    let same = run(&mut engine(), 3, |_, _| vec![request(&shop, 1, START, 1)]);
    assert_eq!(codes(&same), BTreeSet::from(["DUPLICATES"]));
}

/// Scenario: a bare resource, a default name, an intercept, one revision ten seconds behind another.
/// Guarantees: what is missing is named; a hostile name is in no fix.
#[test]
fn missing_attributes_and_clocks_are_named() {
    let bare = resource(&[("service.name", "$(reboot)")]);
    let snapshot = run(&mut engine(), 2, |id, now| vec![request(&bare, id, now, 1)]);
    let expected = [
        "REVISION_UNKNOWN",
        "NO_ENVIRONMENT",
        "NO_NAMESPACE",
        "NO_INSTANCE",
    ];
    assert_eq!(codes(&snapshot), expected.into());
    for report in examine(&snapshot, &Endpoints::default()) {
        assert!(
            report
                .findings
                .iter()
                .all(|finding| !finding.fix.contains("reboot"))
        );
    }
    let nameless = resource(&[("service.version", "1"), ("host.name", "h")]);
    let snapshot = run(&mut engine(), 2, |id, now| {
        vec![request(&nameless, id, now, 1)]
    });
    assert_eq!(codes(&snapshot), ["NO_SERVICE_NAME"].into());
    let (old, new) = (whole("v1"), whole("v2"));
    let snapshot = run(&mut engine(), 30, |id, now| {
        vec![request(&old, id, now, 0), request(&new, 1_000 + id, now, 3)]
    });
    assert_eq!(codes(&snapshot), ["CLOCK_SKEW"].into());
}

/// Scenario: every span comes 15 s after its end for more than a minute, then at once.
/// Guarantees: LATE_INPUT with the fan-out, gone with the first span in time.
#[test]
fn late_input_is_found_and_forgotten() {
    let shop = whole("v1");
    let mut engine = engine();
    let snapshot = run(&mut engine, 62, |id, now| vec![request(&shop, id, now, 15)]);
    assert_eq!(codes(&snapshot), ["LATE_INPUT"].into());
    let fix = &examine(&snapshot, &Endpoints::default())[0].findings[0].fix;
    assert!(fix.contains("traces/tidegate: {receivers: [otlp]"), "{fix}");
    let now = START.plus(62 * NANOS_PER_SEC);
    let rows = [request(&shop, 900, now, 1)];
    engine.fold(Arc::new(Batch::Spans(batch(SEED, now, &rows))));
    assert_eq!(codes(&engine.tick(now, &mut Vec::new())), BTreeSet::new());
}

/// SLOs over every point of the counter `jobs` and every record of `shop`.
fn measured(shop: &Resource) -> Input {
    let rule = |key: &str| AttributeMatch {
        key: key.to_owned(),
        any_of: vec!["*".to_owned()],
        negated: false,
    };
    let jobs = |matches| PointSelector {
        metric: "jobs".to_owned(),
        instruments: vec![Instrument::Counter],
        matches,
    };
    let increments = Sli::Increments {
        total: jobs(Vec::new()),
        part: jobs(vec![rule("error.type")]),
        at_most: None,
        side: Side::Bad,
    };
    let records = Sli::Records {
        selector: vec![rule("job")],
        part: vec![rule("error.type")],
        side: Side::Bad,
    };
    let slos = [("points", increments), ("records", records)].map(|(name, sli)| {
        let mut slo = Slo::implicit(&shop.identity.service);
        slo.implicit = false;
        slo.id = Slo::id_of(slo.service_id, name);
        slo.sli = sli;
        (slo.id, slo)
    });
    Input::Definitions(DefinitionsLoaded {
        definitions: Some(Arc::new(Definitions {
            slos: slos.into(),
            ..Definitions::default()
        })),
        problems: Vec::new(),
    })
}

/// Scenario: points of more streams than there is room for, each sent twice; records dated in the future.
/// Guarantees: what became of them is said, signal by signal, with the mend of that signal.
#[test]
fn points_and_records_have_their_findings_too() {
    let shop = whole("v1");
    let mut engine = engine_with(FolderLimits {
        streams_per_shard: 1,
        ..FolderLimits::default()
    });
    engine.apply(START, measured(&shop), &mut Vec::new());
    let jobs = metric("jobs", Instrument::Counter, Temporality::Delta);
    let snapshot = run(&mut engine, 3, |id, now| vec![request(&shop, id, now, 0)]);
    assert_eq!(codes(&snapshot), BTreeSet::new());
    let now = START.plus(3 * NANOS_PER_SEC);
    let point = |stream: i64| {
        let times = (now.0 - NANOS_PER_SEC, now.0);
        PointRow::new(&shop, &jobs, times, PointValue::Int(1)).with("job", stream)
    };
    let sent: Vec<PointRow> = (0..200).map(point).collect();
    for _ in 0..2 {
        engine.fold(Arc::new(Batch::Metrics(points(SEED, now, &sent))));
    }
    let mut ahead = LogRow::new(&shop, 1, now.0 + 120 * NANOS_PER_SEC).with("job", 1);
    ahead.anomalies = crate::anomaly::FUTURE;
    engine.fold(Arc::new(Batch::Logs(records(SEED, now, &[ahead]))));
    let snapshot = engine.tick(now, &mut Vec::new());
    assert_eq!(codes(&snapshot), ["DROPPED", "DUPLICATES", "FUTURE"].into());
    let reports = examine(&snapshot, &Endpoints::default());
    let of_shop = reports
        .iter()
        .filter(|report| report.service.name == "shop");
    let findings = of_shop.flat_map(|report| &report.findings);
    for finding in findings {
        let (items, mend) = match finding.code {
            "DROPPED" => (
                " points of shop (market, production) were accepted",
                "keep_keys",
            ),
            "DUPLICATES" => (
                " points of shop (market, production) came before",
                "Collector",
            ),
            _ => ("1 records of shop (market, production) are dated", "ntp"),
        };
        assert!(finding.message.contains(items), "{finding:?}");
        assert!(finding.fix.contains(mend), "{finding:?}");
    }
}
