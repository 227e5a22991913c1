//! Just enough of Rust's grammar to look at code without its comments, strings and tests.

use std::ops::Range;

/// The code with comments, and what stands inside strings and characters, blanked. Offsets and lines stay the same.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match opaque(bytes, at) {
            Some(end) => end.min(bytes.len()),
            None => {
                masked.push(bytes[at]);
                at += 1;
                continue;
            }
        };
        let is_comment = bytes[at] == b'/';
        for (offset, byte) in bytes[at..end].iter().enumerate() {
            let is_edge = !is_comment && (offset == 0 || at + offset + 1 == end);
            masked.push(if *byte == b'\n' || (is_edge && byte.is_ascii()) {
                *byte
            } else {
                b' '
            });
        }
        at = end;
    }
    String::from_utf8_lossy(&masked).into_owned()
}

/// The end of the comment, string or character literal that starts at `at`; none when code goes on.
fn opaque(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest[0] {
        b'/' if rest.starts_with(b"//") => Some(find(bytes, at, b"\n").unwrap_or(bytes.len())),
        b'/' if rest.starts_with(b"/*") => Some(block_comment(bytes, at)),
        b'"' => Some(quoted(bytes, at, b'"')),
        b'\'' => character(bytes, at),
        b'r' if !continues_a_word(bytes, at) => raw_string(bytes, at),
        _ => None,
    }
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    let found = bytes
        .get(from..)?
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.map(|offset| from + offset)
}

fn block_comment(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut at) = (1, at + 2);
    while depth > 0 && at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// A character literal; none when the quote begins a lifetime.
fn character(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at + 1)?;
    let width = match first {
        b'\\' => return Some(quoted(bytes, at, b'\'')),
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0.. => 4,
    };
    (bytes.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    Some(find(bytes, at + 2 + hashes, &close).map_or(bytes.len(), |end| end + close.len()))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether an `r` at `at` is the end of a name rather than a prefix; `br` and `cr` are prefixes too.
fn continues_a_word(bytes: &[u8], at: usize) -> bool {
    let word = bytes[..at].iter().rev().take_while(|byte| is_word(**byte)).count();
    word > 1 || (word == 1 && !matches!(bytes[at - 1], b'b' | b'c'))
}

/// Whether every brace of masked code is closed; if not, [`mask`] has lost its way.
pub fn is_balanced(code: &str) -> bool {
    let mut depth = 0_i64;
    let closes = code.bytes().all(|byte| {
        depth += i64::from(byte == b'{') - i64::from(byte == b'}');
        depth >= 0
    });
    closes && depth == 0
}

/// Where `word` stands as a whole word in masked code.
pub fn word_positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).is_some_and(|before| is_word(bytes[before]));
        let after = bytes.get(at + word.len()).is_some_and(|after| is_word(*after));
        !before && !after
    })
}

/// The word that begins at `at`; empty when none does.
pub fn word_at(code: &str, at: usize) -> &str {
    let rest = code.get(at..).unwrap_or_default();
    let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
    &rest[..length]
}

/// The 1-based line of an offset.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The items of masked code that are compiled for tests only, attribute included.
pub fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (at, opening) in code.match_indices("#[cfg(") {
        let inside_another = items.last().is_some_and(|item| item.contains(&at));
        let Some(close) = closing(code, at + 1).filter(|_| !inside_another) else {
            continue;
        };
        let condition = &code[at + opening.len()..close];
        if word_positions(condition, "test").next().is_some() && word_positions(condition, "not").next().is_none() {
            items.push(at..item_end(code, close));
        }
    }
    items
}

/// Masked code whose test items are blanked too.
pub fn without_tests(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for item in test_items(code) {
        for byte in &mut bytes[item] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The names of the modules in other files that are declared for tests only.
pub fn test_module_declarations(text: &str) -> Vec<String> {
    let code = mask(text);
    let names = test_items(&code).into_iter().filter_map(|item| {
        let declaration = code[item].trim_end().strip_suffix(';')?.to_owned();
        let at = word_positions(&declaration, "mod").last()?;
        Some(declaration[at + "mod".len()..].trim().to_owned())
    });
    names.collect()
}

/// The offset after the item that follows the attribute closed at `close`: its block, or its semicolon or comma.
fn item_end(code: &str, close: usize) -> usize {
    let mut at = close;
    while let Some(bracket) = code[at..].find(']').map(|offset| at + offset + 1) {
        let next = bracket + code[bracket..].len() - code[bracket..].trim_start().len();
        if !code[next..].starts_with("#[") {
            at = next;
            break;
        }
        at = closing(code, next + 1).unwrap_or(code.len());
    }
    let is_item = ITEM_WORDS.contains(&word_at(code, at));
    block_or_end(code, at, !is_item).map_or(code.len(), |range| range.end)
}

const ITEM_WORDS: [&str; 13] = [
    "pub",
    "fn",
    "mod",
    "use",
    "impl",
    "struct",
    "enum",
    "const",
    "static",
    "async",
    "trait",
    "type",
    "macro_rules",
];

/// From `at` to the end of the first block on this level, or to the first semicolon (or comma) before any.
fn block_or_end(code: &str, at: usize, comma_ends: bool) -> Option<Range<usize>> {
    let mut depth = 0_u32;
    for (offset, byte) in code.as_bytes()[at..].iter().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.checked_sub(1)?,
            b'{' if depth == 0 => return Some(at + offset..closing(code, at + offset)? + 1),
            b';' if depth == 0 => return Some(at + offset..at + offset + 1),
            b',' if depth == 0 && comma_ends => return Some(at + offset..at + offset + 1),
            _ => {}
        }
    }
    None
}

/// The offset of the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_u32;
    for (offset, byte) in code.as_bytes().get(open..)?.iter().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(open + offset);
                }
            }
            _ => {}
        }
    }
    None
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function<'a> {
    pub name: &'a str,
    /// The line of its `fn`.
    pub line: usize,
    /// Lines from its `fn` to its last brace.
    pub length: usize,
}

/// Every function of masked code that has a body.
pub fn functions(code: &str) -> Vec<Function<'_>> {
    let found = word_positions(code, "fn").filter_map(|at| {
        let name = word_at(code, at + "fn ".len());
        let block = block_or_end(code, at, false)?;
        let has_body = code.as_bytes()[block.start] == b'{' && !name.is_empty();
        let length = line_of(code, block.end - 1) - line_of(code, at) + 1;
        has_body.then_some(Function {
            name,
            line: line_of(code, at),
            length,
        })
    });
    found.collect()
}

#[test]
fn comments_strings_and_characters_are_blanked_and_lines_stay() {
    let text = "let a = \"fn \\\" {\"; // fn {\nlet b = r#\"}\"fn\"#; /* { /* { */ } */\nlet c = ('{', '\\'', 'ä'); x::<'a>(y)";
    let code = mask(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 3);
    assert!(
        !code.contains("fn") && !code.contains('{') && !code.contains('}'),
        "{code}"
    );
    assert!(code.contains("x::<'a>(y)"), "{code}");
}

#[test]
fn a_name_that_ends_in_r_does_not_begin_a_raw_string() {
    assert_eq!(mask("for\"a\" br\"b\""), "for\" \" br  \"");
}

#[test]
fn braces_that_do_not_match_are_seen() {
    assert!(is_balanced("a { b { } }"));
    assert!(!is_balanced("a { b { }") && !is_balanced("} {"));
}

#[test]
fn test_items_end_where_they_end() {
    let text = "a();\n#[cfg(test)]\n#[expect(x)]\nmod tests {\n  fn f() { }\n}\nb();\n#[cfg(test)]\nmod other;\nc();";
    let kept = without_tests(&mask(text));
    let words: Vec<_> = kept.split_whitespace().collect();
    assert_eq!(words, ["a();", "b();", "c();"]);
    assert_eq!(test_module_declarations(text), ["other"]);
    assert!(test_items("#[cfg(not(test))] mod x { }").is_empty());
}

#[test]
fn a_field_for_tests_ends_at_its_comma() {
    let kept = without_tests("struct S { #[cfg(test)] a: u8, b: u8 }");
    assert_eq!(
        kept.split_whitespace().collect::<Vec<_>>(),
        ["struct", "S", "{", "b:", "u8", "}"]
    );
}

#[test]
fn functions_are_measured_from_their_name_to_their_last_brace() {
    let code =
        "fn one() {}\ntrait T { fn none(&self) -> [u8; 4]; }\nfn two<F: Fn(u8)>(\n  f: fn(u8),\n) {\n  if a { b }\n}";
    let found = functions(code);
    let figures: Vec<_> = found.iter().map(|f| (f.name, f.line, f.length)).collect();
    assert_eq!(figures, [("one", 1, 1), ("two", 3, 5)]);
}
