//! Asks the instance's metadata service, version 2, whether the host is being taken back.
//!
//! Batch does not tell a job of a Spot notice, and draining a host sends a job no early SIGTERM:
//! asking is the only way to know in time.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::host::{Happening, HostIdentity};
use crate::http::{self, Answer};
use crate::settings::seconds;

const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";
const POLL_VARIABLE: &str = "TRAINSPOT_IMDS_POLL_S";
/// AWS recommends five seconds at most. A notice is best effort and may come late; a look costs two
/// requests to the host itself, so three of the host's last seconds are cheap.
const POLL_EVERY: Duration = Duration::from_secs(2);
const LONGEST_POLL: Duration = Duration::from_secs(5);
/// The longest that a token may live, in seconds.
const TOKEN_TTL_S: &str = "21600";
const OK: u16 = 200;
const UNAUTHORIZED: u16 = 401;

/// The service, as far as the environment tells.
#[derive(Debug, Clone)]
pub struct Metadata {
    authority: (String, u16),
    every: Duration,
    token: Option<String>,
}

/// `{"action": "terminate", "time": "…"}`
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct InstanceAction {
    #[serde(rename = "action")]
    _action: String,
    time: Timestamp,
}

impl InstanceAction {
    /// Something else may answer at this address, on another cloud or behind a proxy, and 200 to
    /// everything: its pages are no notice.
    fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

impl Metadata {
    /// From the variables that `variable` looks up; `None` if the endpoint cannot be asked.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let endpoint = variable(ENDPOINT_VARIABLE)
            .filter(|endpoint| !endpoint.is_empty())
            .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let Some(authority) = http::authority(&endpoint) else {
            tracing::warn!(
                "metadata endpoint `{endpoint}` is not `http://<host>`; no Spot notice will be heard"
            );
            return None;
        };
        let every = seconds(&variable, POLL_VARIABLE)
            .unwrap_or(POLL_EVERY)
            .min(LONGEST_POLL);
        Some(Self {
            authority,
            every,
            token: None,
        })
    }

    /// Sends what it finds until nobody listens. Says once that there is no service, and goes on
    /// asking: it may only be slow, and asking costs nothing.
    pub async fn watch(mut self, happenings: mpsc::UnboundedSender<Happening>) {
        let mut asked = Asked::default();
        let mut was_silent = false;
        while !happenings.is_closed() {
            if let Err(error) = self.look(&mut asked, &happenings).await
                && !was_silent
            {
                was_silent = true;
                tracing::warn!(
                    "no instance metadata ({error}): no Spot notice is heard until there is"
                );
            }
            if asked.was_noticed {
                return;
            }
            tokio::time::sleep(self.every).await;
        }
    }

    async fn look(
        &mut self,
        asked: &mut Asked,
        happenings: &mpsc::UnboundedSender<Happening>,
    ) -> io::Result<()> {
        // Whoever listens may be gone; then `watch` ends.
        let tell = |happening| drop(happenings.send(happening));
        let notice = self.get("spot/instance-action").await?;
        if notice.status == OK {
            let Some(action) = InstanceAction::parse(&notice.body) else {
                return Err(io::Error::other(format!(
                    "`spot/instance-action` is no notice: `{}`",
                    begin(&notice.body)
                )));
            };
            asked.was_noticed = true;
            tell(Happening::SpotNotice {
                goes_at: Some(action.time),
            });
        }
        if !asked.was_hinted {
            let hint = self.get("events/recommendations/rebalance").await?;
            if hint.status == OK && hint.body.contains("noticeTime") {
                asked.was_hinted = true;
                tell(Happening::RebalanceHint);
            }
        }
        if !asked.is_identified {
            let identity = self.identity().await?;
            asked.is_identified = true;
            tell(Happening::Identity(identity));
        }
        Ok(())
    }

    async fn identity(&mut self) -> io::Result<HostIdentity> {
        Ok(HostIdentity {
            life_cycle: self.text("instance-life-cycle").await?,
            instance_type: self.text("instance-type").await?,
            instance_id: self.text("instance-id").await?,
            availability_zone: self.text("placement/availability-zone").await?,
        })
    }

    async fn text(&mut self, path: &str) -> io::Result<Option<String>> {
        let answer = self.get(path).await?;
        Ok((answer.status == OK).then(|| answer.body.trim().to_owned()))
    }

    async fn get(&mut self, path: &str) -> io::Result<Answer> {
        let path = format!("/latest/meta-data/{path}");
        let token = self.token().await?;
        let answer = self
            .ask("GET", &path, ("X-aws-ec2-metadata-token", &token))
            .await?;
        if answer.status != UNAUTHORIZED {
            return Ok(answer);
        }
        self.token = None;
        let token = self.token().await?;
        self.ask("GET", &path, ("X-aws-ec2-metadata-token", &token))
            .await
    }

    async fn token(&mut self) -> io::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let ttl = ("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_S);
        let answer = self.ask("PUT", "/latest/api/token", ttl).await?;
        // It goes into a header.
        let is_token = !answer.body.is_empty() && answer.body.bytes().all(|b| b.is_ascii_graphic());
        if answer.status != OK || !is_token {
            return Err(io::Error::other(format!(
                "no token: status {}, `{}`",
                answer.status,
                begin(&answer.body)
            )));
        }
        self.token = Some(answer.body.clone());
        Ok(answer.body)
    }

    async fn ask(&self, method: &str, path: &str, header: (&str, &str)) -> io::Result<Answer> {
        http::request(&self.authority, method, path, header).await
    }
}

/// Enough of a page to see whose it is.
fn begin(body: &str) -> String {
    body.chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What need not be asked again.
#[derive(Debug, Default)]
struct Asked {
    is_identified: bool,
    was_hinted: bool,
    was_noticed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_notice_is_a_notice() {
        let notice = r#"{"action":"terminate","time":"2026-11-23T02:17:40Z"}"#;

        assert!(InstanceAction::parse(notice).is_some());
        for other in [
            "",
            "{}",
            "<html>welcome</html>",
            r#"{"time":"2026-11-23T02:17:40Z"}"#,
        ] {
            assert_eq!(InstanceAction::parse(other), None, "{other}");
        }
    }
}
