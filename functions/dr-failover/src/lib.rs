//! Runs of recovery plans: simulate and drill.
