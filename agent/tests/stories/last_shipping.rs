//! What is shipped last has a limit of its own: a record must be there before the host is gone.

use std::time::Duration;

use trainspot_agent::host::{Happening, HostIdentity};
use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{Attempt, Bench, count, shell, until};
use crate::shelf::Fault;

#[tokio::test]
async fn a_store_that_does_not_take_the_checkpoint_does_not_cost_the_record() {
    for happening in [
        Happening::Terminate,
        Happening::SpotNotice { goes_at: None },
    ] {
        let mut bench = Bench::train(count(100_000, 100_000, ""));
        // Longer than a story may take.
        bench.settings.patience = Duration::from_mins(10);
        bench.settings.after_sigterm.shipping = Duration::from_millis(300);
        bench.settings.after_notice.shipping = Duration::from_millis(300);
        let attempt = bench.start("job", 1);
        until("it works", || bench.result(1, "progress.json").is_some()).await;
        bench.store.fail(Some(Fault::Unreachable("checkpoints/")));

        attempt.tell(happening.clone());
        let code = attempt.code().await;

        assert_eq!(code, 76, "{happening:?}");
        let record = bench.record(1);
        assert_eq!(record.outcome, AttemptOutcome::PreemptedUnpublished);
        assert!(record.last_step > Some(0), "{happening:?}");
    }
}

/// Checkpoints every few steps, and the store never answers for the first of them.
async fn silent_at_a_checkpoint(bench: &Bench) -> Attempt {
    bench.store.fail(Some(Fault::Silent("checkpoints/")));
    let attempt = bench.start("job", 1);
    until("a checkpoint is on its way", || {
        bench
            .own("checkpoints")
            .is_some_and(|folder| folder.join("5").exists() || folder.join("10").exists())
    })
    .await;
    until("people see that it works", || {
        bench.result(1, "progress.json").is_some()
    })
    .await;
    attempt
}

#[tokio::test]
async fn a_checkpoint_that_the_store_never_answers_for_does_not_cost_the_record() {
    for happening in [
        Happening::Terminate,
        Happening::SpotNotice { goes_at: None },
    ] {
        let mut bench = Bench::train(count(100_000, 5, ""));
        bench.settings.after_sigterm.shipping = Duration::from_millis(300);
        bench.settings.after_notice.shipping = Duration::from_millis(300);
        let attempt = silent_at_a_checkpoint(&bench).await;

        attempt.tell(happening.clone());
        let code = attempt.code().await;

        assert_eq!(code, 76, "{happening:?}");
        let record = bench.record(1);
        assert_eq!(record.outcome, AttemptOutcome::PreemptedUnpublished);
        assert!(record.notice.is_some());
    }
}

#[tokio::test]
async fn a_notice_is_on_record_while_gigabytes_are_on_their_way() {
    let mut bench = Bench::train(count(100_000, 5, "deaf"));
    bench.settings.after_sigterm.program = Duration::from_millis(50);
    bench.settings.after_sigterm.shipping = Duration::from_millis(300);
    bench.settings.after_notice.program = Duration::from_mins(10);
    bench.settings.after_notice.shipping = Duration::from_mins(10);
    let attempt = silent_at_a_checkpoint(&bench).await;

    attempt.tell(Happening::SpotNotice { goes_at: None });

    until("the notice is on record", || {
        bench.record(1).notice.as_deref() == Some("spot_notice")
    })
    .await;
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Running);
    assert_eq!(bench.published_step(), None);
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 76);
}

#[tokio::test]
async fn a_record_that_could_not_be_written_is_written_again() {
    let bench = Bench::train(count(100_000, 100_000, ""));
    let attempt = bench.start("job", 1);
    until("it works", || bench.result(1, "progress.json").is_some()).await;
    bench.store.fail(Some(Fault::Unreachable("attempt.json")));
    let identity = HostIdentity {
        instance_id: Some("i-1".to_owned()),
        ..HostIdentity::default()
    };
    attempt.tell(Happening::Identity(identity));
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.store.fail(None);

    until("the host is on record", || {
        bench.record(1).instance_id.is_some()
    })
    .await;
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 75);
}

#[tokio::test]
async fn an_output_that_the_store_never_answers_for_does_not_cost_the_record() {
    let mut bench = Bench::train(shell(
        "trap 'exit 0' TERM; while :; do read -rt 0.01 <> <(:); done",
    ));
    bench.settings.after_sigterm.shipping = Duration::from_millis(300);
    let attempt = bench.start("job", 1);
    until("it works", || bench.own("output").is_some()).await;
    until("it is on record", || bench.has_record(1)).await;
    bench.store.fail(Some(Fault::Silent("MANIFEST.json")));

    attempt.tell(Happening::Terminate);
    let code = attempt.code().await;

    assert_eq!(code, 76);
    let record = bench.record(1);
    assert_eq!(record.outcome, AttemptOutcome::PreemptedUnpublished);
    assert_eq!(bench.head(None).unwrap().output, None);
}

#[tokio::test]
async fn a_program_that_failed_before_the_notice_has_failed() {
    let bench = Bench::train(shell(
        r#"mkdir "$TRAINSPOT_CHECKPOINT_DIR/5.partial"
        echo state >"$TRAINSPOT_CHECKPOINT_DIR/5.partial/state"
        mv "$TRAINSPOT_CHECKPOINT_DIR/5.partial" "$TRAINSPOT_CHECKPOINT_DIR/5"
        echo $$ >"$TRAINSPOT_OUTPUT_DIR/curve.json"
        while [ ! -e "$TRAINSPOT_OUTPUT_DIR/go" ]; do read -rt 0.01 <> <(:); done
        echo '{"reason":"user_id is missing"}' >"$TRAINSPOT_OUTPUT_DIR/failure.json"; exit 65"#,
    ));
    bench.store.fail(Some(Fault::Silent("checkpoints/")));
    let attempt = bench.start("job", 1);
    until("its id is known", || {
        bench.result(1, "curve.json").is_some()
    })
    .await;
    let process = format!("/proc/{}", bench.result(1, "curve.json").unwrap().trim());
    std::fs::write(bench.own("output").unwrap().join("go"), "").unwrap();
    until("it was seen to end", || !std::fs::exists(&process).unwrap()).await;

    attempt.tell(Happening::Terminate);
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.store.fail(None);
    let code = attempt.code().await;

    assert_eq!(code, 65);
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Failed);
    assert_eq!(bench.published_step(), Some(5));
}
