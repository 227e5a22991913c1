//! Embedded adapters: one SQLite file for catalog and queue, directories as Regions, key file, system clock.
