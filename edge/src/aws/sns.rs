//! SNS as the [`Topic`].

use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::json;
use trainspot_shared::notice::Notice;

use super::Aws;
use crate::topic::{PublishError, Topic};
use crate::world::World;

impl<W: World> Topic for Aws<W> {
    async fn publish(&self, notice: &Notice) -> Result<(), PublishError> {
        let refused = |why: String| PublishError::Refused { why };
        // `default` is what a person reads by e-mail; machines subscribe by https, sqs or lambda.
        let machine = notice.machine.to_string();
        let message = json!({
            "default": notice.text, "sqs": machine, "lambda": machine, "https": machine, "http": machine,
        });
        let mut request = self
            .sns
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(&notice.subject)
            .message(message.to_string())
            .message_structure("json");
        for (name, value) in &notice.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|e| refused(e.to_string()))?;
            request = request.message_attributes(name, value);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error
                    .as_service_error()
                    .and_then(ProvideErrorMetadata::code);
                let why = format!("{}", aws_sdk_sns::error::DisplayErrorContext(&error));
                if code.is_some_and(is_final) {
                    Err(refused(why))
                } else {
                    Err(PublishError::Later { why })
                }
            }
        }
    }
}

/// Whether SNS would say the same again: a topic, a right or a key that only a person can mend. Of any other word
/// nobody knows; it is tried again, for a day.
fn is_final(code: &str) -> bool {
    matches!(
        code,
        "AuthorizationError"
            | "InvalidParameter"
            | "ParameterValueInvalid"
            | "NotFound"
            | "ValidationException"
            | "KMSAccessDenied"
            | "KMSDisabled"
            | "KMSInvalidState"
            | "KMSNotFound"
            | "KMSOptInRequired"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_person_can_mend_is_final() {
        let cases = [
            ("AuthorizationError", true),
            ("ParameterValueInvalid", true),
            ("KMSAccessDenied", true),
            ("KMSDisabled", true),
            ("KMSNotFound", true),
            ("KMSThrottling", false),
            ("Throttled", false),
            ("InternalError", false),
            ("ExpiredToken", false),
        ];
        for (code, expected) in cases {
            assert_eq!(is_final(code), expected, "{code}");
        }
    }
}
