use holdfast_core::domain::{Resource, ResourceId, ResourceKind, Selection};

use crate::make::{at, resource};

fn named(name: &str) -> ResourceId {
    ResourceId::new(name).unwrap()
}

/// In the order of their names, the last of them retired.
fn resources() -> Vec<Resource> {
    let mut all: Vec<Resource> = ["alpha", "beta", "gamma", "omega"]
        .map(|name| Resource {
            id: named(name),
            ..resource()
        })
        .into();
    all[3].retired_at = Some(at("2026-01-05T00:00:00Z"));
    all
}

#[test]
fn what_is_covered_is_found_by_name_or_by_terms_and_is_the_same_as_what_each_resource_is_asked_for() {
    let names = |names: &[&str]| names.iter().map(|name| named(name)).collect::<Vec<_>>();
    let by_name = Selection {
        resources: names(&["gamma", "alpha", "gamma", "nobody", "omega"]),
        ..Selection::default()
    };
    let without = Selection {
        exclude: names(&["alpha"]),
        ..by_name.clone()
    };
    let by_kind = Selection {
        kinds: vec![ResourceKind::Files],
        exclude: names(&["beta"]),
        ..Selection::default()
    };
    let resources = resources();
    let nothing = Selection::default();
    for (selection, expected) in [
        (by_name, vec!["alpha", "gamma"]),
        (without, vec!["gamma"]),
        (by_kind, vec!["alpha", "gamma"]),
        (nothing, vec![]),
    ] {
        let covered: Vec<&str> = selection
            .covered(&resources)
            .iter()
            .map(|found| found.id.as_str())
            .collect();
        assert_eq!(covered, expected, "{selection:?}");
        let asked: Vec<&str> = resources
            .iter()
            .filter(|resource| selection.covers(resource))
            .map(|resource| resource.id.as_str())
            .collect();
        assert_eq!(asked, expected, "{selection:?}");
    }
}
