//! The messages of an OTLP trace request: field numbers and wire types, and a check that bytes follow them.
//!
//! Problem: the fast path reads the usual layout of the usual fields; everything else (resources, nested values,
//! attributes of events and links, rejected spans, and the place of an error) needs a walker that knows every field.
//! What we do: one table, written from `opentelemetry-proto` 1.11, and one recursive check over it. It defines what
//! "malformed" means; the fast path must agree with it, and both with `prost` (see `tests/decode`).

use super::error::{Problem, Stop};
use super::wire::{BYTES, FIXED32, FIXED64, VARINT, Wire};

/// What a field holds.
pub(super) enum Holds {
    Varint,
    Fixed32,
    Fixed64,
    Bytes,
    Text,
    Message(&'static Message),
}

pub(super) struct Field {
    number: u32,
    name: &'static str,
    holds: Holds,
    repeated: bool,
}

/// One message type.
pub(super) struct Message {
    fields: &'static [Field],
}

const fn one(number: u32, name: &'static str, holds: Holds) -> Field {
    Field {
        number,
        name,
        holds,
        repeated: false,
    }
}

const fn many(number: u32, name: &'static str, holds: Holds) -> Field {
    Field {
        number,
        name,
        holds,
        repeated: true,
    }
}

/// `ExportTraceServiceRequest`.
pub(super) static REQUEST: Message = Message {
    fields: &[many(1, "resource_spans", Holds::Message(&RESOURCE_SPANS))],
};

static RESOURCE_SPANS: Message = Message {
    fields: &[
        one(1, "resource", Holds::Message(&RESOURCE)),
        many(2, "scope_spans", Holds::Message(&SCOPE_SPANS)),
        one(3, "schema_url", Holds::Text),
    ],
};

/// `Resource`.
pub(super) static RESOURCE: Message = Message {
    fields: &[
        many(1, "attributes", Holds::Message(&KEY_VALUE)),
        one(2, "dropped_attributes_count", Holds::Varint),
        many(3, "entity_refs", Holds::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    fields: &[
        one(1, "schema_url", Holds::Text),
        one(2, "type", Holds::Text),
        many(3, "id_keys", Holds::Text),
        many(4, "description_keys", Holds::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    fields: &[
        one(1, "scope", Holds::Message(&SCOPE)),
        many(2, "spans", Holds::Message(&SPAN)),
        one(3, "schema_url", Holds::Text),
    ],
};

/// `InstrumentationScope`.
pub(super) static SCOPE: Message = Message {
    fields: &[
        one(1, "name", Holds::Text),
        one(2, "version", Holds::Text),
        many(3, "attributes", Holds::Message(&KEY_VALUE)),
        one(4, "dropped_attributes_count", Holds::Varint),
    ],
};

/// `Span`.
pub(super) static SPAN: Message = Message {
    fields: &[
        one(1, "trace_id", Holds::Bytes),
        one(2, "span_id", Holds::Bytes),
        one(3, "trace_state", Holds::Text),
        one(4, "parent_span_id", Holds::Bytes),
        one(5, "name", Holds::Text),
        one(6, "kind", Holds::Varint),
        one(7, "start_time_unix_nano", Holds::Fixed64),
        one(8, "end_time_unix_nano", Holds::Fixed64),
        many(9, "attributes", Holds::Message(&KEY_VALUE)),
        one(10, "dropped_attributes_count", Holds::Varint),
        many(11, "events", Holds::Message(&EVENT)),
        one(12, "dropped_events_count", Holds::Varint),
        many(13, "links", Holds::Message(&LINK)),
        one(14, "dropped_links_count", Holds::Varint),
        one(15, "status", Holds::Message(&STATUS)),
        one(16, "flags", Holds::Fixed32),
    ],
};

/// `Span.Event`.
pub(super) static EVENT: Message = Message {
    fields: &[
        one(1, "time_unix_nano", Holds::Fixed64),
        one(2, "name", Holds::Text),
        many(3, "attributes", Holds::Message(&KEY_VALUE)),
        one(4, "dropped_attributes_count", Holds::Varint),
    ],
};

/// `Span.Link`.
pub(super) static LINK: Message = Message {
    fields: &[
        one(1, "trace_id", Holds::Bytes),
        one(2, "span_id", Holds::Bytes),
        one(3, "trace_state", Holds::Text),
        many(4, "attributes", Holds::Message(&KEY_VALUE)),
        one(5, "dropped_attributes_count", Holds::Varint),
        one(6, "flags", Holds::Fixed32),
    ],
};

/// `Status`.
pub(super) static STATUS: Message = Message {
    fields: &[
        one(2, "message", Holds::Text),
        one(3, "code", Holds::Varint),
    ],
};

/// `KeyValue`.
pub(super) static KEY_VALUE: Message = Message {
    fields: &[
        one(1, "key", Holds::Text),
        one(2, "value", Holds::Message(&ANY_VALUE)),
        one(3, "key_strindex", Holds::Varint),
    ],
};

/// `AnyValue`.
pub(super) static ANY_VALUE: Message = Message {
    fields: &[
        one(1, "string_value", Holds::Text),
        one(2, "bool_value", Holds::Varint),
        one(3, "int_value", Holds::Varint),
        one(4, "double_value", Holds::Fixed64),
        one(5, "array_value", Holds::Message(&ARRAY_VALUE)),
        one(6, "kvlist_value", Holds::Message(&KEY_VALUE_LIST)),
        one(7, "bytes_value", Holds::Bytes),
        one(8, "string_value_strindex", Holds::Varint),
    ],
};

static ARRAY_VALUE: Message = Message {
    fields: &[many(1, "values", Holds::Message(&ANY_VALUE))],
};

static KEY_VALUE_LIST: Message = Message {
    fields: &[many(1, "values", Holds::Message(&KEY_VALUE))],
};

/// Checks messages against the table, within an item budget, and remembers where the first fault was.
pub(super) struct Check {
    /// Items that may still come.
    pub(super) items_left: u64,
    /// Deepest nesting allowed; the request itself is at depth 0.
    pub(super) depth_max: u32,
    /// Fields from the fault outwards.
    path: Vec<(&'static str, Option<usize>)>,
    /// Address of the byte the fault was found at.
    address: usize,
}

impl Check {
    pub(super) fn new(items_left: u64, depth_max: u32) -> Self {
        Self {
            items_left,
            depth_max,
            path: Vec::new(),
            address: 0,
        }
    }

    /// Spends `count` items of the budget.
    #[inline(always)]
    pub(super) fn spend(&mut self, count: u64) -> Result<(), Stop> {
        match self.items_left.checked_sub(count) {
            Some(left) => {
                self.items_left = left;
                Ok(())
            }
            None => Err(Stop::TooManyItems),
        }
    }

    /// Whether `bytes` are a valid `message` at `depth`. Every repeated or unknown field is one item.
    pub(super) fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        if depth > self.depth_max {
            self.address = bytes.as_ptr() as usize;
            return Err(Problem::TooDeep.into());
        }
        let mut wire = Wire::new(bytes);
        loop {
            let at = wire.rest();
            let found = match wire.next_key() {
                Ok(None) => return Ok(()),
                Ok(Some(key)) => message
                    .fields
                    .iter()
                    .find(|field| field.number == key >> 3)
                    .map(|field| (key, field))
                    .ok_or(key),
                Err(stop) => {
                    self.address = at.as_ptr() as usize;
                    return Err(stop);
                }
            };
            let (result, field) = match found {
                Ok((key, field)) => (self.field(field, key, &mut wire, at, depth), Some(field)),
                Err(key) => (self.unknown(key, &mut wire, at, depth), None),
            };
            if let Err(stop) = result {
                self.leave(field, bytes, at);
                return Err(stop);
            }
        }
    }

    fn unknown(
        &mut self,
        key: u32,
        wire: &mut Wire<'_>,
        at: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        self.address = at.as_ptr() as usize;
        self.spend(1)?;
        wire.skip(key, depth, self.depth_max)
    }

    fn field(
        &mut self,
        field: &'static Field,
        key: u32,
        wire: &mut Wire<'_>,
        at: &[u8],
        depth: u32,
    ) -> Result<(), Stop> {
        self.address = at.as_ptr() as usize;
        if field.repeated {
            self.spend(1)?;
        }
        match (&field.holds, key & 7) {
            (Holds::Varint, VARINT) => wire.varint().map(drop),
            (Holds::Fixed32, FIXED32) => wire.fixed32().map(drop),
            (Holds::Fixed64, FIXED64) => wire.fixed64().map(drop),
            (Holds::Bytes, BYTES) => wire.bytes().map(drop),
            (Holds::Text, BYTES) => text(wire.bytes()?).map(drop),
            (Holds::Message(message), BYTES) => self.message(message, wire.bytes()?, depth + 1),
            _ => Err(Problem::WrongWireType.into()),
        }
    }

    /// Notes, on the way out of a fault, which field of `bytes` it was in; `at` is where that field starts.
    #[cold]
    fn leave(&mut self, field: Option<&'static Field>, bytes: &[u8], at: &[u8]) {
        let Some(field) = field else { return };
        let before = &bytes[..bytes.len() - at.len()];
        let index = field
            .repeated
            .then(|| occurrences(before, field.number, self.depth_max));
        self.path.push((field.name, index));
    }

    /// The place of the first fault in `body`: field path and byte offset.
    pub(super) fn place(&self, body: &[u8]) -> (String, usize) {
        let path: Vec<String> = self
            .path
            .iter()
            .rev()
            .map(|(name, index)| match index {
                Some(index) => format!("{name}[{index}]"),
                None => (*name).to_owned(),
            })
            .collect();
        let offset = self.address.saturating_sub(body.as_ptr() as usize);
        (path.join("."), offset.min(body.len()))
    }
}

/// How often field `number` occurs in `bytes`, which were read without a fault.
fn occurrences(bytes: &[u8], number: u32, depth_max: u32) -> usize {
    let mut wire = Wire::new(bytes);
    let mut count = 0;
    while let Ok(Some(key)) = wire.next_key() {
        count += usize::from(key >> 3 == number);
        if wire.skip(key, 0, depth_max).is_err() {
            break;
        }
    }
    count
}

/// `bytes` as text.
#[inline(always)]
pub(super) fn text(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|_| Problem::InvalidUtf8.into())
}
