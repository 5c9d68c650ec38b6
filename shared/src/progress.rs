//! `progress.json`: the heartbeat that a program writes by rename and the agent ships.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the work stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Work done, in the program's own steps.
    pub step: u64,
    /// All the work, in the same steps; 0 = unknown.
    #[serde(default)]
    pub total: u64,
    /// Steps a second, lately.
    #[serde(default)]
    pub rate: f64,
    /// One line for a person.
    #[serde(default)]
    pub detail: String,
    /// When it was written, for people; whoever watches goes by the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Progress {
    /// Between 0 and 1; 0 when the total is unknown.
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    pub fn share(&self) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            (self.step as f64 / self.total as f64).clamp(0.0, 1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_alone_is_a_heartbeat() {
        let progress: Progress = serde_json::from_str(r#"{"step":3}"#).expect("a heartbeat");

        assert_eq!((progress.step, progress.total), (3, 0));
        assert!(progress.share().abs() < f64::EPSILON);
    }
}
