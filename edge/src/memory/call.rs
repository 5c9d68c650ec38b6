//! What was asked of the services, and what may go wrong on the way.

use std::time::Duration;

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
    /// What a write says of the version it may go over.
    pub precondition: Precondition,
}

/// What a write says of the version it may go over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing; also what every call says that is no write.
    #[default]
    None,
    /// That there is none.
    Absent,
    /// That it is a certain one.
    Matches,
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
    /// A conditional write is turned away as if somebody else were writing, though nobody is: S3's 409.
    Conflict,
    /// Somebody else writes the same document a moment before a conditional write arrives.
    Overtaken,
    /// A conditional write arrives, its answer is lost, somebody else writes on top of it, and the
    /// client sends it again by itself.
    Overwritten,
    /// The sender dies before it leaves.
    KilledBefore,
    /// The sender dies once it has arrived.
    KilledAfter,
}

impl Fault {
    /// Whether it can strike a call: some strike conditional writes only.
    pub const fn can_strike(self, call: &Call) -> bool {
        match self {
            Self::Overtaken => matches!(call.precondition, Precondition::Matches),
            Self::Conflict | Self::Overwritten => !matches!(call.precondition, Precondition::None),
            _ => true,
        }
    }
}

/// How long a call is on its way there, and how long its answer is on its way back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Travel {
    /// Before it arrives.
    pub there: Duration,
    /// After it arrived. A call without an answer is given up after that.
    pub back: Duration,
}

/// How a call that brings no answer looks to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Unanswered,
    Conflict,
    Throttled,
    Refused,
}
