//! One call of the `aws` command, and what came of it. Pure: `command` runs it.

use serde_json::Value;

/// What to ask. Never a shell's text: a list of words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    words: Vec<String>,
    /// The right that it needs, as IAM names it.
    action: &'static str,
    /// Whether the answer is a text, not JSON.
    is_text: bool,
}

/// Why AWS was not reached at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// No `aws` on PATH.
    NoProgram,
    /// It cannot be started.
    NotStarted(String),
    /// Nobody says who asks.
    NoCredentials,
    /// They are over, or AWS does not know them.
    BadCredentials(String),
    /// Nobody says where.
    NoRegion,
    /// No way to the endpoint.
    NoEndpoint(String),
    /// It answers nothing that says who this is.
    NoAnswer(String),
}

impl Gap {
    /// In one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NoProgram => "there is no `aws` command on PATH".to_owned(),
            Self::NotStarted(why) => format!("the `aws` command cannot be started: {why}"),
            Self::NoCredentials => "the `aws` command finds no credentials".to_owned(),
            Self::BadCredentials(code) => {
                format!("AWS does not take these credentials ({code})")
            }
            Self::NoRegion => "nobody says which region".to_owned(),
            Self::NoEndpoint(url) => format!("AWS cannot be reached at {url}"),
            Self::NoAnswer(why) => format!("AWS does not say who this is: {why}"),
        }
    }

    /// What to do about it.
    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::NoProgram => {
                "install the AWS command line (version 2 from AWS, or `pip install awscli`)"
            }
            Self::NotStarted(_) => "run `aws --version` and mend what it says",
            Self::NoCredentials => {
                "log in with `aws sso login` or `aws configure`, or set AWS_PROFILE"
            }
            Self::BadCredentials(_) => {
                "log in again: `aws sso login`, or new keys with `aws configure`"
            }
            Self::NoRegion => "give --region, or set AWS_REGION",
            Self::NoEndpoint(_) => "check the region's name, the network and AWS_ENDPOINT_URL",
            Self::NoAnswer(_) => "run `aws sts get-caller-identity` and mend what it says",
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The answer.
    Json(Value),
    /// The answer to a call that has none in JSON.
    Text(String),
    /// What was asked for is not there.
    Absent {
        /// AWS's word.
        code: String,
        /// AWS's sentence.
        message: String,
    },
    /// Whoever asks may not.
    Denied {
        /// The right that is missing.
        action: String,
    },
    /// Nothing came in time.
    TimedOut {
        /// How long was waited.
        seconds: u64,
    },
    /// Anything else.
    Failed {
        /// In one line.
        why: String,
    },
    /// AWS was not asked.
    Unreachable(Gap),
}

/// AWS's words for "may not".
const DENIED: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
    "Client.UnauthorizedOperation",
    "UnauthorizedException",
    "403",
];
/// AWS's words for credentials that it does not take.
const BAD_CREDENTIALS: [&str; 8] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "InvalidAccessKeyId",
];
/// Codes end or are one of these when something is not there.
const ABSENT: [&str; 7] = [
    "404",
    "NoSuch",
    "NotFound",
    "NonExistentQueue",
    "QueueDoesNotExist",
    "DoesNotExist",
    "RepositoryNotFound",
];
/// The `aws` command's own words.
const OCCURRED: &str = "An error occurred (";
const NO_CREDENTIALS: [&str; 5] = [
    "Unable to locate credentials",
    "could not be found", // "The config profile (x) could not be found"
    "Error loading SSO Token",
    "Token has expired",
    "SSO session associated with this profile",
];
const NO_REGION: &str = "You must specify a region";
const NO_ENDPOINT: [&str; 3] = [
    "Could not connect to the endpoint URL",
    "Connect timeout on endpoint URL",
    "Invalid endpoint",
];
const PERFORM: &str = "not authorized to perform: ";
const WHY_MAX: usize = 240;

impl Call {
    /// `service operation words… --region R --output json`.
    pub(crate) fn new(
        region: &str,
        action: &'static str,
        words: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let words = words.into_iter().map(Into::into);
        let end = ["--region", region, "--output", "json"].map(str::to_owned);
        Self {
            words: words.chain(end).collect(),
            action,
            is_text: false,
        }
    }

    /// One that asks nobody but the `aws` command itself.
    pub(crate) fn plain(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            words: words.into_iter().map(Into::into).collect(),
            action: "",
            is_text: false,
        }
    }

    /// One whose answer is a text.
    #[must_use]
    pub(crate) fn text(mut self) -> Self {
        self.is_text = true;
        self
    }

    /// What `aws` is started with.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// As a person would type it.
    pub(crate) fn shown(&self) -> String {
        let words = self.words.iter().map(|word| shown(word));
        std::iter::once("aws".to_owned())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What a finished `aws` said.
    pub(crate) fn read(&self, succeeded: bool, stdout: &[u8], stderr: &[u8]) -> Answer {
        let told = String::from_utf8_lossy(stderr);
        if !succeeded {
            return self.refused(&told);
        }
        let said = String::from_utf8_lossy(stdout);
        if self.is_text {
            return Answer::Text(said.into_owned());
        }
        // Some calls answer nothing when there is nothing, such as a bucket without versions.
        if said.trim().is_empty() {
            return Answer::Json(Value::Object(serde_json::Map::new()));
        }
        match serde_json::from_str(&said) {
            Ok(value) => Answer::Json(value),
            Err(error) => Answer::Failed {
                why: format!("the answer is no JSON: {error}"),
            },
        }
    }

    fn refused(&self, told: &str) -> Answer {
        let line = told
            .lines()
            .map(str::trim)
            .find(|line| line.contains(OCCURRED))
            .or_else(|| told.lines().map(str::trim).find(|line| !line.is_empty()))
            .unwrap_or("it ended badly and said nothing");
        if let Some((code, message)) = code_and_message(line) {
            let is = |list: &[&str]| list.contains(&code);
            let is_gone = code == "ValidationError" && message.contains("does not exist");
            return if is(&DENIED) {
                Answer::Denied {
                    action: denied_action(message).unwrap_or(self.action).to_owned(),
                }
            } else if is(&BAD_CREDENTIALS) {
                Answer::Unreachable(Gap::BadCredentials(code.to_owned()))
            } else if is_gone || ABSENT.iter().any(|word| code.contains(word)) {
                Answer::Absent {
                    code: code.to_owned(),
                    message: message.to_owned(),
                }
            } else {
                Answer::Failed {
                    why: short(&format!("{code}: {message}")),
                }
            };
        }
        let says = |words: &[&str]| words.iter().any(|words| told.contains(words));
        if says(&NO_CREDENTIALS) {
            Answer::Unreachable(Gap::NoCredentials)
        } else if says(&[NO_REGION]) {
            Answer::Unreachable(Gap::NoRegion)
        } else if says(&NO_ENDPOINT) {
            let url = told.split('"').nth(1).unwrap_or("its endpoint");
            Answer::Unreachable(Gap::NoEndpoint(url.to_owned()))
        } else {
            Answer::Failed { why: short(line) }
        }
    }
}

/// `An error occurred (Code) when calling the X operation: message`.
fn code_and_message(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(OCCURRED)?;
    let (code, rest) = rest.split_once(')')?;
    let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
    Some((code, message))
}

/// IAM names the right in its sentence, as far as it says anything.
fn denied_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(PERFORM)?;
    let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',']);
    word.contains(':').then_some(word)
}

fn short(text: &str) -> String {
    text.chars().take(WHY_MAX).collect()
}

/// In quotes where a shell would read it otherwise.
fn shown(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_./:=@,+-%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call::new(
            "us-east-1",
            "iam:GetRole",
            ["iam", "get-role", "--role-name", "a b"],
        )
    }

    fn refused(stderr: &str) -> Answer {
        call().read(false, b"", stderr.as_bytes())
    }

    fn absent(code: &str, message: &str) -> Answer {
        Answer::Absent {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_call_is_shown_as_it_can_be_typed() {
        assert_eq!(
            call().shown(),
            "aws iam get-role --role-name 'a b' --region us-east-1 --output json"
        );
    }

    #[test]
    fn a_denial_names_the_right_that_aws_names_or_the_call_needs() {
        let told = "\nAn error occurred (AccessDenied) when calling the GetRole operation: User: arn:aws:iam::123456789012:user/x is not authorized to perform: iam:GetRole on resource: role y\n";
        let silent = "\naws: [ERROR]: An error occurred (403) when calling the HeadObject operation: Forbidden\n";

        for stderr in [told, silent] {
            assert_eq!(
                refused(stderr),
                Answer::Denied {
                    action: "iam:GetRole".to_owned()
                }
            );
        }
    }

    #[test]
    fn what_is_not_there_is_absent_and_no_failure() {
        assert_eq!(
            refused(
                "An error occurred (NoSuchEntity) when calling the GetRole operation: no role y"
            ),
            absent("NoSuchEntity", "no role y")
        );
        assert_eq!(
            refused(
                "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id x does not exist"
            ),
            absent("ValidationError", "Stack with id x does not exist")
        );
        assert_eq!(
            refused(
                "fatal error: An error occurred (404) when calling the HeadObject operation: Key \"x\" does not exist"
            ),
            absent("404", "Key \"x\" does not exist")
        );
    }

    #[test]
    fn gaps_before_aws_are_told_apart() {
        let gaps = [
            (
                "Unable to locate credentials. You can configure credentials by running \"aws configure\".",
                Gap::NoCredentials,
            ),
            (
                "You must specify a region. You can also configure your region by running \"aws configure\".",
                Gap::NoRegion,
            ),
            (
                "Could not connect to the endpoint URL: \"https://sts.nowhere.amazonaws.com/\"",
                Gap::NoEndpoint("https://sts.nowhere.amazonaws.com/".to_owned()),
            ),
            (
                "An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: The security token is expired",
                Gap::BadCredentials("ExpiredToken".to_owned()),
            ),
        ];

        for (stderr, gap) in gaps {
            assert_eq!(refused(stderr), Answer::Unreachable(gap), "{stderr}");
        }
    }

    #[test]
    fn an_answer_is_json_or_is_told() {
        assert_eq!(
            call().read(true, b"{\"a\": 1}", b""),
            Answer::Json(serde_json::json!({"a": 1}))
        );
        assert_eq!(
            call().read(true, b"\n", b""),
            Answer::Json(serde_json::json!({}))
        );
        assert_eq!(
            call().text().read(true, b"name = 1\n", b""),
            Answer::Text("name = 1\n".to_owned())
        );
        assert!(
            matches!(call().read(true, b"<html>", b""), Answer::Failed { why } if why.starts_with("the answer is no JSON"))
        );
        assert!(
            matches!(refused("usage: aws [options]"), Answer::Failed { why } if why == "usage: aws [options]")
        );
        assert!(matches!(refused(""), Answer::Failed { why } if why.contains("said nothing")));
    }
}
