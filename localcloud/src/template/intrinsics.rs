//! Evaluates `CloudFormation`'s intrinsic functions: parameters, conditions, references, texts.
//! Only what is asked for is evaluated, so that a resource that nothing here needs may use anything.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ACCOUNT, REGION, STACK_NAME};
use crate::errors::StartError;

/// How deep references may nest before they are taken for a circle.
pub(super) const DEEPEST: usize = 64;

/// A template with its parameters decided.
pub(super) struct Scope {
    parameters: BTreeMap<String, Value>,
    mappings: Value,
    pub(super) conditions: Map<String, Value>,
    pub(super) resources: Map<String, Value>,
}

/// What is wrong, without the place: the caller knows where it was.
pub(super) type Outcome<T> = Result<T, String>;

impl Scope {
    pub(super) fn new(
        document: &Value,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, StartError> {
        let section = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let declared = section("Parameters");
        let mut parameters = BTreeMap::new();
        for (name, given) in overrides {
            let place = || format!("Parameters.{name}");
            let Some(declaration) = declared.get(name) else {
                return Err(StartError::Template {
                    place: place(),
                    why: "the template has no such parameter".into(),
                });
            };
            if let Some(allowed) = declaration.get("AllowedValues").and_then(Value::as_array)
                && !allowed
                    .iter()
                    .any(|value| as_text(value).is_some_and(|text| text == *given))
            {
                return Err(StartError::Template {
                    place: place(),
                    why: format!("`{given}` is none of the allowed values"),
                });
            }
            parameters.insert(name.clone(), typed(declaration, given));
        }
        for (name, declaration) in &declared {
            if let Some(default) = declaration.get("Default")
                && !parameters.contains_key(name)
            {
                let text = as_text(default).unwrap_or_default();
                parameters.insert(name.clone(), typed(declaration, &text));
            }
        }
        let resources = section("Resources");
        if resources.is_empty() {
            return Err(StartError::Template {
                place: "Resources".into(),
                why: "the template has none".into(),
            });
        }
        Ok(Self {
            parameters,
            mappings: Value::Object(section("Mappings")),
            conditions: section("Conditions"),
            resources,
        })
    }

    /// The resources whose condition holds, with their type and raw body.
    pub(super) fn resources(&self) -> Result<Vec<(&str, &str, &Value)>, StartError> {
        let mut found = Vec::new();
        for (logical_id, body) in &self.resources {
            let at = |why| StartError::Template {
                place: logical_id.clone(),
                why,
            };
            let kind = body
                .get("Type")
                .and_then(Value::as_str)
                .ok_or_else(|| at("it has no Type".to_owned()))?;
            if self.exists(body).map_err(at)? {
                found.push((logical_id.as_str(), kind, body));
            }
        }
        Ok(found)
    }

    /// Evaluates a value. `None` stands for `AWS::NoValue`.
    pub(super) fn value(&self, raw: &Value) -> Outcome<Option<Value>> {
        self.evaluate(raw, 0)
    }

    /// Evaluates a property of a resource's body; absent and `AWS::NoValue` are both `Null`.
    pub(super) fn property(
        &self,
        logical_id: &str,
        body: &Value,
        name: &str,
    ) -> Result<Value, StartError> {
        let Some(raw) = body
            .get("Properties")
            .and_then(|properties| properties.get(name))
        else {
            return Ok(Value::Null);
        };
        self.value(raw)
            .map(Option::unwrap_or_default)
            .map_err(|why| StartError::Template {
                place: format!("{logical_id}.{name}"),
                why,
            })
    }

    pub(super) fn evaluate(&self, raw: &Value, depth: usize) -> Outcome<Option<Value>> {
        if depth > DEEPEST {
            return Err("references go in a circle".into());
        }
        let deeper = |value: &Value| self.evaluate(value, depth + 1);
        match raw {
            Value::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.extend(deeper(item)?);
                }
                Ok(Some(Value::Array(list)))
            }
            Value::Object(object) => {
                if object.len() == 1
                    && let Some((name, argument)) = object.iter().next()
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.call(name, argument, depth + 1);
                }
                let mut evaluated = Map::new();
                for (key, value) in object {
                    if let Some(value) = deeper(value)? {
                        evaluated.insert(key.clone(), value);
                    }
                }
                Ok(Some(Value::Object(evaluated)))
            }
            plain => Ok(Some(plain.clone())),
        }
    }

    fn call(&self, name: &str, argument: &Value, depth: usize) -> Outcome<Option<Value>> {
        let needed = |value: &Value| {
            self.evaluate(value, depth)?
                .ok_or_else(|| format!("{name} was given AWS::NoValue"))
        };
        let text = |value: &Value| {
            let value = needed(value)?;
            as_text(&value).ok_or_else(|| format!("{name} needs a text, received: {value}"))
        };
        let arguments = || {
            argument
                .as_array()
                .map(Vec::as_slice)
                .ok_or_else(|| format!("{name} needs a list"))
        };
        let value = match name {
            "Ref" => {
                let target = argument.as_str().ok_or("Ref needs a name")?;
                if target == "AWS::NoValue" {
                    return Ok(None);
                }
                self.reference(target, depth)?
            }
            "Fn::GetAtt" => {
                let path = match argument {
                    Value::String(path) => path.clone(),
                    _ => arguments()?
                        .iter()
                        .map(text)
                        .collect::<Outcome<Vec<_>>>()?
                        .join("."),
                };
                let (resource, attribute) = path
                    .split_once('.')
                    .ok_or_else(|| format!("`{path}` has no attribute"))?;
                Value::String(self.attribute(resource, attribute, depth)?)
            }
            "Fn::Sub" => match argument {
                Value::String(pattern) => {
                    Value::String(self.substitute(pattern, &Map::new(), depth)?)
                }
                _ => match arguments()? {
                    [Value::String(pattern), Value::Object(local)] => {
                        Value::String(self.substitute(pattern, local, depth)?)
                    }
                    _ => return Err("Fn::Sub needs a text, or a text and a map".into()),
                },
            },
            "Fn::Join" => match arguments()? {
                [Value::String(between), items] => {
                    let items = needed(items)?;
                    let parts: Option<Vec<_>> = items
                        .as_array()
                        .and_then(|items| items.iter().map(as_text).collect());
                    Value::String(parts.ok_or("Fn::Join needs a list of texts")?.join(between))
                }
                _ => return Err("Fn::Join needs a text and a list".into()),
            },
            "Fn::Split" => match arguments()? {
                [Value::String(between), whole] => {
                    json!(text(whole)?.split(between.as_str()).collect::<Vec<_>>())
                }
                _ => return Err("Fn::Split needs two texts".into()),
            },
            "Fn::If" => match arguments()? {
                [Value::String(condition), then, otherwise] => {
                    let branch = if self.condition(condition, depth)? {
                        then
                    } else {
                        otherwise
                    };
                    return self.evaluate(branch, depth);
                }
                _ => return Err("Fn::If needs a condition and two values".into()),
            },
            "Fn::Select" => match arguments()? {
                [index, items] => {
                    let index: usize = text(index)?
                        .parse()
                        .map_err(|_| "Fn::Select needs a number")?;
                    needed(items)?
                        .get(index)
                        .cloned()
                        .ok_or_else(|| format!("Fn::Select: there is no item {index}"))?
                }
                _ => return Err("Fn::Select needs a number and a list".into()),
            },
            "Fn::FindInMap" => match arguments()? {
                [map, first, second, ..] => {
                    let (map, first, second) = (text(map)?, text(first)?, text(second)?);
                    self.mappings
                        .get(&map)
                        .and_then(|map| map.get(&first))
                        .and_then(|row| row.get(&second))
                        .cloned()
                        .ok_or_else(|| format!("no mapping {map}.{first}.{second}"))?
                }
                _ => return Err("Fn::FindInMap needs three texts".into()),
            },
            // The region of the local cloud has six.
            "Fn::GetAZs" => ('a'..='f')
                .map(|zone| Value::String(format!("{REGION}{zone}")))
                .collect(),
            // Nobody here needs the encoded form.
            "Fn::Base64" => json!({ "Fn::Base64": text(argument)? }),
            "Fn::ToJsonString" => Value::String(needed(argument)?.to_string()),
            other => return Err(format!("{other} is not known here")),
        };
        Ok(Some(value))
    }

    fn substitute(
        &self,
        pattern: &str,
        local: &Map<String, Value>,
        depth: usize,
    ) -> Outcome<String> {
        let mut out = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("`{pattern}` has an open ${{"))?;
            if let Some(literal) = name.strip_prefix('!') {
                out.push_str("${");
                out.push_str(literal);
                out.push('}');
            } else {
                let value = if let Some(value) = local.get(name) {
                    self.evaluate(value, depth)?.unwrap_or_default()
                } else if let Some((resource, attribute)) = name.split_once('.') {
                    Value::String(self.attribute(resource, attribute, depth)?)
                } else {
                    self.reference(name, depth)?
                };
                out.push_str(&as_text(&value).ok_or_else(|| format!("`${{{name}}}` is no text"))?);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn reference(&self, target: &str, depth: usize) -> Outcome<Value> {
        let pseudo = match target {
            "AWS::Region" => REGION.to_owned(),
            "AWS::AccountId" => ACCOUNT.to_owned(),
            "AWS::StackName" => STACK_NAME.to_owned(),
            "AWS::StackId" => {
                format!(
                    "arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK_NAME}/00000000-0000-0000-0000-000000000000"
                )
            }
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            _ => {
                if let Some(value) = self.parameters.get(target) {
                    return Ok(value.clone());
                }
                if !self.resources.contains_key(target) {
                    return Err(format!(
                        "`{target}` is no resource, and no parameter that has a value"
                    ));
                }
                return self.physical(target, depth).map(Value::String);
            }
        };
        Ok(Value::String(pseudo))
    }
}

/// A scalar as `CloudFormation` writes it into a text.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn typed(declaration: &Value, text: &str) -> Value {
    let kind = declaration
        .get("Type")
        .and_then(Value::as_str)
        .unwrap_or("String");
    if kind == "CommaDelimitedList" || kind.starts_with("List<") {
        return if text.is_empty() {
            json!([])
        } else {
            json!(text.split(',').map(str::trim).collect::<Vec<_>>())
        };
    }
    Value::String(text.to_owned())
}
