//! Values of every kind, nested ones among them, as JSON.

use super::*;

fn json(value: Value<'_>) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, bytes.len() as u8];
    out.extend_from_slice(bytes);
    out
}

#[test]
fn plain_values() {
    assert_eq!(
        json(Value::Text("a\"\\\n\u{1}é")),
        "\"a\\\"\\\\\\n\\u0001é\""
    );
    assert_eq!(json(Value::Int(-7)), "-7");
    assert_eq!(json(Value::Double(1.0)), "1.0");
    assert_eq!(json(Value::Double(f64::NAN)), "\"NaN\"");
    assert_eq!(json(Value::Bool(true)), "true");
    assert_eq!(json(Value::Bytes(&[0, 255])), "\"00ff\"");
    assert_eq!(json(Value::Empty), "null");
}

#[test]
fn lists_within_lists() {
    let text = field(1, b"x");
    let int = vec![3 << 3, 5];
    let array = field(5, &[field(1, &text), field(1, &int)].concat());
    let entry = [field(1, b"k"), field(2, &array)].concat();
    let object = field(6, &field(1, &entry));
    assert_eq!(json(Value::Nested(&object)), "{\"k\":[\"x\",5]}");
    let mut out = String::new();
    write_key_values(
        &[2 + array.len() as u8 + 3, 10, 1, b'k']
            .iter()
            .copied()
            .chain(field(2, &array))
            .collect::<Vec<_>>(),
        &mut out,
    );
    assert_eq!(out, "{\"k\":[\"x\",5]}");
}

#[test]
fn damage_ends_the_list() {
    assert_eq!(json(Value::Nested(&[0x2a, 200])), "null");
    assert_eq!(json(Value::Nested(&[0xff; 11])), "null");
}
