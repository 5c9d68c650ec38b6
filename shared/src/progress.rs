//! `progress.json`: the heartbeat that a program writes by rename and the agent ships.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Seconds of each part of the start, from the process to its first step; empty before that, and where the
    /// program does not measure it.
    #[serde(
        default,
        deserialize_with = "seconds_by_part",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub cold_start: BTreeMap<String, f64>,
}

/// How many parts of a start are kept; the record of an attempt is small.
const MOST_PARTS: usize = 16;

/// What is no number is left out: a heartbeat is worth more than a figure beside it.
fn seconds_by_part<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let parts = value.as_object().into_iter().flatten();
    Ok(parts
        .filter_map(|(part, seconds)| Some((part.clone(), seconds.as_f64()?)))
        .take(MOST_PARTS)
        .collect())
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

    #[test]
    fn a_start_is_told_by_its_parts_and_never_costs_the_heartbeat() {
        let parts = |cold_start: &str| {
            let text = format!(r#"{{"step":3,"cold_start":{cold_start}}}"#);
            let progress: Progress = serde_json::from_str(&text).expect("a heartbeat");
            progress.cold_start
        };

        assert_eq!(
            parts(r#"{"import_s":2.5,"compile_s":11}"#),
            BTreeMap::from([("compile_s".to_owned(), 11.0), ("import_s".to_owned(), 2.5)])
        );
        assert_eq!(
            parts(r#"{"import_s":"long","data_s":1}"#),
            BTreeMap::from([("data_s".to_owned(), 1.0)])
        );
        assert_eq!(parts("null"), BTreeMap::new());
        assert_eq!(parts("[1, 2]"), BTreeMap::new());
    }
}
