//! Writing protobuf: keys, varints, and lengths that are known only when their content is there.

/// Appends the key of field `number` with wire type `wire`.
pub(super) fn key(out: &mut Vec<u8>, number: u32, wire: u32) {
    varint(out, u64::from(number << 3 | wire));
}

/// Appends a varint.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Leaves room for a length; [`close`] takes what this returns.
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// Writes the length of everything behind `length_at`. Content of 128 bytes or more moves to make room.
pub(super) fn close(out: &mut Vec<u8>, length_at: usize) {
    let content = length_at + 1;
    let len = out.len() - content;
    if let Ok(short @ 0..0x80) = u8::try_from(len) {
        out[length_at] = short;
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    varint(&mut prefix, len as u64);
    let room = prefix.len() - 1;
    out.resize(out.len() + room, 0);
    out.copy_within(content..content + len, content + room);
    out[length_at..=length_at + room].copy_from_slice(&prefix);
}
