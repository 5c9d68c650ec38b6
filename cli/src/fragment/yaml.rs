//! Writes pieces of a template as YAML, with `CloudFormation`'s short tags where it has them.

use serde_json::{Map, Value};

/// Two blanks a level, as in the template.
const INDENT: &str = "  ";
/// These come first, in this order; the others follow by name.
const FIRST: [&str; 12] = [
    "Type",
    "Properties",
    "Description",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "Id",
    "Arn",
    "Version",
    "Sid",
    "Effect",
    "Principal",
    "Action",
];
/// Texts that YAML 1.1 reads as something else.
const NOT_TEXTS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// `key: value` at a depth, with its line end.
pub(super) fn entry(key: &str, value: &Value, depth: usize) -> String {
    let mut out = String::new();
    write_entry(&mut out, key, value, depth);
    out
}

/// `- value` at a depth, with its line end.
pub(super) fn item(value: &Value, depth: usize) -> String {
    let mut out = String::new();
    write_item(&mut out, value, depth);
    out
}

fn write_entry(out: &mut String, key: &str, value: &Value, depth: usize) {
    let margin = INDENT.repeat(depth);
    if let Some(text) = in_line(value) {
        out.push_str(&format!("{margin}{}: {text}\n", scalar(key)));
        return;
    }
    if let Some((tag, lines)) = block(value) {
        out.push_str(&format!("{margin}{}: {tag}|-\n", scalar(key)));
        for line in lines.lines() {
            out.push_str(&format!("{margin}{INDENT}{line}\n"));
        }
        return;
    }
    out.push_str(&format!("{margin}{}:\n", scalar(key)));
    write_below(out, value, depth + 1);
}

fn write_item(out: &mut String, value: &Value, depth: usize) {
    let margin = INDENT.repeat(depth);
    if let Some(text) = in_line(value) {
        out.push_str(&format!("{margin}- {text}\n"));
        return;
    }
    // The first line of what is below goes behind the dash.
    let mut below = String::new();
    write_below(&mut below, value, depth + 1);
    let first = INDENT.repeat(depth + 1);
    let rest = below.strip_prefix(&first).unwrap_or(&below);
    out.push_str(&format!("{margin}- {rest}"));
}

fn write_below(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) => {
            for key in ordered(members) {
                if let Some(member) = members.get(key) {
                    write_entry(out, key, member, depth);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| write_item(out, item, depth)),
        plain => out.push_str(&format!("{}{}\n", INDENT.repeat(depth), scalar_of(plain))),
    }
}

fn ordered(members: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = members.keys().map(String::as_str).collect();
    let place = |key: &str| FIRST.iter().position(|first| *first == key);
    keys.sort_by_key(|key| (place(key).unwrap_or(FIRST.len()), *key));
    keys
}

/// What fits behind the colon: scalars, `!Ref`, `!GetAtt`, `!Sub` of a text, and what is empty.
fn in_line(value: &Value) -> Option<String> {
    match value {
        Value::Object(members) if members.is_empty() => Some("{}".to_owned()),
        Value::Array(items) if items.is_empty() => Some("[]".to_owned()),
        Value::Object(members) if members.len() == 1 => {
            let (name, argument) = members.iter().next()?;
            match (name.as_str(), argument) {
                ("Ref", Value::String(target)) => Some(format!("!Ref {target}")),
                ("Fn::GetAtt", Value::Array(path)) => {
                    let path: Option<Vec<&str>> = path.iter().map(Value::as_str).collect();
                    Some(format!("!GetAtt {}", path?.join(".")))
                }
                ("Fn::Sub", Value::String(text)) if !text.contains('\n') => {
                    Some(format!("!Sub {}", scalar(text)))
                }
                _ => None,
            }
        }
        Value::String(text) if text.contains('\n') => None,
        Value::Object(_) | Value::Array(_) => None,
        plain => Some(scalar_of(plain)),
    }
}

/// A text of several lines, with the tag before it.
fn block(value: &Value) -> Option<(&'static str, &str)> {
    match value {
        Value::String(text) => Some(("", text)),
        Value::Object(members) if members.len() == 1 => match members.get("Fn::Sub") {
            Some(Value::String(text)) => Some(("!Sub ", text)),
            _ => None,
        },
        _ => None,
    }
}

fn scalar_of(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text, in quotes unless it is plainly a text.
fn scalar(text: &str) -> String {
    let is_plain_letter =
        |letter: char| letter.is_ascii_alphanumeric() || " _./,:()*?-".contains(letter);
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(is_plain_letter)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !NOT_TEXTS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
