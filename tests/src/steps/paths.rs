//! Paths, templates and intrinsic functions: the few that the definitions use. Others are errors that name them.

use serde_json::{Map, Value, json};

/// What a path leads to: `$.a.b` in the input, `$$.a.b` in the context.
pub(super) fn at<'a>(path: &str, input: &'a Value, context: &'a Value) -> Result<Option<&'a Value>, String> {
    let (from, rest) = match path.strip_prefix("$$") {
        Some(rest) => (context, rest),
        None => (
            input,
            path.strip_prefix('$').ok_or_else(|| format!("{path} is no path"))?,
        ),
    };
    let mut found = Some(from);
    for name in rest.split('.').skip(1) {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{path} is a path of a kind that is not known here"));
        }
        found = found.and_then(|value| value.get(name));
    }
    Ok(found)
}

/// A template: fields whose names end in `.$` are worked out, all others stay as they are.
pub(super) fn fill(template: &Value, input: &Value, context: &Value) -> Result<Value, String> {
    match template {
        Value::Object(fields) => {
            let mut filled = Map::new();
            for (name, value) in fields {
                let (name, value) = match (name.strip_suffix(".$"), value.as_str()) {
                    (Some(name), Some(text)) => (name, work_out(text, input, context)?),
                    (Some(_), None) => return Err(format!("{name} is not text")),
                    (None, _) => (name.as_str(), fill(value, input, context)?),
                };
                filled.insert(name.to_owned(), value);
            }
            Ok(Value::Object(filled))
        }
        Value::Array(values) => values.iter().map(|value| fill(value, input, context)).collect(),
        other => Ok(other.clone()),
    }
}

/// A path, or a call of an intrinsic function.
fn work_out(text: &str, input: &Value, context: &Value) -> Result<Value, String> {
    let text = text.trim();
    if text.starts_with('$') {
        let found = at(text, input, context)?.cloned();
        return found.ok_or_else(|| format!("{text} leads to nothing in {input}"));
    }
    if let Some(literal) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Ok(Value::from(literal));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Value::from(number));
    }
    let call = text.strip_suffix(')').and_then(|call| call.split_once('('));
    let (function, arguments) = call.ok_or_else(|| format!("{text} is nothing that is known here"))?;
    let arguments: Vec<Value> = split(arguments)
        .into_iter()
        .map(|argument| work_out(argument, input, context))
        .collect::<Result<_, _>>()?;
    match (function, arguments.as_slice()) {
        ("States.Format", [Value::String(template), rest @ ..]) => format_text(template, rest).map(Value::from),
        ("States.JsonToString", [value]) => Ok(Value::from(value.to_string())),
        ("States.MathAdd", [a, b]) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Ok(json!(a + b)),
            _ => Err(format!("{text}: not two numbers")),
        },
        _ => Err(format!(
            "{function} with {} arguments is not known here",
            arguments.len()
        )),
    }
}

/// Arguments, which commas part outside of quotes and of calls.
fn split(arguments: &str) -> Vec<&str> {
    let (mut quoted, mut depth) = (false, 0);
    let parts = arguments.split(|c| {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        c == ',' && !quoted && depth == 0
    });
    parts.collect()
}

fn format_text(template: &str, arguments: &[Value]) -> Result<String, String> {
    let pieces: Vec<&str> = template.split("{}").collect();
    if pieces.len() != arguments.len() + 1 {
        return Err(format!(
            "\"{template}\" has {} places for {} arguments",
            pieces.len() - 1,
            arguments.len()
        ));
    }
    let mut text = String::new();
    for (place, piece) in pieces.iter().enumerate() {
        text.push_str(piece);
        match arguments.get(place) {
            Some(Value::String(value)) => text.push_str(value),
            Some(value) => text.push_str(&value.to_string()),
            None => {}
        }
    }
    Ok(text)
}

/// The input with `result` where `path` leads; without a path, the input as it is.
pub(super) fn put(path: Option<&str>, input: &Value, result: Value) -> Result<Value, String> {
    let Some(path) = path else {
        return Ok(input.clone());
    };
    if path == "$" {
        return Ok(result);
    }
    let name = path.strip_prefix("$.").filter(|name| !name.contains('.'));
    let name = name.ok_or_else(|| format!("a result at {path} is not known here"))?;
    let mut output = input.clone();
    let fields = output
        .as_object_mut()
        .ok_or_else(|| format!("{path} in what is no object"))?;
    fields.insert(name.to_owned(), result);
    Ok(output)
}
