//! The Lambda edge: typed events, settings, telemetry, partial batches, deadlines.
