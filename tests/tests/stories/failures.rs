//! What fails, and what trainspot makes of it.

use trainspot_edge::memory::{ATTEMPTS_MAX, AttemptEnd, CallKind};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Arrival, Deed, Spec, Wake, Week};

use super::MONDAY;

fn monday_with(stage: Stage, deeds: impl IntoIterator<Item = Deed>) -> Week {
    let mut week = Week::new(&Spec::default());
    week.script(stage, deeds);
    week.tick(MONDAY);
    week.to_the_end();
    week.assert_all_ended_and_told();
    week
}

#[test]
fn reclaimed_until_the_attempts_are_used_up_moves_to_on_demand_with_a_notice() {
    let week = monday_with(
        Stage::Train,
        (1..=ATTEMPTS_MAX as u64).map(|n| Deed::Reclaimed { step: n * 5 }),
    );

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "succeeded");
    insta::assert_snapshot!(week.job_list().join("\n"), @r"
    train-1 Failed in trainspot-gpu-spot
    train-2 Succeeded in trainspot-gpu-on-demand
    evaluate-1 Succeeded in trainspot-post-processing
    recommend-1 Succeeded in trainspot-post-processing
    gather-1 Succeeded in trainspot-post-processing
    ");
    assert_eq!(
        week.told(),
        [format!("{run}/moved-train-2"), format!("{run}/succeeded")]
    );
    let ledger = week.ledger(&run).expect("a ledger");
    let last = &ledger.stages[&Stage::Train].submissions[1].records[0];
    assert_eq!(
        last.resumed_from,
        Some(5 * ATTEMPTS_MAX as u64),
        "nothing published is lost"
    );
}

#[test]
fn out_of_memory_is_doubled_once() {
    let oom = || Deed::Ends(AttemptEnd::out_of_memory());

    let once = monday_with(Stage::Train, [oom()]);
    let twice = monday_with(Stage::Train, [oom(), oom()]);

    let run = once.run_of("20261123T0200Z");
    assert_eq!(once.end_of(&run), "succeeded");
    let asked: Vec<u32> = twice
        .jobs()
        .iter()
        .map(|job| job.request.memory_mib)
        .collect();
    assert_eq!(asked, [15 * 1024, 30 * 1024]);
    assert_eq!(twice.end_of(&run), "failed(out_of_memory)");
}

#[test]
fn a_bug_stops_at_once_and_is_told() {
    let week = monday_with(Stage::Train, [Deed::Ends(AttemptEnd::exit(70))]);

    let run = week.run_of("20261123T0200Z");
    insta::assert_snapshot!(week.tell(&run), @r"
    02:00 asked for by submit-training/00000001
    02:00 dataset pinned: 1 objects, 5 bytes
    02:00 train-1 submitted as job job-0001
    02:10 train-1 is RUNNING after 0 ended attempts
    02:10 train-1 is FAILED after 1 ended attempts
    02:10 train ended as bug (exit code 70): Stop
    02:10 train is being closed: failed (bug): exit code 70
    02:10 failed (bug): exit code 70
    told failed
    ");
    assert_eq!(week.jobs().len(), 1);
}

#[test]
fn an_image_that_may_pass_is_tried_again_and_one_that_never_will_is_not() {
    let ends = |reason: &str| [Deed::Ends(AttemptEnd::never_started(reason))];

    let passing = monday_with(Stage::Train, ends("CannotPullContainerError: i/o timeout"));
    let missing = monday_with(
        Stage::Train,
        ends("CannotPullContainerError: image not found"),
    );

    let run = passing.run_of("20261123T0200Z");
    assert_eq!(passing.end_of(&run), "succeeded");
    assert_eq!(missing.end_of(&run), "failed(image_refused)");
}

#[test]
fn a_docker_timeout_is_retried_by_batch_itself() {
    let week = monday_with(
        Stage::Train,
        [Deed::Ends(AttemptEnd::never_started(
            "DockerTimeoutError: Could not transition to started",
        ))],
    );

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    assert_eq!(week.jobs()[0].seen.attempts.len(), 2);
}

#[test]
fn a_job_ended_by_a_person_cancels_the_run_even_if_its_agent_says_75() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.deliver_all();
    let mut worker = week.start("job-0001");
    assert_eq!(week.arrive(&mut worker), Arrival::Work);

    week.edge
        .batch(|batch| batch.terminate("job-0001", "we need the quota"));
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "cancelled");
    assert_eq!(week.told(), [format!("{run}/cancelled")]);
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_that_is_cancelled_closes_its_stage_and_ends_its_job() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.deliver_all();
    let mut worker = week.start("job-0001");
    assert_eq!(week.arrive(&mut worker), Arrival::Work);
    let run = week.run_of("20261123T0200Z");

    week.cancel(&run).expect("it can be cancelled");

    assert!(!week.publish(&mut worker), "the head is closed");
    week.to_the_end();
    assert_eq!(week.end_of(&run), "cancelled");
    let reason = week.jobs()[0]
        .seen
        .status_reason
        .clone()
        .unwrap_or_default();
    assert!(reason.starts_with("trainspot:"), "{reason}");
    week.assert_all_ended_and_told();
}

#[test]
fn only_the_shards_that_failed_run_again() {
    let mut week = Week::new(&Spec::default().shards(5));
    week.script_shard(1, [Deed::Ends(AttemptEnd::exit(137))]);
    week.script_shard(3, [Deed::Ends(AttemptEnd::exit(137))]);

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "succeeded", "{}", week.tell_all());
    let ledger = week.ledger(&run).expect("a ledger");
    let asked: Vec<_> = ledger.stages[&Stage::Recommend]
        .submissions
        .iter()
        .map(|s| s.shards.clone())
        .collect();
    assert_eq!(asked, [None, Some(vec![1, 3])]);
    let published: Vec<u32> = (0..5)
        .filter_map(|shard| week.stage_head(&run, Stage::Recommend, Some(shard))?.output)
        .map(|output| output.submission)
        .collect();
    assert_eq!(published, [1, 2, 1, 2, 1]);
    week.assert_all_ended_and_told();
}

#[test]
fn one_failed_shard_is_a_plain_job_and_so_is_a_fan_out_of_one() {
    let mut week = Week::new(&Spec::default());
    week.script_shard(2, [Deed::Ends(AttemptEnd::exit(137))]);
    let mut one = Week::new(&Spec::default().shards(1));
    one.script_shard(0, [Deed::Ends(AttemptEnd::exit(137))]);

    for week in [&mut week, &mut one] {
        week.tick(MONDAY);
        week.to_the_end();
        week.assert_all_ended_and_told();
    }

    let sizes = |week: &Week| -> Vec<_> {
        let of = |name: &str| name.contains("--recommend-");
        week.jobs()
            .iter()
            .filter(|job| of(&job.seen.name))
            .map(|job| job.request.array_size)
            .collect()
    };
    assert_eq!(sizes(&week), [Some(4), None]);
    assert_eq!(sizes(&one), [None, None]);
    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    assert_eq!(one.end_of(&one.run_of("20261123T0200Z")), "succeeded");
}

#[test]
fn shards_with_a_bug_are_not_run_again() {
    let mut week = Week::new(&Spec::default());
    week.script_shard(2, [Deed::Ends(AttemptEnd::exit(70))]);

    week.tick(MONDAY);
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "failed(bug)");
    week.assert_all_ended_and_told();
}

#[test]
fn a_queue_blocked_by_a_misconfiguration_closes_the_stage_before_it_ends_the_job() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.deliver_all();

    week.edge.batch(|batch| {
        batch.block("job-0001", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.");
    });
    let before = week.edge.calls().len();
    week.deliver_all();

    let run = week.run_of("20261123T0200Z");
    let calls = week.edge.calls();
    let place = |kind: CallKind, what: &str| {
        calls
            .iter()
            .skip(before)
            .position(|call| call.kind == kind && call.what.ends_with(what))
    };
    let closed = place(CallKind::Put, "train/head.json").expect("the head is closed");
    let ended = place(CallKind::Terminate, "job-0001").expect("the job is ended");
    assert!(closed < ended);
    week.to_the_end();
    assert_eq!(week.end_of(&run), "failed(misconfigured)");
    week.assert_all_ended_and_told();
}

#[test]
fn a_blocked_queue_that_is_told_of_late_ends_no_job_that_found_its_host() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.deliver_all();
    week.edge.batch(|batch| {
        batch.block("job-0001", "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - Batch service role has a permission issue.");
    });
    let dead_letter = week.take_events();
    let mut worker = week.start("job-0001");
    assert_eq!(week.arrive(&mut worker), Arrival::Work);
    let lost = week.take_events();
    assert!(!lost.is_empty(), "nobody heard that it runs");

    for wake in &dead_letter {
        week.deliver(wake);
    }

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "Training");
    assert!(week.publish(&mut worker));
    week.end("job-0001", &AttemptEnd::exit(0));
    week.to_the_end();
    assert_eq!(week.end_of(&run), "succeeded");
}

#[test]
fn a_queue_without_capacity_is_only_noted_once() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.deliver_all();

    for _ in 0..3 {
        week.edge.batch(|batch| batch.block("job-0001", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested"));
        week.deliver_all();
    }

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.tell(&run).matches("the queue is blocked").count(), 1);
    week.to_the_end();
    assert_eq!(week.end_of(&run), "succeeded");
}

#[test]
fn nothing_is_told_of_jobs_that_are_not_ours() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    let foreign = week
        .take_events()
        .into_iter()
        .next_back()
        .map(|wake| match wake {
            Wake::Event(mut event) => {
                event["detail"]["jobName"] = "somebody-elses-job".into();
                event["detail"]["status"] = "FAILED".into();
                Wake::Event(event)
            }
            other => other,
        });
    let before = week.edge.calls().len();

    let answer = week.wake(&foreign.expect("the job has an event"));

    assert!(matches!(answer, Some(Ok(_))));
    assert_eq!(week.edge.calls().len(), before);
}
