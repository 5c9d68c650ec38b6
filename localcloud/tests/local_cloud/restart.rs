//! What a second process finds.

use trainspot_localcloud::{Happening, LocalCloud, StartError};

use super::place::{Place, settings};

#[tokio::test]
async fn a_job_that_ran_when_the_process_ended_comes_back_lost_and_is_told_about() {
    let mut place = Place::with(|settings| settings.max_running_jobs = 1).await;
    let pid = place.scratch("pid");
    let running = place
        .submit(
            "running",
            &format!("echo $$ > {}; while :; do sleep 1; done", pid.display()),
        )
        .await;
    let waiting = place.submit("waiting", "exit 0").await;
    place
        .until_true("the program runs", || {
            std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;

    place = place.again().await;

    let program = std::fs::read_to_string(&pid).expect("it wrote its id");
    assert!(
        !std::path::Path::new(&format!("/proc/{}", program.trim())).exists(),
        "its children end with a cloud"
    );
    place
        .until("the event about the lost job", |happening| {
            matches!(happening, Happening::InvocationEnded { function, error: None, .. } if function == "FailedFunction")
        })
        .await;
    let lost = place.job(&running);
    let reason = lost.status_reason.unwrap_or_default();
    assert_eq!(lost.status, "FAILED");
    assert!(
        reason.starts_with("Host EC2 (instance i-") && reason.ends_with(") terminated."),
        "{reason}"
    );
    assert_eq!((lost.attempts_ended, lost.exit_code), (1, None));
    place
        .until_true("what only waited runs now", || {
            place.job(&waiting).status == "SUCCEEDED"
        })
        .await;
    let fresh = place.submit("fresh", "exit 0").await;
    assert!(
        fresh != running && fresh != waiting,
        "the same seed draws other ids at the next start"
    );
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let place = Place::new().await;

    let second = LocalCloud::start(settings(&place.folder)).await;

    assert!(
        matches!(second, Err(StartError::FolderInUse { .. })),
        "{:?}",
        second.err()
    );
}
