//! The dead-letter queue as a person reaches it: receive, give back, delete.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use aws_smithy_http_client::{Builder, tls};
use jiff::Timestamp;
use trainspot_edge::aws::refusal;

use crate::credentials;
use crate::problem::{Exit, Problem, root};

/// The variable that names the queue when no argument does; `trainspot local serve` prints it.
pub(crate) const QUEUE_VARIABLE: &str = "TRAINSPOT_DEAD_LETTER_QUEUE";

/// SQS's most at once.
const AT_ONCE: i32 = 10;
/// Nobody else gets a letter meanwhile: ten functions one after the other, each with the time-out of the template.
const HIDDEN_S: i32 = 900;
/// More than none asks all of SQS's hosts: only then an empty answer means an empty queue.
const WAIT_S: i32 = 1;
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A queue and its client.
#[derive(Debug)]
pub(super) struct Queue {
    sqs: Client,
    url: String,
}

/// A message as it was received.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) message_id: String,
    pub(super) receipt: String,
    pub(super) sent_at: Option<Timestamp>,
    pub(super) body: String,
    pub(super) attributes: BTreeMap<String, String>,
}

impl Queue {
    /// A client from the environment (region, credentials, `AWS_ENDPOINT_URL`).
    pub(super) async fn open(url: &str) -> Self {
        let http = Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_timeout(OPERATION_TIMEOUT)
                    .build(),
            )
            .load()
            .await;
        Self {
            sqs: Client::new(&config),
            url: url.to_owned(),
        }
    }

    /// Some messages, hidden from everybody else for a while; none when the queue is empty.
    pub(super) async fn receive(&self) -> Result<Vec<Received>, Problem> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(AT_ONCE)
            .visibility_timeout(HIDDEN_S)
            .wait_time_seconds(WAIT_S)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| self.problem(&error))?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages.into_iter().map(received).collect())
    }

    /// Lets others have it at once.
    pub(super) async fn give_back(&self, receipt: &str) -> Result<(), Problem> {
        self.sqs
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(0)
            .send()
            .await
            .map_err(|error| self.problem(&error))?;
        Ok(())
    }

    pub(super) async fn delete(&self, receipt: &str) -> Result<(), Problem> {
        self.sqs
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .send()
            .await
            .map_err(|error| self.problem(&error))?;
        Ok(())
    }

    fn problem<E, R>(&self, error: &SdkError<E, R>) -> Problem
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let url = &self.url;
        if let Some(problem) = credentials::trouble(error) {
            return problem;
        }
        let Some(answered) = error.as_service_error() else {
            return Problem::new(
                Exit::Unreachable,
                format!("no answer from queue `{url}`: {}", root(error)),
            )
            .hint("check AWS_ENDPOINT_URL, region and credentials; `trainspot local serve` keeps a local cloud running");
        };
        if let Some(refused) = refusal(answered.code(), answered.message()) {
            return credentials::refused(&refused);
        }
        let why = answered.message().unwrap_or("no reason given");
        match answered.code().unwrap_or("no code") {
            code if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") => {
                Problem::new(Exit::Configuration, format!("there is no queue `{url}`")).hint(
                    format!("give --queue or {QUEUE_VARIABLE}: the stack's output DeadLetterQueueUrl"),
                )
            }
            code if code.contains("AccessDenied") => {
                Problem::new(Exit::Denied, format!("the queue `{url}` is denied: {why}")).hint(
                    "check whose credentials these are; they need sqs:ReceiveMessage, sqs:ChangeMessageVisibility and sqs:DeleteMessage",
                )
            }
            code => Problem::new(Exit::Unreachable, format!("queue `{url}`: {code}: {why}")),
        }
    }
}

fn received(message: aws_sdk_sqs::types::Message) -> Received {
    let sent_at = message
        .attributes
        .as_ref()
        .and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp))
        .and_then(|text| text.parse().ok())
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let attributes = message.message_attributes.unwrap_or_default();
    Received {
        message_id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
        sent_at,
        body: message.body.unwrap_or_default(),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    }
}
