//! Conditions: whether a resource exists, and which branch an `Fn::If` takes.

use serde_json::Value;

use super::intrinsics::{DEEPEST, Outcome, Scope, as_text};

impl Scope {
    /// Whether a resource exists.
    pub(super) fn exists(&self, body: &Value) -> Outcome<bool> {
        match body.get("Condition").and_then(Value::as_str) {
            Some(name) => self.condition(name, 0),
            None => Ok(true),
        }
    }

    /// Whether the condition holds.
    pub(super) fn condition(&self, name: &str, depth: usize) -> Outcome<bool> {
        let raw = self
            .conditions
            .get(name)
            .ok_or_else(|| format!("the template has no condition `{name}`"))?;
        self.truth(raw, depth + 1)
    }

    fn truth(&self, raw: &Value, depth: usize) -> Outcome<bool> {
        if depth > DEEPEST {
            return Err("conditions go in a circle".into());
        }
        let Some((name, argument)) = raw.as_object().and_then(|object| object.iter().next()) else {
            return Err(format!("`{raw}` is no condition"));
        };
        let list = || {
            argument
                .as_array()
                .map(Vec::as_slice)
                .ok_or_else(|| format!("{name} needs a list"))
        };
        match name.as_str() {
            "Condition" => {
                self.condition(argument.as_str().ok_or("Condition needs a name")?, depth)
            }
            "Fn::Equals" => match list()? {
                [left, right] => {
                    let left = self.evaluate(left, depth)?.as_ref().and_then(as_text);
                    Ok(left == self.evaluate(right, depth)?.as_ref().and_then(as_text))
                }
                _ => Err("Fn::Equals needs two values".into()),
            },
            "Fn::Not" => match list()? {
                [one] => Ok(!self.truth(one, depth + 1)?),
                _ => Err("Fn::Not needs one condition".into()),
            },
            "Fn::And" => list()?.iter().try_fold(true, |so_far, one| {
                Ok(self.truth(one, depth + 1)? && so_far)
            }),
            "Fn::Or" => list()?.iter().try_fold(false, |so_far, one| {
                Ok(self.truth(one, depth + 1)? || so_far)
            }),
            other => Err(format!("{other} is no condition function")),
        }
    }
}
