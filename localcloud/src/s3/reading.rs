//! `GetObject` and `HeadObject`: conditions and ranges.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};

use super::answers::{error, http_date, quoted, refused, set, without_body};
use super::body::{CRC32, spelled};
use super::facts::Facts;
use super::store::{Refusal, Store};
use crate::front::Request;

/// What a read may answer instead of the bytes.
enum Reading {
    Whole,
    Part(u64, u64),
    NotModified,
    Failed,
    BadRange,
}

pub(super) fn get(
    store: &Store,
    bucket: &str,
    key: &str,
    request: &Request,
    head: bool,
) -> Response<Body> {
    let resource = format!("/{bucket}/{key}");
    let header = |name: header::HeaderName| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let mut reading = Reading::Whole;
    let mut decide = |facts: &Facts| {
        let is_this = |etag: &str| etag == "*" || quoted(etag) == facts.etag;
        reading = if header(header::IF_MATCH).is_some_and(|etag| !is_this(etag)) {
            Reading::Failed
        } else if header(header::IF_NONE_MATCH).is_some_and(is_this) {
            Reading::NotModified
        } else {
            header(header::RANGE).map_or(Reading::Whole, |range| part(range, facts.size))
        };
        match reading {
            Reading::Whole => Some((0, facts.size)),
            Reading::Part(start, end) => Some((start, end - start + 1)),
            _ => None,
        }
    };
    let found = if head {
        store.head(bucket, key).map(|facts| {
            decide(&facts);
            (facts, None)
        })
    } else {
        store.get(bucket, key, decide)
    };
    let (facts, bytes) = match found {
        Ok(found) => found,
        Err(refusal) => {
            let refusal = refused(&refusal, &resource);
            return if head { without_body(refusal) } else { refusal };
        }
    };
    let (status, length) = match reading {
        Reading::Whole => (StatusCode::OK, facts.size),
        Reading::Part(start, end) => (StatusCode::PARTIAL_CONTENT, end - start + 1),
        Reading::NotModified => (StatusCode::NOT_MODIFIED, 0),
        Reading::Failed => {
            let failed = refused(&Refusal::PreconditionFailed, &resource);
            return if head { without_body(failed) } else { failed };
        }
        Reading::BadRange => {
            let failed = error(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "InvalidRange",
                "The requested range is not satisfiable",
                &resource,
            );
            return if head { without_body(failed) } else { failed };
        }
    };
    let bytes = bytes.unwrap_or_default();
    let whole = matches!(reading, Reading::Whole) && !head;
    let asks = request.headers.get("x-amz-checksum-mode");
    // Of a stretch S3 says none.
    let crc32 = (whole && asks.is_some()).then(|| spelled(crc32fast::hash(&bytes)));
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, header::ETAG, &facts.etag);
    set(headers, header::LAST_MODIFIED, &http_date(facts.modified));
    set(headers, header::ACCEPT_RANGES, "bytes");
    if let Some(crc32) = crc32 {
        set(headers, header::HeaderName::from_static(CRC32), &crc32);
        let kind = header::HeaderName::from_static("x-amz-checksum-type");
        set(headers, kind, "FULL_OBJECT");
    }
    if status != StatusCode::NOT_MODIFIED {
        set(headers, header::CONTENT_LENGTH, &length.to_string());
        set(
            headers,
            header::CONTENT_TYPE,
            facts
                .attributes
                .content_type
                .as_deref()
                .unwrap_or("binary/octet-stream"),
        );
    }
    if let Reading::Part(start, end) = reading {
        set(
            headers,
            header::CONTENT_RANGE,
            &format!("bytes {start}-{end}/{}", facts.size),
        );
    }
    for (name, value) in &facts.attributes.metadata {
        if let (Ok(name), Ok(value)) = (
            format!("x-amz-meta-{name}").parse::<header::HeaderName>(),
            value.parse(),
        ) {
            headers.insert(name, value);
        }
    }
    response
}

/// A `Range` header; one that is not understood means the whole object, as in HTTP.
fn part(range: &str, size: u64) -> Reading {
    let Some((start, end)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Reading::Whole;
    };
    match (start.parse::<u64>(), end.parse::<u64>()) {
        (Ok(start), _) if start >= size => Reading::BadRange,
        (Ok(start), Ok(end)) if end >= start => Reading::Part(start, end.min(size - 1)),
        (Ok(start), Err(_)) if end.is_empty() => Reading::Part(start, size - 1),
        (Err(_), Ok(0)) if start.is_empty() => Reading::BadRange,
        (Err(_), Ok(_)) if start.is_empty() && size == 0 => Reading::BadRange,
        (Err(_), Ok(last)) if start.is_empty() => {
            Reading::Part(size.saturating_sub(last), size - 1)
        }
        _ => Reading::Whole,
    }
}
