//! Brings copies to what the policy asks.
