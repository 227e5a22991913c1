//! Starts and observes backup jobs; makes recovery points.
