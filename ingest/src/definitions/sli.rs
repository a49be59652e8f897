//! OpenSLO indicators to [`Sli`]: which items are events, and which of them are bad.
//!
//! What is measured is said by the type of the metric source: spans (here), metric points (`points`) or log
//! records (`records`); `good` or `bad` and `total` are of the same type. A span source is `metricSource: {type: tidegate-spans, spec: {kind, match, failed}}`:
//!
//! | field | value | default |
//! |---|---|---|
//! | `kind` | `server`, `client`, `consumer`, `producer`, `internal`, or a list | the service's entry spans: server and consumer |
//! | `match` | attribute: pattern or list of patterns (any of them); all attributes must hold | every span |
//! | `failed` | `default` (the rule table for HTTP, gRPC and span status), or a map like `match` | |
//!
//! `name` is the span name, `resource.x` the resource's `x`, `*` any run of characters, and a pattern (in quotes) that
//! starts with `!` means "not this". In a ratio, `total` says which spans are events; `bad` (or `good`) adds what
//! makes them bad (or good), either by more `match` entries or by `failed`.

use super::openslo::Objects;
use super::points::PointSource;
use super::reader::{Field, Fields, nearest};
use super::records::RecordSource;
use engine::slo::{AttributeMatch, FailedRule, PointSelector, Side, Sli, SpanSelector};
use engine::span::kind;

/// Source types.
pub const SPANS: &str = "tidegate-spans";
/// See `points`.
pub const METRICS: &str = "tidegate-metrics";
/// See `records`.
pub const LOGS: &str = "tidegate-logs";
/// Most attributes in one `match`, and most patterns for one attribute.
const MATCHES_MAX: usize = 64;

/// An indicator before its objective is known: a threshold metric lacks its threshold.
#[derive(Debug, Clone)]
pub enum Indicator {
    /// A ratio, complete.
    Ratio(Sli),
    /// A latency; the objective's `op` and `value` say how long is good.
    Latency(SpanSelector),
    /// A metric; the objective's `op` and `value` say which values are good.
    Points(PointSelector),
}

impl Indicator {
    /// Reads the `spec` of an SLI object or of an inline indicator.
    pub fn read(spec: &Field<'_>, objects: &Objects<'_>) -> Option<Self> {
        let mut fields = spec.map()?;
        let ratio = fields.get("ratioMetric");
        let threshold = fields.get("thresholdMetric");
        fields.get("description");
        fields.finish(false);
        match (ratio, threshold) {
            (Some(ratio), None) => read_ratio(&ratio, objects).map(Self::Ratio),
            (None, Some(threshold)) => read_threshold(&threshold, objects),
            (Some(_), Some(threshold)) => {
                threshold.error(
                    "expected one of `ratioMetric` and `thresholdMetric`, got both",
                    "keep one",
                );
                None
            }
            (None, None) => {
                spec.error(
                    "expected `ratioMetric` or `thresholdMetric`, got neither",
                    "",
                );
                None
            }
        }
    }
}

fn read_threshold(field: &Field<'_>, objects: &Objects<'_>) -> Option<Indicator> {
    let mut fields = field.map()?;
    let source = fields.require("metricSource", "a metric source");
    fields.finish(false);
    match Source::read(&source?, objects)? {
        Source::Spans(source) => {
            if let Some((failed, _)) = source.failed {
                failed.error(
                    "expected no `failed` in a latency indicator, got one: slow spans are the bad ones",
                    "use `match` to choose which spans are measured",
                );
                return None;
            }
            Some(Indicator::Latency(source.selector()))
        }
        Source::Points(source) => source.into_threshold().map(Indicator::Points),
        Source::Records(source) => {
            source.field.error(
                "expected spans or metrics in a thresholdMetric, got log records: they are counted, not measured",
                "use `ratioMetric` with `total` and `bad`",
            );
            None
        }
    }
}

fn read_ratio(field: &Field<'_>, objects: &Objects<'_>) -> Option<Sli> {
    let mut fields = field.map()?;
    if let Some(counter) = fields.get("counter") {
        counter.boolean();
    }
    let (good, bad, total) = (fields.get("good"), fields.get("bad"), fields.get("total"));
    let raw = fields.get("raw");
    fields.get("rawType");
    if let Some(raw) = raw {
        raw.later(
            "raw ratios (`raw`, `rawType`)",
            "give `total` and `bad` instead",
        );
        fields.finish(false);
        return None;
    }
    let total = match total {
        Some(total) => Source::of_side(&total, objects),
        None => {
            fields.require("total", "a metric source of all events");
            None
        }
    };
    fields.finish(false);
    let (side, is_good) = match (good, bad) {
        (Some(good), None) => (good, true),
        (None, Some(bad)) => (bad, false),
        (Some(good), Some(_)) => {
            good.error(
                "expected one of `good` and `bad`, got both",
                "keep one: the other follows from `total`",
            );
            return None;
        }
        (None, None) => {
            field.error("expected `good` or `bad` beside `total`, got neither", "");
            return None;
        }
    };
    // Read before giving up on `total`, so that the problems of both are shown at once.
    let part = Source::of_side(&side, objects);
    let said = if is_good { Side::Good } else { Side::Bad };
    match (total?, part?) {
        (Source::Spans(total), Source::Spans(part)) => reduce(&total, &part, is_good),
        (Source::Points(total), Source::Points(part)) => total.into_ratio(part, said),
        (Source::Records(total), Source::Records(part)) => total.into_ratio(part, said),
        _ => {
            side.error(
                "expected the same type of metric source as in `total`, got another",
                "measure both from spans, both from metrics or both from logs",
            );
            None
        }
    }
}

/// `total`'s selector, and what `good` or `bad` adds to it, as one availability SLI.
fn reduce(total: &SpanSource<'_>, part: &SpanSource<'_>, is_good: bool) -> Option<Sli> {
    let side = if is_good { "good" } else { "bad" };
    if let Some((failed, _)) = &total.failed {
        failed.error(
            "expected no `failed` under `total`, got one",
            format!("move it to `{side}`"),
        );
        return None;
    }
    if part.kinds_given && part.kinds != total.kinds {
        part.field.error(
            format!("expected the same `kind` in `{side}` and `total`, got different ones"),
            format!("remove `kind` from `{side}`: it takes that of `total`"),
        );
        return None;
    }
    let extra: Vec<&AttributeMatch> = part
        .matches
        .iter()
        .filter(|one| !total.matches.contains(one))
        .collect();
    let failed = match (&part.failed, extra.as_slice()) {
        (Some((_, rule)), []) => rule.clone(),
        (Some((_, FailedRule::Attributes(rule))), extra) if !is_good => {
            FailedRule::Attributes(rule.iter().chain(extra.iter().copied()).cloned().collect())
        }
        (Some((field, _)), _) => {
            field.error(
                format!("expected either `failed` or more `match` entries than `total` in `{side}`, got both"),
                "keep one: a rule cannot be combined with conditions",
            );
            return None;
        }
        (None, []) => {
            part.field.error(
                format!(
                    "expected `{side}` to say which events of `total` are {side}, got no difference"
                ),
                if is_good {
                    "add `failed: default`: good are the spans that did not fail"
                } else {
                    "add `failed: default`"
                },
            );
            return None;
        }
        (None, [one]) if is_good => FailedRule::Attributes(vec![AttributeMatch {
            negated: !one.negated,
            ..(*one).clone()
        }]),
        (None, extra) if !is_good => {
            FailedRule::Attributes(extra.iter().copied().cloned().collect())
        }
        (None, _) => {
            part.field.error(
                "expected at most one `match` entry more than `total` in `good`, got several: their opposite is no list of conditions",
                "say what is `bad` instead",
            );
            return None;
        }
    };
    Some(Sli::Availability {
        selector: total.selector(),
        failed,
    })
}

/// A metric source as written.
enum Source<'a> {
    Spans(SpanSource<'a>),
    Points(PointSource<'a>),
    Records(RecordSource<'a>),
}

impl<'a> Source<'a> {
    /// Reads `good`, `bad` or `total`: a map that holds one `metricSource`.
    fn of_side(side: &Field<'a>, objects: &Objects<'a>) -> Option<Self> {
        let mut fields = side.map()?;
        let source = fields.require("metricSource", "a metric source");
        fields.finish(false);
        Self::read(&source?, objects)
    }

    fn read(field: &Field<'a>, objects: &Objects<'a>) -> Option<Self> {
        let mut fields = field.map()?;
        let kind = fields.get("type");
        let reference = fields.get("metricSourceRef");
        let spec = fields.require("spec", "a map that says what to measure");
        fields.finish(false);
        let named = reference.and_then(|reference| objects.data_source_type(&reference));
        let (at, name) = match kind {
            Some(kind) => (kind.clone(), kind.name()?),
            None => match named {
                Some(name) => (field.clone(), name),
                None => {
                    let what = format!("expected `type: {SPANS}`, got no `type`");
                    field.error(what, format!("or `{METRICS}`, or `{LOGS}`"));
                    return None;
                }
            },
        };
        match name {
            SPANS => SpanSource::read(&spec?).map(Self::Spans),
            METRICS => PointSource::read(&spec?).map(Self::Points),
            LOGS => RecordSource::read(&spec?).map(Self::Records),
            "Prometheus" | "prometheus" => {
                at.later(
                    &format!("PromQL (the metric source `{name}`)"),
                    format!(
                        "measure the requests themselves: `type: {SPANS}` with `spec: {{kind, match, failed}}`, or `{METRICS}`"
                    ),
                );
                None
            }
            other => {
                let shown = super::yaml::shorten(other);
                let known = [SPANS, METRICS, LOGS];
                let hint = match nearest(other, &known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write `type: {SPANS}`, `{METRICS}` or `{LOGS}`"),
                };
                at.later(
                    &format!("the metric source `{shown}`; today Tidegate measures what it receives itself: spans, metrics and logs"),
                    hint,
                );
                None
            }
        }
    }
}

/// A span source as written.
struct SpanSource<'a> {
    field: Field<'a>,
    kinds: Vec<u8>,
    kinds_given: bool,
    matches: Vec<AttributeMatch>,
    failed: Option<(Field<'a>, FailedRule)>,
}

impl<'a> SpanSource<'a> {
    fn selector(&self) -> SpanSelector {
        SpanSelector {
            kinds: self.kinds.clone(),
            matches: self.matches.clone(),
        }
    }

    fn read(spec: &Field<'a>) -> Option<Self> {
        let mut fields = spec.map()?;
        let kind = fields.get("kind");
        let matches = fields.get("match");
        let failed = fields.get("failed");
        fields.finish(true);
        let kinds_given = kind.is_some();
        let kinds = kind.map_or(Some(Vec::new()), |kind| read_kinds(&kind));
        let matches = matches.map_or(Some(Vec::new()), |matches| read_matches(&matches.map()?));
        let failed = match failed {
            Some(field) => Some((field.clone(), read_failed(&field)?)),
            None => None,
        };
        Some(Self {
            field: spec.clone(),
            kinds: kinds?,
            kinds_given,
            matches: matches?,
            failed,
        })
    }
}

fn read_failed(field: &Field<'_>) -> Option<FailedRule> {
    if let super::yaml::Value::Map(_) = field.node.value {
        let matches = read_matches(&field.map()?)?;
        if matches.is_empty() {
            field.error(
                "expected at least one condition, got an empty map",
                "or write `failed: default`",
            );
            return None;
        }
        return Some(FailedRule::Attributes(matches));
    }
    if let super::yaml::Value::Scalar { text, .. } = &field.node.value
        && text == "default"
    {
        return Some(FailedRule::Default);
    }
    field.expected("`default` or a map of attribute conditions", "");
    None
}

fn read_kinds(field: &Field<'_>) -> Option<Vec<u8>> {
    let items = match field.node.value {
        super::yaml::Value::List(_) => field.list()?,
        _ => vec![field.clone()],
    };
    let mut kinds: Vec<u8> = Vec::new();
    for item in &items {
        kinds.push(match item.text()?.to_ascii_lowercase().as_str() {
            "server" => kind::SERVER,
            "client" => kind::CLIENT,
            "producer" => kind::PRODUCER,
            "consumer" => kind::CONSUMER,
            "internal" => kind::INTERNAL,
            _ => {
                item.expected(
                    "a span kind: server, client, consumer, producer or internal",
                    "",
                );
                return None;
            }
        });
    }
    kinds.sort_unstable();
    kinds.dedup();
    Some(kinds)
}

/// The conditions of a `match` or `failed` map, sorted by key so that order in the file does not matter.
pub fn read_matches(fields: &Fields<'_>) -> Option<Vec<AttributeMatch>> {
    let entries = fields.all();
    if entries.len() > MATCHES_MAX {
        let got = entries.len();
        fields.of.error(
            format!("expected at most {MATCHES_MAX} attributes, got {got}"),
            "",
        );
        return None;
    }
    let read: Vec<Option<AttributeMatch>> = entries
        .iter()
        .map(|(key, field)| read_match(key, field))
        .collect();
    let mut matches: Vec<AttributeMatch> = read.into_iter().collect::<Option<_>>()?;
    matches.sort_by(|a, b| a.key.cmp(&b.key));
    Some(matches)
}

fn read_match(key: &str, field: &Field<'_>) -> Option<AttributeMatch> {
    if key.trim().is_empty() || key == "resource." {
        field.error("expected an attribute name, got an empty one", "");
        return None;
    }
    let items = match field.node.value {
        super::yaml::Value::List(_) => field.list()?,
        _ => vec![field.clone()],
    };
    if items.is_empty() || items.len() > MATCHES_MAX {
        let got = items.len();
        field.error(
            format!("expected 1 to {MATCHES_MAX} patterns, got {got}"),
            "",
        );
        return None;
    }
    let mut patterns = Vec::with_capacity(items.len());
    let mut negations = 0usize;
    for item in &items {
        let text = item.text()?;
        let pattern = text
            .strip_prefix('!')
            .inspect(|_| negations += 1)
            .unwrap_or(text);
        patterns.push(pattern.to_owned());
    }
    if negations != 0 && negations != items.len() {
        field.error(
            "expected all or none of the patterns to start with `!`, got a mix",
            "`[\"!a\", \"!b\"]` means neither a nor b",
        );
        return None;
    }
    patterns.sort();
    patterns.dedup();
    Some(AttributeMatch {
        key: key.to_owned(),
        any_of: patterns,
        negated: negations != 0,
    })
}
