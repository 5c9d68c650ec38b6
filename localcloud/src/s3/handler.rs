//! S3 on the wire: which operation a path-style request is, and `PutObject`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::answers::{error, plain, quoted, refused, set};
use super::body::{self, BadBody, CRC32};
use super::facts::Attributes;
use super::list_answer::list;
use super::reading::get;
use super::store::{Precondition, Store};
use super::uploads;
use crate::front::{Answer, Request};

/// Answers one request to S3.
pub(crate) async fn handle(store: &Arc<Store>, request: Request) -> Answer {
    let path = percent_decode_str(request.path.trim_start_matches('/'))
        .decode_utf8_lossy()
        .into_owned();
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    let (bucket, key) = (bucket.to_owned(), key.to_owned());
    // `x-id` only names the operation; presigned requests carry their signature in the query.
    let subresource = request
        .query
        .iter()
        .map(|(name, _)| name.as_str())
        .find(|name| {
            !name.to_ascii_lowercase().starts_with("x-amz-")
                && ![
                    "x-id",
                    "list-type",
                    "prefix",
                    "delimiter",
                    "max-keys",
                    "continuation-token",
                    "start-after",
                    "encoding-type",
                    "fetch-owner",
                    "uploads",
                    "uploadId",
                    "partNumber",
                ]
                .contains(name)
        })
        .map(str::to_owned);
    let operation = match (&request.method, key.is_empty(), subresource) {
        (_, _, Some(subresource)) => Err(format!("{} ?{subresource}", request.method)),
        (method, false, None) if uploads::is_about(&request) => {
            uploads::operation(method, &request)
        }
        (&Method::PUT, false, _) if request.headers.contains_key("x-amz-copy-source") => {
            Err("CopyObject".to_owned())
        }
        (&Method::PUT, false, _) => Ok("PutObject"),
        (&Method::GET, false, _) => Ok("GetObject"),
        (&Method::HEAD, false, _) => Ok("HeadObject"),
        (&Method::DELETE, false, _) if request.headers.contains_key(header::IF_MATCH) => {
            Err("DeleteObject with If-Match".to_owned())
        }
        (&Method::DELETE, false, _) => Ok("DeleteObject"),
        (&Method::GET, true, _) if request.parameter("list-type") == Some("2") => {
            Ok("ListObjectsV2")
        }
        (method, _, _) => Err(format!(
            "{method} on {}",
            if bucket.is_empty() {
                "the service"
            } else {
                "a bucket"
            }
        )),
    };
    let operation = match operation {
        Ok(operation) => operation,
        Err(what) => {
            return Answer::not_implemented(
                &what,
                error(
                    StatusCode::NOT_IMPLEMENTED,
                    "NotImplemented",
                    &format!("{what} does not exist here"),
                    &path,
                ),
            );
        }
    };
    let resource = path.clone();
    let work = {
        let store = Arc::clone(store);
        // The store works on files under one lock.
        tokio::task::spawn_blocking(move || match operation {
            "CreateMultipartUpload"
            | "UploadPart"
            | "CompleteMultipartUpload"
            | "AbortMultipartUpload" => {
                uploads::answer(&store, operation, (&bucket, &key), &request)
            }
            "PutObject" => put(&store, &bucket, &key, &request),
            "DeleteObject" => store.delete(&bucket, &key).map_or_else(
                |refusal| refused(&refusal, &path),
                |()| plain(StatusCode::NO_CONTENT),
            ),
            "ListObjectsV2" => list(&store, &bucket, &request),
            _ => get(&store, &bucket, &key, &request, operation == "HeadObject"),
        })
    };
    match work.await {
        Ok(response) => Answer::new(operation, resource, response),
        Err(failure) => Answer::new(
            operation,
            resource,
            error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                &failure.to_string(),
                "",
            ),
        ),
    }
}

fn put(store: &Store, bucket: &str, key: &str, request: &Request) -> Response<Body> {
    let resource = format!("/{bucket}/{key}");
    let header = |name: header::HeaderName| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let precondition = match (header(header::IF_NONE_MATCH), header(header::IF_MATCH)) {
        (None, None) => Precondition::None,
        (Some("*"), None) => Precondition::Absent,
        (None, Some(etag)) => Precondition::Is(quoted(etag)),
        (_, _) => {
            return error(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                &resource,
            );
        }
    };
    let content = match content(request, &resource) {
        Ok(content) => content,
        Err(refusal) => return *refusal,
    };
    let attributes = attributes(&request.headers);
    match store.put(
        bucket,
        key,
        &content,
        &attributes,
        &precondition,
        request.arrived,
    ) {
        Ok(etag) => {
            let mut response = plain(StatusCode::OK);
            set(response.headers_mut(), header::ETAG, &etag);
            repeat_checksum(request, &mut response);
            response
        }
        Err(refusal) => refused(&refusal, &resource),
    }
}

/// The bytes that were sent, or why they are not taken.
pub(super) fn content(request: &Request, resource: &str) -> Result<Bytes, Box<Response<Body>>> {
    body::content(&request.headers, request.body.clone()).map_err(|bad| {
        let code = if bad == BadBody::BadDigest {
            "BadDigest"
        } else {
            "IncompleteBody"
        };
        let refusal = error(StatusCode::BAD_REQUEST, code, &bad.to_string(), resource);
        Box::new(refusal)
    })
}

/// A checksum that came with the bytes is answered as it was sent: it was right.
pub(super) fn repeat_checksum(request: &Request, response: &mut Response<Body>) {
    let name = header::HeaderName::from_static(CRC32);
    if let Some(value) = request.headers.get(&name) {
        response.headers_mut().insert(name, value.clone());
    }
}

/// What the writer says about an object.
pub(super) fn attributes(headers: &HeaderMap) -> Attributes {
    Attributes {
        content_type: headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .filter(|kind| !["application/octet-stream", "binary/octet-stream"].contains(kind))
            .map(str::to_owned),
        metadata: headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-amz-meta-")?;
                Some((name.to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
    }
}
