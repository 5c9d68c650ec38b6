//! What can be watched from outside: happenings as they occur, and every call at the wire.
//! Only reports; nothing in the local cloud decides by what is recorded here.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::asked::Asked;
use crate::locked::locked;

/// How many calls are kept: some hundred per run, so a long demo fits.
const CALLS_KEPT: usize = 50_000;
/// How many happenings a slow watcher may lag behind before it loses the oldest.
const HAPPENINGS_KEPT: usize = 16_384;

/// Something a person watching would like to see.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Happening {
    /// A job entered a state.
    JobChanged {
        /// The job.
        job_id: String,
        /// Its name.
        job_name: String,
        /// The name of its queue.
        queue: String,
        /// The state, in AWS's upper-case word.
        status: String,
        /// How many attempts have ended.
        attempts: usize,
        /// Why, where the state has a reason.
        status_reason: Option<String>,
    },
    /// A function began to work.
    InvocationStarted {
        /// The function's logical id.
        function: String,
        /// The request.
        request_id: String,
    },
    /// A function ended, well or not.
    InvocationEnded {
        /// The function's logical id.
        function: String,
        /// The request.
        request_id: String,
        /// The error it reported, or why it died.
        error: Option<String>,
        /// How long it worked.
        duration: Duration,
    },
    /// Something was given up after all its tries.
    DeadLettered {
        /// The function's logical id.
        function: String,
        /// The last error.
        error: String,
    },
    /// A notice was published.
    NoticePublished {
        /// Its number under `notices/`.
        sequence: u64,
        /// Its subject.
        subject: Option<String>,
    },
    /// A host is being taken back.
    Reclaimed {
        /// The job on it.
        job_id: String,
        /// The host.
        instance_id: String,
        /// When it ends, if it was told.
        notice_until: Option<Timestamp>,
    },
    /// Something went wrong on purpose.
    Struck {
        /// In two words, for counting.
        kind: &'static str,
        /// What was struck, and how.
        what: String,
    },
    /// A call, or a part of one, that the local cloud does not have. It was answered 501.
    NotImplemented {
        /// The service.
        service: String,
        /// What was asked for.
        what: String,
    },
    /// The local cloud itself could not do its work, such as write to its folder.
    Broken {
        /// What failed, and why.
        what: String,
    },
}

/// One call at the wire, or one that a service made for the stack: an event handed to a function, a dead letter kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// When it was answered.
    pub at: Timestamp,
    /// `s3`, `batch`, `sns`, `sqs` or `lambda`.
    pub service: String,
    /// The API's name of the operation.
    pub operation: String,
    /// What it was about: bucket and key, job name or id, topic, function.
    pub resource: String,
    /// The HTTP status it was answered with.
    pub status: u16,
    /// Who called: `function/<logical id>`, `job/<job id>`, or `person`; `rule/<logical id>` or
    /// `schedule/<logical id>` for what a service did by that rule.
    pub caller: String,
    /// What IAM is asked before; none for a person's call to a function or queue, and for a call that was refused
    /// as one too many.
    pub asked: Option<Asked>,
}

/// Where happenings and calls are reported to.
#[derive(Debug)]
pub(crate) struct Watch {
    sender: broadcast::Sender<Happening>,
    calls: Mutex<VecDeque<RecordedCall>>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::channel(HAPPENINGS_KEPT).0,
            calls: Mutex::default(),
        }
    }

    pub(crate) fn report(&self, happening: Happening) {
        match &happening {
            Happening::NotImplemented { service, what } => {
                tracing::warn!(
                    service,
                    what,
                    "answered 501: the local cloud does not have this"
                );
            }
            Happening::Broken { what } => tracing::error!(what, "the local cloud failed"),
            Happening::Struck { kind, what } => tracing::info!(kind, what, "struck on purpose"),
            other => tracing::debug!(happening = ?other, "happening"),
        }
        // Fails only when nobody watches.
        let _ = self.sender.send(happening);
    }

    pub(crate) fn broken(&self, doing: &str, error: &dyn std::fmt::Display) {
        self.report(Happening::Broken {
            what: format!("{doing}: {error}"),
        });
    }

    pub(crate) fn record(&self, call: RecordedCall) {
        let mut calls = locked(&self.calls);
        if calls.len() == CALLS_KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Happening> {
        self.sender.subscribe()
    }

    pub(crate) fn calls(&self) -> Vec<RecordedCall> {
        locked(&self.calls).iter().cloned().collect()
    }
}
