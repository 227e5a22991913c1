//! Clients of AWS: one configuration a process, one set of clients a Region, each made once and when it is first used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use holdfast_core::domain::{Failure, FailureKind, Region};

/// How long to wait for a connection. A Region that is lost must be known to be lost within seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for the first byte of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one attempt of a call may take, from the first byte sent to the last one read, where these are few: a Region may
/// be lost in such a way that it takes connections and never answers.
pub(crate) const SMALL_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The authorities that vouch for the endpoints of AWS, those of Amazon Trust Services
/// (<https://www.amazontrust.com/repository/>). No other could pretend to be AWS, and a function that reads five of them
/// starts in half the time of one that reads the hundred and forty of its system.
const AMAZON_ROOTS: &[u8] = include_bytes!("roots.pem");

/// The clients of every Region.
#[derive(Debug)]
pub struct Clients {
    home: Region,
    config: SdkConfig,
    regions: Mutex<BTreeMap<Region, Arc<RegionClients>>>,
}

impl Clients {
    /// Clients as the environment of the process describes them: credentials, endpoints (`AWS_ENDPOINT_URL`,
    /// `AWS_ENDPOINT_URL_S3` and so on), the number of attempts (`AWS_MAX_ATTEMPTS`). Only Amazon's authorities are believed,
    /// unless `SSL_CERT_FILE` names others, as it must behind a proxy that looks into what passes. Nothing is called yet.
    pub async fn from_environment(home: Region) -> Result<Self, Failure> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the environment's authorities are read as its endpoints are"
        )]
        let names_others = std::env::var_os("SSL_CERT_FILE").is_some();
        let trusted = if names_others {
            TrustStore::default()
        } else {
            TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)
        };
        let context = TlsContext::builder()
            .with_trust_store(trusted)
            .build()
            .map_err(|error| Failure::caused(FailureKind::Bug, "the authorities of AWS cannot be read", error))?;
        let http_client = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context)
            .build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client)
            .timeout_config(timeouts());
        Ok(Self::new(home, loader).await)
    }

    /// Clients that speak to an emulator at `endpoint`, such as `http://127.0.0.1:5000`. Their credentials are made up, and
    /// nothing is tried twice: emulators answer 500 to what they do not know, and a repetition would only hide that.
    pub async fn of_emulator(home: Region, endpoint: &str) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("emulated", "emulated", None, None, "emulator"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts());
        Self::new(home, loader).await
    }

    async fn new(home: Region, loader: aws_config::ConfigLoader) -> Self {
        let config = loader.region(sdk_region(&home)).load().await;
        Self {
            home,
            config,
            regions: Mutex::default(),
        }
    }

    /// The clients of the home Region.
    pub fn home(&self) -> Arc<RegionClients> {
        self.of(&self.home)
    }

    /// The clients of a Region.
    pub fn of(&self, region: &Region) -> Arc<RegionClients> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = regions.entry(region.clone()).or_insert_with(|| {
            let config = self.config.clone().into_builder().region(sdk_region(region)).build();
            Arc::new(RegionClients {
                config,
                ..RegionClients::default()
            })
        });
        clients.clone()
    }

    /// The clients of the Region that an ARN names; of the home Region when it is a plain name. A key or topic answers in
    /// its own Region only.
    pub fn of_arn(&self, arn: &str) -> Arc<RegionClients> {
        let named = arn.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2));
        let region = named.and_then(|region| region.parse::<Region>().ok());
        self.of(region.as_ref().unwrap_or(&self.home))
    }
}

/// The clients of one Region.
#[derive(Debug)]
pub struct RegionClients {
    config: SdkConfig,
    autoscaling: OnceLock<aws_sdk_autoscaling::Client>,
    backup: OnceLock<aws_sdk_backup::Client>,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    ecs: OnceLock<aws_sdk_ecs::Client>,
    eventbridge: OnceLock<aws_sdk_eventbridge::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    rds: OnceLock<aws_sdk_rds::Client>,
    s3: OnceLock<aws_sdk_s3::Client>,
    secretsmanager: OnceLock<aws_sdk_secretsmanager::Client>,
    sns: OnceLock<aws_sdk_sns::Client>,
    sqs: OnceLock<aws_sdk_sqs::Client>,
}

impl Default for RegionClients {
    fn default() -> Self {
        Self {
            config: SdkConfig::builder().build(),
            autoscaling: OnceLock::new(),
            backup: OnceLock::new(),
            dynamodb: OnceLock::new(),
            ecs: OnceLock::new(),
            eventbridge: OnceLock::new(),
            kms: OnceLock::new(),
            lambda: OnceLock::new(),
            rds: OnceLock::new(),
            s3: OnceLock::new(),
            secretsmanager: OnceLock::new(),
            sns: OnceLock::new(),
            sqs: OnceLock::new(),
        }
    }
}

/// A method that gives a client, made when it is first asked for.
macro_rules! client {
    ($name:ident, $sdk:ident, $service:literal) => {
        #[doc = concat!("The client of ", $service, ".")]
        pub fn $name(&self) -> $sdk::Client {
            self.$name.get_or_init(|| $sdk::Client::new(&self.config)).clone()
        }
    };
}

impl RegionClients {
    client!(autoscaling, aws_sdk_autoscaling, "Auto Scaling");
    client!(backup, aws_sdk_backup, "AWS Backup");
    client!(dynamodb, aws_sdk_dynamodb, "DynamoDB");
    client!(ecs, aws_sdk_ecs, "ECS");
    client!(eventbridge, aws_sdk_eventbridge, "EventBridge");
    client!(kms, aws_sdk_kms, "KMS");
    client!(lambda, aws_sdk_lambda, "Lambda");
    client!(rds, aws_sdk_rds, "RDS");
    client!(secretsmanager, aws_sdk_secretsmanager, "Secrets Manager");
    client!(sns, aws_sdk_sns, "SNS");
    client!(sqs, aws_sdk_sqs, "SQS");

    /// A client of one endpoint of a cluster of routing controls. It asks once: there are four more to ask.
    pub fn routing_control_at(&self, endpoint: &str) -> aws_sdk_route53recoverycluster::Client {
        let config = aws_sdk_route53recoverycluster::config::Builder::from(&self.config)
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_route53recoverycluster::Client::from_conf(config)
    }

    /// The client of S3. What it carries may be large, so that a call takes as long as bytes move. It adds no checksums of its own: whoever writes sends the SHA-256 of what it writes, and whoever
    /// reads compares with the SHA-256 it knows, which holds for every store that speaks S3.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let make = || {
            let config = aws_sdk_s3::config::Builder::from(&self.config)
                .timeout_config(TimeoutConfig::builder().disable_operation_attempt_timeout().build())
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
                .build();
            aws_sdk_s3::Client::from_conf(config)
        };
        self.s3.get_or_init(make).clone()
    }
}

fn sdk_region(region: &Region) -> aws_types::region::Region {
    aws_types::region::Region::new(region.as_str().to_owned())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(SMALL_CALL_TIMEOUT)
        .build()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use sha2::Digest;

    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    async fn clients() -> Clients {
        Clients::of_emulator(region("eu-central-1"), "http://127.0.0.1:9").await
    }

    /// As Amazon publishes them, for its four roots and for the Starfield one below which the older of them stand.
    #[test]
    fn the_authorities_are_those_that_amazon_publishes() {
        let published = [
            "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
            "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
            "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
            "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
            "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
        ];
        let text = std::str::from_utf8(AMAZON_ROOTS).unwrap();
        let of_one = |pem: &str| {
            let body = pem.split("-----END").next().unwrap().replace('\n', "");
            let der = base64::prelude::BASE64_STANDARD.decode(body).unwrap();
            hex::encode(sha2::Sha256::digest(der))
        };
        let found: Vec<String> = text.split("-----BEGIN CERTIFICATE-----").skip(1).map(of_one).collect();
        assert_eq!(found, published);
    }

    #[tokio::test]
    async fn each_region_has_one_set_of_clients() {
        let clients = clients().await;
        assert!(Arc::ptr_eq(&clients.home(), &clients.of(&region("eu-central-1"))));
        assert!(!Arc::ptr_eq(&clients.home(), &clients.of(&region("eu-west-1"))));
    }

    #[tokio::test]
    async fn a_small_call_gives_up_soon_and_a_large_body_may_take_its_time() {
        let home = clients().await.home();
        let attempt = |timeouts: Option<&TimeoutConfig>| timeouts.unwrap().operation_attempt_timeout();
        let soon = Some(Duration::from_secs(10));
        assert_eq!(attempt(home.dynamodb().config().timeout_config()), soon);
        assert_eq!(attempt(home.rds().config().timeout_config()), soon);
        assert_eq!(attempt(home.s3().config().timeout_config()), None);
        let s3 = home.s3();
        assert_eq!(
            s3.config().timeout_config().unwrap().connect_timeout(),
            Some(CONNECT_TIMEOUT)
        );
    }

    #[tokio::test]
    async fn an_arn_leads_to_its_region_and_a_plain_name_home() {
        let clients = clients().await;
        let ireland = clients.of(&region("eu-west-1"));
        assert!(Arc::ptr_eq(&clients.of_arn("arn:aws:kms:eu-west-1:1:key/k"), &ireland));
        assert!(Arc::ptr_eq(&clients.of_arn("arn:aws-cn:sns:eu-west-1:1:t"), &ireland));
        for home in ["alias/key", "arn:aws:s3:::bucket", ""] {
            assert!(Arc::ptr_eq(&clients.of_arn(home), &clients.home()), "{home}");
        }
    }
}
