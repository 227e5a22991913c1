//! AWS adapters, one module a service. SDK types never leave this crate.
