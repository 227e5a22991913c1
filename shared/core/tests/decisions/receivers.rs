//! Which servers' log is received as it is written, and into which vault.

use holdfast_core::domain::{BackupKind, PolicyDraft, Resource, ResourceKind, ServerAccess};
use holdfast_core::planning::plan_receivers;

use crate::make::{at, draft, resource, rule, vault_name};

fn server(is_received: bool) -> Resource {
    Resource {
        kind: ResourceKind::Postgres,
        server: Some(ServerAccess {
            password: None,
            slot: "holdfast".to_owned(),
            is_received,
            pulls_log: false,
        }),
        ..resource()
    }
}

fn pulling(vault: &str) -> PolicyDraft {
    PolicyDraft {
        vault: vault_name(vault),
        rules: vec![rule("log", "*/5 * * * *", "UTC", BackupKind::Log)],
        ..draft()
    }
}

fn vaults(resource: Resource, drafts: &[PolicyDraft]) -> Vec<String> {
    let resources = [resource];
    let drafts: Vec<&PolicyDraft> = drafts.iter().collect();
    let planned = plan_receivers(&resources, &drafts);
    planned.iter().map(|receiving| receiving.vault.to_string()).collect()
}

#[test]
fn log_is_received_where_the_server_says_so_into_the_vault_that_it_is_pulled_to() {
    let drafts = [draft(), pulling("second"), pulling("third")];
    assert_eq!(vaults(server(true), &drafts), ["second"]);
    assert!(vaults(server(false), &drafts).is_empty());
    assert!(vaults(server(true), &drafts[..1]).is_empty());
    let retired = Resource {
        retired_at: Some(at("2026-01-01T00:00:00Z")),
        ..server(true)
    };
    assert!(vaults(retired, &drafts).is_empty());
    assert_eq!(server(true).server.unwrap().receiver_slot(), "holdfast_receiver");
}
