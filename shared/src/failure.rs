//! Why a job failed: one pure classifier over the strings and codes that Batch gives.
//!
//! It says what happened and on what evidence, never what to do about it.

mod class;
mod classify;
mod queue_blocked;

use serde::{Deserialize, Serialize};

use crate::attempt::AttemptRecord;

pub use class::{Class, explain, next_step};
pub use classify::{OUR_REASON_PREFIX, asks_who_ended_it, classify, refused};
pub use queue_blocked::{Blocked, queue_blocked};

/// What happened, and the string or code that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What happened.
    pub class: Class,
    /// A string of Batch's, or an exit code.
    pub evidence: String,
}

impl Verdict {
    /// A verdict on that evidence.
    pub fn new(class: Class, evidence: impl Into<String>) -> Self {
        Self {
            class,
            evidence: evidence.into(),
        }
    }

    /// The job says SUCCEEDED, and its stage's head has no output.
    pub fn no_output() -> Self {
        Self::new(Class::NoOutput, "SUCCEEDED, and no output is published")
    }

    /// Whether the attempt's record may say more than Batch does.
    pub fn asks_the_record(&self) -> bool {
        matches!(
            self.class,
            Class::HostLost | Class::Killed | Class::Bug | Class::Program | Class::Unknown
        )
    }

    /// With what the attempt's agent left: a Spot notice, an out-of-memory kill.
    #[must_use]
    pub fn with_record(self, record: &AttemptRecord) -> Self {
        let has_notice = record.notice.as_deref() == Some("spot_notice");
        let verdict = if record.out_of_memory {
            self.with_out_of_memory()
        } else {
            self
        };
        if has_notice {
            verdict.with_notice()
        } else {
            verdict
        }
    }

    /// The attempt's record holds a Spot notice: a host that went was reclaimed, and so was the
    /// cause of a kill without another one.
    #[must_use]
    pub fn with_notice(self) -> Self {
        match self.class {
            Class::HostLost | Class::Killed => Self::new(
                Class::Reclaimed,
                format!("{}, after a Spot notice", self.evidence),
            ),
            _ => self,
        }
    }

    /// The attempt's record says that the kernel killed for memory: Batch's own word for it is
    /// missing when the program died and not the container.
    #[must_use]
    pub fn with_out_of_memory(self) -> Self {
        match self.class {
            Class::Killed | Class::Bug | Class::Program | Class::Unknown => Self::new(
                Class::OutOfMemory,
                format!(
                    "{}, after an out-of-memory kill in the container",
                    self.evidence
                ),
            ),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests;
