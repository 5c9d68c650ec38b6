//! The real binary: over the wire, with real signals.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{BUCKET, Bench, count, shell, until};
use crate::wire::{Server, serve_s3};

/// Nothing of the machine's own environment decides: no credentials, no metadata service.
pub(crate) fn agent(bench: &Bench, s3: &Server, attempt: u32, log: &Path) -> Command {
    bench.put_job();
    let log = std::fs::File::create(log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainspot-agent"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("AWS_ENDPOINT_URL", &s3.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "made-up")
        .env("AWS_SECRET_ACCESS_KEY", "made-up")
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
        .env(
            "TRAINSPOT_JOB",
            format!("s3://{BUCKET}/{}", bench.job_key()),
        )
        .env("TRAINSPOT_WORK_DIR", &bench.settings.work_dir)
        .env("AWS_BATCH_JOB_ID", "job")
        .env("AWS_BATCH_JOB_ATTEMPT", attempt.to_string())
        .arg("--")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    command
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

pub(crate) async fn code(mut child: Child, log: &Path) -> i32 {
    let status: ExitStatus = child.wait().await.unwrap();
    let said = std::fs::read_to_string(log).unwrap();
    status
        .code()
        .unwrap_or_else(|| panic!("signal {:?}: {said}", status.signal()))
}

#[tokio::test]
async fn over_the_wire_a_sigterm_is_75_and_the_next_attempt_goes_on_from_there() {
    let mut bench = Bench::train(count(100_000, 100_000, ""));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let child = agent(&bench, &s3, 1, &log).spawn().unwrap();
    until("the heartbeat is shipped", || {
        bench.result(1, "progress.json").is_some()
    })
    .await;
    signal(&child, Signal::TERM);
    let first = code(child, &log).await;
    let said = std::fs::read_to_string(&log).unwrap();
    let step = bench.published_step().unwrap();

    bench.job.program = count(u32::try_from(step).unwrap() + 5, 1_000, "");
    let second = code(agent(&bench, &s3, 2, &log).spawn().unwrap(), &log).await;

    assert_eq!((first, second), (75, 0), "{said}");
    assert_eq!(bench.record(1).notice.as_deref(), Some("sigterm"));
    assert_eq!(bench.record(2).resumed_from, Some(step));
    let head = bench.head(None).unwrap();
    assert_eq!(
        bench.verify(&head.latest_checkpoint.unwrap()),
        ["deep/step", "state"]
    );
    assert_eq!(
        bench.verify(&head.output.unwrap()),
        ["answer.json", "progress.json"]
    );
    assert!(
        said.contains("trainspot-agent: told to go: sigterm\n"),
        "{said}"
    );
    assert!(
        said.contains(&format!("trainspot-agent: published step {step}\n")),
        "{said}"
    );
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn a_killed_agent_takes_its_program_along_and_the_next_attempt_goes_on() {
    let program = count(100_000, 5, "");
    let text = r#"echo $$ >"$TRAINSPOT_OUTPUT_DIR/curve.json"; exec "$@""#;
    let wrapped = [shell(text), vec!["count".to_owned()], program].concat();
    let mut bench = Bench::train(wrapped);
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let mut child = agent(&bench, &s3, 1, &log).spawn().unwrap();
    until("a checkpoint is published", || {
        bench.published_step().is_some()
    })
    .await;
    until("the program's id is known", || {
        bench.result(1, "curve.json").is_some()
    })
    .await;
    let program = bench.result(1, "curve.json").unwrap();
    signal(&child, Signal::KILL);
    child.wait().await.unwrap();
    let stat = format!("/proc/{}/stat", program.trim());
    until("the program is gone", || {
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    })
    .await;
    let step = bench.published_step().unwrap();
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Running);

    bench.job.program = count(u32::try_from(step).unwrap() + 5, 1_000, "");
    let code = code(agent(&bench, &s3, 2, &log).spawn().unwrap(), &log).await;

    assert_eq!(code, 0, "{}", std::fs::read_to_string(&log).unwrap());
    assert_eq!(bench.record(2).resumed_from, Some(step));
}

#[tokio::test]
async fn orphans_are_inherited_and_reaped() {
    // The grandchild outlives its parent, leaves the group, and ends while the program goes on.
    let bench = Bench::train(shell(
        r#"cd "$TRAINSPOT_OUTPUT_DIR"
        (setsid bash -c 'echo $$ >orphan; while [ ! -e go ]; do read -rt 0.01 <> <(:); done' &)
        while [ ! -s orphan ]; do read -rt 0.01 <> <(:); done
        orphan=$(<orphan); grep PPid "/proc/$orphan/status" | tr -dc 0-9 >parent; echo "$PPID" >agent
        : >go; n=0
        while [ -e "/proc/$orphan" ] && ((n < 500)); do n=$((n + 1)); read -rt 0.01 <> <(:); done
        [ ! -e "/proc/$orphan" ]"#,
    ));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");

    let code = code(agent(&bench, &s3, 1, &log).spawn().unwrap(), &log).await;

    assert_eq!(code, 0, "{}", std::fs::read_to_string(&log).unwrap());
    assert_eq!(
        bench.result(1, "parent").unwrap().trim(),
        bench.result(1, "agent").unwrap().trim()
    );
}

#[tokio::test]
async fn the_programs_code_passes_through_the_binary_that_binds_it() {
    let bench = Bench::train(shell("exit 3"));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");

    let own = code(agent(&bench, &s3, 1, &log).spawn().unwrap(), &log).await;
    let missing = code(
        agent(&bench, &s3, 2, &log)
            .arg("no-such-program-at-all")
            .spawn()
            .unwrap(),
        &log,
    )
    .await;

    assert_eq!((own, missing), (3, 127));
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("run `no-such-program-at-all`"), "{said}");
}

#[tokio::test]
async fn a_wrong_environment_or_command_line_is_64_in_one_sentence() {
    let bench = Bench::train(shell("true"));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");

    let mut without_job = agent(&bench, &s3, 1, &log);
    let without_job = code(
        without_job.env_remove("TRAINSPOT_JOB").spawn().unwrap(),
        &log,
    )
    .await;
    let said = std::fs::read_to_string(&log).unwrap();
    let mut no_dashes = Command::new(env!("CARGO_BIN_EXE_trainspot-agent"));
    let no_dashes = no_dashes
        .arg("python")
        .stderr(Stdio::null())
        .status()
        .await
        .unwrap();

    assert_eq!((without_job, no_dashes.code()), (64, Some(64)));
    assert_eq!(said, "trainspot-agent: `TRAINSPOT_JOB` is not set\n");
}
