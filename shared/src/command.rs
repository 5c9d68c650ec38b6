//! What a person may ask of supervise-runs. Whoever asks never changes a ledger: the function does, through the
//! same door as every event.

use serde_json::{Map, Value};

use crate::identity::RunId;

/// A reason goes into the ledger, the notice and Batch's own record of the job: one line of a sentence's length.
pub const REASON_MAX: usize = 200;

const FORM: &str = "{\"cancel\": {\"run_id\", \"because\"?}}";
const UNEXPLAINED: &str = "a person asked for it";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End a run.
    Cancel {
        /// Which; whether there is such a one is not known here.
        run_id: RunId,
        /// Why, in the person's words.
        because: String,
    },
}

/// A command that can never be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CommandError(String);

impl Command {
    /// Reads a payload; `None` if it is an event, which names its `detail-type`.
    pub fn parse(payload: &Value) -> Option<Result<Self, CommandError>> {
        match payload {
            Value::Object(fields) if fields.contains_key("detail-type") => None,
            Value::Object(fields) => Some(command(fields)),
            other => Some(wrong(format!(
                "a command is an object {FORM}, received: {other}"
            ))),
        }
    }
}

fn command(fields: &Map<String, Value>) -> Result<Command, CommandError> {
    if let Some(unknown) = fields.keys().find(|key| *key != "cancel") {
        return wrong(format!("there is no command `{unknown}`; there is {FORM}"));
    }
    let Some(cancel) = fields.get("cancel") else {
        return wrong(format!("this is no command; there is {FORM}"));
    };
    let Value::Object(cancel) = cancel else {
        return wrong(format!(
            "`cancel` must be an object {FORM}, received: {cancel}"
        ));
    };
    if let Some(unknown) = cancel
        .keys()
        .find(|key| *key != "run_id" && *key != "because")
    {
        return wrong(format!("`cancel` is {FORM}; it has no field `{unknown}`"));
    }
    let Some(run_id) = text(cancel, "run_id")? else {
        return wrong(format!("`cancel` is {FORM}; the field `run_id` is missing"));
    };
    let run_id = run_id
        .parse()
        .map_err(|error| CommandError(format!("{error}")))?;
    let because = reason(text(cancel, "because")?.unwrap_or(UNEXPLAINED))?;
    Ok(Command::Cancel { run_id, because })
}

/// A reason as it may be recorded.
pub fn reason(text: &str) -> Result<String, CommandError> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return wrong(format!(
            "`because` must be one line with a reason on it, received: {text:?}"
        ));
    }
    let length = text.chars().count();
    if length > REASON_MAX {
        return wrong(format!(
            "`because` must have at most {REASON_MAX} characters, received: {length}"
        ));
    }
    Ok(text.to_owned())
}

fn text<'f>(fields: &'f Map<String, Value>, field: &str) -> Result<Option<&'f str>, CommandError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => wrong(format!("`{field}` must be a text, received: {other}")),
    }
}

fn wrong<T>(sentence: String) -> Result<T, CommandError> {
    Err(CommandError(sentence))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    const RUN: &str = "recommender-20261123T0200Z";

    fn parse(payload: &Value) -> Option<Result<Command, String>> {
        Some(Command::parse(payload)?.map_err(|error| error.to_string()))
    }

    #[test]
    fn a_cancel_names_a_run_and_a_reason() {
        let told = |because: Value, expected: &str| {
            let payload = json!({ "cancel": { "run_id": RUN, "because": because } });
            let expected = Command::Cancel {
                run_id: RUN.parse().expect("a valid id"),
                because: expected.to_owned(),
            };
            assert_eq!(parse(&payload), Some(Ok(expected)));
        };

        told(json!(" wrong data "), "wrong data");
        told(Value::Null, UNEXPLAINED);
    }

    #[test]
    fn an_event_is_no_command_whatever_else_is_in_it() {
        let event =
            json!({ "source": "aws.batch", "detail-type": "Batch Job State Change", "cancel": {} });

        assert_eq!(parse(&event), None);
    }

    #[test_case(&json!(7) => "a command is an object {\"cancel\": {\"run_id\", \"because\"?}}, received: 7")]
    #[test_case(&json!({}) => "this is no command; there is {\"cancel\": {\"run_id\", \"because\"?}}")]
    #[test_case(&json!({ "stop": {} }) => "there is no command `stop`; there is {\"cancel\": {\"run_id\", \"because\"?}}")]
    #[test_case(&json!({ "cancel": RUN }) => "`cancel` must be an object {\"cancel\": {\"run_id\", \"because\"?}}, received: \"recommender-20261123T0200Z\"")]
    #[test_case(&json!({ "cancel": { "run": RUN } }) => "`cancel` is {\"cancel\": {\"run_id\", \"because\"?}}; it has no field `run`")]
    #[test_case(&json!({ "cancel": {} }) => "`cancel` is {\"cancel\": {\"run_id\", \"because\"?}}; the field `run_id` is missing")]
    #[test_case(&json!({ "cancel": { "run_id": 7 } }) => "`run_id` must be a text, received: 7")]
    #[test_case(&json!({ "cancel": { "run_id": RUN, "because": "a\nb" } }) => "`because` must be one line with a reason on it, received: \"a\\nb\"")]
    #[test_case(&json!({ "cancel": { "run_id": RUN, "because": "x".repeat(201) } }) => "`because` must have at most 200 characters, received: 201")]
    fn what_cannot_be_followed_is_refused_by_name(payload: &Value) -> String {
        match parse(payload) {
            Some(Err(why)) => why,
            other => panic!("it was taken: {other:?}"),
        }
    }

    #[test]
    fn a_run_that_is_none_is_refused() {
        let payload = json!({ "cancel": { "run_id": "Nightly!" } });

        let refusal = parse(&payload);

        assert!(
            matches!(&refusal, Some(Err(why)) if why.contains("Nightly!")),
            "{refusal:?}"
        );
    }
}
