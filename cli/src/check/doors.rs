//! The four functions, and whether every rule may wake the one that it names.

use serde_json::Value;
use trainspot_localcloud::{Declared, DeclaredResource, DeclaredRule, DeclaredTarget};

use super::disagreement::Disagreement;

/// The doors, by the program that is behind each.
pub(crate) const SUBMIT_TRAINING: &str = "submit-training";
pub(crate) const SUPERVISE_RUNS: &str = "supervise-runs";
pub(super) const HANDLE_FAILURE: &str = "handle-failure";
pub(super) const FAN_OUT: &str = "fan-out";
const ALL: [&str; 4] = [SUBMIT_TRAINING, HANDLE_FAILURE, SUPERVISE_RUNS, FAN_OUT];

pub(super) fn disagreements(template: &Declared) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for door in ALL {
        let n = template
            .functions()
            .filter(|function| function.binary == door)
            .count();
        if n != 1 {
            found.push(Disagreement::new(
                "Resources",
                format!("{n} functions run `{door}`, and there must be one"),
                "give one function the BuildProperties.Binary of that name",
            ));
        }
    }
    for rule in template.rules() {
        of_rule(template, &rule, &mut found);
    }
    found
}

fn of_rule(template: &Declared, rule: &DeclaredRule<'_>, found: &mut Vec<Disagreement>) {
    let mut tell = |what: String, todo: &str| {
        found.push(Disagreement::new(rule.logical_id, what, todo));
    };
    if !rule.is_enabled {
        tell(
            "it is switched off".to_owned(),
            "write State: ENABLED, or remove it; to skip ticks for a while: `trainspot pause`",
        );
    }
    if rule.targets.is_empty() {
        tell(
            "it wakes no function".to_owned(),
            "give it a target, or remove it",
        );
    }
    // What SAM makes of a function's Events has no resource of its own, and SAM adds the permission.
    let resource = template.resources().get(rule.logical_id);
    for target in &rule.targets {
        let Some(function) = template.function(target.function_arn) else {
            tell(
                format!(
                    "it wakes `{}`, which is no function of the template",
                    target.function_arn
                ),
                "name one with !GetAtt <function>.Arn",
            );
            continue;
        };
        let door = function.logical_id;
        match resource.map(|resource| resource.kind.as_str()) {
            Some("AWS::Events::Rule") if !is_permitted(template, rule, target) => tell(
                format!("it may not wake {door}: no AWS::Lambda::Permission names both"),
                "add a permission with FunctionName, Principal events.amazonaws.com and SourceArn of this rule",
            ),
            Some("AWS::Scheduler::Schedule")
                if !role_of(template, resource).is_some_and(|role| {
                    grants(role, "lambda:InvokeFunction", target.function_arn)
                }) =>
            {
                tell(
                    format!("it may not wake {door}: the role of its target does not grant it"),
                    "let Target.RoleArn name a role that grants lambda:InvokeFunction on the function",
                );
            }
            _ => {}
        }
        let Some(queue) = target.dead_letters else {
            tell(
                format!("an event that {door} cannot be handed is lost"),
                "give the target a DeadLetterConfig",
            );
            continue;
        };
        let may_keep = match resource.map(|resource| resource.kind.as_str()) {
            Some("AWS::Events::Rule") => queue_takes_from(template, queue, rule.arn),
            Some("AWS::Scheduler::Schedule") => role_of(template, resource)
                .is_some_and(|role| grants(role, "sqs:SendMessage", queue)),
            _ => true,
        };
        if !may_keep {
            tell(
                "what it cannot hand over is lost: the dead-letter queue does not take it"
                    .to_owned(),
                "let the queue's policy name this rule (of a schedule: its role grant sqs:SendMessage)",
            );
        }
    }
}

fn is_permitted(template: &Declared, rule: &DeclaredRule<'_>, target: &DeclaredTarget<'_>) -> bool {
    let names: Vec<&str> = template
        .function(target.function_arn)
        .map(|function| vec![function.name, function.arn])
        .unwrap_or_default();
    template
        .of_kind("AWS::Lambda::Permission")
        .filter_map(|(_, permission)| permission.properties.as_ref().ok())
        .any(|permission| {
            let text = |name: &str| permission.get(name).and_then(Value::as_str);
            text("Principal") == Some("events.amazonaws.com")
                && text("Action") == Some("lambda:InvokeFunction")
                && text("FunctionName").is_some_and(|name| names.contains(&name))
                && text("SourceArn").is_none_or(|pattern| is_like(pattern, rule.arn))
        })
}

fn role_of<'t>(template: &'t Declared, schedule: Option<&DeclaredResource>) -> Option<&'t Value> {
    let properties = schedule?.properties.as_ref().ok()?;
    let arn = properties.pointer("/Target/RoleArn")?.as_str()?;
    let (_, name) = arn.rsplit_once('/')?;
    let (_, role) = template
        .of_kind("AWS::IAM::Role")
        .find(|(_, role)| role.physical == name)?;
    role.properties.as_ref().ok()
}

/// Whether one of a role's own policies grants an action on a resource.
fn grants(role: &Value, action: &str, resource: &str) -> bool {
    let policies = role.get("Policies").and_then(Value::as_array);
    policies.into_iter().flatten().any(|policy| {
        statements(policy.get("PolicyDocument")).any(|statement| {
            statement.get("Effect").and_then(Value::as_str) == Some("Allow")
                && texts(statement.get("Action")).any(|pattern| is_like(pattern, action))
                && texts(statement.get("Resource")).any(|pattern| is_like(pattern, resource))
        })
    })
}

/// Whether a queue's policy lets `EventBridge` leave a letter for a rule.
fn queue_takes_from(template: &Declared, queue: &str, rule: &str) -> bool {
    template
        .of_kind("AWS::SQS::QueuePolicy")
        .filter_map(|(_, policy)| policy.properties.as_ref().ok())
        .flat_map(|policy| statements(policy.get("PolicyDocument")))
        .any(|statement| {
            let conditions = statement.get("Condition").and_then(Value::as_object);
            let is_for_rule = conditions.is_none_or(|conditions| {
                conditions.iter().all(|(operator, keys)| {
                    match (operator.as_str(), keys.get("aws:SourceArn")) {
                        ("ArnEquals" | "ArnLike" | "StringLike", Some(patterns)) => {
                            texts(Some(patterns)).any(|pattern| is_like(pattern, rule))
                        }
                        ("StringEquals", Some(patterns)) => {
                            texts(Some(patterns)).any(|pattern| pattern == rule)
                        }
                        // Another key than the rule's ARN does not tell one rule from another.
                        _ => true,
                    }
                })
            });
            let principal = statement.get("Principal").map(|principal| {
                texts(principal.get("Service")).any(|name| name == "events.amazonaws.com")
            });
            statement.get("Effect").and_then(Value::as_str) == Some("Allow")
                && principal == Some(true)
                && texts(statement.get("Action")).any(|action| is_like(action, "sqs:SendMessage"))
                && texts(statement.get("Resource")).any(|pattern| is_like(pattern, queue))
                && is_for_rule
        })
}

fn statements(document: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = document
        .and_then(|document| document.get("Statement"))
        .and_then(Value::as_array);
    list.into_iter().flatten()
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = match value {
        Some(Value::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

/// IAM's wildcards: `*` for any letters, `?` for one.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == '?' || Some(letter) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern
        .get(p..)
        .is_none_or(|rest| rest.iter().all(|letter| *letter == '*'))
}
