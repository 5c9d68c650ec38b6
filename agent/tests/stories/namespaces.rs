//! In namespaces of its own, as in a container: as process 1, and on a disk that is full.

use std::path::Path;

use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{Bench, count, shell};
use crate::binary::{ORPHANS, agent, wrapped};
use crate::wire::serve_s3;

/// Namespaces for processes and mounts, without being root outside.
const UNSHARE: &str = "unshare --user --map-root-user --pid --fork --mount-proc --mount";

/// Where the kernel gives nobody namespaces of his own, as in many a container, there is nothing to try.
fn is_possible() -> bool {
    let tried = std::process::Command::new("bash")
        .args(["-c", &format!("{UNSHARE} true")])
        .output()
        .is_ok_and(|done| done.status.success());
    if !tried {
        eprintln!("skipped: `{UNSHARE}` is not possible here");
    }
    tried
}

/// Runs an attempt by `script`, in which `"$@"` is the agent; its code and its log.
async fn in_namespaces(bench: &Bench, attempt: u32, script: &str) -> (Option<i32>, String) {
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let inside = format!("exec {UNSHARE} bash -c '{script}' bash \"$@\"");
    let status = wrapped(&agent(bench, &s3, attempt, &log), &inside)
        .stderr(std::fs::File::create(&log).unwrap())
        .status()
        .await
        .unwrap();
    (status.code(), said(&log))
}

fn said(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap()
}

#[tokio::test]
async fn as_process_one_it_reaps_and_passes_the_code_on() {
    if !is_possible() {
        return;
    }
    let bench = Bench::train(shell(&format!("{ORPHANS} && exit 3")));

    let (code, said) = in_namespaces(&bench, 1, r#"exec "$@""#).await;

    assert_eq!(code, Some(3), "{said}");
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Failed);
    assert_eq!(bench.record(1).exit_code, Some(3));
}

#[tokio::test]
async fn as_process_one_it_hears_sigterm_and_the_next_attempt_goes_on() {
    if !is_possible() {
        return;
    }
    // Whoever is in there signals process 1, as the container's engine does from outside.
    let text = r#"[ "$PPID" = 1 ] || exit 9
        (read -rt 0.5 <> <(:); kill -TERM 1) & exec "$@""#;
    let program = |total| [shell(text), vec!["count".to_owned()], count(total, 5, "")].concat();
    let mut bench = Bench::train(program(100_000));

    let (code, said) = in_namespaces(&bench, 1, r#"exec "$@""#).await;

    assert_eq!(code, Some(75), "{said}");
    assert_eq!(bench.record(1).notice.as_deref(), Some("sigterm"));
    let step = bench.published_step().unwrap();
    bench.job.program = count(u32::try_from(step).unwrap() + 5, 1_000, "");
    let (code, said) = in_namespaces(&bench, 2, r#"exec "$@""#).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(bench.record(2).resumed_from, Some(step));
}

/// The work folder is a disk of its own with a megabyte.
const SMALL_DISK: &str = r#"mkdir -p "$TRAINSPOT_WORK_DIR" && mount -t tmpfs -o size=1m tmpfs "$TRAINSPOT_WORK_DIR" && exec "$@""#;

#[tokio::test]
async fn a_program_that_fills_the_disk_is_on_record_with_what_it_said() {
    if !is_possible() {
        return;
    }
    let fill = r#"head -c 2000000 /dev/zero >"$TRAINSPOT_OUTPUT_DIR/model""#;
    let bench = Bench::train(shell(&format!("{fill} || exit 4")));

    let (code, said) = in_namespaces(&bench, 1, SMALL_DISK).await;

    assert_eq!(code, Some(4), "{said}");
    let record = bench.record(1);
    assert_eq!(record.outcome, AttemptOutcome::Failed);
    assert!(
        record
            .log_tail
            .iter()
            .any(|line| line.contains("No space left on device")),
        "{:?}",
        record.log_tail
    );
    assert_eq!(bench.head(None).unwrap().output, None);
}

#[tokio::test]
async fn a_disk_without_a_byte_left_does_not_keep_results_from_being_published() {
    if !is_possible() {
        return;
    }
    let program = r#"cd "$TRAINSPOT_OUTPUT_DIR" && echo answer >answer
        head -c 2000000 /dev/zero >rest; [ "$(df --output=avail . | tail -1)" -eq 0 ]"#;
    let bench = Bench::train(shell(program));

    let (code, said) = in_namespaces(&bench, 1, SMALL_DISK).await;

    assert_eq!(code, Some(0), "{said}");
    let head = bench.head(None).unwrap();
    assert_eq!(bench.verify(&head.output.unwrap()), ["answer", "rest"]);
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Done);
}
