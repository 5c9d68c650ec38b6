//! Queues and job definitions as the template declares them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::intrinsics::{Scope, as_text};
use super::stop_timeout::stop_timeout;
use crate::errors::StartError;

/// Where a queue's hosts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Market {
    /// Hosts that AWS may take back.
    Spot,
    /// Hosts that stay.
    OnDemand,
}

/// `AWS::Batch::JobQueue`.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) logical_id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) priority: i64,
    /// Whether it has a scheduling policy: then every job needs a share identifier.
    pub(crate) fair_share: bool,
    pub(crate) policy_arn: Option<String>,
    pub(crate) market: Market,
    /// The first type that its first compute environment names.
    pub(crate) instance_type: Option<String>,
    /// The names of its compute environments, in their order.
    pub(crate) environments: Vec<String>,
    /// All types that its environments name; empty when one of them leaves the choice to AWS.
    pub(crate) instance_types: Vec<String>,
    /// The most vCPUs that one of its environments may have at a time.
    pub(crate) max_vcpus: Option<u64>,
    /// For which reasons a job that waits is cancelled, and after how many seconds.
    pub(crate) time_limits: Vec<(String, u64)>,
    /// How long the hosts of its first compute environment leave a container from SIGTERM to SIGKILL.
    pub(crate) stop_timeout: Duration,
}

/// `AWS::Batch::JobDefinition`, always revision 1.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// The container as Batch's API describes it.
    pub(crate) container: Map<String, Value>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout_s: Option<u64>,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) propagate_tags: bool,
    pub(crate) scheduling_priority: Option<i64>,
    pub(crate) platform_capabilities: Value,
}

/// A retry strategy, of a definition or a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retry {
    #[serde(default = "one")]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) evaluate_on_exit: Vec<RetryRule>,
}

fn one() -> u32 {
    1
}

/// One rule of `evaluateOnExit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetryRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_exit_code: Option<String>,
    pub(crate) action: RetryAction,
}

/// What a matching rule asks for. AWS takes any case and answers in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RetryAction {
    #[serde(alias = "RETRY", alias = "Retry")]
    Retry,
    #[serde(alias = "EXIT", alias = "Exit")]
    Exit,
}

pub(super) fn queue(scope: &Scope, logical_id: &str, body: &Value) -> Result<Queue, StartError> {
    let fail = |place: &str, why: String| StartError::Template {
        place: format!("{logical_id}.{place}"),
        why,
    };
    let order = scope.property(logical_id, body, "ComputeEnvironmentOrder")?;
    let order_error = || {
        fail(
            "ComputeEnvironmentOrder",
            "it names no compute environment".into(),
        )
    };
    let mut entries: Vec<(i64, String)> = order
        .as_array()
        .ok_or_else(order_error)?
        .iter()
        .filter_map(|entry| {
            let place = entry
                .get("Order")
                .and_then(as_text)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            Some((place, entry.get("ComputeEnvironment").and_then(as_text)?))
        })
        .collect();
    entries.sort();
    let (_, first) = entries.first().ok_or_else(order_error)?;

    let (mut market, mut instance_type, mut stops_after) = (None, None, Duration::ZERO);
    let (mut all_types, mut max_vcpus, mut is_open) = (Vec::new(), None, false);
    for (environment, kind, environment_body) in scope.resources()? {
        let id = scope
            .physical_id(environment)
            .map_err(|why| fail("ComputeEnvironmentOrder", why))?;
        if kind != "AWS::Batch::ComputeEnvironment"
            || !entries.iter().any(|(_, environment)| *environment == id)
        {
            continue;
        }
        let resources = scope.property(environment, environment_body, "ComputeResources")?;
        let types: Vec<String> = resources
            .get("InstanceTypes")
            .and_then(Value::as_array)
            .map(|types| types.iter().filter_map(as_text).collect())
            .unwrap_or_default();
        is_open |= types.is_empty() || types.iter().any(|name| !name.contains('.'));
        all_types.extend(types.iter().cloned());
        let vcpus = resources
            .get("MaxvCpus")
            .and_then(as_text)
            .and_then(|text| text.parse().ok());
        max_vcpus = max_vcpus.max(vcpus);
        if id == *first {
            // A family such as `g5` or `optimal` says nothing about a size or a price.
            instance_type = types.iter().find(|name| name.contains('.')).cloned();
            stops_after = stop_timeout(scope, &resources)?;
            market = match resources.get("Type").and_then(Value::as_str) {
                Some("SPOT") => Some(Market::Spot),
                Some("EC2") => Some(Market::OnDemand),
                other => {
                    return Err(StartError::Template {
                        place: format!("{environment}.ComputeResources.Type"),
                        why: format!(
                            "it must be SPOT or EC2 here, received: {}",
                            other.unwrap_or("nothing")
                        ),
                    });
                }
            };
        }
    }
    if is_open {
        all_types.clear();
    }
    let limits = scope.property(logical_id, body, "JobStateTimeLimitActions")?;
    let time_limits = limits
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|limit| {
            let seconds = limit.get("MaxTimeSeconds").and_then(as_text)?;
            let reason = limit.get("Reason").and_then(as_text)?;
            Some((reason, seconds.parse().ok()?))
        })
        .collect();
    let policy = scope.property(logical_id, body, "SchedulingPolicyArn")?;
    let priority = scope.property(logical_id, body, "Priority")?;
    Ok(Queue {
        logical_id: logical_id.to_owned(),
        instance_type,
        name: scope
            .name(logical_id)
            .map_err(|why| fail("JobQueueName", why))?,
        arn: scope
            .physical_id(logical_id)
            .map_err(|why| fail("JobQueueName", why))?,
        priority: as_text(&priority)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                fail(
                    "Priority",
                    format!("it must be a number, received: {priority}"),
                )
            })?,
        fair_share: !policy.is_null(),
        policy_arn: as_text(&policy),
        instance_types: all_types,
        max_vcpus,
        time_limits,
        stop_timeout: stops_after,
        market: market.ok_or_else(|| {
            fail(
                "ComputeEnvironmentOrder",
                format!("`{first}` is not in the template"),
            )
        })?,
        environments: entries
            .into_iter()
            .map(|(_, arn)| arn.rsplit('/').next().unwrap_or_default().to_owned())
            .collect(),
    })
}

pub(super) fn definition(
    scope: &Scope,
    logical_id: &str,
    body: &Value,
) -> Result<Definition, StartError> {
    let fail = |place: &str, why: String| StartError::Template {
        place: format!("{logical_id}.{place}"),
        why,
    };
    let container = scope.property(logical_id, body, "ContainerProperties")?;
    let Value::Object(mut container) = camel_case(container) else {
        return Err(fail(
            "ContainerProperties",
            "only container definitions run here".into(),
        ));
    };
    // Batch answers these lists even when the definition does not have them.
    for list in [
        "volumes",
        "environment",
        "mountPoints",
        "ulimits",
        "secrets",
        "resourceRequirements",
        "command",
    ] {
        container.entry(list).or_insert_with(|| json!([]));
    }
    if let Some(Value::Array(requirements)) = container.get_mut("resourceRequirements") {
        for requirement in requirements {
            if let Some(text) = requirement.get("value").and_then(as_text) {
                requirement["value"] = Value::String(text);
            }
        }
    }
    let retry = match camel_case(scope.property(logical_id, body, "RetryStrategy")?) {
        Value::Null => None,
        strategy => Some(
            serde_json::from_value(numbers_of_texts(strategy, "attempts"))
                .map_err(|error| fail("RetryStrategy", error.to_string()))?,
        ),
    };
    let timeout = scope.property(logical_id, body, "Timeout")?;
    let parameters = scope.property(logical_id, body, "Parameters")?;
    let priority = scope.property(logical_id, body, "SchedulingPriority")?;
    let capabilities = scope.property(logical_id, body, "PlatformCapabilities")?;
    Ok(Definition {
        name: scope
            .name(logical_id)
            .map_err(|why| fail("JobDefinitionName", why))?,
        arn: scope
            .physical_id(logical_id)
            .map_err(|why| fail("JobDefinitionName", why))?,
        container,
        retry,
        timeout_s: timeout
            .get("AttemptDurationSeconds")
            .and_then(as_text)
            .and_then(|text| text.parse().ok()),
        parameters: parameters.as_object().cloned().unwrap_or_default(),
        propagate_tags: as_text(&scope.property(logical_id, body, "PropagateTags")?)
            .is_some_and(|text| text == "true"),
        scheduling_priority: as_text(&priority).and_then(|text| text.parse().ok()),
        platform_capabilities: if capabilities.is_array() {
            capabilities
        } else {
            json!([])
        },
    })
}

/// A number that came in as a parameter is a text.
fn numbers_of_texts(mut object: Value, key: &str) -> Value {
    if let Some(number) = object
        .get(key)
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<i64>().ok())
    {
        object[key] = json!(number);
    }
    object
}

/// `CloudFormation`'s `ResourceRequirements` is the API's `resourceRequirements`; free keys stay as they are.
fn camel_case(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(camel_case).collect()),
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| {
                    let value = if key == "Options" {
                        value
                    } else {
                        camel_case(value)
                    };
                    let mut letters = key.chars();
                    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
                    (first.into_iter().chain(letters).collect(), value)
                })
                .collect(),
        ),
        plain => plain,
    }
}
