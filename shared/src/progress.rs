//! `progress.json`: the heartbeat that a program writes by rename and the agent ships.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the work stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Work done, in the program's own steps.
    pub step: u64,
    /// All the work, in the same steps.
    pub total: u64,
    /// Steps a second, lately.
    #[serde(default)]
    pub rate: f64,
    /// One line for a person.
    #[serde(default)]
    pub detail: String,
    /// When it was written.
    pub at: Timestamp,
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
