//! S3 as it answers: XML errors, `ETags`, conditions.

use trainspot_edge::memory::MemoryEdge;
use trainspot_edge::store::{Condition, Put, StoreError};
use trainspot_edge::{Store as _, World as _};

use super::answer::{Answer, Response, http_date, xml};
use super::listing;
use super::request::Request;

pub(super) async fn answer(sight: &MemoryEdge, bucket: &str, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "") if request.asks("list-type") == Some("2") => {
            listing::answer(sight, bucket, request).await
        }
        ("GET", key) if request.asks("x-id") == Some("GetObject") => {
            get(sight, bucket, key, request.if_match()).await
        }
        ("PUT", key) if request.asks("x-id") == Some("PutObject") => {
            put(sight, bucket, key, request).await
        }
        other => panic!("S3 is asked {other:?} {:?}", request.query),
    }
}

async fn get(sight: &MemoryEdge, bucket: &str, key: &str, if_match: Option<&str>) -> Answer {
    match sight.get(bucket, key).await {
        Ok(None) => refusal(Refusal::NoSuchKey),
        Ok(Some(object)) if if_match.is_some_and(|etag| etag != object.etag) => {
            refusal(Refusal::PreconditionFailed)
        }
        Ok(Some(object)) => Response::new(200, "application/octet-stream", object.body)
            .with("etag", object.etag)
            .with("last-modified", http_date(object.last_modified))
            .into(),
        Err(error) => trouble(sight, &error),
    }
}

async fn put(sight: &MemoryEdge, bucket: &str, key: &str, request: &Request) -> Answer {
    let condition = match (request.is_if_absent(), request.if_match()) {
        (true, None) => Condition::Absent,
        (false, Some(etag)) => Condition::Matches(etag.to_owned()),
        (false, None) => Condition::Always,
        (true, Some(_)) => panic!("{key}: two conditions"),
    };
    let put = sight.put(bucket, key, request.body.clone(), condition.clone());
    match put.await {
        Ok(Put::Written(etag)) => Response::new(200, "text/plain", "")
            .with("etag", etag)
            .into(),
        Ok(Put::Refused) => {
            // What is there says which refusal it was: one without a reason to it is a conflict.
            let there = sight.objects().read(bucket, key);
            refusal(match (&condition, there) {
                (Condition::Absent, Some(_)) => Refusal::PreconditionFailed,
                (Condition::Matches(_), None) => Refusal::NoSuchKey,
                (Condition::Matches(etag), Some(there)) if *etag != there.etag => {
                    Refusal::PreconditionFailed
                }
                _ => Refusal::Conflict,
            })
        }
        Err(error) => trouble(sight, &error),
    }
}

/// What S3 says no with.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoSuchKey,
    PreconditionFailed,
    Conflict,
    AccessDenied,
    SlowDown,
    InternalError,
}

fn refusal(refusal: Refusal) -> Answer {
    let (status, code, message) = match refusal {
        Refusal::NoSuchKey => (404, "NoSuchKey", "The specified key does not exist."),
        Refusal::PreconditionFailed => (
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        ),
        Refusal::Conflict => (
            409,
            "ConditionalRequestConflict",
            "A conflicting conditional operation is currently in progress against this resource. Please try again.",
        ),
        Refusal::AccessDenied => (403, "AccessDenied", "Access Denied"),
        Refusal::SlowDown => (503, "SlowDown", "Please reduce your request rate."),
        Refusal::InternalError => (
            500,
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>",
        xml(message)
    );
    Response::new(status, "application/xml", body).into()
}

/// A call that brought nothing back looks like one of these.
pub(super) fn trouble(sight: &MemoryEdge, error: &StoreError) -> Answer {
    match error {
        StoreError::Denied { .. } => refusal(Refusal::AccessDenied),
        StoreError::Unreachable { .. } => match sight.chance() {
            ..0.25 => Answer::Reset,
            ..0.5 => Answer::Silence,
            ..0.75 => refusal(Refusal::SlowDown),
            _ => refusal(Refusal::InternalError),
        },
        other => panic!("a store in memory does not say {other:?}"),
    }
}
