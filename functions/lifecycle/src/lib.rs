//! Retention plans and two-phase deletion: the only function that may delete.
