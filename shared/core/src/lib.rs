//! The domain of Holdfast: words, decisions, ports and shared workflow. Pure: no SDK, no Lambda, no file system.
