//! What a check may look at, besides AWS's answers: the template as it is, or will be, deployed, the stack as
//! AWS has it, the specs, the clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use trainspot_localcloud::Declared;

use super::call::Call;
use crate::check::Specs;

/// The patient.
pub(crate) struct Case {
    /// Where AWS is asked.
    pub(crate) region: String,
    /// Who asks; empty until AWS has said.
    pub(crate) account: String,
    /// With the parameters of the stack, or else those that were given.
    pub(crate) template: Declared,
    /// The parameters that were given or written down, not the defaults.
    pub(crate) given: BTreeMap<String, String>,
    /// None before the first deploy.
    pub(crate) stack: Option<Deployed>,
    pub(crate) specs: Specs,
    pub(crate) now: Timestamp,
    /// The zone of whoever asks.
    pub(crate) zone: TimeZone,
}

/// A stack as `CloudFormation` tells of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deployed {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) drift: Option<String>,
    pub(crate) parameters: BTreeMap<String, String>,
    /// By key in the template.
    pub(crate) resources: BTreeMap<String, DeployedResource>,
}

/// One of its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeployedResource {
    pub(crate) kind: String,
    pub(crate) physical: String,
    pub(crate) status: String,
}

impl Deployed {
    /// Of `describe-stacks` and `list-stack-resources`; `None` when the answers have another shape.
    pub(crate) fn read(stacks: &Value, resources: &Value) -> Option<Self> {
        let stack = stacks.pointer("/Stacks/0")?;
        let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let parameters = stack.get("Parameters").and_then(Value::as_array);
        let resources = resources.get("StackResourceSummaries")?.as_array()?;
        Some(Self {
            name: text(stack, "StackName")?,
            status: text(stack, "StackStatus")?,
            status_reason: text(stack, "StackStatusReason"),
            drift: stack
                .pointer("/DriftInformation/StackDriftStatus")
                .and_then(Value::as_str)
                .map(str::to_owned),
            parameters: parameters
                .into_iter()
                .flatten()
                .filter_map(|parameter| {
                    let value = text(parameter, "ParameterValue").unwrap_or_default();
                    Some((text(parameter, "ParameterKey")?, value))
                })
                .collect(),
            resources: resources
                .iter()
                .filter_map(|resource| {
                    let entry = DeployedResource {
                        kind: text(resource, "ResourceType")?,
                        physical: text(resource, "PhysicalResourceId").unwrap_or_default(),
                        status: text(resource, "ResourceStatus")?,
                    };
                    Some((text(resource, "LogicalResourceId")?, entry))
                })
                .collect(),
        })
    }
}

impl Case {
    /// A call in the case's region.
    pub(crate) fn call(
        &self,
        action: &'static str,
        words: impl IntoIterator<Item = impl Into<String>>,
    ) -> Call {
        Call::new(&self.region, action, words)
    }

    /// What AWS calls a resource of the template; `None` when it is not deployed.
    pub(crate) fn physical(&self, logical_id: &str) -> Option<&str> {
        let resource = self.stack.as_ref()?.resources.get(logical_id)?;
        Some(resource.physical.as_str()).filter(|id| !id.is_empty())
    }

    /// The deployed resources of a type: keys, and what AWS calls them.
    pub(crate) fn deployed<'c>(
        &'c self,
        kind: &'c str,
    ) -> impl Iterator<Item = (&'c str, &'c str)> {
        let all = self.stack.iter().flat_map(|stack| stack.resources.iter());
        all.filter(move |(_, resource)| resource.kind == kind && !resource.physical.is_empty())
            .map(|(logical_id, resource)| (logical_id.as_str(), resource.physical.as_str()))
    }

    /// The properties of a resource as the template declares them.
    pub(crate) fn properties(&self, logical_id: &str) -> Option<&Value> {
        let resource = self.template.resources().get(logical_id)?;
        resource.properties.as_ref().ok()
    }

    /// A text that the template's reader evaluated for its own account, as it stands in AWS.
    pub(crate) fn as_deployed(&self, text: &str) -> String {
        let physical = self
            .template
            .logical_id(text)
            .and_then(|logical_id| self.physical(logical_id));
        if let Some(physical) = physical {
            return physical.to_owned();
        }
        let stack = self
            .stack
            .as_ref()
            .map_or(Declared::STACK_NAME, |stack| stack.name.as_str());
        text.replace(Declared::STACK_NAME, stack)
            .replace(Declared::ACCOUNT, &self.account)
            .replace(Declared::REGION, &self.region)
    }

    /// A parameter's value: of the stack, as it was given, or the default.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let deployed = self
            .stack
            .as_ref()
            .and_then(|stack| stack.parameters.get(name));
        deployed
            .or_else(|| self.given.get(name))
            .cloned()
            .or_else(|| {
                let default = self
                    .template
                    .document()
                    .pointer(&format!("/Parameters/{name}/Default"))?;
                Some(match default {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
            })
    }
}
