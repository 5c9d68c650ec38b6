//! What was asked of the services, and what may go wrong on the way.

use jiff::{SignedDuration, Timestamp};

/// Which call it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// An object read.
    Get,
    /// An object written, with or without a condition.
    Put,
    /// Objects or folders listed.
    List,
    /// `SubmitJob`.
    Submit,
    /// `DescribeJobs`.
    Describe,
    /// `ListJobs` by name.
    Find,
    /// `TerminateJob`.
    Terminate,
    /// SNS `Publish`.
    Publish,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it left.
    pub at: Timestamp,
    /// Which invocation or worker made it.
    pub by: String,
    /// Its how many-th call that was, from 1.
    pub number: usize,
    /// Which call.
    pub kind: CallKind,
    /// Key, job or notice.
    pub what: String,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never arrives, and its sender hears nothing.
    LostBefore,
    /// It arrives, and its sender hears nothing.
    LostAfter,
    /// It arrives after so long, when its sender has long heard nothing.
    Late(SignedDuration),
    /// It arrives, the answer is lost, and the client sends it again by itself.
    Repeated,
    /// It is turned away for load.
    Throttled,
    /// It is turned away for good.
    Refused,
    /// The sender dies before it leaves.
    KilledBefore,
    /// The sender dies once it has arrived.
    KilledAfter,
}

/// How a call that brings no answer looks to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Unanswered,
    Throttled,
    Refused,
}
