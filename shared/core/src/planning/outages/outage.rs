//! Outages by name, and what of the services that steps need they take away.
//!
//! They are the ones that happened to others: on 19 and 20 October 2025 us-east-1 had no addresses for DynamoDB, launched
//! nothing, let health checks flap, and slowed functions, queues and sign-in for most of a day.

use std::fmt;
use std::str::FromStr;

use crate::domain::Region;

/// What is not there, or not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outage {
    /// Everything in the Region that the workload is in.
    Region,
    /// Changes of Route 53's records and health checks, everywhere. Answers go on.
    Route53ControlPlane,
    /// Changes of IAM, the global endpoint of STS, and sign-in, everywhere. Regional endpoints of STS go on.
    Identity,
    /// DynamoDB in the Region that the workload is in.
    DynamodbAtHome,
    /// Lambda and SQS in the Region that the workload is in: slow, not gone.
    LambdaSlow,
    /// Restores and launches in the recovery Region, for hours.
    RestoreApi,
    /// Health checks change their mind all the time.
    HealthChecks,
}

impl Outage {
    /// Every outage.
    pub const ALL: [Self; 7] = [
        Self::Region,
        Self::Route53ControlPlane,
        Self::Identity,
        Self::DynamodbAtHome,
        Self::LambdaSlow,
        Self::RestoreApi,
        Self::HealthChecks,
    ];

    /// The word for it on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Route53ControlPlane => "route53-control-plane",
            Self::Identity => "iam-sts",
            Self::DynamodbAtHome => "dynamodb-home",
            Self::LambdaSlow => "lambda-slow",
            Self::RestoreApi => "restore-api",
            Self::HealthChecks => "health-checks",
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no outage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no outage that is known: give one of region, route53-control-plane, iam-sts, dynamodb-home, lambda-slow, restore-api and health-checks"
)]
pub struct UnknownOutage(String);

impl FromStr for Outage {
    type Err = UnknownOutage;

    fn from_str(word: &str) -> Result<Self, UnknownOutage> {
        let found = Self::ALL.into_iter().find(|outage| outage.as_str() == word);
        found.ok_or_else(|| UnknownOutage(word.chars().take(40).collect()))
    }
}

/// What steps need, by the part that can be lost alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Lambda, and SQS before it.
    Functions,
    /// DynamoDB, which holds the catalog.
    Catalog,
    /// Objects of S3 and the keys of KMS that open them.
    Objects,
    /// The calls that make a resource from a recovery point.
    Restores,
    /// The calls of RDS that promote and fail over what stands already.
    Databases,
    /// The calls that set how much of a service runs, and what it starts: ECS, Auto Scaling.
    Launches,
    /// The calls that set the concurrency of a function.
    FunctionSettings,
    /// The five endpoints of Amazon Application Recovery Controller, of which most must agree.
    RoutingControls,
    /// The health checks of Route 53.
    HealthChecks,
    /// The records of Route 53.
    DnsRecords,
    /// IAM, STS and sign-in.
    Identity,
    /// A server or a program outside AWS.
    Machine,
}

impl Service {
    /// What it is called in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Functions => "Lambda and SQS",
            Self::Catalog => "DynamoDB",
            Self::Objects => "S3 and KMS",
            Self::Restores => "restores",
            Self::Databases => "RDS",
            Self::Launches => "launches",
            Self::FunctionSettings => "settings of Lambda",
            Self::RoutingControls => "routing controls",
            Self::HealthChecks => "Route 53 health checks",
            Self::DnsRecords => "changes of Route 53 records",
            Self::Identity => "IAM, STS and sign-in",
            Self::Machine => "the server there",
        }
    }
}

/// Something that a step needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub service: Service,
    /// In which Region; none where it is everywhere or nowhere in particular.
    pub region: Option<Region>,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{} in {region}", self.service.as_str()),
            None => f.write_str(self.service.as_str()),
        }
    }
}

/// How much of what is needed an outage takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Nothing.
    None,
    /// It answers late, or not reliably.
    Slow,
    /// It does not answer.
    Gone,
}

/// The Regions that an outage is told about: it takes the one that the workload is in, and restores fail in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The Region that the workload is in.
    pub home: Region,
    /// The Region that it recovers in.
    pub recovery: Region,
}

/// What an outage takes of a need.
pub fn loss(outage: Outage, need: &Need, sides: &Sides) -> Loss {
    let at = |region: &Region| need.region.as_ref() == Some(region);
    let gone_if = |is_gone: bool| if is_gone { Loss::Gone } else { Loss::None };
    match outage {
        Outage::Region => gone_if(at(&sides.home)),
        Outage::Route53ControlPlane => gone_if(need.service == Service::DnsRecords),
        Outage::Identity if need.service == Service::Identity => Loss::Slow,
        Outage::DynamodbAtHome => gone_if(need.service == Service::Catalog && at(&sides.home)),
        Outage::LambdaSlow if need.service == Service::Functions && at(&sides.home) => Loss::Slow,
        Outage::RestoreApi => {
            let launches = matches!(need.service, Service::Restores | Service::Launches);
            gone_if(launches && at(&sides.recovery))
        }
        Outage::HealthChecks if need.service == Service::HealthChecks => Loss::Slow,
        Outage::Identity | Outage::LambdaSlow | Outage::HealthChecks => Loss::None,
    }
}
