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
                match code {
                    Some(
                        "InvalidParameter"
                        | "InvalidParameterValue"
                        | "NotFound"
                        | "AuthorizationError",
                    ) => Err(refused(why)),
                    _ => Err(PublishError::Later { why }),
                }
            }
        }
    }
}
