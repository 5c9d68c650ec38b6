use serde_json::{Value, json};
use test_case::test_case;

use super::*;
use crate::batch_event::JobSeen;

const EXITED: &str = "Essential container in task exited";
const NOT_STARTED: &str = "Task failed to start";
const HOST: &str = "Host EC2 (instance i-0123456789abcdef0) terminated.";

/// How a made-up job ended.
#[derive(Default, Clone, Copy)]
struct End<'a> {
    /// The job's; the attempt's where absent.
    of_job: Option<&'a str>,
    of_attempt: Option<&'a str>,
    reason: Option<&'a str>,
    exit_code: Option<i32>,
    is_terminated: bool,
}

fn exited(code: i32) -> End<'static> {
    End {
        of_attempt: Some(EXITED),
        exit_code: Some(code),
        ..End::default()
    }
}

fn never_started(reason: &str) -> End<'_> {
    End {
        of_attempt: Some(NOT_STARTED),
        reason: Some(reason),
        ..End::default()
    }
}

fn status(reason: &str) -> End<'_> {
    End {
        of_attempt: Some(reason),
        ..End::default()
    }
}

/// A job that never ran.
fn unstarted(reason: &str) -> End<'_> {
    End {
        of_job: Some(reason),
        ..End::default()
    }
}

impl End<'_> {
    fn job(self, in_ecs_shape: bool) -> JobSeen {
        let mut container = json!({"name": "trainer", "networkInterfaces": []});
        set(&mut container, "exitCode", self.exit_code.map(Value::from));
        set(&mut container, "reason", self.reason.map(Value::from));
        let mut attempt = if in_ecs_shape {
            json!({"taskProperties": [{"containers": [container]}]})
        } else {
            json!({ "container": container })
        };
        set(
            &mut attempt,
            "statusReason",
            self.of_attempt.map(Value::from),
        );
        let attempts = if self.of_attempt.is_some() {
            vec![attempt]
        } else {
            Vec::new()
        };
        let mut detail = json!({
            "jobId": "1", "jobName": "job", "jobQueue": "queue", "status": "FAILED",
            "attempts": attempts, "isTerminated": self.is_terminated,
        });
        set(
            &mut detail,
            "statusReason",
            self.of_job.or(self.of_attempt).map(Value::from),
        );
        JobSeen::from_detail(&detail).expect("a whole detail")
    }

    /// The same in both shapes of an event.
    fn verdict(self) -> Verdict {
        let [plain, ecs] = [false, true]
            .map(|shape| classify(&self.job(shape)).expect("FAILED always has a verdict"));
        assert_eq!(plain, ecs);
        plain
    }
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        fields.insert(field.to_owned(), value);
    }
}

#[test_case(HOST, Class::HostLost)]
#[test_case("Host EC2 (instance i-0123456789abcdef0) stopped.", Class::HostLost)]
#[test_case("Task stopped during instance draining", Class::HostLost)]
#[test_case("Your Spot Task was interrupted.", Class::Reclaimed)]
#[test_case("Job attempt duration exceeded timeout", Class::Timeout)]
#[test_case(
    "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException",
    Class::PermissionDenied
)]
#[test_case(
    "ResourceInitializationError: failed to create log stream: timed out",
    Class::ContainerRefused
)]
#[test_case(NOT_STARTED, Class::Unknown)]
#[test_case(EXITED, Class::Unknown)]
fn status_reasons_of_an_attempt(reason: &str, class: Class) {
    assert_eq!(status(reason).verdict().class, class);
}

#[test_case(
    "CannotPullContainerError: Get https://registry/v2/: net/http: TLS handshake timeout",
    Class::ImageTransient
)]
#[test_case(
    "CannotPullContainerError: received unexpected HTTP status: 503 Service Unavailable",
    Class::ImageTransient
)]
#[test_case(
    "CannotPullContainerError: toomanyrequests: Rate exceeded",
    Class::ImageTransient
)]
#[test_case(
    "CannotPullECRContainerError: RequestError: send request failed",
    Class::ImageTransient
)]
#[test_case(
    "CannotPullImageManifestError: context deadline exceeded",
    Class::ImageTransient
)]
#[test_case(
    "CannotPullContainerAuthError: no basic auth credentials",
    Class::ImageRefused
)]
#[test_case("CannotPullContainerAuthError", Class::ImageRefused; "auth without a text")]
#[test_case(
    "CannotPullContainerError: manifest for trainer:1 not found",
    Class::ImageRefused
)]
#[test_case(
    "CannotPullContainerError: unauthorized: authentication required",
    Class::ImageRefused
)]
#[test_case(
    "CannotPullContainerError: pull access denied for trainer",
    Class::ImageRefused
)]
#[test_case(
    "CannotPullContainerError: Error response from daemon: manifest unknown",
    Class::ImageRefused
)]
#[test_case(
    "CannotPullContainerError: write /var/lib/docker/tmp/x: no space left on device",
    Class::ImageRefused
)]
#[test_case("CannotPullECRContainerError: AccessDenied", Class::ImageRefused)]
#[test_case(
    "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
    Class::HostFault
)]
#[test_case(
    "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s",
    Class::HostFault
)]
#[test_case(
    "CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s",
    Class::HostFault
)]
#[test_case("ContainerVanishedError: container disappeared", Class::HostFault)]
#[test_case(
    "TaskStoppedBeforePullBeginError: task stopped before image pull could begin",
    Class::HostFault
)]
#[test_case("AGENT", Class::HostFault)]
#[test_case(
    "CannotStartContainerError: nvidia-container-cli: initialization error",
    Class::ContainerRefused
)]
#[test_case(
    "CannotStartContainerError: exec: \"pythn\": executable file not found in $PATH",
    Class::BadCommand
)]
#[test_case(
    "CannotCreateContainerError: invalid mount config",
    Class::ContainerRefused
)]
#[test_case(
    "ResourceInitializationError: not authorized to perform secretsmanager:GetSecretValue",
    Class::PermissionDenied
)]
#[test_case(
    "ResourceInitializationError: unable to attach the interface",
    Class::ContainerRefused
)]
#[test_case("SomethingNewError: nobody knows", Class::Unknown)]
fn reasons_of_a_container_that_never_started(reason: &str, class: Class) {
    assert_eq!(never_started(reason).verdict().class, class);
}

#[test_case(1, Class::Program)]
#[test_case(2, Class::Program)]
#[test_case(64, Class::BadConfiguration)]
#[test_case(65, Class::BadData)]
#[test_case(69, Class::StoreUnreachable)]
#[test_case(70, Class::Bug)]
#[test_case(74, Class::Stalled)]
#[test_case(75, Class::Preempted)]
#[test_case(76, Class::Preempted)]
#[test_case(77, Class::PermissionDenied)]
#[test_case(78, Class::QualityFloor)]
#[test_case(79, Class::NotOwner)]
#[test_case(80, Class::HandedOver)]
#[test_case(126, Class::BadCommand)]
#[test_case(127, Class::BadCommand)]
#[test_case(134, Class::Killed)]
#[test_case(137, Class::Killed)]
#[test_case(139, Class::Killed)]
#[test_case(143, Class::Killed)]
#[test_case(255, Class::Program)]
#[test_case(0, Class::Unknown)]
fn exit_codes(code: i32, class: Class) {
    assert_eq!(
        exited(code).verdict(),
        Verdict::new(class, format!("exit code {code}"))
    );
}

#[test_case("Dependent Job failed", Class::Derived)]
#[test_case("JobQueue deleted", Class::Derived)]
#[test_case("Array Child Job failed", Class::ShardsFailed)]
#[test_case(
    "Container Overrides length must be at most 8192",
    Class::Misconfigured
)]
#[test_case(
    "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    Class::NoCapacity
)]
#[test_case(
    "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    Class::Misconfigured
)]
#[test_case(
    "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    Class::Misconfigured
)]
#[test_case(
    "Canceled by JobStateTimeLimit action due to reason: SOMETHING:NEW",
    Class::Unknown
)]
#[test_case("trainspot: withdrawn, the owner is at work", Class::EndedByUs)]
#[test_case("Terminated by user", Class::Unknown; "a text that is nobody's we know")]
fn reasons_of_a_job_that_never_ran(reason: &str, class: Class) {
    assert_eq!(unstarted(reason).verdict(), Verdict::new(class, reason));
}

#[test]
fn memory_is_told_from_a_plain_kill() {
    let killed = End {
        reason: Some("OutOfMemoryError: Container killed due to memory usage"),
        ..exited(137)
    };

    assert_eq!(killed.verdict().class, Class::OutOfMemory);
}

#[test]
fn a_time_out_is_one_with_and_without_an_exit_code() {
    let of_job = Some("Job attempt duration exceeded timeout");

    assert_eq!(
        End {
            of_job,
            ..exited(137)
        }
        .verdict()
        .class,
        Class::Timeout
    );
    assert_eq!(
        End {
            of_job,
            ..exited(143)
        }
        .verdict()
        .class,
        Class::Timeout
    );
    assert_eq!(
        End {
            of_job,
            ..status(EXITED)
        }
        .verdict()
        .class,
        Class::Timeout
    );
}

#[test]
fn a_person_wins_over_whatever_the_agent_said() {
    for end in [exited(75), exited(143), exited(65), status(HOST)] {
        let ended = End {
            of_job: Some("Terminated by user"),
            is_terminated: true,
            ..end
        };

        assert_eq!(
            ended.verdict(),
            Verdict::new(Class::EndedByPerson, "Terminated by user")
        );
    }
}

#[test]
fn our_own_reason_wins_over_the_flag_that_it_sets() {
    let of_job = Some("trainspot: superfluous");

    let ended = End {
        of_job,
        is_terminated: true,
        ..exited(75)
    };

    assert_eq!(ended.verdict().class, Class::EndedByUs);
}

#[test]
fn a_queue_time_limit_is_no_person_though_batch_cancels_for_it() {
    let reason = "Canceled by JobStateTimeLimit action due to reason: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY";

    let ended = End {
        is_terminated: true,
        ..unstarted(reason)
    };

    assert_eq!(ended.verdict().class, Class::NoCapacity);
}

#[test]
fn only_a_foreign_reason_has_to_be_asked_about() {
    let foreign = End {
        of_job: Some("Cancelled from the console"),
        ..exited(75)
    };

    assert!(asks_who_ended_it(&foreign.job(false)));
    assert!(!asks_who_ended_it(
        &End {
            is_terminated: true,
            ..foreign
        }
        .job(false)
    ));
    for known in [
        exited(1),
        status(HOST),
        never_started("AGENT"),
        unstarted("trainspot: no"),
        unstarted("JobQueue deleted"),
    ] {
        assert!(!asks_who_ended_it(&known.job(false)));
    }
}

#[test]
fn the_last_attempt_decides() {
    let mut job = status(HOST).job(false);
    let later = exited(65).job(false);
    job.attempts.extend(later.attempts);
    job.status_reason = later.status_reason;

    assert_eq!(
        classify(&job).map(|verdict| verdict.class),
        Some(Class::BadData)
    );
}

#[test]
fn a_job_that_has_not_failed_has_no_verdict() {
    let mut job = exited(0).job(false);
    job.status = crate::batch_event::JobStatus::Succeeded;

    assert_eq!(classify(&job), None);
    assert_eq!(Verdict::no_output().class, Class::NoOutput);
}

#[test]
fn a_notice_on_record_makes_a_lost_host_a_reclaim() {
    assert_eq!(status(HOST).verdict().with_notice().class, Class::Reclaimed);
    assert_eq!(exited(143).verdict().with_notice().class, Class::Reclaimed);
    assert_eq!(exited(65).verdict().with_notice().class, Class::BadData);
}

#[test]
fn a_kill_on_record_is_out_of_memory() {
    assert_eq!(
        exited(137).verdict().with_out_of_memory().class,
        Class::OutOfMemory
    );
    assert_eq!(
        exited(70).verdict().with_out_of_memory().class,
        Class::OutOfMemory
    );
    assert_eq!(
        exited(65).verdict().with_out_of_memory().class,
        Class::BadData
    );
}

#[test_case("AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/drive/f is not authorized to perform: batch:SubmitJob" => Class::PermissionDenied)]
#[test_case("ClientException: User is not authorized to perform: iam:PassRole" => Class::PermissionDenied)]
#[test_case("ClientException: JobDefinition trainspot is not ACTIVE" => Class::Misconfigured)]
#[test_case("ValidationException: unknown" => Class::Misconfigured)]
fn a_refused_submission_is_nothing_that_a_program_did(words: &str) -> Class {
    let verdict = refused(words);

    assert_eq!(verdict.evidence, words);
    verdict.class
}
