//! What goes wrong when a test wants it.

use jiff::Timestamp;

/// What a call meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Too many calls.
    Throttle,
    /// The service is broken.
    ServerError,
    /// The caller has no right.
    Deny,
    /// The call is carried out, and its answer is lost.
    LoseAnswer,
    /// What the call asks about is not found: made just now, it is not visible everywhere yet.
    Overlook,
}

/// Trouble for some calls.
#[derive(Debug, Clone)]
pub struct Fault {
    /// For calls of this operation; none means every call.
    pub operation: Option<String>,
    /// What they meet.
    pub trouble: Trouble,
    /// How many calls; none means any number.
    pub calls: Option<u32>,
    /// Until when, on the stand-in's clock; none means until it is taken away.
    pub until: Option<Timestamp>,
}

impl Fault {
    /// Trouble for so many calls of an operation.
    pub fn next(operation: &str, trouble: Trouble, calls: u32) -> Self {
        Self {
            operation: Some(operation.to_owned()),
            trouble,
            calls: Some(calls),
            until: None,
        }
    }

    /// Trouble for every call, until a time if one is given.
    pub fn always(trouble: Trouble, until: Option<Timestamp>) -> Self {
        Self {
            operation: None,
            trouble,
            calls: None,
            until,
        }
    }
}

/// The trouble that a call of `operation` meets now, if any.
pub(super) fn meet(faults: &mut Vec<Fault>, operation: &str, now: Timestamp) -> Option<Trouble> {
    faults.retain(|fault| fault.calls != Some(0) && fault.until.is_none_or(|until| until > now));
    let concerns = |fault: &&mut Fault| fault.operation.as_deref().is_none_or(|named| named == operation);
    let fault = faults.iter_mut().find(concerns)?;
    fault.calls = fault.calls.map(|calls| calls.saturating_sub(1));
    Some(fault.trouble.clone())
}
