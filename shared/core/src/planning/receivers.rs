//! Which servers' log is received as it is written, and into which vault.

use crate::domain::{PolicyDraft, Resource, VaultName};

/// A server whose log is received as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiving<'a> {
    /// The server.
    pub resource: &'a Resource,
    /// The vault.
    pub vault: &'a VaultName,
}

/// The servers whose log is to be received as it is written: those that say so, into the vault of the first policy that pulls
/// their log as well. Pulls look after what is received: they move the window on, and tell of what is missing.
pub fn plan_receivers<'a>(resources: &'a [Resource], policies: &[&'a PolicyDraft]) -> Vec<Receiving<'a>> {
    let receives = |resource: &&Resource| {
        let server = resource.server.as_ref();
        resource.retired_at.is_none() && server.is_some_and(|server| server.is_received)
    };
    let place = |resource: &'a Resource| {
        let vault = &policies.iter().find(|draft| draft.pulls_log(resource))?.vault;
        Some(Receiving { resource, vault })
    };
    resources.iter().filter(receives).filter_map(place).collect()
}
