//! What a template declares, for whoever checks it: the same reading that the local cloud runs by, made
//! public. Says what is there; whether that is right is for others to judge.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use quamina::Quamina;
use serde_json::{Value, json};

use super::intrinsics::Scope;
use super::rules::{Rule, RuleKind, ScheduleKind, Trigger};
use super::stack::Stack;
use super::{ACCOUNT, Market, REGION, STACK_NAME, document};
use crate::batch::allows;
use crate::errors::StartError;
use crate::events::{of_event, of_schedule};

/// A template with its parameters decided, as it would stand in the local cloud's account and region.
pub struct Declared {
    document: Value,
    resources: BTreeMap<String, DeclaredResource>,
    stack: Stack,
    patterns: Quamina<String>,
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Declared")
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}

/// Any resource whose condition holds.
#[derive(Debug, Clone)]
pub struct DeclaredResource {
    /// `AWS::…`.
    pub kind: String,
    /// What `Ref` gives.
    pub physical: String,
    /// Its properties with every function evaluated; `Err` says what the reader does not know.
    pub properties: Result<Value, String>,
}

/// A function.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredFunction<'t> {
    /// Its key in the template.
    pub logical_id: &'t str,
    /// Its ARN.
    pub arn: &'t str,
    /// Its name.
    pub name: &'t str,
    /// The program it runs.
    pub binary: &'t str,
    /// How long it may take.
    pub timeout: Duration,
    /// What its program sees.
    pub environment: &'t BTreeMap<String, String>,
}

/// A job queue.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredQueue<'t> {
    /// Its key in the template.
    pub logical_id: &'t str,
    /// Its ARN.
    pub arn: &'t str,
    /// Whether its first hosts are Spot.
    pub is_spot: bool,
    /// Whether a submission needs a share.
    pub is_fair_share: bool,
    /// The types that its hosts may have; empty when AWS may choose.
    pub instance_types: &'t [String],
    /// The most vCPUs of one of its environments.
    pub max_vcpus: Option<u64>,
    /// From SIGTERM to SIGKILL of a container that its hosts stop.
    pub stop_timeout: std::time::Duration,
}

/// Something that wakes functions.
#[derive(Debug, Clone)]
pub struct DeclaredRule<'t> {
    /// Its key in the template.
    pub logical_id: &'t str,
    /// Its ARN.
    pub arn: &'t str,
    /// Whether it is switched on.
    pub is_enabled: bool,
    /// By time; none for an event pattern.
    pub schedule: Option<DeclaredSchedule<'t>>,
    /// Whom it wakes.
    pub targets: Vec<DeclaredTarget<'t>>,
}

/// When a rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredSchedule<'t> {
    /// As it is written.
    pub expression: &'t str,
    /// The zone it is read in.
    pub time_zone: &'t str,
    /// Kept by `EventBridge` Scheduler, not by a rule.
    pub is_scheduler: bool,
}

/// A function that a rule wakes.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredTarget<'t> {
    rule: &'t Rule,
    trigger: &'t Trigger,
    /// The function's ARN.
    pub function_arn: &'t str,
    /// The ARN of the queue that keeps what could not be handed over.
    pub dead_letters: Option<&'t str>,
}

impl DeclaredTarget<'_> {
    /// What the function is sent when the rule's schedule fires for `at`.
    pub fn payload_of_tick(&self, at: Timestamp) -> Result<Value, String> {
        let time = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let of = |source: &str, detail: Value| {
            json!({
                "version": "0", "id": "0", "detail-type": "Scheduled Event", "source": source, "account": ACCOUNT,
                "time": time, "region": REGION, "resources": [self.rule.arn], "detail": detail,
            })
        };
        match &self.rule.kind {
            RuleKind::Schedule {
                kind: ScheduleKind::Scheduler,
                ..
            } => {
                let event = of("aws.scheduler", json!("{}"));
                of_schedule(&self.trigger.input, &self.rule.arn, at, "0", &event)
            }
            _ => of_event(&self.trigger.input, self.rule, &of("aws.events", json!({}))),
        }
    }

    /// What the function is sent for an event that the rule's pattern matches.
    pub fn payload_of_event(&self, event: &Value) -> Result<Value, String> {
        of_event(&self.trigger.input, self.rule, event)
    }
}

impl Declared {
    /// The region that everything evaluated names.
    pub const REGION: &'static str = REGION;
    /// The account that everything evaluated names.
    pub const ACCOUNT: &'static str = ACCOUNT;
    /// The stack that everything evaluated names.
    pub const STACK_NAME: &'static str = STACK_NAME;

    /// The parameters that a template's text declares, as they are written there.
    pub fn parameters(text: &str) -> Result<serde_json::Map<String, Value>, StartError> {
        let document = document::parse(text)?;
        let declared = document.get("Parameters").and_then(Value::as_object);
        Ok(declared.cloned().unwrap_or_default())
    }

    /// Reads a template's text. A parameter that is neither given nor has a default is an error as soon as
    /// something names it.
    pub fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self, StartError> {
        let document = document::parse(text)?;
        let scope = Scope::new(&document, parameters)?;
        let stack = Stack::parse(text, parameters)?;
        let mut resources = BTreeMap::new();
        for (logical_id, kind, body) in scope.resources()? {
            let properties = body.get("Properties").cloned().unwrap_or_else(|| json!({}));
            let resource = DeclaredResource {
                kind: kind.to_owned(),
                physical: stack.physical.get(logical_id).cloned().unwrap_or_default(),
                properties: scope.value(&properties).map(Option::unwrap_or_default),
            };
            resources.insert(logical_id.to_owned(), resource);
        }
        let mut patterns = Quamina::new();
        for rule in &stack.rules {
            if let RuleKind::Pattern(pattern) = &rule.kind {
                let added = patterns.add_pattern(rule.logical_id.clone(), pattern);
                added.map_err(|error| StartError::Template {
                    place: format!("{}.EventPattern", rule.logical_id),
                    why: error.to_string(),
                })?;
            }
        }
        Ok(Self {
            document,
            resources,
            stack,
            patterns,
        })
    }

    /// The whole template as it is written, with the long forms of functions (`{"Ref": "X"}`).
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Every resource that exists, by its key.
    pub fn resources(&self) -> &BTreeMap<String, DeclaredResource> {
        &self.resources
    }

    /// The resources of a type, with their keys.
    pub fn of_kind<'t>(
        &'t self,
        kind: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t DeclaredResource)> {
        let all = self.resources.iter();
        all.filter(move |(_, resource)| resource.kind == kind)
            .map(|(logical_id, resource)| (logical_id.as_str(), resource))
    }

    /// The key of the resource that `Ref` calls so.
    pub fn logical_id(&self, physical: &str) -> Option<&str> {
        let mut all = self.resources.iter();
        all.find(|(_, resource)| resource.physical == physical)
            .map(|(logical_id, _)| logical_id.as_str())
    }

    /// Every function.
    pub fn functions(&self) -> impl Iterator<Item = DeclaredFunction<'_>> {
        self.stack
            .functions
            .iter()
            .map(|function| DeclaredFunction {
                logical_id: &function.logical_id,
                arn: &function.arn,
                name: &function.name,
                binary: &function.binary,
                timeout: function.timeout,
                environment: &function.environment,
            })
    }

    /// The function that an ARN names, with or without a qualifier.
    pub fn function(&self, arn: &str) -> Option<DeclaredFunction<'_>> {
        let found = self.stack.function(arn)?;
        self.functions().find(|function| function.arn == found.arn)
    }

    /// Every job queue.
    pub fn queues(&self) -> impl Iterator<Item = DeclaredQueue<'_>> {
        self.stack.queues.iter().map(|queue| DeclaredQueue {
            logical_id: &queue.logical_id,
            arn: &queue.arn,
            is_spot: queue.market == Market::Spot,
            is_fair_share: queue.fair_share,
            instance_types: &queue.instance_types,
            max_vcpus: queue.max_vcpus,
            stop_timeout: queue.stop_timeout,
        })
    }

    /// Every rule and schedule, also those that SAM makes of a function's `Events`.
    pub fn rules(&self) -> impl Iterator<Item = DeclaredRule<'_>> {
        self.stack.rules.iter().map(|rule| DeclaredRule {
            logical_id: &rule.logical_id,
            arn: &rule.arn,
            is_enabled: rule.enabled,
            schedule: match &rule.kind {
                RuleKind::Pattern(_) => None,
                RuleKind::Schedule {
                    expression,
                    time_zone,
                    kind,
                } => Some(DeclaredSchedule {
                    expression,
                    time_zone,
                    is_scheduler: *kind == ScheduleKind::Scheduler,
                }),
            },
            targets: rule
                .triggers
                .iter()
                .map(|trigger| DeclaredTarget {
                    rule,
                    trigger,
                    function_arn: &trigger.function_arn,
                    dead_letters: trigger.dead_letters.as_deref(),
                })
                .collect(),
        })
    }

    /// The rules whose pattern matches an event, switched on or not.
    pub fn rules_for(&self, event: &Value) -> Result<Vec<DeclaredRule<'_>>, String> {
        let matched = self
            .patterns
            .matches_for_event(event.to_string().as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(self
            .rules()
            .filter(|rule| matched.iter().any(|id| id == rule.logical_id))
            .collect())
    }

    /// Whether a job definition lets Batch try again after an attempt that ended so; `None` when there is no
    /// such definition or it has no retry strategy.
    pub fn retries(
        &self,
        definition_arn: &str,
        status_reason: &str,
        reason: Option<&str>,
        exit_code: Option<i32>,
    ) -> Option<bool> {
        let definition = self.stack.definition(definition_arn)?;
        let strategy = definition.retry.as_ref()?;
        Some(strategy.attempts > 1 && allows(strategy, status_reason, reason, exit_code))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    fn declared() -> Declared {
        let image = format!("trainer@sha256:{}", "0".repeat(64));
        Declared::parse(TEMPLATE, &[("ImageUri".to_owned(), image)].into())
            .expect("the template is read")
    }

    #[test]
    fn every_property_of_the_products_template_is_understood() {
        let template = declared();

        let unknown: Vec<_> = template
            .resources()
            .iter()
            .filter_map(|(id, resource)| {
                Some(format!("{id}: {}", resource.properties.as_ref().err()?))
            })
            .collect();

        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn what_a_tick_sends_is_filled_in() {
        let template = declared();
        let at: Timestamp = "2026-11-23T02:00:00Z".parse().expect("RFC 3339");
        let rule = template
            .rules()
            .find(|rule| rule.logical_id == "OnTickOfRecommender")
            .expect("the rule");

        let sent = rule.targets[0].payload_of_tick(at);

        assert_eq!(
            sent,
            Ok(json!({"pipeline": "recommender", "tick": "2026-11-23T02:00:00Z"}))
        );
    }

    /// What the agents count on, and what every host of theirs gives them.
    #[test]
    fn a_stopped_container_has_as_long_as_the_templates_hosts_give_it() {
        let template = declared();

        let given: BTreeSet<_> = template
            .queues()
            .map(|queue| queue.stop_timeout.as_secs().to_string())
            .collect();

        let told: BTreeSet<_> = template
            .of_kind("AWS::Batch::JobDefinition")
            .filter_map(|(_, definition)| {
                let properties = definition.properties.as_ref().ok()?;
                let variables = properties.pointer("/ContainerProperties/Environment")?;
                let is_it = |v: &&Value| v["Name"] == "TRAINSPOT_STOP_TIMEOUT_S";
                Some(variables.as_array()?.iter().find(is_it)?["Value"].clone())
            })
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect();
        assert_eq!(given, BTreeSet::from(["110".to_owned()]));
        assert_eq!(told, given);

        let other = TEMPLATE.replace("ECS_CONTAINER_STOP_TIMEOUT=110s", "");
        let image = format!("trainer@sha256:{}", "0".repeat(64));
        let without = Declared::parse(&other, &[("ImageUri".to_owned(), image)].into())
            .expect("the template is read");
        assert!(
            without
                .queues()
                .all(|queue| queue.stop_timeout.as_secs() == 30)
        );
    }

    #[test]
    fn a_definition_tells_what_is_tried_again() {
        let template = declared();
        let (_, definition) = template
            .of_kind("AWS::Batch::JobDefinition")
            .next()
            .expect("there are two");
        let ended = "Essential container in task exited";
        let lost = "Host EC2 (instance i-0123456789abcdef0) terminated.";

        let told = [
            template.retries(&definition.physical, ended, None, Some(75)),
            template.retries(&definition.physical, ended, None, Some(64)),
            template.retries(&definition.physical, lost, None, None),
            template.retries("no such", lost, None, None),
        ];

        assert_eq!(told, [Some(true), Some(false), Some(true), None]);
    }
}
