//! What Terraform itself says of `infra/`, with a provider that knows the shape of AWS's resources and makes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use holdfast_tests::workspace_root;
use serde_json::Value;

use crate::template::{recovery_template, template};
use crate::tools::{Ran, program, run, text};

/// A copy of `infra/`, ready for Terraform.
struct Copy(tempfile::TempDir);

impl Copy {
    /// Copies the folder and installs the schema-only provider for it.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&workspace_root().join("infra"), &folder.path().join("infra"));
        let copy = Self(folder);
        copy.install_provider();
        copy.terraform(&["init", "-backend=false", "-input=false", "-no-color"])
            .good();
        copy
    }

    /// Puts the provider where Terraform looks for one, under the version whose schema it serves.
    fn install_provider(&self) {
        let schema: serde_json::Value =
            serde_json::from_str(&text("tests/emulators/terraform/aws-schema.json")).unwrap();
        let version = schema["version"].as_str().unwrap();
        let machine = match std::env::consts::ARCH {
            "aarch64" => "linux_arm64",
            _ => "linux_amd64",
        };
        let mirror = self.0.path().join("mirror");
        let place = mirror
            .join("registry.terraform.io/hashicorp/aws")
            .join(version)
            .join(machine);
        fs::create_dir_all(&place).unwrap();
        let python = program("terraform", "python");
        let script = workspace_root().join("tests/emulators/terraform/provider.py");
        let provider = place.join(format!("terraform-provider-aws_v{version}"));
        let start = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), script.display());
        fs::write(&provider, start).unwrap();
        fs::set_permissions(&provider, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
            mirror.display()
        );
        fs::write(self.0.path().join("terraformrc"), settings).unwrap();
    }

    fn terraform(&self, words: &[&str]) -> Ran {
        let mut terraform = Command::new(program("terraform", "python"));
        terraform
            .arg("tests/emulators/terraform/terraform.py")
            .arg(self.0.path().join("infra"))
            .args(words)
            .env("TF_CLI_CONFIG_FILE", self.0.path().join("terraformrc"));
        run(&mut terraform, self.0.path())
    }

    fn change(&self, file: &str, right: &str, wrong: &str) {
        let path = self.0.path().join("infra").join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(right), "{file} has no {right}");
        fs::write(&path, before.replacen(right, wrong, 1)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_files_are_formatted_valid_and_a_mistake_is_found() {
    let copy = Copy::new();
    copy.terraform(&["fmt", "-check", "-recursive", "-diff"]).good();
    let said = copy.terraform(&["validate", "-no-color"]).good();
    assert!(said.contains("Success!"), "{said}");
    copy.change("modules/catalog/main.tf", "billing_mode", "biling_mode");
    copy.terraform(&["validate", "-no-color"]).complaint("biling_mode");
    copy.change("modules/catalog/main.tf", "biling_mode", "billing_mode");
    copy.change("main.tf", "module.alerts.key_arn", "module.alerts.key");
    copy.terraform(&["validate", "-no-color"]).complaint("module.alerts");
}

#[test]
fn the_plan_gives_each_template_every_parameter_that_it_needs_and_no_other() {
    let copy = Copy::new();
    let words = [
        "plan",
        "-input=false",
        "-no-color",
        "-var=home_region=eu-central-1",
        "-var=recovery_region=eu-west-1",
        "-var=recovery_deployment=true",
    ];
    let plan = copy.terraform(&words).good();
    for (output, template) in [
        ("sam_parameters", template()),
        ("recovery_parameters", recovery_template()),
    ] {
        assert_eq!(given(&plan, output), needed(template), "{output}");
    }
}

/// The parameters that an output of a plan has.
fn given<'a>(plan: &'a str, output: &str) -> BTreeSet<&'a str> {
    let begin = plan
        .lines()
        .position(|line| {
            line.trim_start()
                .strip_prefix("+ ")
                .is_some_and(|rest| rest.starts_with(output))
        })
        .unwrap_or_else(|| panic!("no {output} in {plan}"));
    plan.lines()
        .skip(begin + 1)
        .take_while(|line| *line != "    }")
        .filter_map(|line| line.trim().strip_prefix("+ ")?.split_once(" = "))
        .map(|(name, _)| name.trim())
        // What is known already is shown with the fields inside it, which are not spelt like parameters.
        .filter(|name| name.starts_with(char::is_uppercase))
        .collect()
}

/// The parameters of a template that have no default.
fn needed(template: &Value) -> BTreeSet<&str> {
    let parameters = template["Parameters"].as_object().unwrap().iter();
    parameters
        .filter(|(_, parameter)| parameter.get("Default").is_none())
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn terraforms_own_tests_pass_and_notice_a_right_too_many() {
    let copy = Copy::new();
    let said = copy.terraform(&["test", "-no-color"]).good();
    assert!(said.contains(" passed, 0 failed"), "{said}");
    copy.change(
        "modules/roles/functions.tf",
        "Action = \"dynamodb:CreateBackup\"",
        "Action = [\"dynamodb:CreateBackup\", \"dynamodb:DeleteBackup\"]",
    );
    copy.change(
        "modules/roles/statements.tf",
        "Resource = var.alert_topic",
        "Resource = \"*\"",
    );
    let said = copy
        .terraform(&["test", "-no-color", "-filter=tests/policies.tftest.hcl"])
        .complaint("may destroy");
    assert!(said.contains("is allowed on all of them"), "{said}");
}

#[test]
fn the_template_and_terraform_make_different_things() {
    let made: BTreeSet<String> = files(&workspace_root().join("infra"))
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.strip_prefix("resource \"")?.split('"').next().map(str::to_owned))
        .collect();
    assert!(made.contains("aws_dynamodb_table"), "{made:?}");
    for thrown_away in [
        "aws_lambda",
        "aws_scheduler",
        "aws_sfn",
        "aws_cloudwatch_event_bus",
        "aws_cloudwatch_metric_alarm",
    ] {
        assert!(
            !made.iter().any(|kind| kind.starts_with(thrown_away)),
            "{thrown_away}: {made:?}"
        );
    }
}

/// The text of every Terraform file below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "tf") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}
