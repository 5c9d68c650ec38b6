//! Answers on S3's wire: errors in XML, headers, dates.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;

use super::store::Refusal;

pub(super) fn refused(refusal: &Refusal, resource: &str) -> Response<Body> {
    let (status, code) = match refusal {
        Refusal::NoSuchBucket => (StatusCode::NOT_FOUND, "NoSuchBucket"),
        Refusal::NoSuchKey => (StatusCode::NOT_FOUND, "NoSuchKey"),
        Refusal::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        Refusal::Conflict => (StatusCode::CONFLICT, "ConditionalRequestConflict"),
        Refusal::KeyTooLong => (StatusCode::BAD_REQUEST, "KeyTooLongError"),
        Refusal::NoSuchUpload => (StatusCode::NOT_FOUND, "NoSuchUpload"),
        Refusal::InvalidPart => (StatusCode::BAD_REQUEST, "InvalidPart"),
        Refusal::InvalidPartOrder => (StatusCode::BAD_REQUEST, "InvalidPartOrder"),
        Refusal::EntityTooSmall => (StatusCode::BAD_REQUEST, "EntityTooSmall"),
        Refusal::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "InvalidRequest"),
        Refusal::BadDigest => (StatusCode::BAD_REQUEST, "BadDigest"),
        Refusal::NoFile(_) => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        Refusal::Io(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    error(status, code, &refusal.to_string(), resource)
}

/// Any call, refused as one too many.
pub(crate) fn slow_down() -> Response<Body> {
    error(
        StatusCode::SERVICE_UNAVAILABLE,
        "SlowDown",
        "Please reduce your request rate.",
        "",
    )
}

pub(super) fn error(
    status: StatusCode,
    code: &str,
    message: &str,
    resource: &str,
) -> Response<Body> {
    xml_response(
        status,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource></Error>",
            escaped(message),
            escaped(resource)
        ),
    )
}

pub(super) fn xml_response(status: StatusCode, xml: String) -> Response<Body> {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    response
}

pub(super) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Answers to HEAD carry no body, not even for an error.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let mut response = response.map(|_| Body::from(Bytes::new()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

pub(super) fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

pub(super) fn quoted(etag: &str) -> String {
    if etag.starts_with('"') {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}

pub(super) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

pub(super) fn escaped(text: &str) -> String {
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
