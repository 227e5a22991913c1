//! The configuration that `docs/` gives for AWS, beside what the infrastructure makes.

use std::collections::BTreeSet;

use holdfast_core::config::parse;
use holdfast_core::domain::ResourceKind;
use holdfast_core::planning::Severity;
use jiff::Timestamp;

use crate::tools::text;

#[test]
fn the_example_for_aws_reads_has_every_kind_that_aws_has_and_only_tables_lack_a_copy() {
    let example = text("docs/holdfast.aws.example.toml");
    let config = parse(&example, Timestamp::UNIX_EPOCH).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let spoken_against = config.warnings.iter().map(|(_, finding)| finding);
    let spoken_against = spoken_against.filter(|finding| finding.severity != Severity::Explain);
    let spoken_against: Vec<&str> = spoken_against.map(|finding| finding.code).collect();
    // DynamoDB copies no backup to another Region; the example says so beside the table.
    assert_eq!(spoken_against, ["no-copy-elsewhere"], "{:#?}", config.warnings);
    let kinds: BTreeSet<ResourceKind> = config.resources.iter().map(|resource| resource.kind).collect();
    use ResourceKind::{Aurora, AwsBackup, Dynamodb, Postgres, Rds, S3};
    assert_eq!(kinds, BTreeSet::from([S3, Rds, Aurora, Dynamodb, AwsBackup, Postgres]));
}

#[test]
fn the_example_for_aws_names_the_vaults_that_the_infrastructure_makes() {
    let config = parse(&text("docs/holdfast.aws.example.toml"), Timestamp::UNIX_EPOCH).unwrap();
    let infra = text("infra/main.tf");
    let (_, regions) = infra.split_once("regions   = { ").unwrap();
    let (regions, _) = regions.split_once(" }").unwrap();
    let made: Vec<&str> = regions
        .split(", ")
        .filter_map(|pair| pair.split(" = ").next())
        .collect();
    let named: Vec<&str> = config.vaults.iter().map(|vault| vault.name.as_str()).collect();
    assert_eq!(named, made);
    // A resource without a copy elsewhere is one whose service makes none.
    for (id, policy) in &config.policies {
        assert_eq!(policy.copies.is_empty(), id.as_str() == "tables", "{id:?}");
    }
}
