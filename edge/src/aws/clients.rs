//! The clients, built once per process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::{Builder, tls};

use crate::world::{RealWorld, World};

/// Below every function's time-out; the longest that one call, retries included, may take.
pub(crate) const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// S3, Batch, SNS and the real world.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) batch: aws_sdk_batch::Client,
    /// Without retries: `SubmitJob` has no idempotency token, and a lost answer would double the job.
    pub(super) batch_once: aws_sdk_batch::Client,
    pub(super) sns: aws_sdk_sns::Client,
    pub(super) topic_arn: String,
}

impl Aws {
    /// Clients from the environment (region, credentials, `AWS_ENDPOINT_URL`).
    pub async fn from_environment(topic_arn: &str) -> Self {
        Self::with_timeout(topic_arn, OPERATION_TIMEOUT).await
    }

    /// For the agent: the same clients with room for large objects. Batch and SNS are not used there.
    pub async fn for_agent() -> Self {
        // A part of 5 GB at 2.5 Gbit/s takes 17 s; stalled-stream protection ends what hangs.
        Self::with_timeout("", Duration::from_mins(15)).await
    }

    async fn with_timeout(topic_arn: &str, operation_timeout: Duration) -> Self {
        let config = config(operation_timeout).await;
        let once = aws_sdk_batch::config::Builder::from(&config)
            .retry_config(RetryConfig::standard().with_max_attempts(1))
            .build();
        Self {
            s3: aws_sdk_s3::Client::new(&config),
            batch: aws_sdk_batch::Client::new(&config),
            batch_once: aws_sdk_batch::Client::from_conf(once),
            sns: aws_sdk_sns::Client::new(&config),
            topic_arn: topic_arn.to_owned(),
        }
    }
}

/// From the environment, with our connector, retries and time-outs.
pub(super) async fn config(operation_timeout: Duration) -> SdkConfig {
    // One connector for all clients: loading the root certificates is most of a cold start.
    let http = Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                .operation_timeout(operation_timeout)
                .build(),
        )
        .load()
        .await
}

impl World for Aws {
    fn now(&self) -> jiff::Timestamp {
        RealWorld.now()
    }

    fn draw(&self) -> String {
        RealWorld.draw()
    }

    fn chance(&self) -> f64 {
        RealWorld.chance()
    }

    async fn pause(&self, duration: Duration) {
        RealWorld.pause(duration).await;
    }
}
