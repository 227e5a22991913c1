//! Time and identity as inputs.

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// Makes ids for what a person asks; ids of work are derived instead.
pub trait Ids: Send + Sync {
    /// A fresh id of 32 lower-case hexadecimal digits.
    fn fresh(&self) -> String;
}
