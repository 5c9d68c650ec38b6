//! Rules and schedules as the template declares them: `AWS::Events::Rule`, `AWS::Scheduler::Schedule`, and the
//! `Events` of a SAM function, which become the same two.

use std::collections::BTreeMap;

use serde_json::Value;

use super::intrinsics::{Scope, as_text};
use super::names::arn;
use crate::errors::StartError;

/// Something that invokes functions.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) logical_id: String,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) kind: RuleKind,
    pub(crate) enabled: bool,
    pub(crate) triggers: Vec<Trigger>,
}

/// By what a rule is set off.
#[derive(Debug, Clone)]
pub(crate) enum RuleKind {
    /// An event that matches this pattern.
    Pattern(String),
    /// Time.
    Schedule {
        expression: String,
        time_zone: String,
        kind: ScheduleKind,
    },
}

/// Who keeps the time: the two send different payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleKind {
    /// `EventBridge` rule: an event of `aws.events`.
    Rule,
    /// `EventBridge` Scheduler: the input alone, with its context attributes.
    Scheduler,
}

/// One target of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    pub(crate) function_arn: String,
    pub(crate) input: Input,
    /// The ARN of the queue that keeps what could not be handed over.
    pub(crate) dead_letters: Option<String>,
}

/// What a target is sent.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The event as it is.
    Event,
    /// This text.
    Constant(String),
    /// A part of the event.
    Path(String),
    /// A template filled from the event.
    Transformer {
        paths: BTreeMap<String, String>,
        template: String,
    },
}

pub(super) fn events_rule(
    scope: &Scope,
    logical_id: &str,
    body: &Value,
) -> Result<Rule, StartError> {
    let fail = |place: &str, why: String| StartError::Template {
        place: format!("{logical_id}.{place}"),
        why,
    };
    let pattern = scope.property(logical_id, body, "EventPattern")?;
    let expression = scope.property(logical_id, body, "ScheduleExpression")?;
    let kind = match (pattern, as_text(&expression)) {
        (Value::Null, Some(expression)) => RuleKind::Schedule {
            expression,
            time_zone: "UTC".into(),
            kind: ScheduleKind::Rule,
        },
        (Value::Null, None) => {
            return Err(fail(
                "EventPattern",
                "it has neither a pattern nor a schedule".into(),
            ));
        }
        (pattern, _) => RuleKind::Pattern(pattern.to_string()),
    };
    let mut triggers = Vec::new();
    if let Value::Array(targets) = scope.property(logical_id, body, "Targets")? {
        for target in targets {
            let arn = target
                .get("Arn")
                .and_then(as_text)
                .ok_or_else(|| fail("Targets", "a target has no Arn".into()))?;
            if !arn.starts_with("arn:aws:lambda:") {
                tracing::warn!(
                    rule = logical_id,
                    arn,
                    "a target that is no function is ignored here"
                );
                continue;
            }
            triggers.push(Trigger {
                function_arn: arn,
                input: input(&target).map_err(|why| fail("Targets", why))?,
                dead_letters: dead_letters(&target),
            });
        }
    }
    let name = scope.name(logical_id).map_err(|why| fail("Name", why))?;
    Ok(Rule {
        logical_id: logical_id.to_owned(),
        arn: arn("events", &format!("rule/{name}")),
        name,
        kind,
        enabled: enabled(&scope.property(logical_id, body, "State")?),
        triggers,
    })
}

pub(super) fn scheduler(scope: &Scope, logical_id: &str, body: &Value) -> Result<Rule, StartError> {
    let fail = |place: &str, why: String| StartError::Template {
        place: format!("{logical_id}.{place}"),
        why,
    };
    let expression = as_text(&scope.property(logical_id, body, "ScheduleExpression")?)
        .ok_or_else(|| fail("ScheduleExpression", "it has none".into()))?;
    let target = scope.property(logical_id, body, "Target")?;
    let function_arn = target
        .get("Arn")
        .and_then(as_text)
        .ok_or_else(|| fail("Target", "it has no Arn".into()))?;
    let name = scope.name(logical_id).map_err(|why| fail("Name", why))?;
    Ok(Rule {
        logical_id: logical_id.to_owned(),
        arn: arn("scheduler", &format!("schedule/default/{name}")),
        name,
        kind: RuleKind::Schedule {
            expression,
            time_zone: as_text(&scope.property(logical_id, body, "ScheduleExpressionTimezone")?)
                .unwrap_or_else(|| "UTC".into()),
            kind: ScheduleKind::Scheduler,
        },
        enabled: enabled(&scope.property(logical_id, body, "State")?),
        triggers: vec![Trigger {
            function_arn,
            input: input(&target).map_err(|why| fail("Target", why))?,
            dead_letters: dead_letters(&target),
        }],
    })
}

/// The rules that SAM makes of a function's `Events`; their logical ids are the function's plus the event's.
pub(super) fn of_function(
    scope: &Scope,
    logical_id: &str,
    body: &Value,
) -> Result<Vec<Rule>, StartError> {
    let events = scope.property(logical_id, body, "Events")?;
    let Value::Object(events) = events else {
        return Ok(Vec::new());
    };
    let function = scope.name(logical_id).map_err(|why| StartError::Template {
        place: logical_id.to_owned(),
        why,
    })?;
    let function_arn = arn("lambda", &format!("function:{function}"));
    let mut rules = Vec::new();
    for (event, declaration) in events {
        let fail = |why: String| StartError::Template {
            place: format!("{logical_id}.Events.{event}"),
            why,
        };
        let properties = declaration.get("Properties").cloned().unwrap_or_default();
        let text = |name: &str| properties.get(name).and_then(as_text);
        let needed = |name: &str| text(name).ok_or_else(|| fail(format!("it has no {name}")));
        let rule_id = format!("{logical_id}{event}");
        let name = text("Name").unwrap_or_else(|| format!("{}-{rule_id}", super::STACK_NAME));
        let (kind, service_and_path) = match declaration.get("Type").and_then(Value::as_str) {
            Some("EventBridgeRule" | "CloudWatchEvent") => {
                let pattern = properties
                    .get("Pattern")
                    .ok_or_else(|| fail("it has no Pattern".into()))?;
                (RuleKind::Pattern(pattern.to_string()), ("events", "rule"))
            }
            Some("Schedule") => {
                let expression = needed("Schedule")?;
                (
                    RuleKind::Schedule {
                        expression,
                        time_zone: "UTC".into(),
                        kind: ScheduleKind::Rule,
                    },
                    ("events", "rule"),
                )
            }
            Some("ScheduleV2") => {
                let expression = needed("ScheduleExpression")?;
                let time_zone = text("ScheduleExpressionTimezone").unwrap_or_else(|| "UTC".into());
                (
                    RuleKind::Schedule {
                        expression,
                        time_zone,
                        kind: ScheduleKind::Scheduler,
                    },
                    ("scheduler", "schedule/default"),
                )
            }
            other => {
                return Err(fail(format!(
                    "`{}` events do not exist here",
                    other.unwrap_or("untyped")
                )));
            }
        };
        let switched_off = properties
            .get("Enabled")
            .and_then(as_text)
            .is_some_and(|text| text == "false");
        rules.push(Rule {
            logical_id: rule_id,
            arn: arn(
                service_and_path.0,
                &format!("{}/{name}", service_and_path.1),
            ),
            name,
            kind,
            enabled: enabled(properties.get("State").unwrap_or(&Value::Null)) && !switched_off,
            triggers: vec![Trigger {
                function_arn: function_arn.clone(),
                input: input(&properties).map_err(fail)?,
                dead_letters: dead_letters(&properties),
            }],
        });
    }
    Ok(rules)
}

fn dead_letters(target: &Value) -> Option<String> {
    target.pointer("/DeadLetterConfig/Arn").and_then(as_text)
}

fn enabled(state: &Value) -> bool {
    state.as_str() != Some("DISABLED")
}

fn input(target: &Value) -> Result<Input, String> {
    if let Some(transformer) = target.get("InputTransformer") {
        let template = transformer
            .get("InputTemplate")
            .and_then(as_text)
            .ok_or("InputTransformer has no InputTemplate")?;
        let mut paths = BTreeMap::new();
        if let Some(Value::Object(map)) = transformer.get("InputPathsMap") {
            for (name, path) in map {
                paths.insert(
                    name.clone(),
                    as_text(path).ok_or_else(|| format!("the path of `{name}` is no text"))?,
                );
            }
        }
        return Ok(Input::Transformer { paths, template });
    }
    if let Some(path) = target.get("InputPath").and_then(as_text) {
        return Ok(Input::Path(path));
    }
    Ok(match target.get("Input") {
        None => Input::Event,
        Some(Value::String(text)) => Input::Constant(text.clone()),
        Some(structured) => Input::Constant(structured.to_string()),
    })
}
