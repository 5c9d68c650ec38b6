//! Lambda on the wire: the Invoke API.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::functions::Functions;
use crate::chaos::Held;
use crate::front::{Answer, Request, json_error, json_response};

/// Lambda's limits of a payload, in bytes.
const LARGEST_PAYLOAD: usize = 6 * 1024 * 1024;
const LARGEST_EVENT: usize = 1024 * 1024;

/// Answers one request to Lambda.
pub(crate) async fn handle(functions: &Arc<Functions>, request: &Request) -> Answer {
    let name = request
        .path
        .strip_prefix("/2015-03-31/functions/")
        .and_then(|rest| rest.strip_suffix("/invocations"))
        .filter(|_| request.method == Method::POST);
    let Some(name) = name else {
        let what = format!("{} {}", request.method, request.path);
        let message = format!("{what} does not exist here");
        return Answer::not_implemented(
            &what,
            json_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &message),
        );
    };
    let name = percent_decode_str(name).decode_utf8_lossy();
    let response = match functions.stack.function(&name).cloned() {
        None => {
            let message = format!("Function not found: {name}");
            json_error(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message)
        }
        Some(function) => invoke(functions, &function, request).await,
    };
    Answer::new("Invoke", name, response)
}

async fn invoke(
    functions: &Arc<Functions>,
    function: &crate::template::Function,
    request: &Request,
) -> Response<Body> {
    let kind = request
        .headers
        .get("x-amz-invocation-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("RequestResponse");
    let payload = if request.body.is_empty() {
        "{}".into()
    } else {
        request.body.clone()
    };
    let limit = if kind == "Event" {
        LARGEST_EVENT
    } else {
        LARGEST_PAYLOAD
    };
    if payload.len() > limit {
        return json_error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            &format!("the payload must be at most {limit} bytes"),
        );
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return json_error(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            &message,
        );
    }
    let (mut response, request_id) = match kind {
        "RequestResponse" => {
            let answer = functions.invoke(function, payload).await;
            let mut response = json_response(StatusCode::OK, &answer.payload);
            response.headers_mut().insert(
                "x-amz-executed-version",
                HeaderValue::from_static("$LATEST"),
            );
            if let Some(error) = answer
                .function_error
                .and_then(|error| HeaderValue::from_str(&error).ok())
            {
                response.headers_mut().insert("x-amz-function-error", error);
            }
            (response, answer.request_id)
        }
        "Event" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            (
                response,
                functions.invoke_later(function, &payload, Held::NOT_AT_ALL),
            )
        }
        "DryRun" => {
            return json_error(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "dry runs do not exist here",
            );
        }
        other => {
            let message = format!("`{other}` is no invocation type");
            return json_error(
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                &message,
            );
        }
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
