//! What actuators read from their settings: missing and senseless values are named with what to write.

use holdfast_core::domain::{Bound, Failure, FailureKind};

/// A setting that must be there.
pub fn required<'a>(on: &'a Bound, name: &str, example: &str) -> Result<&'a str, Failure> {
    on.settings().get(name).map(String::as_str).ok_or_else(|| {
        let message = format!(
            "actuator {}: setting {name} is missing: write {name} = \"{example}\"",
            on.name()
        );
        Failure::new(FailureKind::Invalid, message)
    })
}

/// A setting that must be there and be of a type.
pub fn parsed<T: std::str::FromStr>(on: &Bound, name: &str, example: &str) -> Result<T, Failure> {
    required(on, name, example)?
        .parse()
        .map_err(|_| invalid(on, name, example))
}

/// A number with a value for where there is none.
pub fn number_or(on: &Bound, name: &str, otherwise: u32) -> Result<u32, Failure> {
    let value = on.settings().get(name);
    value.map_or(Ok(otherwise), |text| {
        text.parse().map_err(|_| invalid(on, name, &otherwise.to_string()))
    })
}

/// A setting that makes no sense.
pub fn invalid(on: &Bound, name: &str, example: &str) -> Failure {
    let message = format!(
        "actuator {}: setting {name} cannot be used: write {name} = \"{example}\"",
        on.name()
    );
    Failure::new(FailureKind::Invalid, message)
}
