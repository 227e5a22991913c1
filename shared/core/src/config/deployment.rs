//! A deployment on AWS, as the environment of its functions describes it. Names of things only: no secret is among them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::{Failure, FailureKind, Region, Vault, VaultName};

/// A vault, and what stands for it in its Region.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedVault {
    /// Its name.
    pub name: VaultName,
    /// Its Region.
    pub region: Region,
    /// The bucket that holds its repositories.
    pub bucket: String,
    /// The ARN of the KMS key, in that Region, that encrypts what is stored there.
    pub key: String,
    /// The AWS Backup vault, in that Region, that belongs to it.
    pub backup_vault: String,
}

/// A bucket for evidence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBucket {
    /// Its Region.
    pub region: Region,
    /// Its name.
    pub bucket: String,
    /// How many days a statement may not be deleted by anybody; 0 where the bucket has no Object Lock.
    pub lock_days: u32,
}

/// What the functions of one deployment work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The home Region.
    pub region: Region,
    /// The DynamoDB table that is the catalog.
    pub table: String,
    /// The name of the EventBridge bus.
    pub bus: String,
    /// The ARN of the SNS topic that pages people.
    pub alert_topic: String,
    /// All vaults.
    pub vaults: Vec<DeployedVault>,
    /// Where evidence is kept, in every Region.
    pub evidence: Vec<EvidenceBucket>,
    /// The ARN of the symmetric KMS key that wraps the master keys of repositories.
    pub wrapping_key: String,
    /// The ARN of the asymmetric KMS key that signs evidence.
    pub signing_key: String,
    /// The ARN of the secret that holds the escrow password of repositories.
    pub escrow_secret: String,
    /// The ARN of the role that AWS Backup assumes.
    pub backup_role: String,
    /// The S3 address, `s3://bucket/prefix`, that drills restore into.
    pub drill_area: String,
}

/// The variables, in the order in which problems with them are told.
const VARIABLES: [&str; 11] = [
    "AWS_REGION",
    "HOLDFAST_TABLE",
    "HOLDFAST_BUS",
    "HOLDFAST_ALERT_TOPIC",
    "HOLDFAST_VAULTS",
    "HOLDFAST_EVIDENCE",
    "HOLDFAST_WRAPPING_KEY",
    "HOLDFAST_SIGNING_KEY",
    "HOLDFAST_ESCROW_SECRET",
    "HOLDFAST_BACKUP_ROLE",
    "HOLDFAST_DRILL_AREA",
];

/// What may be set besides, and by whom it is read: the runtime's log filter.
const OPTIONAL: [&str; 1] = ["HOLDFAST_LOG"];

impl Deployment {
    /// Reads the environment. Every problem is told at once, by the name of its variable, never with its value.
    pub fn read(variables: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let mut reader = Reader {
            variables,
            problems: Vec::new(),
        };
        for name in variables.keys().filter(|name| name.starts_with("HOLDFAST_")) {
            if !VARIABLES.contains(&name.as_str()) && !OPTIONAL.contains(&name.as_str()) {
                reader.problems.push(format!("{name} is not a setting of Holdfast"));
            }
        }
        let region = reader.text("AWS_REGION").parse::<Region>();
        let vaults: Vec<DeployedVault> = reader.json("HOLDFAST_VAULTS");
        let evidence: Vec<EvidenceBucket> = reader.json("HOLDFAST_EVIDENCE");
        reader.no_duplicates("HOLDFAST_VAULTS", vaults.iter().map(|vault| vault.name.as_str()));
        reader.no_duplicates(
            "HOLDFAST_EVIDENCE",
            evidence.iter().map(|bucket| bucket.bucket.as_str()),
        );
        let text = |name| reader.variables.get(name).cloned().unwrap_or_default();
        let deployment = region.map(|region| Self {
            region,
            table: text("HOLDFAST_TABLE"),
            bus: text("HOLDFAST_BUS"),
            alert_topic: text("HOLDFAST_ALERT_TOPIC"),
            vaults,
            evidence,
            wrapping_key: text("HOLDFAST_WRAPPING_KEY"),
            signing_key: text("HOLDFAST_SIGNING_KEY"),
            escrow_secret: text("HOLDFAST_ESCROW_SECRET"),
            backup_role: text("HOLDFAST_BACKUP_ROLE"),
            drill_area: text("HOLDFAST_DRILL_AREA"),
        });
        for name in VARIABLES {
            if text(name).is_empty() {
                reader.problems.push(format!("{name} is not set"));
            }
        }
        match deployment {
            Ok(deployment) if reader.problems.is_empty() => Ok(deployment),
            Ok(_) => Err(refusal(&reader.problems)),
            Err(error) => {
                reader.problems.push(format!("AWS_REGION: {error}"));
                Err(refusal(&reader.problems))
            }
        }
    }

    /// The vaults as the workflows know them.
    pub fn vaults(&self) -> Vec<Vault> {
        let known = self.vaults.iter().map(|vault| Vault {
            name: vault.name.clone(),
            region: vault.region.clone(),
        });
        known.collect()
    }

    /// The deployed vault of this name.
    pub fn vault(&self, name: &VaultName) -> Result<&DeployedVault, Failure> {
        self.vaults.iter().find(|vault| &vault.name == name).ok_or_else(|| {
            let message = format!("no vault is called {name}: HOLDFAST_VAULTS does not name it");
            Failure::new(FailureKind::NotFound, message)
        })
    }
}

fn refusal(problems: &[String]) -> Failure {
    let message = format!("the function's environment is not usable: {}", problems.join("; "));
    Failure::new(FailureKind::Invalid, message)
}

struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> String {
        self.variables.get(name).cloned().unwrap_or_default()
    }

    /// A list in JSON, which must not be empty.
    fn json<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let text = self.text(name);
        if text.is_empty() {
            return Vec::new();
        }
        let read = serde_path_to_error::deserialize::<_, Vec<T>>(&mut serde_json::Deserializer::from_str(&text));
        match read {
            Ok(list) if list.is_empty() => self.problems.push(format!("{name} is an empty list")),
            Ok(list) => return list,
            Err(error) => {
                let problem = format!("{name} at `{}`: {}", error.path(), error.inner());
                self.problems.push(problem);
            }
        }
        Vec::new()
    }

    fn no_duplicates<'n>(&mut self, name: &str, words: impl Iterator<Item = &'n str>) {
        let mut seen = BTreeSet::new();
        for word in words {
            if !seen.insert(word) {
                self.problems.push(format!("{name} names {word} twice"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> BTreeMap<String, String> {
        let vaults = r#"[{"name":"home","region":"eu-central-1","bucket":"b1","key":"arn:k1","backup_vault":"v1"}]"#;
        let evidence = r#"[{"region":"eu-central-1","bucket":"e1","lock_days":30}]"#;
        let mut variables: BTreeMap<String, String> = VARIABLES
            .into_iter()
            .map(|name| (name.to_owned(), format!("some {name}")))
            .collect();
        variables.insert("AWS_REGION".into(), "eu-central-1".into());
        variables.insert("HOLDFAST_VAULTS".into(), vaults.into());
        variables.insert("HOLDFAST_EVIDENCE".into(), evidence.into());
        variables
    }

    #[test]
    fn a_whole_environment_is_read() {
        let deployment = Deployment::read(&good()).unwrap();
        assert_eq!(deployment.vaults[0].bucket, "b1");
        assert_eq!(deployment.evidence[0].lock_days, 30);
        assert_eq!(deployment.table, "some HOLDFAST_TABLE");
    }

    #[test]
    fn every_problem_is_told_at_once_by_name_and_without_values() {
        let mut variables = good();
        variables.remove("HOLDFAST_TABLE");
        variables.insert("AWS_REGION".into(), "somewhere secret".into());
        variables.insert("HOLDFAST_TABEL".into(), "secret".into());
        variables.insert(
            "HOLDFAST_EVIDENCE".into(),
            r#"[{"region":"eu-central-1","bucket":7}]"#.into(),
        );
        let failure = Deployment::read(&variables).unwrap_err();
        for named in [
            "HOLDFAST_TABLE is not set",
            "AWS_REGION",
            "HOLDFAST_TABEL",
            "HOLDFAST_EVIDENCE at `[0].bucket`",
        ] {
            assert!(failure.message.contains(named), "{named}: {failure}");
        }
    }
}
