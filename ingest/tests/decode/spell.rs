//! The same request as OTLP/JSON, in a legal spelling of a seeded dice: order, case, numbers as text, `null`, defaults
//! written out or left out, members that nobody knows, escapes, white space.
//!
//! Written message by message against the specification, not derived from the decoder's table: it is the oracle.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

mod points;

/// What a member of an object is.
enum Member {
    /// Must be written.
    Set(String),
    /// Has its default value: may be written, left out, or `null`.
    Default(String),
    /// Is not there: may be `null`.
    Absent,
}

/// The dice (SplitMix64).
pub(crate) struct Speller(pub(crate) u64);

impl Speller {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % sides
    }

    fn space(&mut self) -> &'static str {
        ["", "", "", "", " ", "\n\t", "\r\n"][self.roll(7) as usize]
    }

    fn object(&mut self, members: Vec<(&str, Member)>) -> String {
        let mut written = Vec::new();
        for (name, member) in members {
            let value = match (member, self.roll(4)) {
                (Member::Set(value), _) | (Member::Default(value), 0) => value,
                (Member::Default(_) | Member::Absent, 1) => "null".to_owned(),
                (Member::Default(_) | Member::Absent, _) => continue,
            };
            written.push(format!(
                "\"{name}\"{}:{}{value}",
                self.space(),
                self.space()
            ));
        }
        if self.roll(6) == 0 {
            written.push(self.unknown());
        }
        // Senders keep an order of their own; some sort, few shuffle.
        if self.roll(4) == 0 {
            for index in (1..written.len()).rev() {
                written.swap(index, self.roll(index as u64 + 1) as usize);
            }
        }
        let separator = format!("{},{}", self.space(), self.space());
        format!(
            "{{{}{}{}}}",
            self.space(),
            written.join(&separator),
            self.space()
        )
    }

    fn unknown(&mut self) -> String {
        let name = [
            "trace_id",
            "Name",
            "spans_",
            "resource_spans",
            "",
            "\\u0000",
            "as_int",
        ];
        let value = [
            "1",
            "null",
            "\"x\"",
            "{\"a\":[{},[],1e99]}",
            "[null]",
            "-0.5E-7",
        ];
        let (name, value) = (name[self.roll(7) as usize], value[self.roll(6) as usize]);
        format!("\"{name}\":{value}")
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T) -> String) -> Member {
        let written: Vec<String> = items.iter().map(|one| item(self, one)).collect();
        let text = format!("[{}{}]", self.space(), written.join(","));
        match items.is_empty() {
            true => Member::Default(text),
            false => Member::Set(text),
        }
    }

    fn optional<T>(&mut self, item: &Option<T>, write: fn(&mut Self, &T) -> String) -> Member {
        match item {
            Some(item) => Member::Set(write(self, item)),
            None => Member::Absent,
        }
    }

    fn integer(&mut self, value: i128) -> String {
        match self.roll(8) {
            0..=2 => value.to_string(),
            3..=4 => format!("\"{value}\""),
            5 => format!("{value}.0"),
            6 => format!("\"{value}e0\""),
            _ if value % 1_000 == 0 => format!("{}E+3", value / 1_000),
            _ => format!("{value}0e-1"),
        }
    }

    fn int(&mut self, value: impl Into<i128>) -> Member {
        let value = value.into();
        let text = self.integer(value);
        match value {
            0 => Member::Default(text),
            _ => Member::Set(text),
        }
    }

    fn double(&mut self, value: f64) -> String {
        if value.is_nan() {
            return "\"NaN\"".to_owned();
        }
        if value.is_infinite() {
            let text = ["\"Infinity\"", "1e999"][self.roll(2) as usize];
            return match value > 0.0 {
                true => text.to_owned(),
                false => text.replace('I', "-I").replace('1', "-1"),
            };
        }
        match self.roll(3) {
            0 => format!("\"{value:?}\""),
            1 => format!("{value:e}"),
            _ => format!("{value:?}"),
        }
    }

    fn string(&mut self, text: &str) -> String {
        let mut out = "\"".to_owned();
        for character in text.chars() {
            let must = character < ' ' || matches!(character, '"' | '\\');
            if must || self.roll(12) == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&match self.roll(2) {
                        0 => format!("\\u{unit:04x}"),
                        _ => format!("\\u{unit:04X}"),
                    });
                }
            } else {
                out.push(character);
            }
        }
        out + "\""
    }

    fn text(&mut self, text: &str) -> Member {
        let written = self.string(text);
        match text {
            "" => Member::Default(written),
            _ => Member::Set(written),
        }
    }

    fn id(&mut self, bytes: &[u8]) -> Member {
        let digits = bytes.iter().map(|byte| match self.roll(2) {
            0 => format!("{byte:02x}"),
            _ => format!("{byte:02X}"),
        });
        let written = format!("\"{}\"", digits.collect::<String>());
        match bytes {
            [] => Member::Default(written),
            _ => Member::Set(written),
        }
    }

    fn base64(&mut self, bytes: &[u8]) -> String {
        let alphabet = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        format!("\"{}\"", alphabet[self.roll(4) as usize].encode(bytes))
    }

    fn any_value(&mut self, any: &AnyValue) -> String {
        let (name, value) = match &any.value {
            None => return self.object(vec![]),
            Some(Value::StringValue(text)) => ("stringValue", self.string(text)),
            Some(Value::BoolValue(truth)) => ("boolValue", truth.to_string()),
            Some(Value::IntValue(int)) => ("intValue", self.integer(i128::from(*int))),
            Some(Value::DoubleValue(double)) => ("doubleValue", self.double(*double)),
            Some(Value::BytesValue(bytes)) => ("bytesValue", self.base64(bytes)),
            Some(Value::StringValueStrindex(index)) => {
                ("stringValueStrindex", self.integer(i128::from(*index)))
            }
            Some(Value::ArrayValue(list)) => {
                let values = self.list(&list.values, Self::any_value);
                ("arrayValue", self.object(vec![("values", values)]))
            }
            Some(Value::KvlistValue(list)) => {
                let values = self.list(&list.values, Self::key_value);
                ("kvlistValue", self.object(vec![("values", values)]))
            }
        };
        self.object(vec![(name, Member::Set(value))])
    }

    fn key_value(&mut self, pair: &KeyValue) -> String {
        let members = vec![
            ("key", self.text(&pair.key)),
            ("value", self.optional(&pair.value, Self::any_value)),
            ("keyStrindex", self.int(pair.key_strindex)),
        ];
        self.object(members)
    }

    fn attributes(&mut self, attributes: &[KeyValue]) -> Member {
        self.list(attributes, Self::key_value)
    }

    fn resource(&mut self, resource: &Resource) -> String {
        let members = vec![
            ("attributes", self.attributes(&resource.attributes)),
            (
                "droppedAttributesCount",
                self.int(resource.dropped_attributes_count),
            ),
            ("entityRefs", self.list(&resource.entity_refs, Self::entity)),
        ];
        self.object(members)
    }

    fn entity(&mut self, entity: &EntityRef) -> String {
        let strings = |speller: &mut Self, list: &[String]| {
            speller.list(list, |speller, text: &String| speller.string(text))
        };
        let members = vec![
            ("schemaUrl", self.text(&entity.schema_url)),
            ("type", self.text(&entity.r#type)),
            ("idKeys", strings(self, &entity.id_keys)),
            ("descriptionKeys", strings(self, &entity.description_keys)),
        ];
        self.object(members)
    }

    fn scope(&mut self, scope: &InstrumentationScope) -> String {
        let members = vec![
            ("name", self.text(&scope.name)),
            ("version", self.text(&scope.version)),
            ("attributes", self.attributes(&scope.attributes)),
            (
                "droppedAttributesCount",
                self.int(scope.dropped_attributes_count),
            ),
        ];
        self.object(members)
    }

    /// An `ExportTraceServiceRequest`.
    pub(crate) fn traces(&mut self, request: &ExportTraceServiceRequest) -> String {
        let members = vec![(
            "resourceSpans",
            self.list(&request.resource_spans, Self::resource_spans),
        )];
        self.object(members)
    }

    fn resource_spans(&mut self, spans: &ResourceSpans) -> String {
        let members = vec![
            ("resource", self.optional(&spans.resource, Self::resource)),
            (
                "scopeSpans",
                self.list(&spans.scope_spans, Self::scope_spans),
            ),
            ("schemaUrl", self.text(&spans.schema_url)),
        ];
        self.object(members)
    }

    fn scope_spans(&mut self, spans: &ScopeSpans) -> String {
        let members = vec![
            ("scope", self.optional(&spans.scope, Self::scope)),
            ("spans", self.list(&spans.spans, Self::span)),
            ("schemaUrl", self.text(&spans.schema_url)),
        ];
        self.object(members)
    }

    fn span(&mut self, span: &Span) -> String {
        let members = vec![
            ("traceId", self.id(&span.trace_id)),
            ("spanId", self.id(&span.span_id)),
            ("parentSpanId", self.id(&span.parent_span_id)),
            ("traceState", self.text(&span.trace_state)),
            ("name", self.text(&span.name)),
            ("kind", self.int(span.kind)),
            ("flags", self.int(span.flags)),
            ("startTimeUnixNano", self.int(span.start_time_unix_nano)),
            ("endTimeUnixNano", self.int(span.end_time_unix_nano)),
            ("attributes", self.attributes(&span.attributes)),
            (
                "droppedAttributesCount",
                self.int(span.dropped_attributes_count),
            ),
            ("events", self.list(&span.events, Self::event)),
            ("droppedEventsCount", self.int(span.dropped_events_count)),
            ("links", self.list(&span.links, Self::link)),
            ("droppedLinksCount", self.int(span.dropped_links_count)),
            ("status", self.optional(&span.status, Self::status)),
        ];
        self.object(members)
    }

    fn event(&mut self, event: &Event) -> String {
        let members = vec![
            ("timeUnixNano", self.int(event.time_unix_nano)),
            ("name", self.text(&event.name)),
            ("attributes", self.attributes(&event.attributes)),
            (
                "droppedAttributesCount",
                self.int(event.dropped_attributes_count),
            ),
        ];
        self.object(members)
    }

    fn link(&mut self, link: &Link) -> String {
        let members = vec![
            ("traceId", self.id(&link.trace_id)),
            ("spanId", self.id(&link.span_id)),
            ("traceState", self.text(&link.trace_state)),
            ("attributes", self.attributes(&link.attributes)),
            (
                "droppedAttributesCount",
                self.int(link.dropped_attributes_count),
            ),
            ("flags", self.int(link.flags)),
        ];
        self.object(members)
    }

    fn status(&mut self, status: &Status) -> String {
        let members = vec![
            ("message", self.text(&status.message)),
            ("code", self.int(status.code)),
        ];
        self.object(members)
    }
}
