//! The clients, built once per process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::config::retry::RetryPartition;
use aws_smithy_http_client::{Builder, tls};

use super::renewal::Renewal;
use crate::world::{RealWorld, World};

/// Below every function's time-out; the longest that one call, retries included, may take.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the agent waits for one answer before it asks again: nothing else ends a request that arrived
/// and whose answer never comes. S3 answers a small one within a second, also on a bad day.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between the tries of one call; the SDK's own pauses come to three seconds at most.
const BETWEEN_TRIES: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;

/// S3, Batch, SNS, and the world in which their clients live.
#[derive(Debug, Clone)]
pub struct Aws<W = RealWorld> {
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) batch: aws_sdk_batch::Client,
    /// Without retries: `SubmitJob` has no idempotency token, and a lost answer would double the job.
    pub(super) batch_once: aws_sdk_batch::Client,
    pub(super) sns: aws_sdk_sns::Client,
    pub(super) topic_arn: String,
    world: W,
}

impl Aws {
    /// Clients from the environment (region, credentials, `AWS_ENDPOINT_URL`).
    pub async fn from_environment(topic_arn: &str) -> Self {
        let timeouts = within(OPERATION_TIMEOUT);
        Self::of(&config(timeouts).await, topic_arn, RealWorld)
    }

    /// For the agent, which has more time than a function, and calls that take longer. Batch and SNS are
    /// not used there.
    pub async fn for_agent() -> Self {
        let renewal = Renewal::new();
        let config = config(each_within(ANSWER_WITHIN)).await;
        let config = config.to_builder().identity_cache(renewal.clone()).build();
        let aws = Self::of(&config, "", RealWorld);
        let s3 = aws.s3.config().to_builder().retry_classifier(renewal);
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            ..aws
        }
    }
}

impl<W> Aws<W> {
    /// Clients of somebody's own making, for a function: where they connect to, as whom and by whose
    /// clock is `config`'s; how often and for how long they try is not. `world` must keep the same time.
    pub fn with(config: &SdkConfig, topic_arn: &str, world: W) -> Self {
        let config = patient(config, within(OPERATION_TIMEOUT));
        Self::of(&config, topic_arn, world)
    }

    /// The same for an agent; all but [`Aws::for_agent`]'s renewal of credentials.
    pub fn with_agents_patience(config: &SdkConfig, world: W) -> Self {
        let config = patient(config, each_within(ANSWER_WITHIN));
        Self::of(&config, "", world)
    }

    fn of(config: &SdkConfig, topic_arn: &str, world: W) -> Self {
        // How much its clients may spend on retries is one process' affair. The SDKs keep that by service
        // for all clients of a process; these stand for a process of their own, also where a proof has many.
        let own = || RetryPartition::custom("own").build();
        let batch = aws_sdk_batch::config::Builder::from(config).retry_partition(own());
        let once = batch
            .clone()
            .retry_config(RetryConfig::standard().with_max_attempts(1));
        let s3 = aws_sdk_s3::config::Builder::from(config).retry_partition(own());
        let sns = aws_sdk_sns::config::Builder::from(config).retry_partition(own());
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            batch: aws_sdk_batch::Client::from_conf(batch.build()),
            batch_once: aws_sdk_batch::Client::from_conf(once.build()),
            sns: aws_sdk_sns::Client::from_conf(sns.build()),
            topic_arn: topic_arn.to_owned(),
            world,
        }
    }
}

#[cfg(feature = "planted")]
impl<W> Aws<W> {
    /// A bug on purpose: the SDK sends `SubmitJob` again by itself, as it does with every other call.
    #[must_use]
    pub fn plant_repeated_submissions(self) -> Self {
        Self {
            batch_once: self.batch.clone(),
            ..self
        }
    }
}

/// A call may take so long in all.
pub(super) fn within(operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_timeout(operation)
        .build()
}

/// Each try of a call may take so long, and the call as long as all its tries.
pub(super) fn each_within(attempt: Duration) -> TimeoutConfig {
    within(attempt * TRIES + BETWEEN_TRIES)
        .to_builder()
        .operation_attempt_timeout(attempt)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES)
}

fn patient(config: &SdkConfig, timeouts: TimeoutConfig) -> SdkConfig {
    config
        .to_builder()
        .retry_config(retries())
        .timeout_config(timeouts)
        .build()
}

/// From the environment, with our connector, retries and these time-outs.
pub(super) async fn config(timeouts: TimeoutConfig) -> SdkConfig {
    // One connector for all clients: loading the root certificates is most of a cold start.
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    aws_config::defaults(behaviour())
        .http_client(http)
        .retry_config(retries())
        .timeout_config(timeouts)
        .load()
        .await
}

/// The SDKs' defaults as of a day; they change with the days.
pub fn behaviour() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

impl<W: World> World for Aws<W> {
    fn now(&self) -> jiff::Timestamp {
        self.world.now()
    }

    fn uptime(&self) -> std::time::Duration {
        self.world.uptime()
    }

    fn draw(&self) -> String {
        self.world.draw()
    }

    fn chance(&self) -> f64 {
        self.world.chance()
    }

    async fn pause(&self, duration: Duration) {
        self.world.pause(duration).await;
    }

    fn print(&self, line: &str) {
        self.world.print(line);
    }
}
