//! The content engine: a repository in the restic v2 format. It knows bytes, not policies.
