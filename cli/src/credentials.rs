//! Whose credentials a command goes by, and what to tell when there are none, or none that AWS takes. They are looked
//! for where the `aws` command looks: the environment, then `AWS_PROFILE` or the default profile with its keys, its
//! `sso_session`, its `login_session` or its `credential_process`, then the host.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use trainspot_edge::aws::CredentialsRefused;

use crate::problem::{Exit, Problem, root};

const LOG_IN: &str = "log in as for the `aws` command (`aws sso login`, `aws login` or `aws configure`), or set AWS_PROFILE; `aws sts get-caller-identity` says who you are";

/// The SDK has no type for it, only sentences: of S3, of S3 when the variable is empty, of the other services.
const NO_REGION: [&str; 3] = ["A region must be set", "Invalid region", "Missing Region"];

/// Why a call failed, if it was for want of credentials or of a region; `None` when it was for something else.
pub(crate) fn trouble(error: &(dyn Error + 'static)) -> Option<Problem> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(error) = one.downcast_ref::<CredentialsRefused>() {
            return Some(refused(error));
        }
        if let Some(error) = one.downcast_ref::<CredentialsError>() {
            return Some(not_had(error, std::env::var("AWS_PROFILE").ok().as_deref()));
        }
        cause = one.source();
    }
    let why = root(error);
    NO_REGION.iter().any(|words| why.contains(words)).then(|| {
        Problem::new(Exit::Configuration, "nobody says which region")
            .hint("set AWS_REGION (and AWS_DEFAULT_REGION, for the `aws` and `sam` commands), or `region` in the profile")
    })
}

/// AWS was asked, and does not take them.
pub(crate) fn refused(error: &CredentialsRefused) -> Problem {
    let problem = Problem::new(Exit::Denied, error.to_string());
    match error.code.as_str() {
        "RequestTimeTooSkewed" => {
            problem.hint("set this machine's clock: AWS takes a few minutes' difference at most")
        }
        _ => problem.hint(LOG_IN),
    }
}

/// AWS was not asked, as nobody said by whom.
fn not_had(error: &CredentialsError, profile: Option<&str>) -> Problem {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            let profile = profile.unwrap_or("default");
            let sentence = format!(
                "there are no credentials for AWS, neither in the environment nor in the profile `{profile}`"
            );
            Problem::new(Exit::Configuration, sentence).hint(LOG_IN)
        }
        CredentialsError::InvalidConfiguration(_) => Problem::new(
            Exit::Configuration,
            format!("the AWS configuration is wrong: {}", root(error)),
        )
        .hint("mend ~/.aws/config and ~/.aws/credentials; `aws configure list` reads them too"),
        CredentialsError::ProviderTimedOut(limit) => {
            let seconds = limit.timeout_duration().as_secs();
            Problem::new(
                Exit::Unreachable,
                format!("no credentials for AWS came within {seconds} s"),
            )
            .hint(LOG_IN)
        }
        _ => Problem::new(
            Exit::Denied,
            format!("the credentials for AWS cannot be had: {}", root(error)),
        )
        .hint(LOG_IN),
    }
}
