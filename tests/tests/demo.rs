//! The demo: every claim that it prints is proven, and other tools read what it leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "tools/mod.rs"]
mod tools;

use std::process::Command;

use holdfast_tests::holdfast_binary;
use tools::Ran;

#[test]
fn every_claim_of_the_demo_is_proven_and_restic_reads_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut demo = Command::new(holdfast_binary());
    let report = Ran::of(demo.args(["--json", "demo", "--dir"]).arg(&dir)).ends(0).json();
    assert_eq!(report["proven"], true, "{report}");
    let claims: Vec<&str> = report["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| claim["claim"].as_str().unwrap())
        .collect();
    let needed = [
        "every byte is proven in the other Region",
        "equal the original manifest",
        "the drill succeeded",
        "both Regions hold the same chain",
        // These need PostgreSQL on the machine.
        "its log is kept without a gap",
        "acknowledged orders are back",
        "orders of then and no other",
    ];
    for words in needed {
        let is_claimed = claims.iter().any(|claim| claim.contains(words));
        assert!(is_claimed, "`{words}` is not claimed: {claims:?}");
    }
    let password = dir.join("data/repository-password");
    for repository in [
        "data/regions/eu-west-1/vaults/recovery/application",
        "database-repository",
    ] {
        let mut restic = Command::new("restic");
        restic
            .args(["--no-cache", "check", "--read-data", "--repo"])
            .arg(dir.join(repository));
        restic.arg("--password-file").arg(&password);
        Ran::of(&mut restic).ends(0).says("no errors were found");
    }
}
