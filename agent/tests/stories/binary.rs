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

/// The grandchild outlives its parent, leaves the group, and ends while the program goes on.
pub(crate) const ORPHANS: &str = r#"cd "$TRAINSPOT_OUTPUT_DIR"
    (setsid bash -c 'echo $$ >orphan; while [ ! -e go ]; do read -rt 0.01 <> <(:); done' &)
    while [ ! -s orphan ]; do read -rt 0.01 <> <(:); done
    orphan=$(<orphan); grep PPid "/proc/$orphan/status" | tr -dc 0-9 >parent; echo "$PPID" >agent
    : >go; n=0
    while [ -e "/proc/$orphan" ] && ((n < 500)); do n=$((n + 1)); read -rt 0.01 <> <(:); done
    [ ! -e "/proc/$orphan" ]"#;

#[tokio::test]
async fn orphans_are_inherited_and_reaped() {
    let bench = Bench::train(shell(ORPHANS));
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

/// How a record is written when the environment is against it.
pub(crate) fn wrapped(agent: &Command, script: &str) -> Command {
    let agent = agent.as_std();
    let mut command = Command::new("bash");
    command
        .args(["-c", script, "bash"])
        .arg(agent.get_program())
        .args(agent.get_args())
        .env_clear()
        .envs(
            agent
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_log_that_nobody_takes_does_not_keep_the_record_away() {
    let bench = Bench::train(shell("echo out; echo err >&2; exit 3"));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");

    for (attempt, script) in [
        (1, r#"exec "$@" >/dev/full 2>/dev/full"#),
        (2, r#"exec "$@" >&- 2>&-"#),
    ] {
        let mut deaf = wrapped(&agent(&bench, &s3, attempt, &log), script);
        let status = deaf.status().await.unwrap();

        assert_eq!(status.code(), Some(3), "{script}");
        let mut tail = bench.record(attempt).log_tail;
        tail.sort();
        assert_eq!(tail, ["err", "out"], "{script}");
    }
}

#[tokio::test]
async fn a_work_folder_that_cannot_be_used_is_on_record() {
    let mut bench = Bench::train(shell("true"));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");

    // No byte more fits into any file.
    let mut full = wrapped(
        &agent(&bench, &s3, 1, &log),
        r#"trap "" XFSZ; ulimit -f 0; exec "$@""#,
    );
    let full = full.status().await.unwrap().code();
    bench.settings.work_dir = log.join("is a file");
    let mut read_only = wrapped(&agent(&bench, &s3, 2, &log), r#"exec "$@""#);
    let read_only = read_only.status().await.unwrap().code();

    assert_eq!((full, read_only), (Some(70), Some(64)));
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Failed);
    let error = bench.record(2).error.unwrap();
    assert!(error.contains("set `TRAINSPOT_WORK_DIR`"), "{error}");
}

#[tokio::test]
async fn what_left_the_programs_group_is_ended_too_also_what_began_after_sigterm() {
    let stray = r#"setsid bash -c 'trap "" TERM; echo $$ >>"$TRAINSPOT_OUTPUT_DIR/strays"; while :; do read -rt 0.05 <> <(:); done' &"#;
    let bench = Bench::train(shell(&format!(
        r"trap '{} exit 143' TERM
        {stray}
        while :; do read -rt 0.01 <> <(:); done",
        stray.replace('\'', r"'\''")
    )));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let child = agent(&bench, &s3, 1, &log).spawn().unwrap();
    let strays = || {
        let own = bench.leftovers().first()?.join("output/strays");
        std::fs::read_to_string(own)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    until("the first one runs", || strays().is_some()).await;
    signal(&child, Signal::TERM);

    let code = code(child, &log).await;

    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(code, 76, "{said}");
    let strays = bench.result(1, "strays");
    assert_eq!(
        strays, None,
        "what a preempted program leaves is not shipped"
    );
    let ended = said.split("left running: [").nth(1).unwrap();
    let ended: Vec<&str> = ended.split_once(']').unwrap().0.split(", ").collect();
    assert!(!ended.is_empty());
    for id in ended {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
        assert!(
            stat.map_or(true, |stat| stat.contains(") Z ")),
            "{id}: {said}"
        );
    }
}

/// A folder with a `nvidia-smi` that says this.
fn fake_nvidia_smi(bench: &Bench, script: &str) -> std::ffi::OsString {
    use std::os::unix::fs::PermissionsExt;
    let folder = bench.folder.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("nvidia-smi");
    std::fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut path = folder.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    path
}

#[tokio::test]
async fn a_gpu_that_nvidia_smi_calls_idle_ends_the_training_with_74() {
    let bench = Bench::train(count(100_000, 10, ""));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let mut with_gpu = agent(&bench, &s3, 1, &log);
    with_gpu
        .env("PATH", fake_nvidia_smi(&bench, "echo 0"))
        .env("NVIDIA_VISIBLE_DEVICES", "all")
        .env("TRAINSPOT_GPU_POLL_S", "0.05")
        .env("TRAINSPOT_GPU_IDLE_S", "1");

    let code = code(with_gpu.spawn().unwrap(), &log).await;

    assert_eq!(code, 74);
    assert!(bench.record(1).error.unwrap().contains("no GPU"));
    assert!(bench.published_step().is_some());
}

#[tokio::test]
async fn without_nvidia_smi_or_with_one_that_tells_nothing_there_is_one_line() {
    for (script, line) in [
        (None, "no `nvidia-smi` here"),
        (Some("echo '[N/A]'"), "an idle GPU is not noticed"),
        (Some("echo no driver; exit 9"), "an idle GPU is not noticed"),
    ] {
        let bench = Bench::train(shell("read -rt 0.5 <> <(:); exit 0"));
        let s3 = serve_s3(bench.store.clone()).await;
        let log = bench.folder.path().join("log");
        let mut with_gpu = agent(&bench, &s3, 1, &log);
        with_gpu
            .env("NVIDIA_VISIBLE_DEVICES", "all")
            .env("TRAINSPOT_GPU_POLL_S", "0.02");
        if let Some(script) = script {
            with_gpu.env("PATH", fake_nvidia_smi(&bench, script));
        }

        let code = code(with_gpu.spawn().unwrap(), &log).await;

        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.matches(line).count(), 1, "{said}");
        let about_metadata = "no instance metadata";
        assert_eq!(said.matches(about_metadata).count(), 1, "{said}");
    }
}
