use holdfast_core::domain::{Act, Actuator, ActuatorKind, ActuatorName, Region, Settings, WorkloadName};
use holdfast_core::planning::{check_actuator, needs_of_act, stands_unreached};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn actuator(kind: ActuatorKind, production: &[(&str, &str)], drill: Option<&[(&str, &str)]>) -> Actuator {
    Actuator {
        name: ActuatorName::new("shop").unwrap(),
        kind,
        region: Region::new("us-west-2").unwrap(),
        workload: WorkloadName::new("shop").unwrap(),
        production: settings(production),
        drill: drill.map(settings),
    }
}

fn codes(actuator: &Actuator) -> Vec<&'static str> {
    check_actuator(actuator).iter().map(|finding| finding.code).collect()
}

#[test]
fn a_drill_may_not_hold_production_however_differently_it_would_treat_it() {
    let production = [("cluster", "shop"), ("service", "web"), ("count", "8")];
    let smaller = [("cluster", "shop"), ("service", "web"), ("count", "1")];
    let same = actuator(ActuatorKind::EcsService, &production, Some(&smaller));
    assert_eq!(codes(&same), ["production-in-drill"]);
    assert_eq!(
        check_actuator(&same)[0].message,
        "[actuator.drill] leads to what [actuator.production] leads to (cluster, service): a drill would change production. Name \
         something that a drill may change, or leave [actuator.drill] out, and drills leave its steps out"
    );
    let other = [("cluster", "drills"), ("service", "web"), ("count", "1")];
    assert!(codes(&actuator(ActuatorKind::EcsService, &production, Some(&other))).is_empty());
    assert!(codes(&actuator(ActuatorKind::EcsService, &production, None)).is_empty());
    let name = |name| {
        let rest = [("address", "10.0.0.9"), ("key_name", "k."), ("key_file", "/k")];
        [[("server", "10.0.0.2"), ("zone", "shop.example"), ("name", name)], rest].concat()
    };
    let dns = |drill| codes(&actuator(ActuatorKind::Dns, &name("www"), Some(&name(drill))));
    assert_eq!((dns("www"), dns("drill")), (vec!["production-in-drill"], vec![]));
}

#[test]
fn a_setting_that_is_missing_or_misspelt_is_found_before_a_disaster_finds_it() {
    let misspelt = [("cluster", "shop"), ("service", "web"), ("desired", "8")];
    let drill = [("cluster", "drills")];
    let said = check_actuator(&actuator(ActuatorKind::EcsService, &misspelt, Some(&drill)));
    let said: Vec<&str> = said.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "[actuator.production] has \"desired\", which kind ecs-service does not know; it knows: cluster, service, count",
            "[actuator.drill] lacks \"service\", without which kind ecs-service finds nothing",
        ]
    );
}

#[test]
fn a_program_that_changes_what_all_regions_share_is_refused() {
    let command = |program, arguments| {
        let settings = [("program", program), ("arguments", arguments)];
        codes(&actuator(ActuatorKind::Command, &settings, None))
    };
    let records = r#"["route53", "change-resource-record-sets", "--hosted-zone-id", "Z1"]"#;
    assert_eq!(command("/usr/local/bin/aws", records), ["global-control-plane"]);
    assert_eq!(
        command("aws", r#"["--region", "us-west-2", "iam", "create-role"]"#),
        ["global-control-plane"]
    );
    assert!(command("aws", r#"["ecs", "update-service"]"#).is_empty());
    assert!(
        command("/opt/shop/start", records).is_empty(),
        "what another program takes a word for is its own"
    );
}

#[test]
fn each_act_needs_what_it_calls_and_where() {
    let (here, there) = (Region::new("us-west-2").unwrap(), Region::new("us-east-1").unwrap());
    let needs = |kind, act: &Act| {
        let needs = needs_of_act(kind, act, &here, &there);
        needs
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
            .join(", ")
    };
    use ActuatorKind::{ArcRoutingControl, AuroraGlobal, LambdaFunction, Postgres, Route53Marker};
    let promote = |allow_loss| Act::Promote { allow_loss };
    assert_eq!(needs(AuroraGlobal, &promote(true)), "RDS in us-west-2");
    assert_eq!(
        needs(AuroraGlobal, &promote(false)),
        "RDS in us-west-2, RDS in us-east-1"
    );
    assert_eq!(
        needs(Route53Marker, &Act::Direct { share: 100 }),
        "S3 and KMS in us-west-2, Route 53 health checks"
    );
    assert_eq!(
        needs(ArcRoutingControl, &Act::Direct { share: 100 }),
        "routing controls"
    );
    assert_eq!(needs(LambdaFunction, &Act::Stop), "settings of Lambda in us-west-2");
    let payload = String::new();
    assert_eq!(
        needs(LambdaFunction, &Act::Invoke { payload }),
        "Lambda and SQS in us-west-2"
    );
    assert_eq!(needs(Postgres, &Act::Fence), "the server there in us-west-2");
    assert!(stands_unreached(Postgres, &Act::Fence) && !stands_unreached(Postgres, &Act::Unfence));
    assert!(!stands_unreached(LambdaFunction, &Act::Fence));
    // Nothing that an actuator does changes a record of Route 53.
    for kind in ActuatorKind::ALL {
        for act in [
            Act::Fence,
            Act::Unfence,
            promote(true),
            Act::Start,
            Act::Direct { share: 0 },
        ] {
            assert!(!needs(kind, &act).contains("changes of Route 53 records"));
        }
    }
}
