//! The classifier: `statusReason` before `reason` before exit code, and the last attempt decides.

use super::{Class, Verdict};
use crate::batch_event::{AttemptSeen, JobSeen, JobStatus};

/// What every reason begins with that trainspot gives to `TerminateJob` and `CancelJob`.
pub const OUR_REASON_PREFIX: &str = "trainspot:";

const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
const QUEUE_TIME_LIMIT: &str = "Canceled by JobStateTimeLimit action due to reason:";
const HOST_LOST: [&str; 2] = ["Host EC2", "Task stopped during instance draining"];
const FARGATE_SPOT: &str = "Your Spot Task was interrupted";
const ENDED_BY_EXIT: &str = "Essential container in task exited";
const NEVER_STARTED: &str = "Task failed to start";
const RESOURCES_REFUSED: &str = "ResourceInitializationError";

/// Reasons that speak of the whole job, by their beginning.
const OF_THE_JOB: [(&str, Class); 4] = [
    ("Array Child Job failed", Class::ShardsFailed),
    ("Dependent Job failed", Class::Derived),
    ("JobQueue deleted", Class::Derived),
    ("Container Overrides length", Class::Misconfigured),
];

/// Words in an error text that another try does not change, in lower case.
const PULL_NEVER: [&str; 9] = [
    "not found",
    "unauthorized",
    "denied",
    "forbidden",
    "manifest unknown",
    "no basic auth credentials",
    "no space left",
    "does not exist",
    "invalid reference format",
];
const PERMISSION: [&str; 5] = [
    "accessdenied",
    "access denied",
    "not authorized",
    "permission denied",
    "unauthorized",
];

/// Why the job failed; `None` while it has not.
///
/// Events never say whether a person ended a job, `DescribeJobs` does: see
/// [`asks_who_ended_it`].
pub fn classify(job: &JobSeen) -> Option<Verdict> {
    if job.status != JobStatus::Failed {
        return None;
    }
    let last = job.attempts.last();
    let of_job = job.status_reason.as_deref();
    let of_attempt = last.and_then(|attempt| attempt.status_reason.as_deref());
    let verdict = of_job
        .and_then(by_job_reason)
        .or_else(|| ended_by_person(job))
        .or_else(|| of_job.filter(|reason| is_foreign(reason)).map(unknown))
        .or_else(|| of_job.and_then(by_status_reason))
        .or_else(|| of_attempt.and_then(by_job_reason))
        .or_else(|| of_attempt.and_then(by_status_reason))
        .or_else(|| {
            last.and_then(|attempt| attempt.reason.as_deref())
                .and_then(by_reason)
        })
        .or_else(|| last.and_then(|attempt| attempt.exit_code).map(by_exit_code))
        .unwrap_or_else(|| unknown(&all_there_is(of_job, last)));
    Some(verdict)
}

/// Whether only `DescribeJobs` can tell who ended this job: its reason is neither ours nor one of
/// Batch's, so it is a person's text or one that Batch has learnt since.
pub fn asks_who_ended_it(job: &JobSeen) -> bool {
    job.status == JobStatus::Failed
        && !job.is_terminated
        && !job.is_cancelled
        && job.status_reason.as_deref().is_some_and(is_foreign)
}

/// Why Batch refused a submission, by its own words: a role without the right, or something that it cannot run.
pub fn refused(words: &str) -> Verdict {
    let class = if says(words, &PERMISSION) {
        Class::PermissionDenied
    } else {
        Class::Misconfigured
    };
    Verdict::new(class, words)
}

/// What Batch or trainspot says of the job as a whole.
fn by_job_reason(reason: &str) -> Option<Verdict> {
    if reason.starts_with(OUR_REASON_PREFIX) {
        return Some(Verdict::new(Class::EndedByUs, reason));
    }
    if reason.starts_with(TIMED_OUT) {
        return Some(Verdict::new(Class::Timeout, reason));
    }
    if let Some(limit) = reason.strip_prefix(QUEUE_TIME_LIMIT) {
        let class = match limit.trim_start().split(':').next() {
            Some("CAPACITY") => Class::NoCapacity,
            Some("MISCONFIGURATION") => Class::Misconfigured,
            _ => Class::Unknown,
        };
        return Some(Verdict::new(class, reason));
    }
    OF_THE_JOB
        .iter()
        .find(|(beginning, _)| reason.starts_with(beginning))
        .map(|(_, class)| Verdict::new(*class, reason))
}

fn ended_by_person(job: &JobSeen) -> Option<Verdict> {
    (job.is_terminated || job.is_cancelled).then(|| {
        let reason = job.status_reason.as_deref().unwrap_or("no reason given");
        Verdict::new(Class::EndedByPerson, reason)
    })
}

/// What happened to the host under the job.
fn by_status_reason(reason: &str) -> Option<Verdict> {
    if HOST_LOST
        .iter()
        .any(|beginning| reason.starts_with(beginning))
    {
        Some(Verdict::new(Class::HostLost, reason))
    } else if reason.starts_with(FARGATE_SPOT) {
        Some(Verdict::new(Class::Reclaimed, reason))
    } else if reason.starts_with(RESOURCES_REFUSED) {
        Some(resources_refused(reason))
    } else {
        None
    }
}

/// `container.reason`, by the error's name at its beginning.
fn by_reason(reason: &str) -> Option<Verdict> {
    let name = reason.split([':', ' ']).next().unwrap_or_default();
    let class = match name {
        "CannotPullContainerAuthError" => Class::ImageRefused,
        _ if name.starts_with("CannotPull") => {
            if says(reason, &PULL_NEVER) {
                Class::ImageRefused
            } else {
                Class::ImageTransient
            }
        }
        "DockerTimeoutError"
        | "CannotInspectContainerError"
        | "ContainerVanishedError"
        | "TaskStoppedBeforePullBeginError"
        | "AGENT" => Class::HostFault,
        "OutOfMemoryError" => Class::OutOfMemory,
        "CannotStartContainerError" | "CannotCreateContainerError" => {
            let no_such_program = says(reason, &["executable file not found"]);
            if no_such_program {
                Class::BadCommand
            } else {
                Class::ContainerRefused
            }
        }
        RESOURCES_REFUSED => return Some(resources_refused(reason)),
        _ => return None,
    };
    Some(Verdict::new(class, reason))
}

fn resources_refused(reason: &str) -> Verdict {
    let class = if says(reason, &PERMISSION) {
        Class::PermissionDenied
    } else {
        Class::ContainerRefused
    };
    Verdict::new(class, reason)
}

fn by_exit_code(code: i32) -> Verdict {
    let class = match code {
        // FAILED with a clean exit: Batch knows something that it does not say.
        0 => Class::Unknown,
        64 => Class::BadConfiguration,
        65 => Class::BadData,
        69 => Class::StoreUnreachable,
        70 => Class::Bug,
        74 => Class::Stalled,
        75 | 76 => Class::Preempted,
        77 => Class::PermissionDenied,
        78 => Class::QualityFloor,
        79 => Class::NotOwner,
        80 => Class::HandedOver,
        126 | 127 => Class::BadCommand,
        // 128 + n: ended by signal n, of which Linux has 64.
        129..=192 => Class::Killed,
        _ => Class::Program,
    };
    Verdict::new(class, format!("exit code {code}"))
}

/// Neither ours nor one that Batch is known to give.
fn is_foreign(reason: &str) -> bool {
    !reason.starts_with(ENDED_BY_EXIT)
        && !reason.starts_with(NEVER_STARTED)
        && by_job_reason(reason).is_none()
        && by_status_reason(reason).is_none()
}

fn says(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

fn unknown(evidence: &str) -> Verdict {
    Verdict::new(Class::Unknown, evidence)
}

fn all_there_is(of_job: Option<&str>, last: Option<&AttemptSeen>) -> String {
    let said = [
        of_job,
        last.and_then(|attempt| attempt.status_reason.as_deref()),
        last.and_then(|attempt| attempt.reason.as_deref()),
    ];
    let mut said: Vec<&str> = said.into_iter().flatten().collect();
    said.dedup();
    if said.is_empty() {
        "neither a reason nor an exit code".to_owned()
    } else {
        said.join("; ")
    }
}
