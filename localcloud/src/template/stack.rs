//! Everything of a template that exists in the local cloud.

use std::collections::BTreeMap;
use std::path::Path;

use super::batch::{self, Definition, Queue};
use super::document;
use super::functions::{self, Function};
use super::intrinsics::Scope;
use super::names::arn;
use super::rules::{self, Rule};
use crate::errors::StartError;

/// `AWS::SQS::Queue`: here they only hold dead letters.
#[derive(Debug, Clone)]
pub(crate) struct LetterQueue {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) arn: String,
}

/// A deployed template.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    /// `Ref` of every resource, by logical id.
    pub(crate) physical: BTreeMap<String, String>,
    /// Bucket names.
    pub(crate) buckets: Vec<String>,
    /// Topic ARNs.
    pub(crate) topics: Vec<String>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) letter_queues: Vec<LetterQueue>,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) functions: Vec<Function>,
    pub(crate) rules: Vec<Rule>,
}

impl Stack {
    /// Reads and evaluates a template file.
    pub(crate) fn load(
        path: &Path,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(path).map_err(|source| StartError::File {
            doing: "read the template",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, parameters)
    }

    pub(crate) fn parse(
        text: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Self, StartError> {
        let document = document::parse(text)?;
        let globals = document.get("Globals").cloned().unwrap_or_default();
        let scope = Scope::new(&document, parameters)?;
        let mut stack = Self::default();
        for (logical_id, kind, body) in scope.resources()? {
            let physical = scope
                .physical_id(logical_id)
                .map_err(|why| StartError::Template {
                    place: logical_id.to_owned(),
                    why,
                })?;
            match kind {
                "AWS::S3::Bucket" => stack.buckets.push(physical.clone()),
                "AWS::SNS::Topic" => stack.topics.push(physical.clone()),
                "AWS::SQS::Queue" => {
                    let name = scope.name(logical_id).map_err(|why| StartError::Template {
                        place: format!("{logical_id}.QueueName"),
                        why,
                    })?;
                    stack.letter_queues.push(LetterQueue {
                        arn: arn("sqs", &name),
                        url: physical.clone(),
                        name,
                    });
                }
                "AWS::Batch::JobQueue" => {
                    stack.queues.push(batch::queue(&scope, logical_id, body)?);
                }
                "AWS::Batch::JobDefinition" => stack
                    .definitions
                    .push(batch::definition(&scope, logical_id, body)?),
                "AWS::Serverless::Function" => {
                    let body = functions::with_globals(&globals, body);
                    stack
                        .functions
                        .push(functions::function(&scope, logical_id, &body)?);
                    stack
                        .rules
                        .extend(rules::of_function(&scope, logical_id, &body)?);
                }
                "AWS::Events::Rule" => stack
                    .rules
                    .push(rules::events_rule(&scope, logical_id, body)?),
                "AWS::Scheduler::Schedule" => stack
                    .rules
                    .push(rules::scheduler(&scope, logical_id, body)?),
                _ => {}
            }
            stack.physical.insert(logical_id.to_owned(), physical);
        }
        Ok(stack)
    }

    /// A function by logical id, name or ARN (with or without a qualifier).
    pub(crate) fn function(&self, wanted: &str) -> Option<&Function> {
        self.functions.iter().find(|function| {
            wanted == function.logical_id
                || wanted == function.name
                || wanted == function.arn
                || wanted
                    .strip_prefix(&function.arn)
                    .is_some_and(|rest| rest.starts_with(':'))
        })
    }

    /// A queue by name or ARN.
    pub(crate) fn queue(&self, wanted: &str) -> Option<&Queue> {
        self.queues
            .iter()
            .find(|queue| wanted == queue.name || wanted == queue.arn)
    }

    /// A definition by name, `name:1`, or ARN with or without the revision.
    pub(crate) fn definition(&self, wanted: &str) -> Option<&Definition> {
        let without_revision = wanted.strip_suffix(":1").unwrap_or(wanted);
        self.definitions.iter().find(|definition| {
            without_revision == definition.name
                || Some(without_revision) == definition.arn.strip_suffix(":1")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Declared, Market, RuleKind};

    #[test]
    fn the_products_template_is_understood() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let image = format!("trainer@sha256:{}", "0".repeat(64));

        let stack = Stack::load(&path, &[("ImageUri".to_owned(), image)].into())
            .expect("the template loads");

        let market = |id: &str| {
            stack
                .queues
                .iter()
                .find(|queue| queue.logical_id == id)
                .map(|queue| (queue.market, queue.fair_share))
        };
        assert_eq!(market("SpotQueue"), Some((Market::Spot, true)));
        assert_eq!(market("OnDemandQueue"), Some((Market::OnDemand, true)));
        assert_eq!(market("PostProcessingQueue"), Some((Market::Spot, true)));
        let mut binaries: Vec<_> = stack
            .functions
            .iter()
            .map(|function| function.binary.as_str())
            .collect();
        binaries.sort_unstable();
        assert_eq!(
            binaries,
            [
                "fan-out",
                "handle-failure",
                "submit-training",
                "supervise-runs"
            ]
        );
        for function in &stack.functions {
            assert!(
                function.environment.contains_key("TRAINSPOT_SPOT_QUEUE"),
                "{}",
                function.logical_id
            );
        }
        let schedules = stack
            .rules
            .iter()
            .filter(|rule| matches!(rule.kind, RuleKind::Schedule { .. }))
            .count();
        assert!(schedules >= 2, "a tick and a sweep");
        for definition in &stack.definitions {
            let retry = definition
                .retry
                .as_ref()
                .map(|retry| (retry.attempts, retry.evaluate_on_exit.is_empty()));
            assert_eq!(retry, Some((10, false)), "{}", definition.name);
        }
    }

    fn product(parameters: &[(&str, &str)]) -> Stack {
        let given = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Stack::parse(include_str!("../../../template.yaml"), &given.collect())
            .expect("the template loads")
    }

    /// A tick that comes too early has to end as a dead letter, and not be missed in silence.
    #[test]
    fn before_there_is_an_image_ticks_are_on_and_sweeps_are_off() {
        let stack = product(&[]);

        let off: Vec<_> = stack
            .rules
            .iter()
            .filter(|rule| !rule.enabled)
            .map(|rule| rule.logical_id.as_str())
            .collect();
        assert_eq!(off, ["OnSweep"]);
        for definition in &stack.definitions {
            let image = definition.container["image"].as_str().unwrap_or_default();
            let nobodys = format!("@sha256:{}", "0".repeat(64));
            assert!(image.ends_with(&nobodys), "{image}");
        }
        for function in &stack.functions {
            assert_eq!(function.environment["TRAINSPOT_IMAGE"], "");
        }
    }

    #[test]
    fn a_bucket_that_was_there_before_takes_the_place_of_a_new_one() {
        let stack = product(&[("DataBucketName", "ours-since-2019")]);

        assert_eq!(stack.buckets, ["trainspot-local-resultsbucket"]);
        for function in &stack.functions {
            let told = &function.environment["TRAINSPOT_DATA_BUCKET"];
            assert_eq!(told, "ours-since-2019", "{}", function.logical_id);
        }
    }

    #[test]
    fn a_secret_goes_to_jobs_and_to_no_function() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:tracker-AbCdEf";

        let stack = product(&[("SecretArn", arn), ("SecretName", "TRACKER_KEY")]);

        for definition in &stack.definitions {
            let secrets = &definition.container["secrets"];
            assert_eq!(
                secrets,
                &serde_json::json!([{"name": "TRACKER_KEY", "valueFrom": arn}])
            );
            assert!(definition.container.contains_key("executionRoleArn"));
        }
        for function in &stack.functions {
            assert!(!function.environment.values().any(|value| value == arn));
        }
        let without = product(&[]).definitions.remove(0).container;
        assert_eq!(without["secrets"], serde_json::json!([]));
        assert!(!without.contains_key("executionRoleArn"));
    }

    #[test]
    fn a_fourth_zone_is_another_one() {
        let text = include_str!("../../../template.yaml");

        let template = Declared::parse(text, &[("ZoneCount".to_owned(), "4".to_owned())].into())
            .expect("the template loads");

        let zones: std::collections::BTreeSet<_> = template
            .of_kind("AWS::EC2::Subnet")
            .map(|(id, subnet)| {
                let properties = subnet.properties.as_ref();
                let properties = properties.unwrap_or_else(|why| panic!("{id}: {why}"));
                properties["AvailabilityZone"].to_string()
            })
            .collect();
        assert_eq!(zones.len(), 4, "{zones:?}");
    }
}
