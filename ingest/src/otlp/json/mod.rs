//! OTLP/JSON to OTLP protobuf, in one pass over the text.
//!
//! Problem: JSON and protobuf forms of one request must count alike, for three signals, with every legal spelling.
//! Why not a second decoder, or `serde` types: two decoders drift apart, and the generated types lose data silently (one
//! exemplar spelled unexpectedly empties its metric). What we do: the text is written over as the protobuf that the
//! sender could have sent, driven by the table in `schema`, and goes through the one decoder. Members are put into the
//! order of their field numbers and defaults are left out, as every protobuf encoder does: bytes that are kept (the
//! resource, lists) come out alike as well.
//! Cost: about three times the reading of the text; the length before a message moves its content by up to four bytes.
//!
//! What is refused and what is not: unknown members are ignored and `null` is an absent member; a known member that stands
//! twice in one object, or a second member of a `oneof`, is refused rather than guessed at. An id that is hexadecimal
//! but of the wrong length is left to the decoder, which rejects its item and counts the others.
//! Sources: OTLP 1.11, "JSON Protobuf Encoding"; <https://protobuf.dev/programming-guides/json/>.

mod number;
mod write;

use super::DecodeLimits;
use super::check::PACKED_PER_ITEM;
use super::error::{DecodeError, Problem, Stop};
use super::schema::{Field, Holds, Message, request};
use super::wire::{BYTES, VARINT};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use engine::items::Signal;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How much longer than the text the protobuf may be, bytes: two bytes of `0,` can become eight.
const GROWTH_BYTES_MAX: usize = 1 << 20;
/// Base64 as tolerant as protobuf asks for: both alphabets, with padding or without.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// The export request of `signal` in `body`, written as protobuf; at most twice as long as `body` and 1 MiB.
///
/// # Errors
/// When `body` is no such request, or exceeds the budget of items; the place is the field's path in JSON names.
pub(super) fn transcode(
    signal: Signal,
    body: &[u8],
    limits: &DecodeLimits,
) -> Result<Vec<u8>, DecodeError> {
    let mut transcoder = Transcoder {
        json: Jiter::new(body),
        out: Vec::with_capacity(body.len() / 2),
        bytes_max: 2 * body.len() + GROWTH_BYTES_MAX,
        items_left: limits.items_max,
        depth_max: limits.depth_max,
        pieces: Vec::new(),
    };
    match transcoder.request(body, request(signal)) {
        Ok(()) => Ok(transcoder.out),
        Err(fault) => Err(fault.explain(limits)),
    }
}

/// Why and where transcoding stopped.
struct Fault {
    stop: Stop,
    offset: usize,
    /// Fields from the fault outwards.
    path: Vec<(&'static str, Option<usize>)>,
}

impl Fault {
    #[cold]
    fn new(stop: impl Into<Stop>, offset: usize) -> Self {
        Self {
            stop: stop.into(),
            offset,
            path: Vec::new(),
        }
    }

    /// Notes, on the way out, the field that the fault was in.
    #[cold]
    fn within(mut self, field: &Field, index: Option<usize>) -> Self {
        self.path.push((field.name, index));
        self
    }

    fn explain(self, limits: &DecodeLimits) -> DecodeError {
        let problem = match self.stop {
            Stop::TooManyItems => {
                let items_max = limits.items_max;
                return DecodeError::TooManyItems { items_max };
            }
            Stop::TooManyBytes => {
                let bytes_max = limits.bytes_max;
                return DecodeError::TooManyBytes { bytes_max };
            }
            Stop::Malformed(problem) => problem,
            Stop::OutOfOrder => Problem::NotJson,
        };
        let names = self.path.iter().rev().map(|(name, index)| match index {
            Some(index) => format!("{}[{index}]", json_name(name)),
            None => json_name(name),
        });
        DecodeError::Malformed {
            problem,
            path: names.collect::<Vec<_>>().join("."),
            offset: self.offset,
        }
    }
}

impl From<JiterError> for Fault {
    #[cold]
    fn from(error: JiterError) -> Self {
        let problem = match &error.error_type {
            JiterErrorType::JsonError(kind) => match kind {
                JsonErrorType::EofWhileParsingList
                | JsonErrorType::EofWhileParsingObject
                | JsonErrorType::EofWhileParsingString
                | JsonErrorType::EofWhileParsingValue => Problem::JsonEnds,
                JsonErrorType::LoneLeadingSurrogateInHexEscape
                | JsonErrorType::UnexpectedEndOfHexEscape => Problem::LoneSurrogate,
                JsonErrorType::InvalidUnicodeCodePoint => Problem::InvalidUtf8,
                JsonErrorType::RecursionLimitExceeded => Problem::TooDeep,
                _ => Problem::NotJson,
            },
            JiterErrorType::WrongType { .. } => Problem::NotJson,
        };
        Self::new(problem, error.index)
    }
}

/// `name` of a `.proto` file in lowerCamelCase.
fn json_name(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    out
}

/// Whether `key` is `name` in lowerCamelCase.
fn is_json_name(name: &str, key: &str) -> bool {
    let mut key = key.bytes();
    let mut name = name.bytes();
    while let Some(byte) = name.next() {
        let expected = match byte {
            b'_' => name.next().map(|first| first.to_ascii_uppercase()),
            plain => Some(plain),
        };
        if key.next() != expected {
            return false;
        }
    }
    key.next().is_none()
}

/// Position in `message` of the field that JSON calls `key`; `guess` is looked at first.
fn position(message: &Message, key: &str, guess: usize) -> Option<usize> {
    let fields = message.fields;
    let guess = guess.min(fields.len());
    let mut order = (guess..fields.len()).chain(0..guess);
    order.find(|index| is_json_name(fields[*index].name, key))
}

/// A member of an open message: its field number and where its bytes begin.
#[derive(Clone, Copy)]
struct Piece {
    number: u32,
    start: usize,
}

/// Which members of an object were there.
#[derive(Default)]
struct Seen {
    fields: u32,
    alternative: bool,
}

struct Transcoder<'j> {
    json: Jiter<'j>,
    out: Vec<u8>,
    bytes_max: usize,
    items_left: u64,
    depth_max: u32,
    /// The members of all open messages.
    pieces: Vec<Piece>,
}

impl Transcoder<'_> {
    fn request(&mut self, body: &[u8], message: &'static Message) -> Result<(), Fault> {
        if body.starts_with(BYTE_ORDER_MARK) {
            return Err(Fault::new(Problem::ByteOrderMark, 0));
        }
        // The whole text at once: strings that are skipped are not looked into.
        if let Err(error) = std::str::from_utf8(body) {
            return Err(Fault::new(Problem::InvalidUtf8, error.valid_up_to()));
        }
        let peek = self.json.peek()?;
        self.message(message, peek, 0)?;
        Ok(self.json.finish()?)
    }

    /// Spends one item of the budget.
    fn spend(&mut self) -> Result<(), Fault> {
        match self.items_left.checked_sub(1) {
            Some(left) => {
                self.items_left = left;
                Ok(())
            }
            None => Err(self.fault(Stop::TooManyItems)),
        }
    }

    /// `stop` at the value that comes next.
    #[cold]
    fn fault(&self, stop: impl Into<Stop>) -> Fault {
        Fault::new(stop, self.json.current_index())
    }

    /// Writes an object as the content of a `message` at `depth`.
    fn message(&mut self, message: &'static Message, peek: Peek, depth: u32) -> Result<(), Fault> {
        if peek != Peek::Object {
            return Err(self.fault(Problem::NotAnObject));
        }
        if depth > self.depth_max {
            return Err(self.fault(Problem::TooDeep));
        }
        let first = self.pieces.len();
        let mut seen = Seen::default();
        let mut next = 0;
        let mut key = self.json.known_object()?;
        while let Some(name) = key {
            match position(message, name, next) {
                Some(index) => {
                    next = index + 1;
                    self.member(&message.fields[index], 1 << index, &mut seen, depth)?;
                }
                None => self.unknown()?,
            }
            key = self.json.next_key()?;
        }
        self.arrange(first);
        self.pieces.truncate(first);
        Ok(())
    }

    fn unknown(&mut self) -> Result<(), Fault> {
        self.spend()?;
        Ok(self.json.next_skip()?)
    }

    /// Writes one member of an object at `depth`; `bit` stands for its field in `seen`.
    fn member(
        &mut self,
        field: &'static Field,
        bit: u32,
        seen: &mut Seen,
        depth: u32,
    ) -> Result<(), Fault> {
        let peek = self.json.peek()?;
        if peek == Peek::Null {
            return Ok(self.json.known_null()?);
        }
        if seen.fields & bit != 0 {
            return Err(self.fault(Problem::MemberTwice).within(field, None));
        }
        if field.alternative && seen.alternative {
            return Err(self.fault(Problem::TwoOfOneof).within(field, None));
        }
        seen.fields |= bit;
        seen.alternative |= field.alternative;
        let start = self.out.len();
        if field.repeated {
            self.list(field, peek, depth)?;
        } else {
            self.value(field, peek, depth, field.alternative)
                .map_err(|fault| fault.within(field, None))?;
        }
        if self.out.len() > start {
            let number = field.number;
            self.pieces.push(Piece { number, start });
        }
        Ok(())
    }

    /// Puts the members of a message, of which the first is `pieces[first]`, into the order of their numbers. In place:
    /// nearly always they are few, or in order already.
    fn arrange(&mut self, first: usize) {
        let end = self.out.len();
        let pieces = &mut self.pieces[first..];
        for next in 1..pieces.len() {
            let piece = pieces[next];
            let place = pieces[..next].partition_point(|before| before.number < piece.number);
            if place == next {
                continue;
            }
            let stop = pieces.get(next + 1).map_or(end, |after| after.start);
            let (start, len) = (pieces[place].start, stop - piece.start);
            self.out[start..stop].rotate_right(len);
            for moved in &mut pieces[place..next] {
                moved.start += len;
            }
            pieces[place..=next].rotate_right(1);
            pieces[place].start = start;
        }
    }

    fn list(&mut self, field: &'static Field, peek: Peek, depth: u32) -> Result<(), Fault> {
        if peek != Peek::Array {
            return Err(self.fault(Problem::NotAnArray).within(field, None));
        }
        let packed = field.holds.wire() != BYTES;
        let start = self.out.len();
        let mut length_at = start;
        if packed {
            write::key(&mut self.out, field.number, BYTES);
            length_at = write::open(&mut self.out);
        }
        let mut index = 0;
        let mut element = self.json.known_array()?;
        while let Some(peek) = element {
            let written = match packed {
                true => self.packed(field, peek, index),
                false => self.element(field, peek, depth),
            };
            written.map_err(|fault| fault.within(field, Some(index)))?;
            index += 1;
            element = self.json.array_step()?;
        }
        match (packed, index) {
            (true, 0) => self.out.truncate(start),
            (true, _) => write::close(&mut self.out, length_at),
            (false, _) => {}
        }
        Ok(())
    }

    fn packed(&mut self, field: &Field, peek: Peek, index: usize) -> Result<(), Fault> {
        if index.is_multiple_of(PACKED_PER_ITEM) {
            self.spend()?;
        }
        self.scalar(&field.holds, peek).map(drop)?;
        self.check_size()
    }

    fn element(&mut self, field: &'static Field, peek: Peek, depth: u32) -> Result<(), Fault> {
        self.spend()?;
        match field.holds {
            // Not left out: the elements behind it keep their places, and a span that is `null` is counted as rejected.
            Holds::Message(_) if peek == Peek::Null => {
                self.json.known_null()?;
                write::key(&mut self.out, field.number, BYTES);
                self.out.push(0);
                Ok(())
            }
            _ => self.value(field, peek, depth, true),
        }
    }

    /// Writes key and value; a default only if it is `explicit`.
    fn value(
        &mut self,
        field: &'static Field,
        peek: Peek,
        depth: u32,
        explicit: bool,
    ) -> Result<(), Fault> {
        let start = self.out.len();
        write::key(&mut self.out, field.number, field.holds.wire());
        let is_default = match &field.holds {
            Holds::Message(message) => {
                let length_at = write::open(&mut self.out);
                self.message(message, peek, depth + 1)?;
                write::close(&mut self.out, length_at);
                false
            }
            Holds::Text => self.text(peek)?,
            Holds::Id => self.id(peek)?,
            Holds::Bytes => self.base64(peek)?,
            scalar => self.scalar(scalar, peek)?,
        };
        if is_default && !explicit {
            self.out.truncate(start);
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), Fault> {
        match self.out.len() > self.bytes_max {
            true => Err(self.fault(Stop::TooManyBytes)),
            false => Ok(()),
        }
    }

    fn string(&mut self, peek: Peek) -> Result<(&str, &mut Vec<u8>), Fault> {
        if peek != Peek::String {
            return Err(self.fault(Problem::NotAString));
        }
        Ok((self.json.known_str()?, &mut self.out))
    }

    /// Writes a string; whether it is empty.
    fn text(&mut self, peek: Peek) -> Result<bool, Fault> {
        let (text, out) = self.string(peek)?;
        write::varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
        Ok(text.is_empty())
    }

    fn id(&mut self, peek: Peek) -> Result<bool, Fault> {
        let at = self.json.current_index();
        let (text, out) = self.string(peek)?;
        let length_at = write::open(out);
        for pair in text.as_bytes().chunks(2) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let byte = match pair {
                [high, low] => digit(*high).zip(digit(*low)),
                _ => None,
            };
            let (high, low) = byte.ok_or_else(|| Fault::new(Problem::NotHexadecimal, at))?;
            out.push((high << 4 | low) as u8);
        }
        write::close(out, length_at);
        Ok(text.is_empty())
    }

    fn base64(&mut self, peek: Peek) -> Result<bool, Fault> {
        let at = self.json.current_index();
        let (text, out) = self.string(peek)?;
        let alphabet = match text.contains(['-', '_']) {
            true => &URL_SAFE,
            false => &STANDARD,
        };
        let length_at = write::open(out);
        alphabet
            .decode_vec(text, out)
            .map_err(|_| Fault::new(Problem::NotBase64, at))?;
        write::close(out, length_at);
        Ok(text.is_empty())
    }

    /// Writes a number or a truth value without its key; whether it is the default.
    fn scalar(&mut self, holds: &Holds, peek: Peek) -> Result<bool, Fault> {
        match holds {
            Holds::Bool => {
                if !matches!(peek, Peek::True | Peek::False) {
                    return Err(self.fault(Problem::NotABool));
                }
                let value = self.json.known_bool(peek)?;
                self.out.push(u8::from(value));
                Ok(!value)
            }
            Holds::Double => {
                let value = self.number(peek, number::double)?;
                self.out.extend_from_slice(&value.to_le_bytes());
                // Some are `optional`: a zero that was sent is kept.
                Ok(false)
            }
            _ => self.integer(holds, peek),
        }
    }

    fn integer(&mut self, holds: &Holds, peek: Peek) -> Result<bool, Fault> {
        let at = self.json.current_index();
        let value =
            self.number(peek, number::integer)
                .map_err(|fault| match (holds, fault.stop) {
                    (Holds::Enum, Stop::Malformed(Problem::NotAnInteger)) => {
                        Fault::new(Problem::EnumName, at)
                    }
                    _ => fault,
                })?;
        let word =
            number::encode(value, holds).ok_or_else(|| Fault::new(Problem::OutOfRange, at))?;
        match holds.wire() {
            VARINT => write::varint(&mut self.out, word),
            _ if matches!(holds, Holds::Fixed32) => {
                self.out.extend_from_slice(&word.to_le_bytes()[..4]);
            }
            _ => self.out.extend_from_slice(&word.to_le_bytes()),
        }
        Ok(value == 0)
    }

    /// Reads a number, or a string that holds one.
    fn number<T>(&mut self, peek: Peek, read: fn(&[u8]) -> Result<T, Problem>) -> Result<T, Fault> {
        let at = self.json.current_index();
        let text = match peek {
            Peek::String => self.json.known_str()?.as_bytes(),
            // These letters would begin `NaN` and `Infinity`, which JSON has as strings only.
            Peek::NaN | Peek::Infinity => return Err(Fault::new(Problem::NotJson, at)),
            number if number.is_num() => self.json.known_number_bytes(number)?,
            _ => b"",
        };
        read(text).map_err(|problem| Fault::new(problem, at))
    }
}

#[cfg(test)]
mod tests;
