//! Reading the one thing an exporter must know of the answer: how many spans were refused.

/// What `ExportTraceServiceResponse.partial_success` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartialSuccess {
    /// Spans that were refused for good.
    pub rejected_spans: u64,
    /// Why; may warn without refusing anything.
    pub error_message: String,
}

/// Reads an `ExportTraceServiceResponse`; `None` when it is no valid one. An empty body is full success.
pub fn partial_success(body: &[u8]) -> Option<PartialSuccess> {
    let mut found = PartialSuccess::default();
    let mut rest = body;
    while !rest.is_empty() {
        if let (1, Field::Bytes(inner)) = field(&mut rest)? {
            read_inner(inner, &mut found)?;
        }
    }
    Some(found)
}

fn read_inner(mut rest: &[u8], found: &mut PartialSuccess) -> Option<()> {
    while !rest.is_empty() {
        match field(&mut rest)? {
            (1, Field::Number(count)) => found.rejected_spans = count,
            (2, Field::Bytes(text)) => {
                found.error_message = String::from_utf8_lossy(text).into_owned();
            }
            _ => {}
        }
    }
    Some(())
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Field::Number(varint(rest)?),
        1 => take(rest, 8).map(|_| Field::Fixed)?,
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Field::Fixed)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
