//! SNS: `Publish`, checked by its rules and kept as files. Delivers to nobody: who would be told is for the reader
//! of the notices to see.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::errors::StartError;
use crate::folder::Folder;
use crate::front::{Answer, Request};
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::locked::locked;

/// A subject is shorter than this, in characters.
const SUBJECT_LIMIT: usize = 100;
/// A message with its attributes is at most this long, in bytes.
const LONGEST_MESSAGE: usize = 262_144;

/// A published message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedNotice {
    /// Its number; its file is `notices/<number>.json`.
    pub sequence: u64,
    /// What SNS answered.
    pub message_id: String,
    /// The topic.
    pub topic_arn: String,
    /// The subject line.
    pub subject: Option<String>,
    /// The message as published.
    pub message: String,
    /// `json` when the message is one text per protocol.
    pub message_structure: Option<String>,
    /// The text of each attribute, by name.
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub published_at: Timestamp,
}

/// Everything published.
#[derive(Debug)]
pub(crate) struct Notices {
    topics: Vec<String>,
    folder: Arc<Folder>,
    ids: Arc<Ids>,
    watch: Arc<Watch>,
    published: Mutex<Vec<PublishedNotice>>,
}

impl Notices {
    /// Reads what was published before.
    pub(crate) fn open(
        topics: Vec<String>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
    ) -> Result<Self, StartError> {
        let path = folder.path("notices");
        let at = |source| StartError::File {
            doing: "read the notices in",
            path: path.clone(),
            source,
        };
        let mut published: Vec<PublishedNotice> = Vec::new();
        for entry in fs::read_dir(&path).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let bytes = fs::read(&path).map_err(|source| StartError::File {
                doing: "read",
                path: path.clone(),
                source,
            })?;
            published.push(serde_json::from_slice(&bytes).map_err(|source| {
                StartError::Record {
                    path: path.clone(),
                    source,
                }
            })?);
        }
        published.sort_by_key(|notice| notice.sequence);
        Ok(Self {
            topics,
            folder,
            ids,
            watch,
            published: Mutex::new(published),
        })
    }

    pub(crate) fn published(&self) -> Vec<PublishedNotice> {
        locked(&self.published).clone()
    }

    fn publish(
        &self,
        form: &BTreeMap<String, String>,
    ) -> Result<String, (StatusCode, &'static str, String)> {
        let invalid = |why: &str| {
            Err((
                StatusCode::BAD_REQUEST,
                "InvalidParameter",
                format!("Invalid parameter: {why}"),
            ))
        };
        let text = |name: &str| form.get(name).map(String::as_str);
        for missing in ["PhoneNumber", "MessageGroupId", "MessageDeduplicationId"] {
            if text(missing).is_some() {
                return Err((
                    StatusCode::NOT_IMPLEMENTED,
                    "NotImplemented",
                    format!("Publish with {missing} does not exist here"),
                ));
            }
        }
        let topic = text("TopicArn").or(text("TargetArn")).unwrap_or_default();
        if !self.topics.iter().any(|known| known == topic) {
            return Err((
                StatusCode::NOT_FOUND,
                "NotFound",
                "Topic does not exist".into(),
            ));
        }
        let message = text("Message").unwrap_or_default();
        if message.is_empty() {
            return invalid("Empty message");
        }
        let subject = text("Subject");
        if let Some(subject) = subject {
            let fits = !subject.is_empty()
                && subject.chars().count() < SUBJECT_LIMIT
                && !subject.chars().any(char::is_control);
            if !fits {
                return invalid("Subject");
            }
        }
        let structure = text("MessageStructure");
        if let Some(structure) = structure {
            if structure != "json" {
                return invalid("MessageStructure");
            }
            let Ok(Value::Object(texts)) = serde_json::from_str(message) else {
                return invalid("Message Structure - JSON message body failed to parse");
            };
            if !texts.get("default").is_some_and(Value::is_string) {
                return invalid("Message Structure - No default entry in JSON message body");
            }
        }
        let attributes = attributes(form)
            .map_err(|why| (StatusCode::BAD_REQUEST, "ParameterValueInvalid", why))?;
        let size = message.len()
            + attributes
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>();
        if size > LONGEST_MESSAGE {
            return invalid("Message too long");
        }

        let mut published = locked(&self.published);
        let notice = PublishedNotice {
            sequence: published.last().map_or(1, |last| last.sequence + 1),
            message_id: self.ids.uuid(),
            topic_arn: topic.to_owned(),
            subject: subject.map(str::to_owned),
            message: message.to_owned(),
            message_structure: structure.map(str::to_owned),
            attributes,
            published_at: Timestamp::now(),
        };
        let path = self
            .folder
            .path("notices")
            .join(format!("{:04}.json", notice.sequence));
        let written = serde_json::to_vec_pretty(&notice)
            .map_err(std::io::Error::other)
            .and_then(|bytes| self.folder.write(&path, &bytes));
        if let Err(error) = written {
            self.watch.broken("write a notice", &error);
            return Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                error.to_string(),
            ));
        }
        self.watch.report(Happening::NoticePublished {
            sequence: notice.sequence,
            subject: notice.subject.clone(),
        });
        let message_id = notice.message_id.clone();
        published.push(notice);
        Ok(message_id)
    }
}

/// Answers one request to SNS.
pub(crate) fn handle(notices: &Notices, request: &Request) -> Answer {
    let form: BTreeMap<String, String> =
        form_urlencoded::parse(&request.body).into_owned().collect();
    let action = form
        .get("Action")
        .map_or("an unnamed action", String::as_str);
    let request_id = notices.ids.uuid();
    if action != "Publish" {
        let response = error(
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            &format!("{action} does not exist here"),
            &request_id,
        );
        return Answer::not_implemented(action, response);
    }
    let topic = form.get("TopicArn").cloned().unwrap_or_default();
    let response = match notices.publish(&form) {
        Ok(message_id) => xml(
            StatusCode::OK,
            format!(
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult><MessageId>{message_id}</MessageId></PublishResult><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></PublishResponse>"
            ),
        ),
        Err((status, code, message)) => error(status, code, &message, &request_id),
    };
    Answer::new("Publish", topic, response)
}

/// `MessageAttributes.entry.<n>.Name`, `.Value.DataType` and `.Value.StringValue`.
fn attributes(form: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    for (key, name) in form {
        let Some(entry) = key
            .strip_prefix("MessageAttributes.entry.")
            .and_then(|rest| rest.strip_suffix(".Name"))
        else {
            continue;
        };
        let value = |part: &str| form.get(&format!("MessageAttributes.entry.{entry}.Value.{part}"));
        let kind = value("DataType").map_or("", String::as_str);
        if !(kind.starts_with("String") || kind.starts_with("Number")) {
            return Err(format!(
                "The message attribute '{name}' has an unusable data type '{kind}'"
            ));
        }
        let text = value("StringValue").filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| {
            format!("The message attribute '{name}' must contain a non-empty value")
        })?;
        attributes.insert(name.clone(), text.clone());
    }
    Ok(attributes)
}

/// `Publish` refused as one too many.
pub(crate) fn throttled() -> Response<Body> {
    error(
        StatusCode::BAD_REQUEST,
        "Throttling",
        "Rate exceeded",
        "throttled",
    )
}

fn error(status: StatusCode, code: &str, message: &str, request_id: &str) -> Response<Body> {
    let message = message.replace('&', "&amp;").replace('<', "&lt;");
    let kind = if status.is_server_error() {
        "Receiver"
    } else {
        "Sender"
    };
    xml(
        status,
        format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        ),
    )
}

fn xml(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}
