//! What goes back over the wire, or does not.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What becomes of a request that arrived, or did not.
#[derive(Debug)]
pub(super) enum Answer {
    Response(Response),
    /// The connection goes away before an answer came.
    Reset,
    /// Nothing comes until the connector gives up.
    Silence,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    pub(super) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
        }
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl Answer {
    /// As the SDKs' connector hands it over.
    pub(super) fn send(self, at: Timestamp) -> Result<HttpResponse, ConnectorError> {
        let response = match self {
            Self::Response(response) => response,
            Self::Reset => {
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                return Err(ConnectorError::io(reset.into()));
            }
            Self::Silence => return Err(ConnectorError::timeout("no answer".into())),
        };
        let status = response.status.try_into();
        let length = response.body.len();
        let mut sent = HttpResponse::new(
            status.expect("the services' statuses are statuses"),
            SdkBody::from(response.body),
        );
        for (name, value) in response.headers {
            sent.headers_mut().insert(name, value);
        }
        sent.headers_mut()
            .insert("content-length", length.to_string());
        sent.headers_mut().insert("date", http_date(at));
        sent.headers_mut()
            .insert("x-amzn-requestid", "00000000-0000-4000-8000-000000000000");
        Ok(sent)
    }
}

/// To the second, as HTTP has it.
pub(super) fn http_date(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Text in an XML document.
pub(super) fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
