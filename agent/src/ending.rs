//! How an attempt ends: decided from what was seen, without doing anything.

use std::time::Duration;

use trainspot_shared::attempt::AttemptOutcome;

use crate::error::AgentError;
use crate::exit_code;
use crate::program::Ended;

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) outcome: AttemptOutcome,
    pub(crate) exit_code: u8,
    /// One sentence of the agent's own, when it gave up.
    pub(crate) error: Option<String>,
}

impl Ending {
    pub(crate) fn of(outcome: AttemptOutcome, exit_code: u8) -> Self {
        Self {
            outcome,
            exit_code,
            error: None,
        }
    }

    pub(crate) fn failed(exit_code: u8, error: impl Into<String>) -> Self {
        Self {
            outcome: AttemptOutcome::Failed,
            exit_code,
            error: Some(error.into()),
        }
    }

    pub(crate) fn of_error(error: &AgentError) -> Self {
        let outcome = match error {
            AgentError::NotOwner(_) => AttemptOutcome::NotOwner,
            _ => AttemptOutcome::Failed,
        };
        Self {
            outcome,
            exit_code: exit_code::of_error(error),
            error: Some(error.sentence()),
        }
    }

    pub(crate) fn preempted(is_published: bool) -> Self {
        if is_published {
            Self::of(
                AttemptOutcome::PreemptedPublished,
                exit_code::PREEMPTED_PUBLISHED,
            )
        } else {
            Self::of(
                AttemptOutcome::PreemptedUnpublished,
                exit_code::PREEMPTED_UNPUBLISHED,
            )
        }
    }
}

/// Why the agent stopped the program of its own accord.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It may not or cannot go on: not the owner, no permission.
    GaveUp(AgentError),
    /// It stood still.
    Stalled(Why),
}

/// How a program that stands still was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nothing that it writes changed for so long.
    NoProgress(Duration),
    /// No GPU did anything for so long.
    IdleGpu(Duration),
}

impl Why {
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::NoProgress(limit) => format!("no progress for {} s", limit.as_secs()),
            Self::IdleGpu(limit) => format!(
                "no GPU did anything for {} s while training; a program that may work on the CPU for so long needs a higher `TRAINSPOT_GPU_IDLE_S`",
                limit.as_secs()
            ),
        }
    }
}

/// What is left to do after the program's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing may be published any more.
    Leave,
    /// It is done: ship and publish the output.
    PublishOutput,
    /// Told to go: ship the last checkpoint; 75 if one was published since.
    Preempted,
    /// Ship the last checkpoint, then 74.
    Stalled(Why),
    /// Ship what there is for whoever looks into it, then this code.
    Failed(u8),
}

/// Decides. A program that ends with 0 is done, also when it was told to go.
pub(crate) fn after_program(
    ended: Ended,
    stop: Option<&Stop>,
    was_noticed: bool,
    declares_contract: bool,
) -> Next {
    match (ended, stop) {
        (_, Some(Stop::GaveUp(_))) => Next::Leave,
        (Ended::Exited(0), _) => Next::PublishOutput,
        _ if was_noticed => Next::Preempted,
        (_, Some(Stop::Stalled(why))) => Next::Stalled(*why),
        (ended, None) => Next::Failed(exit_code::of_program(ended, declares_contract)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_follows_from_what_was_seen() {
        let gave_up = Stop::GaveUp(AgentError::NotOwner("x".to_owned()));
        let terminated = Ended::Signaled(15);
        let why = Why::NoProgress(Duration::from_mins(10));
        let stalled = Stop::Stalled(why);
        let cases = [
            (Ended::Exited(0), None, false, Next::PublishOutput),
            (Ended::Exited(0), None, true, Next::PublishOutput),
            (Ended::Exited(0), Some(&gave_up), false, Next::Leave),
            (terminated, Some(&gave_up), true, Next::Leave),
            (Ended::Exited(143), None, true, Next::Preempted),
            (terminated, None, true, Next::Preempted),
            (terminated, Some(&stalled), true, Next::Preempted),
            (terminated, Some(&stalled), false, Next::Stalled(why)),
            (terminated, None, false, Next::Failed(143)),
            (Ended::Exited(65), None, false, Next::Failed(65)),
        ];
        for (ended, stop, was_noticed, next) in cases {
            assert_eq!(
                after_program(ended, stop, was_noticed, true),
                next,
                "{ended:?} {stop:?} {was_noticed}"
            );
        }
    }

    #[test]
    fn an_error_of_the_agents_own_is_told_in_one_sentence() {
        let error = AgentError::Local {
            what: "read `x`".to_owned(),
            source: std::io::Error::other("no space left"),
        };

        let ending = Ending::of_error(&error);

        assert_eq!(ending.exit_code, 70);
        assert_eq!(ending.error.as_deref(), Some("read `x`: no space left"));
    }
}
