//! Notices, and what the next attempt goes on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use trainspot_agent::host::Happening;
use trainspot_agent::metadata::Metadata;
use trainspot_agent::program::Signal;
use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{BUCKET, Bench, count, shell, until};
use crate::wire::{Answer, serve};

fn answer(bench: &Bench, attempt: u32) -> serde_json::Value {
    serde_json::from_str(&bench.result(attempt, "answer.json").unwrap()).unwrap()
}

async fn undisturbed(total: u32) -> serde_json::Value {
    let bench = Bench::train(count(total, 1_000, ""));
    assert_eq!(bench.run(1).await, 0);
    answer(&bench, 1)["state"].clone()
}

#[tokio::test]
async fn reclaims_at_three_random_steps_change_nothing() {
    let bench = Bench::train(count(300, 1_000, ""));
    let seed = u64::from(std::process::id());
    // Up to 30 steps further each time, by a linear congruence.
    let further = |n: u64| 3 + (seed.wrapping_mul(6_364_136_223_846_793_005) >> (16 + 5 * n)) % 27;
    let mut published = 0;

    for n in 1..=3_u32 {
        let at = published + further(u64::from(n));
        let attempt = bench.start("job", n);
        until("the program gets there", || bench.leftover_step() >= at).await;
        attempt.tell(if n % 2 == 0 {
            Happening::Terminate
        } else {
            Happening::SpotNotice { goes_at: None }
        });
        assert_eq!(attempt.code().await, 75, "seed {seed}");

        let record = bench.record(n);
        assert_eq!(record.outcome, AttemptOutcome::PreemptedPublished);
        assert_eq!(record.resumed_from.unwrap_or(0), published, "seed {seed}");
        assert_eq!(
            record.notice.as_deref(),
            Some(if n % 2 == 0 { "sigterm" } else { "spot_notice" })
        );
        let step = bench.published_step().unwrap();
        assert!(
            step >= at && Some(step) == record.published_step,
            "seed {seed}"
        );
        // Not one step is done twice: what is published is the last thing the program did.
        assert_eq!(record.last_step, Some(step), "seed {seed}");
        published = step;
    }
    let code = bench.run(4).await;

    assert_eq!(code, 0);
    assert_eq!(bench.record(4).resumed_from, Some(published));
    assert_eq!(answer(&bench, 4)["resumed"], published);
    assert_eq!(
        answer(&bench, 4)["state"],
        undisturbed(300).await,
        "seed {seed}"
    );
}

impl Bench {
    /// The step in the running attempt's own folder.
    fn leftover_step(&self) -> u64 {
        let step = || {
            let body =
                std::fs::read(self.leftovers().first()?.join("output/progress.json")).ok()?;
            serde_json::from_slice::<serde_json::Value>(&body).ok()?["step"].as_u64()
        };
        step().unwrap_or(0)
    }
}

#[tokio::test]
async fn told_to_go_with_nothing_new_is_76() {
    let bench = Bench::train(count(1_000, 1_000, "hasty"));
    let attempt = bench.start("job", 1);
    until("the program is at work", || bench.leftover_step() > 0).await;

    attempt.tell(Happening::Terminate);
    let code = attempt.code().await;

    assert_eq!(code, 76);
    assert_eq!(
        bench.record(1).outcome,
        AttemptOutcome::PreemptedUnpublished
    );
    assert_eq!(bench.published_step(), None);
}

#[tokio::test]
async fn a_program_that_hears_nothing_is_killed_in_time() {
    let mut bench = Bench::train(count(100_000, 100_000, "deaf"));
    bench.settings.after_sigterm.program = std::time::Duration::from_millis(200);
    let attempt = bench.start("job", 1);
    until("the program is at work", || bench.leftover_step() > 0).await;

    attempt.tell(Happening::Terminate);
    let code = attempt.code().await;

    assert_eq!(code, 76);
    assert_eq!(bench.record(1).program_signal, Some(9));
}

#[tokio::test]
async fn a_program_that_is_done_when_told_to_go_is_done() {
    let bench = Bench::train(shell(
        r#"trap 'echo done >"$TRAINSPOT_OUTPUT_DIR/out"; exit 0' TERM
        echo here >"$TRAINSPOT_CHECKPOINT_DIR/here"; while :; do read -rt 0.01 <> <(:); done"#,
    ));
    let attempt = bench.start("job", 1);
    until("the trap is set", || {
        bench
            .leftovers()
            .first()
            .is_some_and(|own| own.join("checkpoints/here").exists())
    })
    .await;

    attempt.tell(Happening::SpotNotice { goes_at: None });
    let code = attempt.code().await;

    assert_eq!(code, 0);
    assert!(bench.head(None).unwrap().output.is_some());
}

#[tokio::test]
async fn told_to_go_before_the_program_began_is_76_at_once() {
    let bench = Bench::train(count(10, 10, ""));
    let attempt = bench.start("job", 1);
    attempt.tell(Happening::Terminate);

    let code = attempt.code().await;

    assert_eq!(code, 76);
}

#[tokio::test]
async fn a_rebalance_hint_makes_a_checkpoint_and_the_work_goes_on() {
    let bench = Bench::train(count(200, 100_000, ""));
    let attempt = bench.start("job", 1);
    until("the heartbeat is there", || {
        bench.result(1, "progress.json").is_some()
    })
    .await;

    attempt.tell(Happening::RebalanceHint);
    until("a checkpoint is published", || {
        bench.published_step().is_some()
    })
    .await;
    let code = attempt.code().await;

    assert_eq!(code, 0);
    assert_eq!(bench.record(1).notice, None);
}

#[tokio::test]
async fn a_hint_does_not_kill_a_program_without_the_contract() {
    let bench = Bench::train(shell("read -rt 0.3 <> <(:); exit 0"));
    let attempt = bench.start("job", 1);
    until("it runs", || !bench.leftovers().is_empty()).await;

    attempt.tell(Happening::RebalanceHint);

    assert_eq!(attempt.code().await, 0);
}

#[tokio::test]
async fn another_signal_is_passed_on() {
    // No shell can trap a signal that whoever started the tests has it ignore, as `nohup` does.
    let mut program = vec!["env".to_owned(), "--default-signal=HUP".to_owned()];
    program.extend(shell(
        r#"trap 'exit 9' HUP; : >"$TRAINSPOT_OUTPUT_DIR/set"; while :; do read -rt 0.01 <> <(:); done"#,
    ));
    let bench = Bench::train(program);
    let attempt = bench.start("job", 1);
    until("the trap is set", || {
        bench
            .leftovers()
            .first()
            .is_some_and(|own| own.join("output/set").exists())
    })
    .await;

    attempt.tell(Happening::Forward(Signal::HangUp));

    assert_eq!(attempt.code().await, 9);
}

#[tokio::test]
async fn a_torn_checkpoint_falls_back_to_the_one_before() {
    let bench = Bench::train(count(100_000, 10, ""));
    let attempt = bench.start("job", 1);
    until("two are published", || bench.published_step() >= Some(20)).await;
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 75);
    let newest = bench.head(None).unwrap().latest_checkpoint.unwrap();
    bench.put(BUCKET, &format!("{}state", newest.prefix), b"torn");

    let mut bench = bench;
    let older = {
        let all = bench.store.keys(BUCKET, "checkpoints/");
        let steps = all.iter().filter_map(|key| {
            key.strip_suffix("/MANIFEST.json")?
                .rsplit('/')
                .next()?
                .parse::<u64>()
                .ok()
        });
        steps.filter(|&step| step < newest.step).max().unwrap()
    };
    bench.job.program = count(u32::try_from(newest.step).unwrap() + 5, 1_000, "");
    let code = bench.run(2).await;

    assert_eq!(code, 0);
    assert_eq!(bench.record(2).resumed_from, Some(older));
    assert_eq!(answer(&bench, 2)["resumed"], older);
}

#[tokio::test]
async fn with_every_checkpoint_gone_the_work_begins_anew() {
    let mut bench = Bench::train(count(100_000, 10, ""));
    let attempt = bench.start("job", 1);
    until("one is published", || bench.published_step().is_some()).await;
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 75);
    for key in bench.store.keys(BUCKET, "checkpoints/") {
        bench.store.remove(BUCKET, &key);
    }

    bench.job.program = count(5, 1_000, "");
    let code = bench.run(2).await;

    assert_eq!(code, 0);
    assert_eq!(bench.record(2).resumed_from, None);
}

#[tokio::test]
async fn the_metadata_service_tells_the_notice_and_the_host() {
    let is_marked = Arc::new(AtomicBool::new(false));
    let marked = Arc::clone(&is_marked);
    let service = serve(move |request| {
        if request.method == "PUT" && request.path == "/latest/api/token" {
            let asked = request
                .header("x-aws-ec2-metadata-token-ttl-seconds")
                .is_some();
            return if asked {
                Answer::ok("a-token")
            } else {
                Answer::status(400)
            };
        }
        if request.header("x-aws-ec2-metadata-token") != Some("a-token") {
            return Answer::status(401);
        }
        match request
            .path
            .strip_prefix("/latest/meta-data/")
            .unwrap_or_default()
        {
            "spot/instance-action" if marked.load(Ordering::SeqCst) => {
                let at = Timestamp::now()
                    .checked_add(jiff::SignedDuration::from_secs(120))
                    .unwrap();
                Answer::ok(format!(r#"{{"action":"terminate","time":"{at}"}}"#))
            }
            "instance-id" => Answer::ok("i-0123456789abcdef0"),
            "instance-type" => Answer::ok("g4dn.xlarge"),
            "instance-life-cycle" => Answer::ok("spot"),
            "placement/availability-zone" => Answer::ok("us-east-1a"),
            _ => Answer::status(404),
        }
    })
    .await;
    let metadata = Metadata::from_variables(|name| match name {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT" => Some(service.url.clone()),
        "TRAINSPOT_IMDS_POLL_S" => Some("0.02".to_owned()),
        _ => None,
    })
    .unwrap();
    let bench = Bench::train(count(100_000, 100_000, ""));
    let attempt = bench.start("job", 1);
    tokio::spawn(metadata.watch(attempt.host.clone()));
    until("the program is at work", || bench.leftover_step() > 2).await;

    is_marked.store(true, Ordering::SeqCst);
    let code = attempt.code().await;

    assert_eq!(code, 75);
    let record = bench.record(1);
    assert_eq!(record.notice.as_deref(), Some("spot_notice"));
    assert_eq!(record.instance_id.as_deref(), Some("i-0123456789abcdef0"));
    assert_eq!(record.instance_type.as_deref(), Some("g4dn.xlarge"));
    assert_eq!(record.life_cycle.as_deref(), Some("spot"));
    assert_eq!(record.availability_zone.as_deref(), Some("us-east-1a"));
}

#[tokio::test]
async fn lingering_ends_with_sigterm() {
    let mut bench = Bench::train(count(100_000, 100_000, ""));
    bench.settings.linger = true;
    let attempt = bench.start("job", 1);
    until("the program is at work", || bench.leftover_step() > 0).await;

    attempt.tell(Happening::SpotNotice { goes_at: None });
    until("it is on record", || bench.record(1).exit_code == Some(75)).await;
    attempt.tell(Happening::Terminate);

    assert_eq!(attempt.code().await, 75);
}
