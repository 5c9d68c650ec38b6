//! Every file in `events/` is parsed, and is what its row says; so is every capture that lies
//! beside the checkout, where there are some.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trainspot_shared::batch_event::JobStatus::{
    Failed, Pending, Runnable, Running, Starting, Succeeded,
};
use trainspot_shared::batch_event::{BatchEvent, BatchEventKind, EventError, JobStatus};
use trainspot_shared::failure::Class::{
    BadCommand, BadConfiguration, BadData, Bug, ContainerRefused, Derived, EndedByPerson,
    EndedByUs, HandedOver, HostFault, HostLost, ImageRefused, ImageTransient, Killed,
    Misconfigured, NoCapacity, NotOwner, OutOfMemory, PermissionDenied, Preempted, Program,
    QualityFloor, Reclaimed, ShardsFailed, Stalled, StoreUnreachable, Timeout, Unknown,
};
use trainspot_shared::failure::{Blocked, Class, classify, queue_blocked};
use trainspot_shared::request::{Request, RequestKind};

#[derive(Debug, PartialEq)]
enum Expected {
    Job {
        name: &'static str,
        status: JobStatus,
        attempts: usize,
        exit_code: Option<i32>,
        class: Option<Class>,
    },
    Blocked(Blocked),
    /// The field that is named.
    Refused(&'static str),
    /// Source and type.
    NotOurs(&'static str),
    Tick(&'static str),
    Manual {
        run_id: Option<&'static str>,
        force: bool,
    },
}

const fn job(
    name: &'static str,
    status: JobStatus,
    attempts: usize,
    exit_code: Option<i32>,
    class: Option<Class>,
) -> Expected {
    Expected::Job {
        name,
        status,
        attempts,
        exit_code,
        class,
    }
}

const TRAIN: &str = "recommender-20261123T0200Z--train-1";
const RECOMMEND: &str = "recommender-20261123T0200Z--recommend-1";

#[rustfmt::skip]
const EVENTS: &[(&str, Expected)] = &[
    ("batch-runnable.json", job(TRAIN, Runnable, 0, None, None)),
    ("batch-runnable-again-after-host-lost.json", job(TRAIN, Runnable, 1, None, None)),
    ("batch-runnable-ecs-properties.json", job(TRAIN, Runnable, 0, None, None)),
    ("batch-starting.json", job(TRAIN, Starting, 0, None, None)),
    ("batch-running-with-no-attempts-yet.json", job(TRAIN, Running, 0, None, None)),
    ("batch-running-second-attempt.json", job(TRAIN, Running, 1, None, None)),
    ("batch-pending-array-parent.json", job(RECOMMEND, Pending, 0, None, None)),
    ("batch-succeeded.json", job(TRAIN, Succeeded, 1, Some(0), None)),
    ("batch-succeeded-on-second-attempt.json", job(TRAIN, Succeeded, 2, Some(0), None)),
    ("batch-succeeded-ecs-properties.json", job(TRAIN, Succeeded, 1, Some(0), None)),
    ("batch-succeeded-array-parent.json", job(RECOMMEND, Succeeded, 0, None, None)),
    ("batch-succeeded-array-child.json", job(RECOMMEND, Succeeded, 1, Some(0), None)),
    ("batch-succeeded-foreign-job.json", job("cpu-stress-test-1760707009", Succeeded, 1, Some(0), None)),
    ("batch-failed-host-lost-without-exit-code.json", job(TRAIN, Failed, 4, None, Some(HostLost))),
    ("batch-failed-host-stopped.json", job(TRAIN, Failed, 1, None, Some(HostLost))),
    ("batch-failed-host-lost-ecs-properties.json", job(TRAIN, Failed, 1, None, Some(HostLost))),
    ("batch-failed-host-drained.json", job(TRAIN, Failed, 1, None, Some(HostLost))),
    ("batch-failed-fargate-spot-interrupted.json", job(TRAIN, Failed, 1, None, Some(Reclaimed))),
    ("batch-failed-exit-1.json", job(TRAIN, Failed, 1, Some(1), Some(Program))),
    ("batch-failed-bad-configuration.json", job(TRAIN, Failed, 1, Some(64), Some(BadConfiguration))),
    ("batch-failed-bad-data.json", job(TRAIN, Failed, 1, Some(65), Some(BadData))),
    ("batch-failed-store-unreachable.json", job(TRAIN, Failed, 1, Some(69), Some(StoreUnreachable))),
    ("batch-failed-bug.json", job(TRAIN, Failed, 1, Some(70), Some(Bug))),
    ("batch-failed-stalled.json", job(TRAIN, Failed, 1, Some(74), Some(Stalled))),
    ("batch-failed-permission-denied.json", job(TRAIN, Failed, 1, Some(77), Some(PermissionDenied))),
    ("batch-failed-below-quality-floor.json", job(TRAIN, Failed, 1, Some(78), Some(QualityFloor))),
    ("batch-failed-not-the-owner.json", job(TRAIN, Failed, 1, Some(79), Some(NotOwner))),
    ("batch-failed-handed-over.json", job(TRAIN, Failed, 1, Some(80), Some(HandedOver))),
    ("batch-failed-no-such-program.json", job(TRAIN, Failed, 1, Some(127), Some(BadCommand))),
    ("batch-failed-sigabrt.json", job(TRAIN, Failed, 1, Some(134), Some(Killed))),
    ("batch-failed-sigsegv.json", job(TRAIN, Failed, 1, Some(139), Some(Killed))),
    ("batch-failed-sigterm.json", job(TRAIN, Failed, 1, Some(143), Some(Killed))),
    ("batch-failed-exit-1-ecs-properties.json", job(TRAIN, Failed, 1, Some(1), Some(Program))),
    ("batch-failed-second-of-two-containers.json", job(TRAIN, Failed, 1, Some(65), Some(BadData))),
    ("batch-failed-preempted-until-attempts-used-up.json", job(TRAIN, Failed, 4, Some(75), Some(Preempted))),
    ("batch-failed-bad-data-after-reclaim.json", job(TRAIN, Failed, 2, Some(65), Some(BadData))),
    ("batch-failed-out-of-memory.json", job(TRAIN, Failed, 1, Some(137), Some(OutOfMemory))),
    ("batch-failed-out-of-memory-ecs-properties.json", job(TRAIN, Failed, 1, Some(137), Some(OutOfMemory))),
    ("batch-failed-killed-without-out-of-memory.json", job(TRAIN, Failed, 1, Some(137), Some(Killed))),
    ("batch-failed-timeout-without-exit-code.json", job(TRAIN, Failed, 1, None, Some(Timeout))),
    ("batch-failed-timeout-with-137.json", job(TRAIN, Failed, 1, Some(137), Some(Timeout))),
    ("batch-failed-image-pull-timed-out.json", job(TRAIN, Failed, 1, None, Some(ImageTransient))),
    ("batch-failed-image-not-found.json", job(TRAIN, Failed, 1, None, Some(ImageRefused))),
    ("batch-failed-image-denied-ecs-properties.json", job(TRAIN, Failed, 1, None, Some(ImageRefused))),
    ("batch-failed-docker-timeout.json", job(TRAIN, Failed, 1, None, Some(HostFault))),
    ("batch-failed-cannot-inspect-with-exited-status.json", job(TRAIN, Failed, 1, None, Some(HostFault))),
    ("batch-failed-agent-disconnected.json", job(TRAIN, Failed, 1, None, Some(HostFault))),
    ("batch-failed-cannot-start-container.json", job(TRAIN, Failed, 1, None, Some(ContainerRefused))),
    ("batch-failed-secret-refused.json", job(TRAIN, Failed, 1, None, Some(PermissionDenied))),
    ("batch-failed-no-capacity-queue-time-limit.json", job(TRAIN, Failed, 0, None, Some(NoCapacity))),
    ("batch-failed-misconfigured-queue-time-limit.json", job(TRAIN, Failed, 0, None, Some(Misconfigured))),
    ("batch-failed-overrides-too-long.json", job(TRAIN, Failed, 0, None, Some(Misconfigured))),
    ("batch-failed-dependency.json", job(TRAIN, Failed, 0, None, Some(Derived))),
    ("batch-failed-queue-deleted.json", job(TRAIN, Failed, 0, None, Some(Derived))),
    ("batch-failed-array-parent.json", job(RECOMMEND, Failed, 0, None, Some(ShardsFailed))),
    ("batch-failed-array-child.json", job(RECOMMEND, Failed, 1, Some(65), Some(BadData))),
    ("batch-failed-ended-by-us.json", job(TRAIN, Failed, 1, Some(75), Some(EndedByUs))),
    ("batch-failed-terminated-with-a-foreign-reason.json", job(TRAIN, Failed, 1, Some(75), Some(Unknown))),
    ("batch-failed-terminated-by-person.json", job(TRAIN, Failed, 1, Some(75), Some(EndedByPerson))),
    ("batch-failed-without-reason-or-exit-code.json", job(TRAIN, Failed, 1, None, Some(Unknown))),
    ("batch-queue-blocked-no-capacity.json", Expected::Blocked(Blocked::NoCapacity)),
    ("batch-queue-blocked-misconfigured.json", Expected::Blocked(Blocked::Misconfigured)),
    ("batch-queue-blocked-role-with-en-dash.json", Expected::Blocked(Blocked::Misconfigured)),
    ("batch-queue-blocked-action-required.json", Expected::Blocked(Blocked::ActionRequired)),
    ("batch-queue-blocked-undetermined.json", Expected::Blocked(Blocked::Undetermined)),
    ("batch-failed-without-job-id.json", Expected::Refused("detail.jobId")),
    ("batch-failed-without-status.json", Expected::Refused("detail.status")),
    ("batch-failed-without-queue.json", Expected::Refused("detail.jobQueue")),
    ("batch-unknown-status.json", Expected::Refused("detail.status")),
    ("schedule-rule.json", Expected::NotOurs("aws.events: Scheduled Event")),
    ("scheduler-default-payload-with-string-detail.json", Expected::NotOurs("aws.scheduler: Scheduled Event")),
    ("ec2-spot-interruption-warning.json", Expected::NotOurs("aws.ec2: EC2 Spot Instance Interruption Warning")),
    ("ec2-rebalance-recommendation.json", Expected::NotOurs("aws.ec2: EC2 Instance Rebalance Recommendation")),
    ("request-tick-of-rule.json", Expected::Tick("2026-11-23T02:00:06Z")),
    ("request-tick-of-scheduler.json", Expected::Tick("2026-11-23T02:00:00Z")),
    ("request-manual.json", Expected::Manual { run_id: Some("recommender-20261123T0517Z-m0a1b2c3d4e5f60718293a4b5c6d7e8f9"), force: true }),
    ("request-manual-bare.json", Expected::Manual { run_id: None, force: false }),
];

#[rustfmt::skip]
const CAPTURES: &[(&str, Expected)] = &[
    ("job-queue-blocked.json", Expected::Blocked(Blocked::Undetermined)),
    ("job-state-change.FAILED.exit-1.json", job("test-failure", Failed, 1, Some(1), Some(Program))),
    ("job-state-change.RUNNABLE.container-properties.json", job("event-test", Runnable, 0, None, None)),
    ("job-state-change.RUNNABLE.ecs-properties.json", job("cpu-stress-test-1760707009", Runnable, 0, None, None)),
    ("schedule-rule.json", Expected::NotOurs("aws.events: Scheduled Event")),
    ("scheduler-default-payload.json", Expected::NotOurs("aws.scheduler: Scheduled Event")),
];

#[test]
fn every_event_is_what_its_row_says() {
    let folder = beside("../events");

    check(&folder, EVENTS);
}

#[test]
fn every_event_is_in_the_readme() {
    let readme = fs::read_to_string(beside("../events/README.md")).expect("events/ has a README");

    for (name, _) in EVENTS {
        assert!(
            readme.contains(&format!("| `{name}` |")),
            "README.md has no line for {name}"
        );
    }
}

#[test]
fn every_capture_is_what_its_row_says() {
    let folder = beside("../../shared/data/batch-events");
    if !folder.is_dir() {
        eprintln!("skipped: no captures beside the checkout (shared/data/batch-events)");
        return;
    }

    check(&folder, CAPTURES);
}

#[test]
fn no_event_names_a_real_account() {
    for (name, _) in EVENTS {
        let text = fs::read_to_string(beside("../events").join(name)).expect("a file of the table");
        for number in text.split([':', '"', '.', '/']) {
            let is_account = number.len() == 12 && number.bytes().all(|b| b.is_ascii_digit());
            assert!(!is_account || number == "123456789012", "{name}: {number}");
        }
    }
}

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn check(folder: &Path, table: &[(&str, Expected)]) {
    let there: BTreeSet<String> = fs::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "json")
        })
        .collect();
    let rows: BTreeSet<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, rows, "files on the left, rows on the right");

    for (name, expected) in table {
        let text = fs::read_to_string(folder.join(name)).expect("a file that was just listed");
        let value: Value = serde_json::from_str(&text).expect(name);
        check_one(name, &value, expected);
    }
}

fn check_one(name: &str, value: &Value, expected: &Expected) {
    match expected {
        Expected::Job {
            name: job_name,
            status,
            attempts,
            exit_code,
            class,
        } => {
            let event = BatchEvent::parse(value).expect(name);
            let BatchEventKind::StateChange(job) = &event.kind else {
                panic!("{name}: not a state change")
            };
            assert_eq!(&job.name, job_name, "{name}");
            assert_eq!(&job.status, status, "{name}");
            assert_eq!(job.attempts.len(), *attempts, "{name}");
            let last = job.attempts.last().and_then(|attempt| attempt.exit_code);
            assert_eq!(last, *exit_code, "{name}");
            assert_eq!(classify(job).map(|verdict| verdict.class), *class, "{name}");
            assert!(!event.id.is_empty(), "{name}");
        }
        Expected::Blocked(expected) => {
            let event = BatchEvent::parse(value).expect(name);
            let BatchEventKind::QueueBlocked { reason, .. } = &event.kind else {
                panic!("{name}: not a blocked queue")
            };
            assert_eq!(queue_blocked(reason), *expected, "{name}");
        }
        Expected::Refused(field) => {
            let error = BatchEvent::parse(value).expect_err(name);
            assert!(!matches!(error, EventError::NotOurs(_)), "{name}: {error}");
            assert!(
                error.to_string().contains(&format!("`{field}`")),
                "{name}: {error}"
            );
        }
        Expected::NotOurs(what) => {
            let error = BatchEvent::parse(value).expect_err(name);
            assert_eq!(error, EventError::NotOurs((*what).to_owned()), "{name}");
            let refused = Request::parse(value).expect_err(name);
            assert!(
                refused.to_string().contains("whole event"),
                "{name}: {refused}"
            );
        }
        Expected::Tick(at) => {
            let request = Request::parse(value).expect(name);
            let at = at.parse().expect("a time");
            assert_eq!(request.kind, RequestKind::Tick { at }, "{name}");
        }
        Expected::Manual { run_id, force } => {
            let request = Request::parse(value).expect(name);
            let run_id = run_id.map(|id| id.parse().expect("a run id"));
            assert_eq!(
                request.kind,
                RequestKind::Manual {
                    run_id,
                    force: *force
                },
                "{name}"
            );
        }
    }
}
