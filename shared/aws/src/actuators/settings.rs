//! What an order says about the thing it is for.

use holdfast_core::domain::{ActOrder, Failure, KnownSettings};

use super::invalid;

/// Refuses settings that nobody reads: a misspelt one would be missing where it counts.
pub(super) fn only(order: &ActOrder, known: KnownSettings) -> Result<(), Failure> {
    let mut keys = order.on.settings().keys();
    let unknown = keys.find(|key| known.all().all(|known| known != key.as_str()));
    unknown.map_or(Ok(()), |key| {
        let known: Vec<&str> = known.all().collect();
        let key: String = key.chars().take(40).collect();
        Err(invalid(
            order,
            format!("the setting \"{key}\" is not known; known: {}", known.join(", ")),
        ))
    })
}

/// The setting that must be there.
pub(super) fn required<'a>(order: &'a ActOrder, key: &str) -> Result<&'a str, Failure> {
    optional(order, key).ok_or_else(|| invalid(order, format!("the setting \"{key}\" is missing: add it")))
}

/// The setting, if it is there.
pub(super) fn optional<'a>(order: &'a ActOrder, key: &str) -> Option<&'a str> {
    let value = order.on.settings().get(key)?;
    Some(value.as_str()).filter(|value| !value.is_empty())
}

/// The setting as a count of 1 or more.
pub(super) fn count(order: &ActOrder, key: &str) -> Result<i32, Failure> {
    counted(order, key, required(order, key)?)
}

/// The setting as a count of 1 or more, if it is there.
pub(super) fn optional_count(order: &ActOrder, key: &str) -> Result<Option<i32>, Failure> {
    optional(order, key).map(|text| counted(order, key, text)).transpose()
}

fn counted(order: &ActOrder, key: &str, text: &str) -> Result<i32, Failure> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        invalid(
            order,
            format!("the setting \"{key}\" is \"{text}\": write a whole number from 1 on"),
        )
    })
}
