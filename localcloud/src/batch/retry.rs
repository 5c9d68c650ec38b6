//! `evaluateOnExit`: whether Batch runs another attempt. Pure.

use super::job::Attempt;
use crate::template::{Retry, RetryAction};

/// Whether the attempt that just ended is followed by another, given how many have ended in all.
/// Rules are tried in order, all conditions of one must hold, and no match means retry.
pub(super) fn retries(strategy: Option<&Retry>, attempt: &Attempt, attempts_ended: usize) -> bool {
    let Some(strategy) = strategy else {
        return false;
    };
    if attempts_ended >= strategy.attempts as usize {
        return false;
    }
    allows(
        strategy,
        &attempt.status_reason,
        attempt.reason.as_deref(),
        attempt.exit_code,
    )
}

/// Whether the rules let an attempt that ended so be followed by another, as long as some are left.
pub(crate) fn allows(
    strategy: &Retry,
    status_reason: &str,
    reason: Option<&str>,
    exit_code: Option<i32>,
) -> bool {
    let exit_code = exit_code.map(|code| code.to_string());
    strategy
        .evaluate_on_exit
        .iter()
        .find(|rule| {
            fits(rule.on_status_reason.as_deref(), Some(status_reason))
                && fits(rule.on_reason.as_deref(), reason)
                && fits(rule.on_exit_code.as_deref(), exit_code.as_deref())
        })
        .is_none_or(|rule| rule.action == RetryAction::Retry)
}

/// Only a trailing `*` is a wildcard; a lone one fits an absent text too.
fn fits(pattern: Option<&str>, text: Option<&str>) -> bool {
    let Some(pattern) = pattern else { return true };
    let text = text.unwrap_or_default();
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::super::job::Placement;
    use super::*;
    use crate::template::RetryRule;
    use test_case::test_case;

    fn ended(status_reason: &str, reason: Option<&str>, exit_code: Option<i32>) -> Attempt {
        Attempt {
            placement: Placement {
                instance_id: "i-0".into(),
                container_instance_arn: String::new(),
                task_arn: String::new(),
                log_stream: String::new(),
                process: None,
                container: None,
            },
            started_at: Some(0),
            stopped_at: 1,
            exit_code,
            reason: reason.map(str::to_owned),
            status_reason: status_reason.to_owned(),
        }
    }

    fn rule(
        status_reason: Option<&str>,
        reason: Option<&str>,
        exit_code: Option<&str>,
        action: RetryAction,
    ) -> RetryRule {
        RetryRule {
            on_status_reason: status_reason.map(str::to_owned),
            on_reason: reason.map(str::to_owned),
            on_exit_code: exit_code.map(str::to_owned),
            action,
        }
    }

    const EXITED: &str = "Essential container in task exited";
    const LOST: &str = "Host EC2 (instance i-0123456789abcdef0) terminated.";

    #[test_case(LOST, None, None => true; "a lost host is retried")]
    #[test_case(EXITED, None, Some(75) => true; "75 is retried")]
    #[test_case(EXITED, None, Some(1) => false; "the last rule fits an absent reason")]
    #[test_case(EXITED, None, Some(7) => false; "an exit code is compared whole")]
    #[test_case("Task failed to start", Some("DockerTimeoutError: Could not transition"), None => true; "the container's reason counts")]
    #[test_case("Task failed to start", Some("CannotPullContainerError: no"), None => false; "other reasons do not")]
    fn the_documented_rules(
        status_reason: &str,
        reason: Option<&str>,
        exit_code: Option<i32>,
    ) -> bool {
        let strategy = Retry {
            attempts: 10,
            evaluate_on_exit: vec![
                rule(Some("Host EC2*"), None, None, RetryAction::Retry),
                rule(None, None, Some("75"), RetryAction::Retry),
                rule(None, Some("DockerTimeoutError*"), None, RetryAction::Retry),
                rule(None, Some("*"), None, RetryAction::Exit),
            ],
        };

        retries(Some(&strategy), &ended(status_reason, reason, exit_code), 1)
    }

    #[test]
    fn no_matching_rule_means_retry_until_the_attempts_are_used_up() {
        let strategy = Retry {
            attempts: 3,
            evaluate_on_exit: vec![rule(None, None, Some("1"), RetryAction::Exit)],
        };

        let decisions = [1, 2, 3].map(|ended_so_far| {
            retries(Some(&strategy), &ended(EXITED, None, Some(2)), ended_so_far)
        });

        assert_eq!(decisions, [true, true, false]);
        assert!(!retries(None, &ended(LOST, None, None), 1));
    }

    #[test]
    fn every_condition_of_a_rule_must_hold() {
        let both = Retry {
            attempts: 5,
            evaluate_on_exit: vec![
                rule(Some("Host EC2*"), None, Some("1"), RetryAction::Exit),
                rule(None, Some("*"), None, RetryAction::Retry),
            ],
        };

        assert!(retries(Some(&both), &ended(LOST, None, None), 1));
    }
}
