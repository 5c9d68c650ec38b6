//! Calling a function and waiting for its answer, for people at a command line. No function calls another:
//! they do without this client.

use std::error::Error;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::invoke::{InvokeError as Answered, InvokeOutput};
use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;

use super::clients;
use super::credentials::refusal;

/// Above the longest time-out that the template lets a function have, with room for a cold start.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(330);

/// Lambda's door for people.
#[derive(Debug, Clone)]
pub struct Invoker {
    lambda: Client,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// Nobody answers. If `may_have_run`, the call was on its way and may have had its effect.
    #[error("invoke `{function}`")]
    Unreachable {
        /// Name or ARN.
        function: String,
        /// Whether the function may have run.
        may_have_run: bool,
        /// Of the client.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Lambda knows no such function.
    #[error("there is no function `{function}`")]
    Unknown {
        /// Name or ARN.
        function: String,
    },
    /// The caller may not invoke it.
    #[error("invoking `{function}` is denied")]
    Denied {
        /// Name or ARN.
        function: String,
    },
    /// Lambda did not take the call: throttled, too large, a function that cannot start.
    #[error("lambda does not invoke `{function}`: {why}")]
    NotInvoked {
        /// Name or ARN.
        function: String,
        /// Lambda's code and sentence.
        why: String,
    },
    /// The function ran and failed.
    #[error("function `{function}` failed: {why}")]
    Failed {
        /// Name or ARN.
        function: String,
        /// What it told.
        why: String,
    },
}

impl Invoker {
    /// A client from the environment (region, credentials, `AWS_ENDPOINT_URL`).
    pub async fn from_environment() -> Self {
        let config = clients::config(clients::within(OPERATION_TIMEOUT)).await;
        Self {
            lambda: Client::new(&config),
        }
    }

    /// Invokes and waits. A lost answer is asked for again, so the payload must stand for the same deed
    /// however often it comes.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, InvokeError> {
        let answer = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload.to_string()))
            .send()
            .await
            .map_err(|error| classify(error, function))?;
        read(&answer, function)
    }
}

/// What the function said, or how it failed.
fn read(answer: &InvokeOutput, function: &str) -> Result<Value, InvokeError> {
    let failed = |why: String| InvokeError::Failed {
        function: function.to_owned(),
        why,
    };
    let bytes = answer.payload().map_or(b"null".as_slice(), Blob::as_ref);
    let said: Value = serde_json::from_slice(bytes)
        .map_err(|error| failed(format!("its answer is not JSON: {error}")))?;
    match answer.function_error() {
        None => Ok(said),
        Some(_) => Err(failed(
            said.get("errorMessage")
                .and_then(Value::as_str)
                .map_or_else(|| said.to_string(), str::to_owned),
        )),
    }
}

fn classify<R>(error: SdkError<Answered, R>, function: &str) -> InvokeError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let function = function.to_owned();
    if let Some(answered) = error.as_service_error() {
        if let Some(refused) = refusal(answered.code(), answered.message()) {
            return InvokeError::Unreachable {
                function,
                may_have_run: false,
                source: refused.into(),
            };
        }
        let code = answered.code().unwrap_or("no code");
        return match code {
            "ResourceNotFoundException" => InvokeError::Unknown { function },
            "AccessDeniedException" => InvokeError::Denied { function },
            _ => InvokeError::NotInvoked {
                function,
                why: format!(
                    "{code}: {}",
                    answered.message().unwrap_or("no reason given")
                ),
            },
        };
    }
    let may_have_run = match &error {
        // Nothing was sent: no credentials, no region, nobody listens.
        SdkError::ConstructionFailure(_) => false,
        SdkError::DispatchFailure(failure) => {
            !(failure.is_user() || failure.as_connector_error().is_some_and(is_refused))
        }
        _ => true,
    };
    InvokeError::Unreachable {
        function,
        may_have_run,
        source: error.into(),
    }
}

/// Whether the connection never came about.
fn is_refused(error: &ConnectorError) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &str, error: Option<&str>) -> Result<Value, String> {
        let output = InvokeOutput::builder()
            .payload(Blob::new(payload))
            .set_function_error(error.map(str::to_owned))
            .build();
        read(&output, "submit").map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_is_what_the_function_said_and_a_failure_its_sentence() {
        assert_eq!(
            answer(r#"{"outcome": "created"}"#, None),
            Ok(serde_json::json!({ "outcome": "created" }))
        );
        assert_eq!(
            answer(
                r#"{"errorType": "AdmitFailed", "errorMessage": "store"}"#,
                Some("Unhandled")
            ),
            Err("function `submit` failed: store".to_owned())
        );
        let cut = answer(r#"{"outcome""#, None).expect_err("half an answer is none");
        assert!(cut.contains("is not JSON"), "{cut}");
    }
}
