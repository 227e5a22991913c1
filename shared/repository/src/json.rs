//! JSON exactly as Go's `encoding/json` writes it, and Go's `strconv.Quote`.
//!
//! restic compares trees by the hash of these bytes, so they must agree to the byte: field order is the caller's,
//! escaping is here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use unicode_general_category::{GeneralCategory, get_general_category};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` as a JSON string with Go's HTML escaping. Each byte that is no UTF-8 becomes `\ufffd`.
pub fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            write_escaped(out, chunk.valid());
            for _ in chunk.invalid() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    }
    out.push(b'"');
}

/// ASCII that needs no escape.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(b"\\u");
                write_hex(out, u32::from(c), 4);
            }
            _ => {
                let mut utf8 = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
        }
    }
}

/// Appends `value` in lower-case hex of `width` digits.
fn write_hex(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        out.push(HEX[(value >> (4 * place)) as usize & 15]);
    }
}

/// Appends a number.
pub fn write_number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends bytes as Go writes `[]byte`: a string of padded base64.
pub fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends an id as a string of hex digits.
pub fn write_id(out: &mut Vec<u8>, id: &crate::Id) {
    out.push(b'"');
    for byte in id.0 {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// Appends any value the way Go writes a decoded one: compact, object keys in ascending order.
pub fn write_value(out: &mut Vec<u8>, value: &serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(out, text.as_bytes()),
        Value::Array(items) => write_list(out, items, write_value),
        Value::Object(fields) => {
            let mut object = Object::begin(out);
            for (name, value) in fields {
                write_value(object.field(name), value);
            }
            object.end();
        }
    }
}

/// Appends a list.
pub fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Writes the fields of one object in the order they are given.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens the object.
    pub fn begin(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, first: true }
    }

    /// Begins a field: the caller appends its value to what is returned.
    pub fn field(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_string(self.out, name.as_bytes());
        self.out.push(b':');
        self.out
    }

    /// A number.
    pub fn number(&mut self, name: &str, value: u64) {
        write_number(self.field(name), value);
    }

    /// A number that is left out when it is zero.
    pub fn number_or_omit(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.number(name, value);
        }
    }

    /// A string.
    pub fn string(&mut self, name: &str, value: &str) {
        write_string(self.field(name), value.as_bytes());
    }

    /// A string that is left out when it is empty.
    pub fn string_or_omit(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.string(name, value);
        }
    }

    /// An id that is left out when there is none.
    pub fn id_or_omit(&mut self, name: &str, id: Option<&crate::Id>) {
        if let Some(id) = id {
            write_id(self.field(name), id);
        }
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Go's `strconv.Quote` without the quotes around it: printable text stays, everything else is escaped, bytes that are
/// no UTF-8 become `\xNN`.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            quote_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(b"\\x");
            write_hex(&mut out, u32::from(*byte), 2);
        }
    }
    out
}

fn quote_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c as u8,
        '\u{7}' => b'a',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{b}' => b'v',
        _ if is_print(c) => {
            let mut utf8 = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            return;
        }
        _ => {
            let (letter, width) = match u32::from(c) {
                code if code < 0x20 || code == 0x7f => (b'x', 2),
                code if code < 0x1_0000 => (b'u', 4),
                _ => (b'U', 8),
            };
            out.extend_from_slice(&[b'\\', letter]);
            write_hex(out, u32::from(c), width);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_print(c: char) -> bool {
    use GeneralCategory as G;
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !matches!(
        get_general_category(c),
        G::Control
            | G::Format
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
            | G::SpaceSeparator
            | G::LineSeparator
            | G::ParagraphSeparator
    )
}

/// Undoes [`quote`], as Go's `strconv.Unquote` does for a double-quoted string. `None` where that would refuse.
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        push_raw(&mut out, &rest[..at])?;
        let escape = rest[at + 1..].chars().next()?;
        let body = &rest[at + 1 + escape.len_utf8()..];
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='7' => {
                let octal = rest.get(at + 1..at + 4)?;
                out.push(parse_digits(octal, 8).and_then(|value| u8::try_from(value).ok())?);
                rest = &rest[at + 4..];
                continue;
            }
            _ => {
                out.push(unquote_short(escape)?);
                rest = body;
                continue;
            }
        };
        let value = parse_digits(body.get(..digits)?, 16)?;
        if escape == 'x' {
            out.push(u8::try_from(value).ok()?);
        } else {
            let mut utf8 = [0; 4];
            out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut utf8).as_bytes());
        }
        rest = &body[digits..];
    }
    push_raw(&mut out, rest)?;
    Some(out)
}

fn push_raw(out: &mut Vec<u8>, raw: &str) -> Option<()> {
    if raw.contains(['"', '\n']) {
        return None;
    }
    out.extend_from_slice(raw.as_bytes());
    Some(())
}

fn parse_digits(digits: &str, radix: u32) -> Option<u32> {
    digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then(|| u32::from_str_radix(digits, radix).ok())
        .flatten()
}

fn unquote_short(escape: char) -> Option<u8> {
    Some(match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        '"' => b'"',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(text: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn quoted(text: &[u8]) -> String {
        String::from_utf8(quote(text)).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(string(b"plain"), r#""plain""#);
        assert_eq!(string(b"<a href=\"x\">&\\"), r#""\u003ca href=\"x\"\u003e\u0026\\""#);
        assert_eq!(string("\u{2028}\u{2029}".as_bytes()), r#""\u2028\u2029""#);
        assert_eq!(
            string(b"\x00\x01\n\r\t\x1f\x7f"),
            "\"\\u0000\\u0001\\n\\r\\t\\u001f\x7f\""
        );
        assert_eq!(string(b"a\xffb\xe2\x82"), r#""a\ufffdb\ufffd\ufffd""#);
        assert_eq!(string("ü😀\u{fffd}".as_bytes()), "\"ü😀\u{fffd}\"");
    }

    #[test]
    fn names_are_quoted_as_strconv_quote_does() {
        assert_eq!(quoted(b"plain name"), "plain name");
        assert_eq!(quoted(b"\"\\\x07\x08\x0c\n\r\t\x0b"), r#"\"\\\a\b\f\n\r\t\v"#);
        assert_eq!(quoted(b"\x00\x1f\x7f\xff\xe2\x82"), r"\x00\x1f\x7f\xff\xe2\x82");
        assert_eq!(
            quoted("ü😀\u{ad}\u{a0}\u{200b}\u{fffd}".as_bytes()),
            "ü😀\\u00ad\\u00a0\\u200b\u{fffd}"
        );
        assert_eq!(quoted("\u{e0001}\u{80}\u{2028}".as_bytes()), r"\U000e0001\u0080\u2028");
    }

    #[test]
    fn unquote_refuses_what_go_refuses() {
        for bad in [
            "\\",
            "\\q",
            "\\x1",
            "\\ud800",
            "\\'",
            "a\"b",
            "\\u12",
            "\\U00110000",
            "\\400",
            "\\x+1",
        ] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
        assert_eq!(unquote("\\101é"), Some("Aé".as_bytes().to_vec()));
    }

    proptest! {
        #[test]
        fn any_name_survives_quoting(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            let quoted = String::from_utf8(quote(&name)).unwrap();
            prop_assert_eq!(unquote(&quoted), Some(name));
        }

        #[test]
        fn any_string_is_json_that_means_the_same(text in ".*") {
            let mut out = Vec::new();
            write_string(&mut out, text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
