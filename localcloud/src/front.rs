//! The one door: every AWS call comes in here, is routed by the credential scope of its signature, and is
//! recorded with its answer. Signatures are not verified: nobody here has a real key.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use jiff::Timestamp;

use crate::asked::asked;
use crate::batch;
use crate::chaos::CallFate;
use crate::cloud::Parts;
use crate::front_struck;
use crate::happening::{Happening, RecordedCall};
use crate::{lambda, s3, sns, sqs};

/// The largest object of one put.
const LARGEST_BODY: usize = 5 << 30;
/// Begins the made-up access keys, whose rest says who calls.
pub(crate) const KEY_PREFIX: &str = "LOCAL.";

/// A request, read whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Still percent-encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The store's count of changes when the request's head came in.
    pub(crate) arrived: u64,
}

impl Request {
    /// The first query parameter of that name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// An answer and what it says about the call.
#[derive(Debug)]
pub(crate) struct Answer {
    operation: String,
    resource: String,
    missing: bool,
    response: Response<Body>,
}

impl Answer {
    pub(crate) fn new(
        operation: &str,
        resource: impl Into<String>,
        response: Response<Body>,
    ) -> Self {
        let missing = response.status() == StatusCode::NOT_IMPLEMENTED;
        Self {
            operation: operation.to_owned(),
            resource: resource.into(),
            missing,
            response,
        }
    }

    /// An answer for something that does not exist here; `response` has status 501.
    pub(crate) fn not_implemented(what: &str, response: Response<Body>) -> Self {
        Self {
            operation: what.to_owned(),
            resource: String::new(),
            missing: true,
            response,
        }
    }
}

/// Answers a request that came in at the endpoint.
pub(crate) async fn handle(parts: Arc<Parts>, request: axum::extract::Request) -> Response<Body> {
    let arrived = parts.store.arrival();
    let (head, body) = request.into_parts();
    let signature = signature(&head.headers, head.uri.query().unwrap_or_default());
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        // The caller went away, or sent more than S3 takes: there is nobody to tell more.
        return json_error(
            StatusCode::BAD_REQUEST,
            "RequestTimeout",
            "the body did not come in whole",
        );
    };
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        headers: head.headers,
        body,
        arrived,
    };
    let Some((caller, service)) = signature else {
        return json_error(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Missing Authentication Token",
        );
    };
    let call = Called {
        request,
        service,
        caller,
    };
    let token = call
        .request
        .headers
        .get("x-amz-security-token")
        .and_then(|value| value.to_str().ok());
    match parts.strikes.call(call.seen(token)) {
        CallFate::Answered => answer(&parts, call).await,
        fate => front_struck::carry_out(&parts, call, fate).await,
    }
}

/// A request with what its signature says.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) request: Request,
    pub(crate) service: String,
    pub(crate) caller: String,
}

/// Answers a call, and records it.
pub(crate) async fn answer(parts: &Parts, call: Called) -> Response<Body> {
    let Called {
        request,
        service,
        caller,
    } = call;
    let asked = asked(&parts.batch.stack, &service, &request);
    let answer = match service.as_str() {
        "s3" => s3::handle(&parts.store, request).await,
        "batch" => batch::handle(&parts.batch, &request),
        "sns" => sns::handle(&parts.notices, &request),
        "sqs" => sqs::handle(&parts.letters, &request).await,
        "lambda" => lambda::handle(&parts.functions, &request).await,
        _ => {
            let what = format!("{} {}", request.method, request.path);
            let message = format!("the local cloud has no `{service}`");
            Answer::not_implemented(
                &what,
                json_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message),
            )
        }
    };
    if answer.missing {
        let what = format!("{} {}", answer.operation, answer.resource)
            .trim_end()
            .to_owned();
        parts.watch.report(Happening::NotImplemented {
            service: service.clone(),
            what,
        });
    }
    parts.watch.record(RecordedCall {
        at: Timestamp::now(),
        service,
        operation: answer.operation,
        resource: answer.resource,
        status: answer.response.status().as_u16(),
        caller,
        asked,
    });
    let mut response = answer.response;
    if let Ok(id) = parts.ids.uuid().parse::<axum::http::HeaderValue>() {
        response
            .headers_mut()
            .insert("x-amz-request-id", id.clone());
        // An invocation's answer already names the invocation.
        response
            .headers_mut()
            .entry("x-amzn-requestid")
            .or_insert(id);
    }
    response
}

/// Who signed, and for which service: `Credential=<key>/<date>/<region>/<service>/aws4_request`.
fn signature(headers: &HeaderMap, query: &str) -> Option<(String, String)> {
    let in_header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| {
            let (_, rest) = text.split_once("Credential=")?;
            Some(rest.split([',', ' ']).next()?.to_owned())
        });
    let scope = in_header.or_else(|| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "X-Amz-Credential")
            .map(|(_, value)| value.into_owned())
    })?;
    let mut parts = scope.rsplit('/');
    let (_, service, _, _) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let key = parts.next()?;
    let caller = match key.strip_prefix(KEY_PREFIX) {
        Some(named) => named.replacen('.', "/", 1),
        None => "person".to_owned(),
    };
    Some((caller, service.to_owned()))
}

/// An answer in AWS's JSON protocols.
pub(crate) fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        axum::http::HeaderValue::from_static("application/json"),
    );
    response
}

/// An error in AWS's JSON protocols.
pub(crate) fn json_error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let mut response = json_response(
        status,
        &serde_json::json!({ "message": message, "__type": code }),
    );
    if let Ok(code) = code.parse() {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(key: &str, service: &str) -> HeaderMap {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={key}/20261123/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        HeaderMap::from_iter([(
            header::AUTHORIZATION,
            value.parse().expect("it is a header value"),
        )])
    }

    #[test]
    fn the_signature_says_who_calls_which_service() {
        let of = |key: &str, service: &str| signature(&signed(key, service), "");

        assert_eq!(
            of("LOCAL.job.0a1b:3", "s3"),
            Some(("job/0a1b:3".into(), "s3".into()))
        );
        assert_eq!(
            of("LOCAL.function.FanOutFunction", "batch"),
            Some(("function/FanOutFunction".into(), "batch".into()))
        );
        assert_eq!(
            of("AKIAIOSFODNN7EXAMPLE", "sns"),
            Some(("person".into(), "sns".into()))
        );
        let presigned = "X-Amz-Credential=LOCAL.person%2F20261123%2Fus-east-1%2Fs3%2Faws4_request";
        assert_eq!(
            signature(&HeaderMap::new(), presigned),
            Some(("person".into(), "s3".into()))
        );
        assert_eq!(signature(&HeaderMap::new(), ""), None);
    }
}
