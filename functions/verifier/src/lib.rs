//! Proves recovery points, remembers what was proven, repairs.
