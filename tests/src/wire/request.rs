//! A request as it arrives: which service, and what it says.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use percent_encoding::percent_decode_str;

use super::chunked;

/// Which service a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// With the bucket, which is part of the host's name.
    S3(String),
    Batch,
    Sns,
}

/// What was sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) service: Service,
    pub(super) method: String,
    /// Decoded, without the leading slash.
    pub(super) path: String,
    /// Decoded.
    pub(super) query: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Request {
    /// Panics at what the product's clients never send: then it is the proof that must learn it.
    pub(super) async fn of(mut sent: HttpRequest) -> Self {
        let body = sent.take_body();
        let uri = sent.uri();
        let rest = uri.strip_prefix("https://").unwrap_or_else(|| {
            panic!("a request without TLS: {uri}");
        });
        let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let header = |name: &str| sent.headers().get(name).map(str::to_owned);
        let service = service_of(host);
        let signed = header("authorization").unwrap_or_default();
        assert!(
            signed.contains(&format!("/us-east-1/{}/aws4_request", service.scope())),
            "{uri} is signed `{signed}`"
        );
        let body = match body.bytes() {
            Some(whole) => whole.to_vec(),
            None => in_pieces(body, header("content-encoding").as_deref()).await,
        };
        Self {
            method: sent.method().to_owned(),
            path: decoded(path),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            body,
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            service,
        }
    }

    pub(super) fn if_match(&self) -> Option<&str> {
        self.if_match.as_deref()
    }

    /// Only `*` can be asked for.
    pub(super) fn is_if_absent(&self) -> bool {
        match self.if_none_match.as_deref() {
            None => false,
            Some("*") => true,
            Some(other) => panic!("If-None-Match: {other}"),
        }
    }

    pub(super) fn asks(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

impl Service {
    /// In the signature.
    const fn scope(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::Batch => "batch",
            Self::Sns => "sns",
        }
    }
}

fn service_of(host: &str) -> Service {
    match host {
        "batch.us-east-1.amazonaws.com" => Service::Batch,
        "sns.us-east-1.amazonaws.com" => Service::Sns,
        other => match other.strip_suffix(".s3.us-east-1.amazonaws.com") {
            Some(bucket) => Service::S3(bucket.to_owned()),
            None => panic!("nobody serves {other}"),
        },
    }
}

fn decoded(text: &str) -> String {
    let text = percent_decode_str(text).decode_utf8();
    text.expect("the SDKs encode UTF-8").into_owned()
}

/// A file's body.
async fn in_pieces(body: SdkBody, encoding: Option<&str>) -> Vec<u8> {
    let sent = ByteStream::new(body).collect().await;
    let sent = sent.expect("the file is readable").into_bytes();
    match encoding {
        Some("aws-chunked") => chunked::joined(&sent),
        None => sent.to_vec(),
        Some(other) => panic!("a body encoded as `{other}`"),
    }
}
