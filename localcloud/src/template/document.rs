//! YAML with `CloudFormation`'s short tags, to JSON with the long forms (`!Ref X` → `{"Ref": "X"}`).

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;

use crate::errors::StartError;

/// Parses a template. An error names the line.
pub(super) fn parse(text: &str) -> Result<Value, StartError> {
    let yaml: Yaml = serde_norway::from_str(text).map_err(|error| StartError::Template {
        place: error.location().map_or_else(
            || "the whole file".to_owned(),
            |at| format!("line {}", at.line()),
        ),
        why: error.to_string(),
    })?;
    convert(yaml).map_err(|why| StartError::Template {
        place: "the whole file".into(),
        why,
    })
}

fn convert(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(truth),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => json!(whole),
            (_, Some(whole), _) => json!(whole),
            (_, _, Some(float)) => json!(float),
            _ => return Err(format!("`{number}` is no number of JSON")),
        },
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Bool(key) => key.to_string(),
                    other => return Err(format!("a key must be a text, received: {other:?}")),
                };
                object.insert(key, convert(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            let value = convert(tagged.value)?;
            match (tag, value) {
                ("Ref" | "Condition", value) => json!({ tag: value }),
                // `!GetAtt A.B` is the short way to write ["A", "B"].
                ("GetAtt", Value::String(path)) => {
                    let (resource, attribute) = path
                        .split_once('.')
                        .ok_or_else(|| format!("`!GetAtt {path}` has no attribute"))?;
                    json!({ "Fn::GetAtt": [resource, attribute] })
                }
                (tag, value) => json!({ format!("Fn::{tag}"): value }),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_tags_become_long_forms_also_when_nested() {
        let document =
            parse("A: !If [Big, !Ref X, !GetAtt Q.Arn]\nB: !Sub 'x-${X}'\nC: !Condition Big")
                .expect("the text is YAML");

        assert_eq!(
            document,
            json!({
                "A": {"Fn::If": ["Big", {"Ref": "X"}, {"Fn::GetAtt": ["Q", "Arn"]}]},
                "B": {"Fn::Sub": "x-${X}"},
                "C": {"Condition": "Big"},
            })
        );
    }

    #[test]
    fn broken_yaml_names_its_line() {
        let error = parse("A: 1\nB: [1,\nC: 2\n").expect_err("the text is no YAML");

        assert!(error.to_string().contains("line "), "{error}");
    }
}
