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
        Self::of(&config(OPERATION_TIMEOUT).await, topic_arn, RealWorld)
    }

    /// For the agent: the same clients with time for parts of files. Batch and SNS are not used there.
    pub async fn for_agent() -> Self {
        // All parts that are under way at once are 96 MiB: 80 s at 10 Mbit/s, and a third of a second on a
        // host. Stalled-stream protection ends what hangs much earlier.
        let renewal = Renewal::new();
        let config = config(Duration::from_mins(2)).await;
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
        let (retries, timeouts) = patience(OPERATION_TIMEOUT);
        let config = config
            .to_builder()
            .retry_config(retries)
            .timeout_config(timeouts)
            .build();
        Self::of(&config, topic_arn, world)
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

/// How often a call is tried, and how long all its tries may take.
fn patience(operation_timeout: Duration) -> (RetryConfig, TimeoutConfig) {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_timeout(operation_timeout)
        .build();
    (RetryConfig::standard().with_max_attempts(3), timeouts)
}

/// From the environment, with our connector, retries and time-outs.
pub(super) async fn config(operation_timeout: Duration) -> SdkConfig {
    // One connector for all clients: loading the root certificates is most of a cold start.
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let (retries, timeouts) = patience(operation_timeout);
    aws_config::defaults(behaviour())
        .http_client(http)
        .retry_config(retries)
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
