//! From an `EventBridge` event to what it means: a job's new state, or a blocked queue.

use jiff::Timestamp;
use serde_json::Value;

use super::JobSeen;

/// Why an event is not one of Batch's, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Another service's event, or one of Batch's that nothing here is woken by.
    #[error("`{0}` is not an event that trainspot reads")]
    NotOurs(String),
    /// A field that every such event has.
    #[error("the event has no `{field}`")]
    Missing {
        /// Its path.
        field: String,
    },
    /// A field that is there and cannot be read.
    #[error("the event's `{field}` cannot be read: {problem}")]
    Wrong {
        /// Its path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What an event of Batch's says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchEventKind {
    /// A job has come to a state.
    StateChange(JobSeen),
    /// The job at the head of a queue cannot start.
    QueueBlocked {
        /// That job.
        job: JobSeen,
        /// Batch's reason; see [`crate::failure::queue_blocked`].
        reason: String,
    },
}

/// An event of Batch's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchEvent {
    /// The same in each delivery of an emission; a second emission may have another.
    pub id: String,
    /// When it was emitted, to the second.
    pub time: Timestamp,
    /// What it says.
    pub kind: BatchEventKind,
}

const SOURCE: &str = "aws.batch";
const STATE_CHANGE: &str = "Batch Job State Change";
const QUEUE_BLOCKED: &str = "Batch Job Queue Blocked";

impl BatchEvent {
    /// Reads an event as `EventBridge` delivers it.
    pub fn parse(event: &Value) -> Result<Self, EventError> {
        let source = text(event, "source")?;
        let detail_type = text(event, "detail-type")?;
        if source != SOURCE || ![STATE_CHANGE, QUEUE_BLOCKED].contains(&detail_type) {
            return Err(EventError::NotOurs(format!("{source}: {detail_type}")));
        }
        let time = text(event, "time")?;
        let time: Timestamp = time.parse().map_err(|_| EventError::Wrong {
            field: "time".to_owned(),
            problem: format!("`{time}` is not a time such as 2026-11-23T02:00:00Z"),
        })?;
        let detail = event.get("detail").ok_or_else(|| EventError::Missing {
            field: "detail".to_owned(),
        })?;
        let id = text(event, "id")?;
        Self::of(id, source, detail_type, time, detail)
    }

    /// Reads an event whose envelope is taken apart already.
    pub fn of(
        id: &str,
        source: &str,
        detail_type: &str,
        time: Timestamp,
        detail: &Value,
    ) -> Result<Self, EventError> {
        if source != SOURCE || ![STATE_CHANGE, QUEUE_BLOCKED].contains(&detail_type) {
            return Err(EventError::NotOurs(format!("{source}: {detail_type}")));
        }
        let job = JobSeen::from_detail(detail)?;
        let kind = if detail_type == STATE_CHANGE {
            BatchEventKind::StateChange(job)
        } else {
            let reason = job
                .status_reason
                .clone()
                .ok_or_else(|| EventError::Missing {
                    field: "detail.statusReason".to_owned(),
                })?;
            BatchEventKind::QueueBlocked { job, reason }
        };
        Ok(Self {
            id: id.to_owned(),
            time,
            kind,
        })
    }

    /// The job it speaks of.
    pub fn job(&self) -> &JobSeen {
        match &self.kind {
            BatchEventKind::StateChange(job) | BatchEventKind::QueueBlocked { job, .. } => job,
        }
    }
}

fn text<'e>(event: &'e Value, field: &str) -> Result<&'e str, EventError> {
    let value = event.get(field).ok_or_else(|| EventError::Missing {
        field: field.to_owned(),
    })?;
    value.as_str().ok_or_else(|| EventError::Wrong {
        field: field.to_owned(),
        problem: "it is not a text".to_owned(),
    })
}
