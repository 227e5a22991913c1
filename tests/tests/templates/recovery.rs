//! The template of the recovery Region beside that of the home Region.

use std::collections::BTreeSet;

use holdfast_core::domain::FunctionName;

use crate::template::{of_type_in, recovery_template, stem, template};
use crate::tools::text;

/// What moves workloads: the programs that take the configuration and drive the runs.
const FUNCTIONS: [FunctionName; 2] = [FunctionName::Scheduler, FunctionName::DrFailover];

/// Whatever the other tests hold the one template to, the other one keeps by this.
#[test]
fn everything_in_it_stands_in_the_template_of_the_home_region_word_for_word() {
    for section in ["Parameters", "Conditions", "Resources", "Outputs"] {
        let (own, other) = (&recovery_template()[section], &template()[section]);
        for (name, said) in own.as_object().unwrap() {
            assert_eq!(said, &other[name], "{section}: {name}");
        }
    }
}

#[test]
fn it_has_all_of_its_functions_and_of_the_state_machines_and_nothing_of_the_others() {
    let functions = of_type_in(recovery_template(), "AWS::Lambda::Function");
    let functions: BTreeSet<String> = functions.into_keys().map(str::to_owned).collect();
    assert_eq!(functions, FUNCTIONS.map(stem).into());
    let others = FunctionName::ALL
        .into_iter()
        .filter(|function| !FUNCTIONS.contains(function));
    let others: Vec<String> = others.map(stem).collect();
    let all = template()["Resources"].as_object().unwrap().keys();
    let expected: BTreeSet<&String> = all
        .filter(|name| !others.iter().any(|stem| name.starts_with(stem.as_str())))
        .collect();
    let made: BTreeSet<&String> = recovery_template()["Resources"].as_object().unwrap().keys().collect();
    assert_eq!(made, expected);
}

#[test]
fn the_commands_that_order_a_failover_there_are_written_down_where_people_look() {
    let deploy = text("docs/deploy.md");
    for said in [
        "--template-file template-recovery.yaml",
        "output -json recovery_parameters",
        "--region RECOVERY --name",
        "arn:aws:states:RECOVERY:ACCOUNT:stateMachine:holdfast-failover",
    ] {
        assert!(deploy.contains(said), "{said}");
    }
}
