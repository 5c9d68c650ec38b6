//! S3 on the wire: path-style requests in, XML and headers out.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::body::{self, BadBody};
use super::listing;
use super::store::{Attributes, Facts, Precondition, Refusal, Store};
use crate::front::{Answer, Request};

/// S3's own page limit.
const LONGEST_PAGE: usize = 1000;
/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Answers one request to S3.
pub(crate) async fn handle(store: &Arc<Store>, request: Request) -> Answer {
    let path = percent_decode_str(request.path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    // `x-id` only names the operation; presigned requests carry their signature in the query.
    let subresource = request
        .query
        .iter()
        .map(|(name, _)| name.as_str())
        .find(|name| {
            !name.to_ascii_lowercase().starts_with("x-amz-")
                && !["x-id", "list-type", "prefix", "delimiter", "max-keys", "continuation-token", "start-after", "encoding-type", "fetch-owner"]
                    .contains(name)
        })
        .map(str::to_owned);
    let operation = match (&request.method, key.is_empty(), subresource) {
        (_, _, Some(subresource)) => Err(format!("{} ?{subresource}", request.method)),
        (&Method::PUT, false, _) if request.headers.contains_key("x-amz-copy-source") => Err("CopyObject".to_owned()),
        (&Method::PUT, false, _) => Ok("PutObject"),
        (&Method::GET, false, _) => Ok("GetObject"),
        (&Method::HEAD, false, _) => Ok("HeadObject"),
        (&Method::DELETE, false, _) if request.headers.contains_key(header::IF_MATCH) => Err("DeleteObject with If-Match".to_owned()),
        (&Method::DELETE, false, _) => Ok("DeleteObject"),
        (&Method::GET, true, _) if request.parameter("list-type") == Some("2") => Ok("ListObjectsV2"),
        (method, _, _) => Err(format!("{method} on {}", if bucket.is_empty() { "the service" } else { "a bucket" })),
    };
    let operation = match operation {
        Ok(operation) => operation,
        Err(what) => {
            return Answer::not_implemented(&what, error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &format!("{what} does not exist here"), &path));
        }
    };
    let resource = path.clone();
    let work = {
        let store = Arc::clone(store);
        // The store works on files under one lock.
        tokio::task::spawn_blocking(move || match operation {
            "PutObject" => put(&store, &bucket, &key, &request),
            "DeleteObject" => store
                .delete(&bucket, &key)
                .map(|()| plain(StatusCode::NO_CONTENT))
                .unwrap_or_else(|refusal| refused(&refusal, &path)),
            "ListObjectsV2" => list(&store, &bucket, &request),
            _ => get(&store, &bucket, &key, &request, operation == "HeadObject"),
        })
    };
    match work.await {
        Ok(response) => Answer::new(operation, resource, response),
        Err(failure) => Answer::new(
            operation,
            resource,
            error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &failure.to_string(), ""),
        ),
    }
}

fn put(store: &Store, bucket: &str, key: &str, request: &Request) -> Response<Body> {
    let resource = format!("/{bucket}/{key}");
    let header = |name: header::HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    let precondition = match (header(header::IF_NONE_MATCH), header(header::IF_MATCH)) {
        (None, None) => Precondition::None,
        (Some("*"), None) => Precondition::Absent,
        (None, Some(etag)) => Precondition::Is(quoted(etag)),
        (_, _) => {
            return error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "A header you provided implies functionality that is not implemented", &resource);
        }
    };
    let content = match body::content(&request.headers, request.body.clone()) {
        Ok(content) => content,
        Err(bad) => {
            let code = if bad == BadBody::BadDigest { "BadDigest" } else { "IncompleteBody" };
            return error(StatusCode::BAD_REQUEST, code, &bad.to_string(), &resource);
        }
    };
    let attributes = Attributes {
        content_type: header(header::CONTENT_TYPE)
            .filter(|kind| !["application/octet-stream", "binary/octet-stream"].contains(kind))
            .map(str::to_owned),
        metadata: request
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-amz-meta-")?;
                Some((name.to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
    };
    match store.put(bucket, key, &content, &attributes, &precondition, request.arrived) {
        Ok(etag) => {
            let mut response = plain(StatusCode::OK);
            set(response.headers_mut(), header::ETAG, &etag);
            response
        }
        Err(refusal) => refused(&refusal, &resource),
    }
}

/// What a read may answer instead of the bytes.
enum Reading {
    Whole,
    Part(u64, u64),
    NotModified,
    Failed,
    BadRange,
}

fn get(store: &Store, bucket: &str, key: &str, request: &Request, head: bool) -> Response<Body> {
    let resource = format!("/{bucket}/{key}");
    let header = |name: header::HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
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
            let failed = error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "The requested range is not satisfiable", &resource);
            return if head { without_body(failed) } else { failed };
        }
    };
    let mut response = Response::new(Body::from(bytes.unwrap_or_default()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, header::ETAG, &facts.etag);
    set(headers, header::LAST_MODIFIED, &http_date(facts.modified));
    set(headers, header::ACCEPT_RANGES, "bytes");
    if status != StatusCode::NOT_MODIFIED {
        set(headers, header::CONTENT_LENGTH, &length.to_string());
        set(headers, header::CONTENT_TYPE, facts.attributes.content_type.as_deref().unwrap_or("binary/octet-stream"));
    }
    if let Reading::Part(start, end) = reading {
        set(headers, header::CONTENT_RANGE, &format!("bytes {start}-{end}/{}", facts.size));
    }
    for (name, value) in &facts.attributes.metadata {
        if let (Ok(name), Ok(value)) = (format!("x-amz-meta-{name}").parse::<header::HeaderName>(), value.parse()) {
            headers.insert(name, value);
        }
    }
    response
}

/// A `Range` header; one that is not understood means the whole object, as in HTTP.
fn part(range: &str, size: u64) -> Reading {
    let Some((start, end)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Reading::Whole;
    };
    match (start.parse::<u64>(), end.parse::<u64>()) {
        (Ok(start), _) if start >= size => Reading::BadRange,
        (Ok(start), Ok(end)) if end >= start => Reading::Part(start, end.min(size - 1)),
        (Ok(start), Err(_)) if end.is_empty() => Reading::Part(start, size - 1),
        (Err(_), Ok(0)) if start.is_empty() => Reading::BadRange,
        (Err(_), Ok(_)) if start.is_empty() && size == 0 => Reading::BadRange,
        (Err(_), Ok(last)) if start.is_empty() => Reading::Part(size.saturating_sub(last), size - 1),
        _ => Reading::Whole,
    }
}

fn list(store: &Store, bucket: &str, request: &Request) -> Response<Body> {
    let prefix = request.parameter("prefix").unwrap_or_default();
    let delimiter = request.parameter("delimiter");
    let as_url = request.parameter("encoding-type") == Some("url");
    let max_keys = match request.parameter("max-keys").map(str::parse::<usize>) {
        None => LONGEST_PAGE,
        Some(Ok(number)) => number.min(LONGEST_PAGE),
        Some(Err(_)) => return error(StatusCode::BAD_REQUEST, "InvalidArgument", "Provided max-keys not an integer or within integer range", bucket),
    };
    let token = match request.parameter("continuation-token").map(|token| hex::decode(token).map(String::from_utf8)) {
        None => None,
        Some(Ok(Ok(token))) => Some(token),
        Some(_) => return error(StatusCode::BAD_REQUEST, "InvalidArgument", "The continuation token provided is incorrect", bucket),
    };
    let after = token.as_deref().or(request.parameter("start-after")).unwrap_or_default();
    let keys = match store.list(bucket, prefix, after) {
        Ok(keys) => keys,
        Err(refusal) => return refused(&refusal, bucket),
    };
    let page = listing::page(keys, prefix, delimiter, max_keys, after);
    let encode = |text: &str| if as_url { utf8_percent_encode(text, KEPT).to_string() } else { escaped(text) };
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    let mut element = |name: &str, text: &str| {
        // Writing to a string cannot fail.
        let _ = write!(xml, "<{name}>{text}</{name}>");
    };
    element("Name", &escaped(bucket));
    element("Prefix", &encode(prefix));
    if let Some(delimiter) = delimiter {
        element("Delimiter", &encode(delimiter));
    }
    element("MaxKeys", &max_keys.to_string());
    element("KeyCount", &(page.keys.len() + page.common_prefixes.len()).to_string());
    element("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if as_url {
        element("EncodingType", "url");
    }
    if let Some(token) = request.parameter("continuation-token") {
        element("ContinuationToken", &escaped(token));
    }
    if let Some(after) = request.parameter("start-after") {
        element("StartAfter", &encode(after));
    }
    if let Some(next) = &page.next {
        element("NextContinuationToken", &hex::encode(next));
    }
    for key in &page.keys {
        let facts = match store.head(bucket, key) {
            Ok(facts) => facts,
            // Deleted since the listing began, or a file whose name is no key.
            Err(Refusal::NoSuchKey | Refusal::NoFile(_)) => continue,
            Err(refusal) => return refused(&refusal, bucket),
        };
        element(
            "Contents",
            &format!(
                "<Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass>",
                encode(key),
                facts.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                escaped(&facts.etag),
                facts.size
            ),
        );
    }
    for prefix in &page.common_prefixes {
        element("CommonPrefixes", &format!("<Prefix>{}</Prefix>", encode(prefix)));
    }
    xml.push_str("</ListBucketResult>");
    xml_response(StatusCode::OK, xml)
}

fn refused(refusal: &Refusal, resource: &str) -> Response<Body> {
    let (status, code) = match refusal {
        Refusal::NoSuchBucket => (StatusCode::NOT_FOUND, "NoSuchBucket"),
        Refusal::NoSuchKey => (StatusCode::NOT_FOUND, "NoSuchKey"),
        Refusal::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        Refusal::Conflict => (StatusCode::CONFLICT, "ConditionalRequestConflict"),
        Refusal::KeyTooLong => (StatusCode::BAD_REQUEST, "KeyTooLongError"),
        Refusal::NoFile(_) => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        Refusal::Io(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    error(status, code, &refusal.to_string(), resource)
}

fn error(status: StatusCode, code: &str, message: &str, resource: &str) -> Response<Body> {
    xml_response(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource></Error>",
            escaped(message),
            escaped(resource)
        ),
    )
}

fn xml_response(status: StatusCode, xml: String) -> Response<Body> {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Answers to HEAD carry no body, not even for an error.
fn without_body(response: Response<Body>) -> Response<Body> {
    let mut response = response.map(|_| Body::from(Bytes::new()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn quoted(etag: &str) -> String {
    if etag.starts_with('"') { etag.to_owned() } else { format!("\"{etag}\"") }
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}
