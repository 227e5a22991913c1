//! What the linters of AWS's own formats say. Each is shown a mistake as well, so that silence means something.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::template::{TEMPLATES, recovery_template, template};
use crate::tools::{Ran, program, run, text};

fn cfn_lint(template: &Path, home: &Path) -> Ran {
    run(
        Command::new(program("sam", "cfn-lint")).arg("--template").arg(template),
        home,
    )
}

#[test]
fn sam_validates_the_templates() {
    let home = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let mut sam = Command::new(program("sam", "sam"));
        let said = run(sam.args(["validate", "--lint", "--template", template]), home.path()).good();
        assert!(said.contains("is a valid SAM Template"), "{said}");
    }
}

#[test]
fn cfn_lint_finds_nothing_in_the_templates_and_finds_what_is_planted() {
    let home = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        cfn_lint(Path::new(template), home.path()).good();
    }
    let planted = home.path().join("template.yaml");
    let misspelt = text("template.yaml").replacen("VisibilityTimeout:", "VisibilityTimout:", 1);
    std::fs::write(&planted, misspelt).unwrap();
    cfn_lint(&planted, home.path()).complaint("VisibilityTimout");
}

/// Before the transform cfn-lint takes any name that begins with a function's for one that SAM may make.
#[test]
fn cfn_lint_finds_nothing_in_the_transformed_templates_and_finds_a_reference_to_nothing() {
    let home = tempfile::tempdir().unwrap();
    let transformed = home.path().join("template.json");
    for template in [template(), recovery_template()] {
        std::fs::write(&transformed, template.to_string()).unwrap();
        cfn_lint(&transformed, home.path()).good();
    }
    let mut lost = template().clone();
    lost["Resources"]["SchedulerTimer"]["Properties"]["Target"]["Arn"] =
        json!({"Fn::GetAtt": ["SchedulerQueu", "Arn"]});
    std::fs::write(&transformed, lost.to_string()).unwrap();
    cfn_lint(&transformed, home.path()).complaint("SchedulerQueu");
}

/// What `sam deploy --parameter-overrides` makes of its arguments, in JSON.
const READ_OVERRIDES: &str = "import json, sys
from samcli.cli.types import CfnParameterOverridesType as Overrides
print(json.dumps(Overrides().convert(tuple(sys.argv[1:]), None, None)))";

/// The name of the file of parameters that a document tells people to hand over.
fn named_in(document: &str) -> String {
    let text = text(document);
    let (_, rest) = text.split_once("file://target/parameters").unwrap();
    let end = rest
        .find(|c: char| c != '.' && !c.is_alphanumeric())
        .unwrap_or(rest.len());
    format!("parameters{}", &rest[..end])
}

#[test]
fn sam_takes_the_parameters_that_terraform_wrote_under_the_name_that_is_documented() {
    let home = tempfile::tempdir().unwrap();
    let vaults = json!([{"name": "primary", "region": "eu-central-1", "key": "arn:aws:kms:eu-central-1:1:key/a=b"}]);
    let written = json!({"CatalogTable": "holdfast-catalog", "Vaults": vaults.to_string()});
    let mut taken = written.clone();
    taken["Architecture"] = json!("arm64");
    for document in ["README.md", "infra/outputs.tf", "docs/first-deploy.md"] {
        let file = home.path().join(named_in(document));
        std::fs::write(&file, serde_json::to_string_pretty(&written).unwrap()).unwrap();
        let mut python = Command::new(program("sam", "python"));
        let file = format!("file://{}", file.display());
        let words = ["-c", READ_OVERRIDES, file.as_str(), "Architecture=arm64"];
        let said = run(python.args(words), home.path()).good();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said, taken, "{document}");
    }
}

/// Runs checkov with the exceptions of `.checkov.yaml`.
fn checkov(framework: &str, what: [&str; 2], home: &Path) -> Ran {
    let mut checkov = Command::new(program("checkov", "checkov"));
    run(checkov.args(["--framework", framework]).args(what), home)
}

#[test]
fn checkov_finds_nothing_in_the_templates() {
    let home = tempfile::tempdir().unwrap();
    for template in TEMPLATES {
        let said = checkov("cloudformation", ["--file", template], home.path()).good();
        assert!(
            said.contains("Failed checks: 0") && !said.contains("Passed checks: 0"),
            "{said}"
        );
    }
}

#[test]
fn checkov_finds_nothing_in_the_infrastructure_and_finds_what_is_planted() {
    let home = tempfile::tempdir().unwrap();
    let said = checkov("terraform", ["--directory", "infra"], home.path()).good();
    assert!(
        said.contains("Failed checks: 0") && !said.contains("Passed checks: 0"),
        "{said}"
    );
    let planted = home.path().join("main.tf");
    std::fs::write(
        &planted,
        "resource \"aws_dynamodb_table\" \"open\" {\n  name = \"open\"\n}\n",
    )
    .unwrap();
    let file = planted.to_str().unwrap();
    checkov("terraform", ["--file", file], home.path()).complaint("CKV_AWS_28");
}
