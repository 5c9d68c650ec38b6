//! Who may work, who may publish, and what those find who may not.

use jiff::Timestamp;
use trainspot_agent::Assignment;
use trainspot_shared::attempt::AttemptOutcome;
use trainspot_shared::stage_head::{Closed, Owner, Published, StageHead};

use crate::bench::{BUCKET, Bench, count, until};

fn owner(submission: u32, job_id: &str, attempt: u32) -> Owner {
    Owner {
        submission,
        job_id: Some(job_id.to_owned()),
        attempt: Some(attempt),
    }
}

fn some_output() -> Published {
    Published {
        prefix: "results/other/".to_owned(),
        manifest_sha256: "00".to_owned(),
        step: 1,
        submission: 1,
        attempt: 1,
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn whoever_is_not_the_owner_does_no_work() {
    type Change = fn(&mut StageHead);
    let cases: [(&str, Change); 4] = [
        ("a twin came first", |head| head.owner = owner(1, "twin", 1)),
        ("a later attempt works", |head| {
            head.owner = owner(1, "job", 3);
        }),
        ("another submission owns it", |head| {
            head.owner = owner(2, "job", 1);
        }),
        ("closed", |head| {
            head.closed = Some(Closed {
                reason: "cancelled".to_owned(),
                at: Timestamp::UNIX_EPOCH,
            });
        }),
    ];
    for (why, change) in cases {
        let bench = Bench::train(count(5, 5, ""));
        bench.change_head(change);
        let before = bench.head(None);

        let code = bench.run(2).await;

        assert_eq!(code, 79, "{why}");
        assert_eq!(bench.head(None), before, "{why}");
        let record = bench.record(2);
        assert_eq!(
            (record.outcome, record.exit_code),
            (AttemptOutcome::NotOwner, Some(79))
        );
        assert_eq!(record.program_started_at, None, "{why}");
    }
}

#[tokio::test]
async fn a_stage_that_nobody_was_granted_is_nobodys() {
    let bench = Bench::train(count(5, 5, ""));
    bench.store.remove(
        BUCKET,
        &trainspot_shared::layout::stage_head(&bench.job.run_id, bench.job.stage, None),
    );

    assert_eq!(bench.run(1).await, 79);
}

#[tokio::test]
async fn where_the_output_is_there_nothing_is_to_do() {
    let bench = Bench::train(count(5, 5, ""));
    bench.change_head(|head| head.output = Some(some_output()));

    let code = bench.run(2).await;

    assert_eq!(code, 0);
    let record = bench.record(2);
    assert_eq!(
        (record.outcome, record.program_started_at),
        (AttemptOutcome::AlreadyDone, None)
    );
}

#[tokio::test]
async fn a_twins_record_does_not_hide_the_owners() {
    let bench = Bench::train(count(5, 5, ""));
    assert_eq!(bench.run(1).await, 0);

    let code = bench.start("twin", 1).code().await;

    assert_eq!(code, 0);
    assert_eq!(bench.record(1).job_id, "job");
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Done);
}

#[tokio::test]
async fn an_owner_that_is_replaced_at_work_stops_and_publishes_nothing() {
    for mode in ["", "deaf"] {
        let bench = Bench::train(count(100_000, 10, mode));
        let attempt = bench.start("job", 1);
        until("a checkpoint is published", || {
            bench.published_step().is_some()
        })
        .await;

        // Whatever the agent publishes at the same moment is overwritten: it must not come back.
        until("the next submission owns the stage", || {
            bench.change_head(|head| head.owner = owner(2, "other", 1));
            bench.head(None).unwrap().owner.submission == 2
        })
        .await;
        let published = bench.head(None).unwrap().latest_checkpoint;
        let code = attempt.code().await;

        assert_eq!(code, 79);
        let head = bench.head(None).unwrap();
        assert_eq!((head.latest_checkpoint, head.output), (published, None));
        assert_eq!(bench.record(1).outcome, AttemptOutcome::NotOwner);
    }
}

#[tokio::test]
async fn an_owner_that_is_replaced_just_before_the_end_does_not_publish_its_output() {
    let bench = Bench::train(count(200, 100_000, ""));
    let attempt = bench.start("job", 1);
    until("it works", || bench.result(1, "progress.json").is_some()).await;
    bench.change_head(|head| head.owner = owner(1, "job", 2));

    let code = attempt.code().await;

    assert_eq!(code, 79);
    assert_eq!(bench.head(None).unwrap().output, None);
}

#[tokio::test]
async fn the_test_switch_works_and_publishes_whatever_the_head_says() {
    let mut bench = Bench::train(count(5, 5, ""));
    bench.settings.ignore_heads = true;
    bench.change_head(|head| {
        head.owner = owner(7, "other", 7);
        head.output = Some(some_output());
    });

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    assert_eq!(
        bench.head(None).unwrap().output.unwrap().prefix,
        bench.results(None, 1)
    );
}

fn child(bench: &Bench, parent: &str, index: u32, attempt: u32) -> Assignment {
    Assignment {
        array_index: Some(index),
        ..bench.assignment(parent, attempt)
    }
}

#[tokio::test]
async fn children_come_in_on_the_stage_and_publish_on_their_shards() {
    let bench = Bench::recommend(count(5, 5, ""), 3);

    let first = bench.start_as(child(&bench, "parent", 0, 1));
    let second = bench.start_as(child(&bench, "parent", 2, 2));
    assert_eq!((first.code().await, second.code().await), (0, 0));
    let stranger = bench.start_as(child(&bench, "stranger", 1, 1)).code().await;

    assert_eq!(stranger, 79);
    let stage = bench.head(None).unwrap();
    assert_eq!(stage.owner, owner(1, "parent", 1));
    assert_eq!((stage.output, stage.version), (None, 2));
    for (shard, attempt) in [(0, 1), (2, 2)] {
        let head = bench.head(Some(shard)).unwrap();
        assert_eq!(head.owner, owner(1, "parent", attempt));
        let output = head.output.unwrap();
        assert_eq!(output.prefix, bench.results(Some(shard), attempt));
        assert!(bench.verify(&output).contains(&"answer.json".to_owned()));
        assert_eq!(bench.record_of(Some(shard), attempt).shard, Some(shard));
    }
    assert_eq!(bench.head(Some(1)), None);
}

#[tokio::test]
async fn a_child_whose_shard_is_done_is_done_and_an_ended_stage_lets_nobody_in() {
    let bench = Bench::recommend(count(5, 5, ""), 2);
    assert_eq!(
        bench.start_as(child(&bench, "parent", 0, 1)).code().await,
        0
    );

    let again = bench.start_as(child(&bench, "parent", 0, 2)).code().await;
    bench.change_head(|head| {
        head.closed = Some(Closed {
            reason: "failed".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
    });
    let late = bench.start_as(child(&bench, "parent", 1, 1)).code().await;

    assert_eq!((again, late), (0, 79));
    assert_eq!(
        bench.record_of(Some(0), 2).outcome,
        AttemptOutcome::AlreadyDone
    );
}

#[tokio::test]
async fn an_old_child_is_kept_out_of_a_shard_that_was_submitted_again() {
    let mut bench = Bench::recommend(count(5, 5, ""), 2);
    bench.change_head(|head| {
        head.owner = Owner {
            submission: 2,
            job_id: None,
            attempt: None,
        }
    });
    bench.put_head(
        Some(1),
        &StageHead {
            base: 1,
            ..StageHead::first(2, "granted".to_owned())
        },
    );

    let old = bench.start_as(child(&bench, "old", 1, 1)).code().await;
    bench.job.submission = 2;
    bench.job.shard_of_index = Some(vec![1]);
    let new = bench.start("new", 1).code().await;

    assert_eq!((old, new), (79, 0));
    assert_eq!(bench.head(Some(1)).unwrap().output.unwrap().submission, 2);
}

#[tokio::test]
async fn one_shard_as_a_plain_job_publishes_on_its_shard() {
    let bench = Bench::recommend(count(5, 5, ""), 1);

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    assert_eq!(bench.head(None).unwrap().output, None);
    assert!(bench.head(Some(0)).unwrap().output.is_some());
}

#[tokio::test]
async fn an_index_without_a_shard_is_a_wrong_configuration() {
    let bench = Bench::recommend(count(5, 5, ""), 2);

    assert_eq!(
        bench.start_as(child(&bench, "parent", 2, 1)).code().await,
        64
    );
}
