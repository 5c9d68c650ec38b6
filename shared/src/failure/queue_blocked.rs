//! Why the job at the head of a queue does not start.

use serde::{Deserialize, Serialize};

/// What blocks a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// No instance to be had; it may pass.
    NoCapacity,
    /// It will never pass by itself.
    Misconfigured,
    /// The compute environments are invalid: a person must act.
    ActionRequired,
    /// Batch does not know either.
    Undetermined,
}

impl Blocked {
    /// What happened, in a plain sentence.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::NoCapacity => "AWS has no instance of the wanted types to give at the moment.",
            Self::Misconfigured => {
                "The queue cannot run the job at its head as things are configured."
            }
            Self::ActionRequired => "The queue's compute environments are invalid.",
            Self::Undetermined => "The queue is blocked, and Batch does not say by what.",
        }
    }
}

/// Reads the `statusReason` of a Queue Blocked event.
///
/// Only the token at its beginning counts: AWS prints the dash behind it now as `-`, now as `–`.
pub fn queue_blocked(reason: &str) -> Blocked {
    let token = reason
        .split(|c: char| c.is_whitespace() || c == '\u{2013}' || c == '-')
        .next()
        .unwrap_or_default();
    match token.split(':').next() {
        Some("CAPACITY") => Blocked::NoCapacity,
        Some("MISCONFIGURATION") => Blocked::Misconfigured,
        Some("ACTION_REQUIRED") => Blocked::ActionRequired,
        _ => Blocked::Undetermined,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type [g4dn.xlarge]" => Blocked::NoCapacity)]
    #[test_case("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job." => Blocked::Misconfigured)]
    #[test_case("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue." => Blocked::Misconfigured)]
    #[test_case("MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED - Your compute environment associated with this job queue has an unsupported instance type configuration." => Blocked::Misconfigured)]
    #[test_case("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS – Batch service role has a permission issue." => Blocked::Misconfigured; "with an en dash")]
    #[test_case("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS–Batch service role has a permission issue." => Blocked::Misconfigured; "with an en dash and no space")]
    #[test_case("ACTION_REQUIRED - CE(s) associated with the job queue are invalid." => Blocked::ActionRequired)]
    #[test_case("UNDETERMINED - Batch job is blocked, root cause is undetermined." => Blocked::Undetermined)]
    #[test_case("blocked-reason" => Blocked::Undetermined; "as the printed example has it")]
    #[test_case("" => Blocked::Undetermined; "nothing")]
    #[test_case("CAPACITYX: no token of Batch" => Blocked::Undetermined; "only whole tokens")]
    fn every_documented_reason_is_known(reason: &str) -> Blocked {
        queue_blocked(reason)
    }
}
