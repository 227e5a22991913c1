//! Restore jobs as sagas.
