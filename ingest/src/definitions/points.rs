//! Metric points as a metric source: `metricSource: {type: tidegate-metrics, spec: {metric, instrument, match, le}}`.
//!
//! | field | value | default |
//! |---|---|---|
//! | `metric` | its name, as sent | in `good` and `bad`: that of `total` |
//! | `instrument` | its type, or a list of types | in `good` and `bad` of the same metric: that of `total` |
//! | `match` | attribute: pattern or list of patterns; all attributes must hold | every point |
//! | `le` | only in `good`, only of histograms: events up to this value, in the metric's unit | all events |
//!
//! In a ratio increments are events: of counters, and the counts of histograms. `good` and `bad` of the same metric
//! inherit the `match` of `total`. A `thresholdMetric` of a gauge makes every point an event, good when it compares to
//! the objective's `value` as its `op` says; of a histogram its events, good up to the `value`.
//! Points of another type than declared are not counted: the SLO says TYPE_MISMATCH until the declared type arrives.

use super::reader::{Field, nearest};
use super::sli::read_matches;
use super::values;
use engine::metric::Instrument;
use engine::slo::{AttributeMatch, Decimal, PointSelector, Side, Sli};

const ALL: [Instrument; 6] = [
    Instrument::Counter,
    Instrument::Histogram,
    Instrument::ExponentialHistogram,
    Instrument::Gauge,
    Instrument::UpDownCounter,
    Instrument::Summary,
];

/// A point source as written.
pub(super) struct PointSource<'a> {
    field: Field<'a>,
    metric: Option<String>,
    instruments: Option<(Field<'a>, Vec<Instrument>)>,
    matches: Vec<AttributeMatch>,
    le: Option<(Field<'a>, Decimal)>,
}

const fn is_histogram(instrument: Instrument) -> bool {
    matches!(
        instrument,
        Instrument::Histogram | Instrument::ExponentialHistogram
    )
}

impl<'a> PointSource<'a> {
    pub(super) fn read(spec: &Field<'a>) -> Option<Self> {
        let mut fields = spec.map()?;
        let metric = fields.get("metric");
        let instrument = fields.get("instrument");
        let matches = fields.get("match");
        let le = fields.get("le");
        fields.finish(true);
        let metric = match metric {
            Some(field) => Some(field.name()?.to_owned()),
            None => None,
        };
        let instruments = match instrument {
            Some(field) => Some((field.clone(), read_instruments(&field)?)),
            None => None,
        };
        let le = match le {
            Some(field) => Some((field.clone(), read_le(&field)?)),
            None => None,
        };
        Some(Self {
            field: spec.clone(),
            metric,
            instruments,
            matches: matches.map_or(Some(Vec::new()), |matches| read_matches(&matches.map()?))?,
            le,
        })
    }

    /// Metric and types, which must be there.
    fn need(&self) -> Option<(String, Field<'a>, Vec<Instrument>)> {
        if self.metric.is_none() {
            self.field.error(
                "expected `metric`: the name of a metric as it is sent, got none",
                "",
            );
        }
        if self.instruments.is_none() {
            self.field.error(
                format!("expected `instrument`: {}, got none", names(&ALL)),
                "points of another type are not counted, and the SLO says so",
            );
        }
        let (field, instruments) = self.instruments.clone()?;
        Some((self.metric.clone()?, field, instruments))
    }

    /// What a thresholdMetric measures: points of gauges or events of histograms.
    pub(super) fn into_threshold(self) -> Option<PointSelector> {
        let (metric, at, instruments) = self.need()?;
        if let Some((le, _)) = &self.le {
            le.error(
                "expected no `le` in a thresholdMetric, got one",
                "write it as the `value` of the objective",
            );
            return None;
        }
        let are_histograms = instruments.iter().all(|one| is_histogram(*one));
        let are_gauges = instruments == [Instrument::Gauge];
        if !are_histograms && !are_gauges {
            let hint = if instruments.contains(&Instrument::Counter) {
                "a counter has no values to compare: use `ratioMetric`"
            } else {
                ""
            };
            at.error(
                format!(
                    "expected `gauge`, or `histogram` and `exponential_histogram`, in a thresholdMetric, got {}",
                    names(&instruments)
                ),
                hint,
            );
            return None;
        }
        Some(PointSelector {
            metric,
            instruments,
            matches: self.matches,
        })
    }

    /// The ratio of `part` to all of `self`.
    pub(super) fn into_ratio(self, part: Self, side: Side) -> Option<Sli> {
        let total = self.need();
        if let Some((le, _)) = &self.le {
            le.error(
                "expected no `le` under `total`, got one",
                "move it to `good`",
            );
            return None;
        }
        let (metric, at, instruments) = total?;
        check_counted(&at, &instruments)?;
        let total = PointSelector {
            metric,
            instruments,
            matches: self.matches,
        };
        let at_most = part.le.as_ref().map(|(_, value)| *value);
        let selector = part.within(&total, side)?;
        if selector == total && at_most.is_none() {
            let word = side.name();
            part.field.error(
                format!(
                    "expected `{word}` to say which events of `total` are {word}, got no difference"
                ),
                "add a `match`, or another `metric`, or in `good` of a histogram an `le`",
            );
            return None;
        }
        Some(Sli::Increments {
            total,
            part: selector,
            at_most,
            side,
        })
    }

    /// The selector of `good` or `bad` beside `total`.
    fn within(&self, total: &PointSelector, side: Side) -> Option<PointSelector> {
        let is_same = self
            .metric
            .as_ref()
            .is_none_or(|name| *name == total.metric);
        let instruments = match &self.instruments {
            Some((at, instruments)) => {
                check_counted(at, instruments)?;
                instruments.clone()
            }
            None if is_same => total.instruments.clone(),
            None => self.need()?.2,
        };
        if let Some((le, _)) = &self.le {
            check_le(le, &instruments, side)?;
        }
        let mut matches = self.matches.clone();
        if is_same {
            let missing = |one: &&AttributeMatch| !self.matches.contains(one);
            matches.extend(total.matches.iter().filter(missing).cloned());
            matches.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let metric = self.metric.clone();
        Some(PointSelector {
            metric: metric.unwrap_or_else(|| total.metric.clone()),
            instruments,
            matches,
        })
    }
}

fn check_le(le: &Field<'_>, instruments: &[Instrument], side: Side) -> Option<()> {
    if side == Side::Bad {
        le.error(
            "expected `le` in `good`, got it in `bad`: events up to it would be the bad ones",
            "say `good` with this `le`",
        );
        return None;
    }
    if !instruments.iter().all(|one| is_histogram(*one)) {
        le.error(
            format!(
                "expected `le` only of `histogram` and `exponential_histogram`, got it of {}",
                names(instruments)
            ),
            "",
        );
        return None;
    }
    Some(())
}

/// Whether increments of these types are events.
fn check_counted(at: &Field<'_>, instruments: &[Instrument]) -> Option<()> {
    let is_wrong = |one: &&Instrument| !is_histogram(**one) && **one != Instrument::Counter;
    let Some(wrong) = instruments.iter().find(is_wrong) else {
        return Some(());
    };
    let (why, hint) = match wrong {
        Instrument::Gauge => (
            "the value of a gauge is no count of events",
            "use `thresholdMetric`: its points are good or bad by `op` and `value`",
        ),
        Instrument::Summary => (
            "a summary holds quantiles, not events",
            "send a histogram instead",
        ),
        _ => ("a sum that may fall is no count of events", ""),
    };
    at.error(
        format!(
            "expected `counter`, `histogram` or `exponential_histogram` in a ratio, got `{}`: {why}",
            wrong.name()
        ),
        hint,
    );
    None
}

/// `a, b or c`.
fn names(instruments: &[Instrument]) -> String {
    let names: Vec<String> = instruments
        .iter()
        .map(|one| format!("`{}`", one.name()))
        .collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "none".to_owned(),
    }
}

fn read_instruments(field: &Field<'_>) -> Option<Vec<Instrument>> {
    let items = match field.node.value {
        super::yaml::Value::List(_) => field.list()?,
        _ => vec![field.clone()],
    };
    let mut instruments = Vec::new();
    for item in &items {
        let text = item.text()?;
        let Some(found) = ALL.into_iter().find(|one| one.name() == text) else {
            let near = nearest(text, &ALL.map(Instrument::name));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            item.expected(&names(&ALL), hint.unwrap_or_default());
            return None;
        };
        instruments.push(found);
    }
    if instruments.is_empty() {
        field.expected(&names(&ALL), "");
        return None;
    }
    instruments.sort_unstable();
    instruments.dedup();
    Some(instruments)
}

fn read_le(field: &Field<'_>) -> Option<Decimal> {
    let value = values::number(field)?;
    if value.value() > 0.0 {
        return Some(value);
    }
    field.expected("a number above 0, in the metric's own unit", "");
    None
}
