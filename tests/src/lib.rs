//! End-to-end tests: the whole system, other tools as judges, golden files, tidy rules.
