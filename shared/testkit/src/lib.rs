//! Fakes, contract suites, fault decorators and the seeded simulator. Used by tests only.
