//! Credentials that AWS does not take, told apart from no answer at all: what a person can do is another thing.

/// AWS does not know whoever asks, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("AWS does not take these credentials ({code}): {message}")]
pub struct CredentialsRefused {
    /// AWS's word.
    pub code: String,
    /// AWS's sentence.
    pub message: String,
}

/// The words of S3, of JSON services and of older ones.
const CODES: [&str; 14] = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    // The clock is wrong by a quarter of an hour or more: AWS takes the signature for an old one.
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Of an answer that is about who asks, not about what.
pub fn refusal(code: Option<&str>, message: Option<&str>) -> Option<CredentialsRefused> {
    let code = code.filter(|code| CODES.contains(code))?;
    Some(CredentialsRefused {
        code: code.to_owned(),
        message: message.unwrap_or("no reason given").to_owned(),
    })
}
