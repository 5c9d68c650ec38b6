//! Exit codes and records, however an attempt ends.

use std::time::Duration;

use trainspot_agent::host::Happening;
use trainspot_shared::attempt::{AttemptOutcome, LOG_TAIL_LINES};

use crate::bench::{BUCKET, Bench, count, shell, until};
use crate::shelf::Fault;

#[tokio::test]
async fn a_programs_failure_becomes_the_agents_code_and_is_on_record() {
    let declared = r#"echo '{"reason":"no rows","hint":"check the export"}' >"$TRAINSPOT_OUTPUT_DIR/failure.json"; exit "#;
    let cases = [
        ("exit 3".to_owned(), 3, Some(3), None),
        ("exit 65".to_owned(), 70, Some(65), None),
        ("exit 75".to_owned(), 70, Some(75), None),
        (format!("{declared} 65"), 65, Some(65), None),
        (format!("{declared} 78"), 78, Some(78), None),
        ("kill -9 $$".to_owned(), 137, None, Some(9)),
        ("kill -6 $$".to_owned(), 134, None, Some(6)),
        (
            "exec no-such-program-at-all".to_owned(),
            127,
            Some(127),
            None,
        ),
    ];
    for (text, code, program_exit_code, program_signal) in cases {
        let bench = Bench::train(shell(&text));

        let got = bench.run(1).await;

        assert_eq!(got, code, "{text}");
        let record = bench.record(1);
        assert_eq!(record.outcome, AttemptOutcome::Failed, "{text}");
        assert_eq!(record.exit_code, Some(i32::from(code)), "{text}");
        assert_eq!(record.program_exit_code, program_exit_code, "{text}");
        assert_eq!(record.program_signal, program_signal, "{text}");
        assert_eq!(
            record.failure.is_some(),
            text.contains("failure.json"),
            "{text}"
        );
        assert_eq!(bench.head(None).unwrap().output, None, "{text}");
    }
}

#[tokio::test]
async fn a_failed_programs_files_are_there_to_be_looked_at_but_do_not_count() {
    let bench = Bench::train(shell(
        r#"cd "$TRAINSPOT_OUTPUT_DIR"; echo '{"reason":"r","hint":"h"}' >failure.json; echo '{}' >metrics.jsonl; exit 70"#,
    ));

    let code = bench.run(1).await;

    assert_eq!(code, 70);
    assert!(bench.result(1, "failure.json").is_some());
    assert!(bench.result(1, "metrics.jsonl").is_some());
    assert_eq!(bench.result(1, "MANIFEST.json"), None);
}

#[tokio::test]
async fn a_declared_contract_passes_codes_through() {
    let mut bench = Bench::train(shell("exit 65"));
    bench.settings.contract = true;

    assert_eq!(bench.run(1).await, 65);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_127_and_is_named() {
    let bench = Bench::train(vec!["no-such-program-at-all".to_owned()]);

    let code = bench.run(1).await;

    assert_eq!(code, 127);
    assert!(
        bench
            .record(1)
            .error
            .unwrap()
            .contains("no-such-program-at-all")
    );
}

#[tokio::test]
async fn endless_lines_and_secrets_do_not_reach_the_record() {
    let bench = Bench::train(shell(
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; head -c 500 /dev/urandom; echo; \
         for n in {1..300}; do echo line $n; done; echo password=hunter2; exit 1",
    ));

    let code = bench.run(1).await;

    assert_eq!(code, 1);
    let tail = bench.record(1).log_tail;
    assert_eq!(tail.len(), LOG_TAIL_LINES);
    assert_eq!(tail.last().map(String::as_str), Some("password=****"));
    assert!(tail.iter().all(|line| line.len() < 4_100));
}

#[tokio::test]
async fn no_progress_is_a_stall_and_its_last_checkpoint_is_saved() {
    let mut bench = Bench::train(count(100, 1_000, "stalls"));
    bench.settings.stall_after = Duration::from_millis(300);

    let code = bench.run(1).await;

    assert_eq!(code, 74);
    assert!(bench.record(1).error.unwrap().contains("no progress"));
    assert!(bench.published_step().is_some());
}

#[tokio::test]
async fn what_the_program_leaves_running_is_ended() {
    let bench = Bench::train(shell(
        r#"(while :; do read -rt 0.05 <> <(:); done) & echo $! >"$TRAINSPOT_OUTPUT_DIR/pid""#,
    ));

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    let pid = bench.result(1, "pid").unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    until("it is gone", || {
        std::fs::read_to_string(&stat).is_err()
            || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "))
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_store_is_69_after_the_patience() {
    let bench = Bench::train(count(5, 5, ""));
    bench.store.fail(Some(Fault::Unreachable("/head.json")));

    let code = bench.run(1).await;

    assert_eq!(code, 69);
    assert_eq!(bench.record(1).exit_code, Some(69));
}

#[tokio::test]
async fn a_job_document_that_cannot_be_read_is_on_record() {
    let bench = Bench::train(count(5, 5, ""));
    bench.store.fail(Some(Fault::Unreachable("job-1.json")));
    assert_eq!(bench.run(1).await, 69);
    bench.store.fail(Some(Fault::Denied("job-1.json")));
    assert_eq!(bench.run(2).await, 77);
    bench.store.fail(None);
    let attempt = bench.start("job", 3);
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 76);
    let job_key = bench.job_key();
    let garbled = bench.start("job", 4);
    bench.put(BUCKET, &job_key, b"garbled");
    assert_eq!(garbled.code().await, 64);

    let outcomes = [1, 2, 3, 4].map(|attempt| {
        let record = bench.record(attempt);
        assert_eq!((record.attempt, record.stage), (attempt, bench.job.stage));
        assert_eq!(record.error.is_none(), attempt == 3);
        assert_eq!(record.notice.is_some(), attempt == 3);
        (record.outcome, record.exit_code.unwrap())
    });
    assert_eq!(
        outcomes,
        [
            (AttemptOutcome::Failed, 69),
            (AttemptOutcome::Failed, 77),
            (AttemptOutcome::PreemptedUnpublished, 76),
            (AttemptOutcome::Failed, 64),
        ]
    );
}

#[tokio::test]
async fn where_nobody_says_whose_attempt_it_is_there_is_only_a_code() {
    let bench = Bench::train(count(5, 5, ""));

    let nowhere = trainspot_agent::Assignment {
        job_key: "state/nothing.json".to_owned(),
        ..bench.assignment("job", 1)
    };
    assert_eq!(bench.start_as(nowhere).code().await, 64);
    assert!(bench.store.keys(BUCKET, "results/").is_empty());
}

#[tokio::test]
async fn a_forbidden_checkpoint_ends_the_work_with_77() {
    let bench = Bench::train(count(100_000, 5, ""));
    bench.store.fail(Some(Fault::Denied("checkpoints/")));

    let code = bench.run(1).await;

    assert_eq!(code, 77);
    assert_eq!(bench.record(1).exit_code, Some(77));
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_does_not_stop_the_program() {
    let bench = Bench::train(count(60, 10, ""));
    let attempt = bench.start("job", 1);
    until("it works", || bench.published_step().is_some()).await;
    bench.store.fail(Some(Fault::Unreachable("")));
    let own = bench.leftovers();
    until("the program goes on", || {
        own.iter().all(|own| {
            std::fs::read_to_string(own.join("output/progress.json"))
                .is_ok_and(|text| text.contains("\"step\":50") || text.contains("\"step\":5"))
        }) || own
            .iter()
            .all(|own| own.join("output/answer.json").exists())
    })
    .await;
    bench.store.fail(None);

    assert_eq!(attempt.code().await, 0);
    assert!(bench.head(None).unwrap().output.is_some());
}

#[tokio::test]
async fn work_that_cannot_be_put_on_record_is_69() {
    let bench = Bench::train(shell(
        r#": >"$TRAINSPOT_OUTPUT_DIR/here"
        while [ ! -e "$TRAINSPOT_OUTPUT_DIR/go" ]; do read -rt 0.01 <> <(:); done; exit 3"#,
    ));
    let attempt = bench.start("job", 1);
    let output = || Some(bench.leftovers().first()?.join("output"));
    until("it is at work", || {
        output().is_some_and(|output| output.join("here").exists())
    })
    .await;
    bench.store.fail(Some(Fault::Unreachable("")));
    std::fs::write(output().unwrap().join("go"), "").unwrap();

    assert_eq!(attempt.code().await, 69);
}
