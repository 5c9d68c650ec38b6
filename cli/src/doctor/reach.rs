//! Where AWS is asked, and whether anybody answers there.

use super::call::{Answer, Call, Gap};
use super::command::Aws;
use super::deploy_config::DeployConfig;

/// The variables that the `aws` command takes a region from.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Region and account, or why AWS cannot be asked.
pub(super) async fn reach(
    aws: Aws,
    named: Option<&str>,
    written: &DeployConfig,
) -> Result<(String, String), Gap> {
    let variable = REGION_VARIABLES
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|region| !region.is_empty()));
    let known = named
        .map(str::to_owned)
        .or(written.region.clone())
        .or(variable);
    let region = match known {
        Some(region) => region,
        None => match aws
            .ask(&Call::plain(["configure", "get", "region"]).text())
            .await
        {
            Answer::Text(region) if !region.trim().is_empty() => region.trim().to_owned(),
            Answer::Unreachable(gap) => return Err(gap),
            _ => return Err(Gap::NoRegion),
        },
    };
    // Needs no right, so it tells whether there is anybody to ask.
    let call = Call::new(
        &region,
        "sts:GetCallerIdentity",
        ["sts", "get-caller-identity"],
    );
    match aws.ask(&call).await {
        Answer::Json(value) => match value.get("Account").and_then(serde_json::Value::as_str) {
            Some(account) => Ok((region, account.to_owned())),
            None => Err(Gap::NoAnswer(
                "it does not say which account this is".to_owned(),
            )),
        },
        Answer::Unreachable(gap) => Err(gap),
        Answer::TimedOut { seconds } => Err(Gap::NoAnswer(format!("nothing within {seconds} s"))),
        Answer::Failed { why } => Err(Gap::NoAnswer(why)),
        Answer::Denied { action } => Err(Gap::NoAnswer(format!("{action} is denied"))),
        Answer::Absent { code, .. } => Err(Gap::NoAnswer(code)),
        Answer::Text(_) => Err(Gap::NoAnswer("a text".to_owned())),
    }
}
