//! Work on many things, of which one that fails must not stop the others.

use crate::domain::{Failure, FailureKind};

/// Keeps the first failure while the work goes on, and gives it back at the end. A conflict is none: somebody else was
/// there first, and the next look decides anew.
#[derive(Debug, Default)]
pub struct FirstFailure(Option<Failure>);

impl FirstFailure {
    /// What was done, if it was; otherwise the failure is kept, unless an earlier one is.
    pub fn keep<T>(&mut self, done: Result<T, Failure>) -> Option<T> {
        match done {
            Ok(value) => Some(value),
            Err(failure) => {
                if failure.kind != FailureKind::Conflict {
                    self.0.get_or_insert(failure);
                }
                None
            }
        }
    }

    /// The failure that was kept, once all had their turn.
    pub fn into_result(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_given_back_and_conflicts_are_none() {
        let mut failures = FirstFailure::default();
        assert_eq!(failures.keep(Ok(7)), Some(7));
        for kind in [FailureKind::Conflict, FailureKind::Denied, FailureKind::Transient] {
            assert_eq!(failures.keep::<()>(Err(Failure::new(kind, "no"))), None);
        }
        assert_eq!(failures.into_result().unwrap_err().kind, FailureKind::Denied);
        let mut failures = FirstFailure::default();
        failures.keep::<()>(Err(Failure::new(FailureKind::Conflict, "no")));
        assert!(failures.into_result().is_ok());
    }
}
