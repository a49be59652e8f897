//! The raw peers of one batch: values are read once, rows are put together from small numbers.

use super::source::{Form, SLOTS, SOURCES, Slot, Source, authority};
use super::{CLAIM_BYTES_MAX, Claim, ClaimKind, PeerName, host_of};
use crate::delta::Connection;
use crate::hash::FixedMap;
use crate::identity::ServiceKey;
use crate::items::{AttributeColumn, ColumnData, Value, ValueTable};
use crate::span::{SpanBatch, kind};
use crate::trace::trace_flag;

/// Not looked at yet.
const UNREAD: u32 = u32::MAX;
/// Says nothing.
const NOTHING: u32 = 0;

/// Numbers of what is done with a message.
mod operation {
    pub(super) const CREATE: u32 = 1;
    pub(super) const OTHER: u32 = 2;
}

/// What one row says: numbers of the batch's texts by [`Slot`], 0 = nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Said {
    /// Index into the batch's resources: whose environment it is.
    resource: u16,
    /// Bits of [`trace_flag`].
    pub(crate) flags: u8,
    slots: [u32; SLOTS],
}

/// One column of the table that the batch has.
#[derive(Debug)]
struct Reader<'a> {
    source: Source,
    column: &'a AttributeColumn,
    /// By code.
    table: Vec<u32>,
    ports: Vec<(&'a AttributeColumn, Vec<u32>)>,
}

/// The raw peers of a batch.
#[derive(Debug)]
pub(crate) struct Callees<'a> {
    batch: &'a SpanBatch,
    readers: Vec<Reader<'a>>,
    texts: Texts,
    /// The caller's number of what was said before.
    known: FixedMap<Said, u32>,
    last: Option<(Said, u32)>,
    has_databases: bool,
}

/// Distinct texts under numbers from 1 on.
#[derive(Debug, Default)]
struct Texts {
    list: Vec<String>,
    index: FixedMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NOTHING;
        }
        if let Some(number) = self.index.get(text) {
            return *number;
        }
        self.list.push(text.to_owned());
        let number = self.list.len() as u32;
        self.index.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> Option<&str> {
        let at = (number as usize).checked_sub(1)?;
        self.list.get(at).map(String::as_str)
    }
}

impl<'a> Callees<'a> {
    /// Finds the columns that say something. O(table).
    pub(crate) fn new(batch: &'a SpanBatch) -> Self {
        let readers: Vec<Reader<'a>> = SOURCES
            .iter()
            .flat_map(|source| {
                let columns = batch.items.columns(source.key);
                columns.map(|column| Reader {
                    source: *source,
                    column,
                    table: unread(column),
                    ports: source.port.map_or_else(Vec::new, |key| {
                        let ports = batch.items.columns(key);
                        ports.map(|port| (port, unread(port))).collect()
                    }),
                })
            })
            .collect();
        let has_databases = readers
            .iter()
            .any(|reader| reader.source.slot == Slot::DatabaseSystem);
        Self {
            batch,
            readers,
            texts: Texts::default(),
            known: FixedMap::default(),
            last: None,
            has_databases,
        }
    }

    /// What `row` says of whom it calls; `None` when it is no call. A span of kind INTERNAL is one when it names a
    /// database.
    #[inline]
    pub(crate) fn said(&mut self, row: usize) -> Option<Said> {
        let is_call = match self.batch.kind[row] {
            kind::CLIENT | kind::PRODUCER => true,
            kind::INTERNAL | kind::UNSPECIFIED if self.has_databases => false,
            _ => return None,
        };
        let said = self.read(row);
        let is_database = said.slots[Slot::DatabaseSystem as usize] != NOTHING;
        (is_call || is_database).then_some(said)
    }

    fn read(&mut self, row: usize) -> Said {
        let mut said = Said {
            resource: self.batch.items.resource[row],
            ..Said::default()
        };
        for reader in &mut self.readers {
            if !reader.column.present.value(row) {
                continue;
            }
            let slot = reader.source.slot as usize;
            if slot >= SLOTS {
                said.flags |= reader.flags(row);
                continue;
            }
            let is_proxys_own = reader.source.slot == Slot::Host
                && !reader.source.is_upstream
                && said.slots[Slot::Cluster as usize] != NOTHING;
            if said.slots[slot] != NOTHING || is_proxys_own {
                continue;
            }
            said.slots[slot] = reader.number(row, &mut self.texts);
            for (column, table) in &mut reader.ports {
                if column.present.value(row) && said.slots[slot] != NOTHING {
                    said.slots[Slot::Port as usize] =
                        look_up(column, table, row, |value| plain(value, &mut self.texts));
                }
            }
        }
        said
    }

    /// The shard of `row`.
    pub(crate) fn shard(&self, row: usize) -> u8 {
        self.batch.shard[row]
    }

    /// The number that the caller gave to the same words before.
    #[inline]
    pub(crate) fn known(&mut self, said: &Said) -> Option<u32> {
        if let Some((last, number)) = &self.last
            && last == said
        {
            return Some(*number);
        }
        let number = *self.known.get(said)?;
        self.last = Some((*said, number));
        Some(number)
    }

    /// Remembers the caller's number.
    pub(crate) fn remember(&mut self, said: Said, number: u32) {
        self.known.insert(said, number);
    }

    /// The peer in full, called by `caller`; `None` when nothing was said of it.
    pub(crate) fn name(&self, said: &Said, caller: &ServiceKey) -> PeerName {
        let text = |slot: Slot| self.texts.text(said.slots[slot as usize]);
        let mut claims = Vec::new();
        let mut claim = |kind, text: String| {
            let mut text = text;
            text.truncate(text.floor_char_boundary(CLAIM_BYTES_MAX));
            claims.push(Claim { kind, text });
        };
        let mut connection = Connection::Call;
        if let Some(system) = text(Slot::DatabaseSystem) {
            connection = Connection::Database;
            claim(ClaimKind::Database, joined(system, text(Slot::Database)));
        } else if let Some(system) = text(Slot::MessagingSystem) {
            connection = Connection::Messaging;
            claim(ClaimKind::Topic, joined(system, text(Slot::Destination)));
        }
        if let Some(service) = text(Slot::Service) {
            claim(ClaimKind::Service, service.to_owned());
        }
        if let Some(host) = text(Slot::Host) {
            let address = match text(Slot::Port) {
                Some(port) if host_of(host) == host && port != "0" => format!("{host}:{port}"),
                _ => host.to_owned(),
            };
            claim(ClaimKind::Address, address);
        }
        if let Some(cluster) = text(Slot::Cluster) {
            claim(ClaimKind::Cluster, cluster.to_owned());
        }
        if let Some(rpc) = text(Slot::Rpc) {
            claim(ClaimKind::Rpc, rpc.to_owned());
        }
        let namespace = text(Slot::Namespace).unwrap_or(&caller.namespace);
        PeerName::new(connection, &caller.environment, namespace, claims)
    }
}

fn joined(system: &str, part: Option<&str>) -> String {
    part.map_or_else(|| system.to_owned(), |part| format!("{system}/{part}"))
}

impl Reader<'_> {
    fn number(&mut self, row: usize, texts: &mut Texts) -> u32 {
        let form = self.source.form;
        look_up(self.column, &mut self.table, row, |value| match form {
            Form::Plain => plain(value, texts),
            Form::Url => match value.as_text().map(authority) {
                Some((host, Some(port))) if !host.is_empty() => {
                    texts.number(&format!("{host}:{port}"))
                }
                Some((host, _)) => texts.number(host),
                None => NOTHING,
            },
            Form::FullMethod => {
                let method = value
                    .as_text()
                    .and_then(|text| text.trim_start_matches('/').split_once('/'));
                method.map_or(NOTHING, |(service, _)| texts.number(service))
            }
        })
    }

    /// What the row says beside its peer.
    fn flags(&mut self, row: usize) -> u8 {
        let slot = self.source.slot;
        let number = look_up(self.column, &mut self.table, row, |value| match slot {
            Slot::Resend => u32::from(value.as_int().is_some_and(|count| count > 0)),
            _ if value.as_text() == Some("create") => operation::CREATE,
            _ => operation::OTHER,
        });
        match (slot, number) {
            (Slot::Resend, 1) => trace_flag::RETRY,
            (Slot::Operation, operation::CREATE) => trace_flag::NO_CALL,
            _ => 0,
        }
    }
}

fn plain(value: Value<'_>, texts: &mut Texts) -> u32 {
    match value {
        Value::Text(text) => texts.number(text.trim()),
        Value::Int(int) => texts.number(&int.to_string()),
        _ => NOTHING,
    }
}

/// A table with nothing read yet, of as many places as `column` has codes.
fn unread(column: &AttributeColumn) -> Vec<u32> {
    let codes = match &column.data {
        ColumnData::Codes { values, .. } => values.len(),
        ColumnData::Raw(_) => 0,
    };
    vec![UNREAD; codes]
}

/// The number of the value at `row`, made by `read` at most once a code.
#[inline]
fn look_up(
    column: &AttributeColumn,
    table: &mut [u32],
    row: usize,
    read: impl FnOnce(Value<'_>) -> u32,
) -> u32 {
    let value = |values: &ValueTable, at| read(Value::read(column.kind, values.get(at)));
    match &column.data {
        ColumnData::Codes { codes, values } => {
            let code = usize::from(codes[row]);
            match table.get_mut(code) {
                Some(number) if *number == UNREAD => {
                    *number = value(values, code);
                    *number
                }
                Some(number) => *number,
                None => NOTHING,
            }
        }
        ColumnData::Raw(values) => value(values, row),
    }
}
