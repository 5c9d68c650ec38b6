//! `ListObjectsV2` on the wire.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answers::{error, escaped, refused, xml_response};
use super::listing;
use super::store::{Refusal, Store};
use crate::front::Request;

/// S3's own page limit.
const LONGEST_PAGE: usize = 1000;
/// What `encoding-type=url` leaves as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

pub(super) fn list(store: &Store, bucket: &str, request: &Request) -> Response<Body> {
    let prefix = request.parameter("prefix").unwrap_or_default();
    let delimiter = request.parameter("delimiter");
    let as_url = request.parameter("encoding-type") == Some("url");
    let max_keys = match request.parameter("max-keys").map(str::parse::<usize>) {
        None => LONGEST_PAGE,
        Some(Ok(number)) => number.min(LONGEST_PAGE),
        Some(Err(_)) => {
            return error(
                StatusCode::BAD_REQUEST,
                "InvalidArgument",
                "Provided max-keys not an integer or within integer range",
                bucket,
            );
        }
    };
    let token = match request
        .parameter("continuation-token")
        .map(|token| hex::decode(token).map(String::from_utf8))
    {
        None => None,
        Some(Ok(Ok(token))) => Some(token),
        Some(_) => {
            return error(
                StatusCode::BAD_REQUEST,
                "InvalidArgument",
                "The continuation token provided is incorrect",
                bucket,
            );
        }
    };
    let after = token
        .as_deref()
        .or(request.parameter("start-after"))
        .unwrap_or_default();
    let keys = match store.list(bucket, prefix, after) {
        Ok(keys) => keys,
        Err(refusal) => return refused(&refusal, bucket),
    };
    let page = listing::page(keys, prefix, delimiter, max_keys, after);
    let encode = |text: &str| {
        if as_url {
            utf8_percent_encode(text, KEPT).to_string()
        } else {
            escaped(text)
        }
    };
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
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
    element(
        "KeyCount",
        &(page.keys.len() + page.common_prefixes.len()).to_string(),
    );
    element(
        "IsTruncated",
        if page.next.is_some() { "true" } else { "false" },
    );
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
        element(
            "CommonPrefixes",
            &format!("<Prefix>{}</Prefix>", encode(prefix)),
        );
    }
    xml.push_str("</ListBucketResult>");
    xml_response(StatusCode::OK, xml)
}
