//! Event patterns, as far as the template uses them.

use serde_json::Value;

/// Whether EventBridge would hand this event to a rule with this pattern. A kind of matcher that is not known here panics.
pub fn matches(pattern: &Value, event: &Value) -> bool {
    let Some(fields) = pattern.as_object() else {
        panic!("{pattern} is no pattern");
    };
    fields.iter().all(|(name, wanted)| match wanted.as_array() {
        Some(choices) => {
            let found = &event[name];
            match found.as_array() {
                Some(values) => values
                    .iter()
                    .any(|value| choices.iter().any(|choice| fits(choice, value))),
                None => choices.iter().any(|choice| fits(choice, found)),
            }
        }
        None => event[name].is_object() && matches(wanted, &event[name]),
    })
}

fn fits(choice: &Value, value: &Value) -> bool {
    match choice.as_object() {
        None => choice == value,
        Some(matcher) => match matcher["wildcard"].as_str() {
            Some(wildcard) => value.as_str().is_some_and(|text| glob(wildcard, text)),
            None => panic!("{choice} is a matcher that this test does not know"),
        },
    }
}

/// `*` stands for any characters.
fn glob(wildcard: &str, text: &str) -> bool {
    match wildcard.split_once('*') {
        None => wildcard == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| glob(after, &rest[at..]))
        }),
    }
}

#[test]
fn a_pattern_takes_what_it_names_and_nothing_else() {
    let pattern =
        serde_json::json!({"source": ["a"], "detail": {"kind": ["x", "y"], "key": [{"wildcard": "*/data/*"}]}});
    let event = |source: &str, kind: &str, key: &str| serde_json::json!({"source": source, "detail": {"kind": kind, "key": key}});
    assert!(matches(&pattern, &event("a", "y", "p/data/1")));
    for wrong in [
        event("b", "y", "p/data/1"),
        event("a", "z", "p/data/1"),
        event("a", "y", "p/locks/1"),
    ] {
        assert!(!matches(&pattern, &wrong), "{wrong}");
    }
    assert!(!matches(&pattern, &serde_json::json!({"source": "a"})));
    assert!(matches(
        &serde_json::json!({"c": ["x"]}),
        &serde_json::json!({"c": ["w", "x"]})
    ));
}
