//! What S3 turns away for good, and what a person may do about it. Pure.

use std::fmt;

/// S3 says no, and would say it again: what it names does not pass by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Operation and object.
    pub what: String,
    /// S3's word.
    pub code: String,
    /// S3's sentence.
    pub message: String,
    /// Of an object whose version was pinned: it is the data that is to be put right.
    pub is_pinned: bool,
}

/// Statuses of what passes: too slow, and too often.
const PASSING_STATUSES: [u16; 2] = [408, 429];

/// Words under other statuses of 4xx for what passes, or for bytes and parts that were lost on the way.
const PASSING: [&str; 8] = [
    "BandwidthLimitExceeded",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InvalidPart",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "SlowDown",
];

/// The one answer of 3xx that no other try is sent elsewhere by: the bucket is in another region.
const MOVED_FOR_GOOD: u16 = 301;

impl Refused {
    /// Whether an answer with that status and word is final. One without a word is not S3's own.
    pub(crate) fn is_final(status: u16, code: &str) -> bool {
        let is_refusal = status == MOVED_FOR_GOOD || (400..500).contains(&status);
        // KMS limits requests too, and S3 hands its word on: `ThrottlingException`, `KMS.ThrottlingException`.
        let passes = PASSING.contains(&code) || code.contains("Throttl");
        is_refusal && !passes && !PASSING_STATUSES.contains(&status)
    }

    fn next_step(&self) -> &'static str {
        match self.code.as_str() {
            "InvalidObjectState" => {
                "the object is archived: restore it, or keep it in a storage class that can be read at once"
            }
            code if code.starts_with("KMS.") => {
                "enable the KMS key that encrypts it, or write it anew with another one"
            }
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
                "the bucket is in another region: use one in the region that trainspot runs in"
            }
            "KeyTooLongError" => {
                "names of files with their folders must be shorter: a key has at most 1,024 bytes"
            }
            _ => "put right what S3 names, then run again",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            code,
            message,
            ..
        } = self;
        let message = message.trim_end_matches('.');
        let next_step = self.next_step();
        write!(f, "S3 refuses `{what}` ({code}: {message}); {next_step}")
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_pass_by_itself_is_final() {
        let cases = [
            (403, "InvalidObjectState", true),
            (400, "KeyTooLongError", true),
            (400, "KMS.DisabledException", true),
            (400, "KMS.NotFoundException", true),
            (400, "AuthorizationHeaderMalformed", true),
            (301, "PermanentRedirect", true),
            (400, "EntityTooLarge", true),
            (405, "MethodNotAllowed", true),
            (400, "RequestTimeout", false),
            (408, "AnyWord", false),
            (429, "AnyWord", false),
            (409, "OperationAborted", false),
            (400, "KMS.ThrottlingException", false),
            (400, "IncompleteBody", false),
            (307, "TemporaryRedirect", false),
            (500, "InternalError", false),
            (503, "SlowDown", false),
        ];
        for (status, code, is_final) in cases {
            assert_eq!(Refused::is_final(status, code), is_final, "{status} {code}");
        }
    }

    #[test]
    fn a_refusal_is_one_sentence_with_what_to_do() {
        let refused = Refused {
            what: "GET s3://data/a.parquet".to_owned(),
            code: "KMS.DisabledException".to_owned(),
            message: "The key is disabled.".to_owned(),
            is_pinned: true,
        };

        assert_eq!(
            refused.to_string(),
            "S3 refuses `GET s3://data/a.parquet` (KMS.DisabledException: The key is disabled); enable the KMS key that encrypts it, or write it anew with another one"
        );
    }
}
