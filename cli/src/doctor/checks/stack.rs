//! The stack itself: its state, its resources and parameters against the template's.

use serde_json::Value;

use super::super::call::Call;
use super::super::case::{Case, Deployed};
use super::super::command::Answers;
use super::super::finding::Finding;

const STATE: &str = "stack";
const DRIFT: &str = "stack, drift";
const RESOURCES: &str = "stack, resources";
const PARAMETERS: &str = "stack, parameters";
/// So many names are said.
const NAMES_MAX: usize = 4;

/// What a stack is read from.
pub(crate) fn asked(region: &str, name: &str) -> [Call; 2] {
    [
        Call::new(
            region,
            "cloudformation:DescribeStacks",
            ["cloudformation", "describe-stacks", "--stack-name", name],
        ),
        Call::new(
            region,
            "cloudformation:ListStackResources",
            [
                "cloudformation",
                "list-stack-resources",
                "--stack-name",
                name,
            ],
        ),
    ]
}

/// The stack was read before all others.
pub(super) fn calls(_: &Case) -> Vec<Call> {
    Vec::new()
}

pub(super) fn findings(case: &Case, _: &Answers) -> Vec<Finding> {
    let Some(stack) = &case.stack else {
        return Vec::new();
    };
    let [describe, list] = asked(&case.region, &stack.name);
    let mut found = vec![
        state(stack).asked(&describe),
        drift(stack, &case.region).asked(&describe),
        parameters(case, stack).asked(&describe),
    ];
    found.insert(2, resources(case, stack).asked(&list));
    found
}

fn state(stack: &Deployed) -> Finding {
    let (name, status) = (&stack.name, stack.status.as_str());
    let why = stack.status_reason.as_deref().unwrap_or("no reason given");
    let events = format!(
        "aws cloudformation describe-stack-events --stack-name {name} says which resource refused, and why"
    );
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {
            Finding::ok(STATE, format!("{name} is {status}"))
        }
        "UPDATE_ROLLBACK_COMPLETE" => Finding::warn(
            STATE,
            format!("the last deploy of {name} was undone: {why}"),
            events,
        ),
        _ if status.ends_with("_IN_PROGRESS") => Finding::warn(
            STATE,
            format!("{name} is {status}: the other findings may be old in a minute"),
            "ask again when it is over",
        ),
        "ROLLBACK_COMPLETE" => Finding::bad(
            STATE,
            format!("the first deploy of {name} failed, and nothing of it is there"),
            format!("{events}; then delete the stack and deploy again"),
        ),
        _ => Finding::bad(STATE, format!("{name} is {status}: {why}"), events),
    }
}

fn drift(stack: &Deployed, region: &str) -> Finding {
    // It takes minutes, so it is offered and not done.
    let detect = format!(
        "aws cloudformation detect-stack-drift --stack-name {} --region {region}; a few minutes later run this again",
        stack.name
    );
    match stack.drift.as_deref() {
        Some("DRIFTED") => Finding::warn(
            DRIFT,
            "resources were changed by hand since they were deployed",
            format!(
                "aws cloudformation describe-stack-resource-drifts --stack-name {} --region {region}",
                stack.name
            ),
        ),
        Some("IN_SYNC") => Finding::ok(
            DRIFT,
            "when CloudFormation last looked, nothing had been changed by hand",
        ),
        _ => Finding::ok(DRIFT, "CloudFormation has not looked for changes by hand").with(detect),
    }
}

fn resources(case: &Case, stack: &Deployed) -> Finding {
    let failed: Vec<&str> = stack
        .resources
        .iter()
        .filter(|(_, resource)| resource.status.ends_with("_FAILED"))
        .map(|(logical_id, _)| logical_id.as_str())
        .collect();
    if !failed.is_empty() {
        return Finding::bad(
            RESOURCES,
            format!("{} failed", some(&failed)),
            "look at the stack's events, mend it and deploy again",
        );
    }
    let missing: Vec<&str> = case
        .template
        .resources()
        .keys()
        .map(String::as_str)
        .filter(|logical_id| !stack.resources.contains_key(*logical_id))
        .collect();
    if missing.is_empty() {
        return Finding::ok(
            RESOURCES,
            format!(
                "all {} of the template are there",
                case.template.resources().len()
            ),
        );
    }
    Finding::warn(
        RESOURCES,
        format!(
            "the template has {} that the stack lacks: it was deployed from another one",
            some(&missing)
        ),
        "sam build && sam deploy",
    )
}

fn parameters(case: &Case, stack: &Deployed) -> Finding {
    let declared = case
        .template
        .document()
        .get("Parameters")
        .and_then(Value::as_object);
    let is_declared = |name: &str| declared.is_some_and(|declared| declared.contains_key(name));
    let mut apart: Vec<String> = case
        .given
        .iter()
        .filter_map(|(name, value)| {
            let deployed = stack.parameters.get(name)?;
            (deployed != value).then(|| format!("{name} is `{deployed}` and was to be `{value}`"))
        })
        .collect();
    for name in declared.into_iter().flat_map(serde_json::Map::keys) {
        if !stack.parameters.contains_key(name) {
            apart.push(format!("{name} is not known to the stack"));
        }
    }
    for name in stack.parameters.keys().filter(|name| !is_declared(name)) {
        apart.push(format!("{name} is not in the template any more"));
    }
    if apart.is_empty() {
        return Finding::ok(
            PARAMETERS,
            format!(
                "{} parameters, as the template has them",
                stack.parameters.len()
            ),
        );
    }
    let apart: Vec<&str> = apart.iter().map(String::as_str).collect();
    Finding::warn(
        PARAMETERS,
        some(&apart),
        "deploy, or mend what was written down",
    )
}

/// The first few of a list.
pub(super) fn some(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_MAX).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use test_case::test_case;

    #[test_case("UPDATE_COMPLETE" => Verdict::Ok)]
    #[test_case("UPDATE_ROLLBACK_COMPLETE" => Verdict::Warn)]
    #[test_case("UPDATE_IN_PROGRESS" => Verdict::Warn)]
    #[test_case("ROLLBACK_COMPLETE" => Verdict::Bad)]
    #[test_case("UPDATE_ROLLBACK_FAILED" => Verdict::Bad)]
    #[test_case("DELETE_FAILED" => Verdict::Bad)]
    fn a_state_has_a_verdict(status: &str) -> Verdict {
        state(&Deployed {
            name: "trainspot".to_owned(),
            status: status.to_owned(),
            ..Deployed::default()
        })
        .verdict
    }
}
