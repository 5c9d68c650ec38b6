//! What a target is sent: the event, a constant, a part, or a filled template. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::template::{Input, Rule};

/// The payload that a rule's target gets for an event.
pub(crate) fn of_event(input: &Input, rule: &Rule, event: &Value) -> Result<Value, String> {
    match input {
        Input::Event => Ok(event.clone()),
        Input::Constant(text) => parse(text),
        Input::Path(path) => at(event, path),
        Input::Transformer { paths, template } => {
            let mut filled = String::with_capacity(template.len());
            let mut rest = template.as_str();
            let mut in_quotes = false;
            while let Some((before, after)) = rest.split_once('<') {
                filled.push_str(before);
                in_quotes ^= quotes(before) % 2 == 1;
                let Some((name, after)) = after.split_once('>') else {
                    return Err(format!("the input template `{template}` has an open <"));
                };
                let value = match name {
                    "aws.events.rule-arn" => Value::String(rule.arn.clone()),
                    "aws.events.rule-name" => Value::String(rule.name.clone()),
                    "aws.events.event.ingestion-time" => {
                        event.get("time").cloned().unwrap_or_default()
                    }
                    "aws.events.event" | "aws.events.event.json" => event.clone(),
                    name => match paths.get(name) {
                        Some(path) => at(event, path)?,
                        None => return Err(format!("the input template has no path for <{name}>")),
                    },
                };
                match value {
                    // Inside quotes a text goes in as it is; elsewhere with quotes of its own.
                    Value::String(text) if in_quotes => {
                        let quoted = Value::String(text).to_string();
                        filled.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
                    }
                    value => filled.push_str(&value.to_string()),
                }
                rest = after;
            }
            filled.push_str(rest);
            parse(&filled)
        }
    }
}

/// The payload that Scheduler sends: its input with the context attributes filled in.
pub(crate) fn of_schedule(
    input: &Input,
    arn: &str,
    at: Timestamp,
    execution_id: &str,
    event: &Value,
) -> Result<Value, String> {
    match input {
        Input::Constant(text) => {
            let filled = text
                .replace("<aws.scheduler.schedule-arn>", arn)
                .replace(
                    "<aws.scheduler.scheduled-time>",
                    &at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                )
                .replace("<aws.scheduler.execution-id>", execution_id)
                .replace("<aws.scheduler.attempt-number>", "1");
            parse(&filled)
        }
        Input::Event => Ok(event.clone()),
        other => Err(format!("a schedule cannot send {other:?}")),
    }
}

/// How many quotation marks of a JSON text are not escaped.
fn quotes(text: &str) -> usize {
    let mut count = 0;
    let mut escaped = false;
    for letter in text.chars() {
        match letter {
            '"' if !escaped => count += 1,
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            _ => {}
        }
        escaped = false;
    }
    count
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the input `{text}` is no JSON: {error}"))
}

/// `$.detail.jobName`, `$.resources[0]`, `$`. A path that finds nothing is null.
fn at(event: &Value, path: &str) -> Result<Value, String> {
    let rest = path
        .strip_prefix('$')
        .ok_or_else(|| format!("the path `{path}` does not begin with $"))?;
    let mut here = event;
    for step in rest.split('.').filter(|step| !step.is_empty()) {
        let (name, indexes) = step.split_once('[').unwrap_or((step, ""));
        if !name.is_empty() {
            here = here.get(name).unwrap_or(&Value::Null);
        }
        for index in indexes.split('[').filter(|index| !index.is_empty()) {
            let index: usize = index
                .trim_end_matches(']')
                .parse()
                .map_err(|_| format!("the path `{path}` is not known here"))?;
            here = here.get(index).unwrap_or(&Value::Null);
        }
    }
    Ok(here.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::RuleKind;
    use serde_json::json;

    fn rule() -> Rule {
        Rule {
            logical_id: "OnTick".into(),
            name: "on-tick".into(),
            arn: "arn:aws:events:us-east-1:123456789012:rule/on-tick".into(),
            kind: RuleKind::Pattern("{}".into()),
            enabled: true,
            triggers: Vec::new(),
        }
    }

    fn transformed(paths: &[(&str, &str)], template: &str) -> Result<Value, String> {
        let input = Input::Transformer {
            paths: paths
                .iter()
                .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
                .collect(),
            template: template.to_owned(),
        };
        let event = json!({"time": "2026-11-23T02:00:00Z", "resources": ["a", "b"], "detail": {"n": 3, "said": "a \"b\""}});
        of_event(&input, &rule(), &event)
    }

    #[test]
    fn a_text_takes_the_quotes_of_the_template_or_its_own() {
        let paths = [("time", "$.time")];

        let expected = json!({"pipeline": "recommender", "tick": "2026-11-23T02:00:00Z"});
        assert_eq!(
            transformed(&paths, r#"{"pipeline":"recommender","tick":"<time>"}"#),
            Ok(expected.clone())
        );
        assert_eq!(
            transformed(&paths, r#"{"pipeline":"recommender","tick":<time>}"#),
            Ok(expected)
        );
    }

    #[test]
    fn numbers_lists_and_awkward_texts_stay_what_they_are() {
        let paths = [
            ("n", "$.detail.n"),
            ("second", "$.resources[1]"),
            ("said", "$.detail.said"),
            ("none", "$.detail.x.y"),
        ];

        assert_eq!(
            transformed(
                &paths,
                r#"{"n":<n>,"second":<second>,"said":"he: <said>!","none":<none>,"rule":"<aws.events.rule-name>"}"#
            ),
            Ok(
                json!({"n": 3, "second": "b", "said": "he: a \"b\"!", "none": null, "rule": "on-tick"})
            )
        );
        assert!(transformed(&[], "{\"a\":<b>}").is_err());
    }

    #[test]
    fn a_schedule_fills_its_context_attributes() {
        let input = Input::Constant(
            r#"{"pipeline":"recommender","tick":"<aws.scheduler.scheduled-time>"}"#.into(),
        );
        let at = "2026-11-23T02:00:00Z"
            .parse()
            .expect("the time is RFC 3339");

        let payload = of_schedule(&input, "arn", at, "d32c5kddcf5bb8c3", &Value::Null);

        assert_eq!(
            payload,
            Ok(json!({"pipeline": "recommender", "tick": "2026-11-23T02:00:00Z"}))
        );
    }
}
