//! What RDS instances and Aurora clusters have in common beside their snapshots: state words, tags, and what a restore needs.

use aws_sdk_rds::types::{Tag, VpcSecurityGroupMembership};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use holdfast_core::domain::{Failure, FailureKind, Region};
use jiff::Timestamp;

use super::snapshots::{Made, Restorable, RestoredState};
use super::words::{self, Tags};
use crate::failure::{code, failure};

const GIBIBYTE: u64 = 1 << 30;

/// The Region whose groups the other tags name.
const HOME: &str = "holdfast:region";
const SUBNET_GROUP: &str = "holdfast:subnet-group";
const PARAMETER_GROUP: &str = "holdfast:parameter-group";
const SECURITY_GROUPS: &str = "holdfast:security-groups";
/// The class of instances.
pub(super) const CLASS: &str = "holdfast:class";
/// The least and the most capacity of a serverless cluster, in ACUs.
const CAPACITY: &str = "holdfast:capacity";

/// What a restore needs and a snapshot does not hold. It travels as tags of the snapshot.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub subnet_group: Option<String>,
    pub parameter_group: Option<String>,
    pub security_groups: Vec<String>,
    pub class: Option<String>,
    pub capacity: Option<(f64, f64)>,
}

impl Surroundings {
    /// The tags that tell it.
    pub(super) fn tags(&self, region: &Region) -> Tags {
        let groups = self.security_groups.join(" ");
        let capacity = self.capacity.map(|(least, most)| format!("{least} {most}"));
        let tags = [
            (HOME, Some(region.to_string())),
            (SUBNET_GROUP, self.subnet_group.clone()),
            (PARAMETER_GROUP, self.parameter_group.clone()),
            (SECURITY_GROUPS, Some(groups).filter(|groups| !groups.is_empty())),
            (CLASS, self.class.clone()),
            (CAPACITY, capacity),
        ];
        let told = tags.into_iter().filter_map(|(name, value)| Some((name, value?)));
        // A tag holds 256 characters; what does not fit is not told, and the restore takes the default.
        told.filter(|(_, value)| value.len() <= 256)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Reads the tags of a snapshot for a restore in `region`. In another Region the groups of the same names are meant;
    /// security groups have ids of one Region only, so there the default one is taken.
    pub(super) fn read(tags: &Tags, region: &Region) -> Self {
        let text = |name: &str| tags.get(name).filter(|value| !value.is_empty()).cloned();
        let at_home = tags.get(HOME).is_some_and(|home| home == region.as_str());
        let groups = text(SECURITY_GROUPS).filter(|_| at_home).unwrap_or_default();
        let capacity = text(CAPACITY).and_then(|pair| {
            let (least, most) = pair.split_once(' ')?;
            Some((least.parse().ok()?, most.parse().ok()?))
        });
        Self {
            subnet_group: text(SUBNET_GROUP),
            parameter_group: text(PARAMETER_GROUP),
            security_groups: groups.split_whitespace().map(str::to_owned).collect(),
            class: text(CLASS),
            capacity,
        }
    }
}

/// The ids of the security groups something is in.
pub(super) fn group_ids(groups: &[VpcSecurityGroupMembership]) -> Vec<String> {
    let ids = groups.iter().filter_map(|group| group.vpc_security_group_id.clone());
    ids.collect()
}

/// Tags as the service wants them.
pub(super) fn to_sdk(tags: &Tags) -> Vec<Tag> {
    let tags = tags
        .iter()
        .map(|(name, value)| Tag::builder().key(name).value(value).build());
    tags.collect()
}

/// Tags as the service gives them.
pub(super) fn from_sdk(tags: &[Tag]) -> Tags {
    let tags = tags.iter().filter_map(|tag| {
        let name = tag.key.clone()?;
        Some((name, tag.value.clone().unwrap_or_default()))
    });
    tags.collect()
}

/// A time of the service.
pub(super) fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).unwrap_or(0)).ok()
}

/// What the log that the service keeps leads to, from when until when.
pub(super) fn restorable(earliest: Option<&DateTime>, latest: Option<&DateTime>) -> Restorable {
    match (time(earliest), time(latest)) {
        (Some(earliest), Some(latest)) => Restorable::Between(earliest, latest),
        _ => Restorable::NotYet,
    }
}

/// That a protected database, which is an `instance` of RDS or a `cluster` of Aurora, does not exist.
pub(super) fn missing(service: &str, noun: &str, source: &str, region: &Region) -> Failure {
    let message = format!(
        "there is no {service} {noun} \"{source}\" in {region}: correct the resource's identifier, or back it up to a vault of the \
         {noun}'s own Region"
    );
    Failure::new(FailureKind::NotFound, message)
}

/// Gibibytes as bytes.
pub(super) fn gibibytes(size: Option<i32>) -> u64 {
    u64::try_from(size.unwrap_or(0)).unwrap_or(0) * GIBIBYTE
}

/// A percentage.
pub(super) fn percent(percent: Option<i32>) -> u64 {
    u64::try_from(percent.unwrap_or(0)).unwrap_or(0)
}

/// Reads the state of an instance or cluster. The list is closed: what is not in it is an error that names it.
pub(crate) fn state(on: &str, word: &str) -> Result<RestoredState, Failure> {
    match word {
        "available" | "storage-optimization" | "storage-initialization" => Ok(RestoredState::Available),
        "backing-up"
        | "backtracking"
        | "configuring-enhanced-monitoring"
        | "configuring-iam-database-auth"
        | "configuring-log-exports"
        | "converting-to-vpc"
        | "creating"
        | "failing-over"
        | "maintenance"
        | "migrating"
        | "modifying"
        | "moving-to-vpc"
        | "preparing-data-migration"
        | "promoting"
        | "rebooting"
        | "renaming"
        | "resetting-master-credentials"
        | "scaling-compute"
        | "starting"
        | "stopping"
        | "storage-config-upgrade"
        | "update-iam-db-auth"
        | "upgrading" => Ok(RestoredState::Busy),
        "cloning-failed"
        | "delete-precheck"
        | "deleting"
        | "failed"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "incompatible-create"
        | "incompatible-network"
        | "incompatible-option-group"
        | "incompatible-parameters"
        | "incompatible-restore"
        | "insufficient-capacity"
        | "migration-failed"
        | "restore-error"
        | "stopped"
        | "storage-full" => Ok(RestoredState::Failed),
        other => Err(words::unknown_word(on, other)),
    }
}

/// What came of a request to make something on behalf of `on`, where the refusal `taken` says that its name is in use.
pub(super) fn made<T, E>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    taken: &str,
    operation: &str,
    on: &str,
) -> Result<Made, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match answer {
        Ok(_) => Ok(Made::New),
        Err(error) if code(&error) == Some(taken) => Ok(Made::NameTaken),
        Err(error) => Err(failure(operation, on, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_restore_needs_travels_as_tags_and_security_groups_stay_at_home() {
        let region = |name: &str| name.parse::<Region>().unwrap();
        let all = Surroundings {
            subnet_group: Some("private".into()),
            parameter_group: Some("tuned".into()),
            security_groups: vec!["sg-1".into(), "sg-2".into()],
            class: Some("db.serverless".into()),
            capacity: Some((0.5, 16.0)),
        };
        let tags = all.tags(&region("eu-central-1"));
        let home = Surroundings::read(&tags, &region("eu-central-1"));
        assert_eq!(home.security_groups, ["sg-1", "sg-2"]);
        assert_eq!(home.capacity, Some((0.5, 16.0)));
        let away = Surroundings::read(&tags, &region("eu-west-1"));
        assert!(away.security_groups.is_empty());
        assert_eq!(away.subnet_group.as_deref(), Some("private"));
    }

    #[test]
    fn a_database_that_goes_away_never_becomes_available() {
        for word in ["deleting", "delete-precheck"] {
            assert_eq!(state("instance a", word).unwrap(), RestoredState::Failed, "{word}");
        }
        assert_eq!(state("cluster a", "scaling-compute").unwrap(), RestoredState::Busy);
    }

    #[test]
    fn an_unknown_state_is_an_error_that_names_it() {
        let error = state("instance a", "hibernating").unwrap_err();
        assert!(error.message.contains("\"hibernating\""), "{error}");
    }
}
