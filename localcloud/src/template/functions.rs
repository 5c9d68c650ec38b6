//! Functions as the template declares them, with SAM's globals merged in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::intrinsics::{Scope, as_text};
use crate::errors::StartError;

/// `AWS::Serverless::Function`.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) logical_id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    /// The file name of its program among the built binaries.
    pub(crate) binary: String,
    pub(crate) handler: String,
    pub(crate) memory_mb: u64,
    pub(crate) timeout: Duration,
    pub(crate) environment: BTreeMap<String, String>,
    /// How many more tries a failed asynchronous invocation gets.
    pub(crate) more_tries: u32,
    /// The ARN of the queue that keeps an event which all tries failed on.
    pub(crate) on_failure: Option<String>,
    pub(crate) json_logs: bool,
}

/// SAM merges maps and lets a function's scalars win.
pub(super) fn with_globals(globals: &Value, body: &Value) -> Value {
    let mut merged = body.clone();
    let shared = globals.get("Function").cloned().unwrap_or_default();
    if let Value::Object(body) = &mut merged {
        let own = body
            .entry("Properties")
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        *own = merge(shared, own.take());
    }
    merged
}

fn merge(under: Value, over: Value) -> Value {
    match (under, over) {
        (Value::Object(mut under), Value::Object(over)) => {
            for (key, value) in over {
                let below = under.remove(&key).unwrap_or_default();
                under.insert(key, merge(below, value));
            }
            Value::Object(under)
        }
        (under, Value::Null) => under,
        (_, over) => over,
    }
}

pub(super) fn function(
    scope: &Scope,
    logical_id: &str,
    body: &Value,
) -> Result<Function, StartError> {
    let fail = |place: &str, why: String| StartError::Template {
        place: format!("{logical_id}.{place}"),
        why,
    };
    let number = |name: &str, default: u64| -> Result<u64, StartError> {
        let value = scope.property(logical_id, body, name)?;
        match as_text(&value) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| fail(name, format!("it must be a number, received: {text}"))),
        }
    };
    let binary = body
        .pointer("/Metadata/BuildProperties/Binary")
        .and_then(Value::as_str)
        .ok_or_else(|| {
            fail(
                "Metadata.BuildProperties.Binary",
                "it must name the function's binary".into(),
            )
        })?;
    let mut environment = BTreeMap::new();
    if let Some(Value::Object(variables)) = scope
        .property(logical_id, body, "Environment")?
        .get("Variables")
    {
        for (name, value) in variables {
            let text = as_text(value).ok_or_else(|| {
                fail(
                    "Environment",
                    format!("`{name}` must be a text, received: {value}"),
                )
            })?;
            environment.insert(name.clone(), text);
        }
    }
    let asynchronous = scope.property(logical_id, body, "EventInvokeConfig")?;
    let logging = scope.property(logical_id, body, "LoggingConfig")?;
    let log_text = |name: &str| logging.get(name).and_then(as_text);
    if let Some(level) = log_text("ApplicationLogLevel") {
        environment.insert("AWS_LAMBDA_LOG_LEVEL".into(), level);
    }
    let name = scope
        .name(logical_id)
        .map_err(|why| fail("FunctionName", why))?;
    // The default time-out and memory are Lambda's own.
    Ok(Function {
        logical_id: logical_id.to_owned(),
        arn: super::names::arn("lambda", &format!("function:{name}")),
        name,
        binary: binary.to_owned(),
        handler: as_text(&scope.property(logical_id, body, "Handler")?)
            .unwrap_or_else(|| "bootstrap".into()),
        memory_mb: number("MemorySize", 128)?,
        timeout: Duration::from_secs(number("Timeout", 3)?),
        environment,
        more_tries: asynchronous
            .get("MaximumRetryAttempts")
            .and_then(as_text)
            .and_then(|text| text.parse().ok())
            .unwrap_or(2),
        on_failure: asynchronous
            .pointer("/DestinationConfig/OnFailure/Destination")
            .and_then(as_text),
        json_logs: log_text("LogFormat").is_some_and(|format| format == "JSON"),
    })
}
