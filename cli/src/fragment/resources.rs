//! Copies what ticks for one pipeline, for another: the rule or schedule, its permission or role, and the
//! entry in the dead-letter queue's policy where that names single rules.

use serde_json::{Value, json};
use trainspot_shared::identity::PipelineName;
use trainspot_shared::schedule::Schedule;

use super::names::key_of;
use crate::check::Ticking;
use crate::problem::{Exit, Problem};

/// What is to be added.
pub(super) struct Copied {
    /// Keys and bodies.
    pub(super) resources: Vec<(String, Value)>,
    /// Policies that name single rules, with the value that each needs more.
    pub(super) letters: Vec<(String, Value)>,
}

/// Copies, with names, schedule and input changed.
pub(super) fn copy(
    document: &Value,
    first: &Ticking<'_>,
    name: &PipelineName,
    schedule: &Schedule,
) -> Result<Copied, Problem> {
    let all = document.get("Resources").and_then(Value::as_object);
    let body = |key: &str| all.and_then(|all| all.get(key));
    let from = &first.pipeline;
    let old = first.rule.logical_id;
    let new = key_of(old, from, name);
    if body(&new).is_some() {
        let sentence = format!("the template has a resource {new} already");
        return Err(Problem::new(Exit::Configuration, sentence)
            .hint("`trainspot check` says what it lacks"));
    }
    let missing = || {
        Problem::new(
            Exit::Configuration,
            format!("{old} is not a resource of its own in the template, so it cannot be copied"),
        )
    };
    let mut ticking = unconditional(body(old).ok_or_else(missing)?);
    let properties = ticking.get_mut("Properties").ok_or_else(missing)?;
    properties["ScheduleExpression"] = json!(schedule.expression());
    if first.schedule.is_scheduler {
        properties["ScheduleExpressionTimezone"] = json!(schedule.time_zone());
    }
    // A fixed name would be taken already.
    if let Some(properties) = properties.as_object_mut() {
        properties.remove("Name");
    }
    for (was, is) in [
        (format!("pipeline {from}"), format!("pipeline {name}")),
        (format!("\"{from}\""), format!("\"{name}\"")),
    ] {
        replace_in_texts(&mut ticking, &was, &is);
    }
    let mut resources = Vec::new();
    let role = ticking
        .pointer("/Properties/Target/RoleArn/Fn::GetAtt/0")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let Some(role) = role
        && let Some(role_body) = body(&role)
        && role_body.get("Condition").is_some()
    {
        // The first pipeline's role may not exist when its zone is another one.
        let new_role = key_of(&role, from, name);
        ticking["Properties"]["Target"]["RoleArn"] = json!({ "Fn::GetAtt": [new_role, "Arn"] });
        resources.push((new_role, unconditional(role_body)));
    }
    resources.insert(0, (new.clone(), ticking));

    let old_arn = json!({ "Fn::GetAtt": [old, "Arn"] });
    let new_arn = json!({ "Fn::GetAtt": [new, "Arn"] });
    let mut letters = Vec::new();
    for (key, other) in all.into_iter().flatten() {
        match other.get("Type").and_then(Value::as_str) {
            Some("AWS::Lambda::Permission")
                if other.pointer("/Properties/SourceArn") == Some(&old_arn) =>
            {
                let mut permission = unconditional(other);
                permission["Properties"]["SourceArn"] = new_arn.clone();
                resources.push((key_of(key, from, name), permission));
            }
            Some("AWS::SQS::QueuePolicy") if holds(other, &old_arn) => {
                letters.push((key.clone(), new_arn.clone()));
            }
            _ => {}
        }
    }
    Ok(Copied { resources, letters })
}

/// Without the condition under which the first one exists.
fn unconditional(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.remove("Condition");
    }
    body
}

fn replace_in_texts(value: &mut Value, was: &str, is: &str) {
    match value {
        Value::String(text) => *text = text.replace(was, is),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| replace_in_texts(item, was, is)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| replace_in_texts(member, was, is)),
        _ => {}
    }
}

fn holds(value: &Value, wanted: &Value) -> bool {
    value == wanted
        || match value {
            Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
            Value::Object(members) => members.values().any(|member| holds(member, wanted)),
            _ => false,
        }
}
