//! What `sam deploy --guided` wrote down: the stack's name, its region and its parameters.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use toml::Table;

use crate::problem::{Exit, Problem};

/// SAM's names of the tables, the general one first.
const TABLES: [&str; 2] = ["global", "deploy"];

/// Empty when there is no such file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeployConfig {
    pub(super) stack: Option<String>,
    pub(super) region: Option<String>,
    pub(super) parameters: BTreeMap<String, String>,
}

impl DeployConfig {
    /// Of the environment `default`, which is the one that `sam deploy` takes.
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let wrong = |why: String| {
            Problem::new(Exit::Configuration, format!("{}: {why}", path.display()))
                .hint("`sam deploy --guided` writes it anew")
        };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(wrong),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        let mut config = Self::default();
        for name in TABLES {
            let parameters = table
                .get("default")
                .and_then(|all| all.get(name))
                .and_then(|command| command.get("parameters"));
            let Some(parameters) = parameters else {
                continue;
            };
            let text = |name: &str| Some(parameters.get(name)?.as_str()?.to_owned());
            config.stack = text("stack_name").or(config.stack);
            config.region = text("region").or(config.region);
            match parameters.get("parameter_overrides") {
                Some(toml::Value::String(overrides)) => {
                    config
                        .parameters
                        .extend(words(overrides).iter().filter_map(|word| pair(word)));
                }
                Some(toml::Value::Array(overrides)) => {
                    let overrides = overrides.iter().filter_map(toml::Value::as_str);
                    config
                        .parameters
                        .extend(overrides.flat_map(words).filter_map(|word| pair(&word)));
                }
                _ => {}
            }
        }
        Ok(config)
    }
}

/// Words as SAM writes them: apart by blanks, quotes keep a blank, a backslash keeps a quote.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut in_quotes, mut is_kept) =
        (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            _ if is_kept => {
                word.push(letter);
                is_kept = false;
            }
            '\\' => is_kept = true,
            '"' => in_quotes = !in_quotes,
            letter if letter.is_whitespace() && !in_quotes => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `Name=Value`, or the older `ParameterKey=Name,ParameterValue=Value`.
fn pair(word: &str) -> Option<(String, String)> {
    if let Some(rest) = word.strip_prefix("ParameterKey=") {
        let (name, value) = rest.split_once(",ParameterValue=")?;
        return Some((name.to_owned(), value.to_owned()));
    }
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_sam_wrote_down_is_read() {
        let text = r#"
version = 0.1
[default.global.parameters]
region = "us-east-1"
[default.deploy.parameters]
stack_name = "trainspot"
region = "eu-west-1"
parameter_overrides = "ImageUri=\"i@sha256:1\" ScheduleExpression=\"cron(0 2 ? * MON *)\" NotificationEmail=\"\""
"#;

        let config = DeployConfig::parse(text);

        assert_eq!(
            config,
            Ok(DeployConfig {
                stack: Some("trainspot".to_owned()),
                region: Some("eu-west-1".to_owned()),
                parameters: parameters(&[
                    ("ImageUri", "i@sha256:1"),
                    ("NotificationEmail", ""),
                    ("ScheduleExpression", "cron(0 2 ? * MON *)"),
                ]),
            })
        );
    }

    #[test]
    fn a_list_and_the_older_form_are_read_too() {
        let text = "[default.deploy.parameters]\nparameter_overrides = [\"A=1\", \"ParameterKey=B,ParameterValue=2\"]\n";

        let config = DeployConfig::parse(text).expect("TOML");

        assert_eq!(config.parameters, parameters(&[("A", "1"), ("B", "2")]));
        assert!(DeployConfig::parse("[default").is_err());
    }
}
