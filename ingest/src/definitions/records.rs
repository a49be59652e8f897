//! Log records as a metric source: `metricSource: {type: tidegate-logs, spec: {match}}`.
//!
//! Every record that all of `match` holds for is an event. Keys are attributes, `resource.x`, or the record's own
//! fields: `body`, `severity_text`, `severity_number`, `event_name`. `total` says which records are events; `good` or
//! `bad` adds what makes them so.

use super::reader::Field;
use super::sli::read_matches;
use engine::slo::{AttributeMatch, Side, Sli};

/// A record source as written.
pub(super) struct RecordSource<'a> {
    pub(super) field: Field<'a>,
    matches: Vec<AttributeMatch>,
}

impl<'a> RecordSource<'a> {
    pub(super) fn read(spec: &Field<'a>) -> Option<Self> {
        let mut fields = spec.map()?;
        let matches = fields.get("match");
        fields.finish(true);
        Some(Self {
            field: spec.clone(),
            matches: matches.map_or(Some(Vec::new()), |matches| read_matches(&matches.map()?))?,
        })
    }

    /// The ratio of `part` to all of `self`.
    pub(super) fn into_ratio(self, part: Self, side: Side) -> Option<Sli> {
        let is_extra = |one: &AttributeMatch| !self.matches.contains(one);
        let extra: Vec<AttributeMatch> = part.matches.into_iter().filter(is_extra).collect();
        if extra.is_empty() {
            let word = side.name();
            part.field.error(
                format!("expected `{word}` to say which records of `total` are {word}, got no difference"),
                "add a `match`, such as `{severity_text: [ERROR, FATAL]}`",
            );
            return None;
        }
        Some(Sli::Records {
            selector: self.matches,
            part: extra,
            side,
        })
    }
}
