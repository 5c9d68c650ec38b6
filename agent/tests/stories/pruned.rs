//! Checkpoints that the program removes or writes again while they are on their way.

use std::fs;
use std::path::Path;

use trainspot_agent::host::Happening;

use crate::bench::{Attempt, BUCKET, Bench, count, shell, until};
use crate::shelf::Fault;

/// Waits to be told to go.
const PATIENT: &str = "trap 'exit 143' TERM; while :; do read -rt 0.01 <> <(:); done";

// States that the counting program goes on from.
const OLD: &str = "7";
const NEW: &str = "8";

fn write(checkpoints: &Path, step: u64, text: &str) {
    let partial = checkpoints.join(format!("{step}.partial"));
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("state"), text).unwrap();
    fs::rename(partial, checkpoints.join(step.to_string())).unwrap();
}

/// Step 5 is on its way, and the store does not answer.
async fn on_its_way(bench: &Bench) -> Attempt {
    bench.store.fail(Some(Fault::Silent("checkpoints/")));
    let attempt = bench.start("job", 1);
    until("it works", || bench.own("checkpoints").is_some()).await;
    until("it is on record", || bench.has_record(1)).await;
    write(&bench.own("checkpoints").unwrap(), 5, OLD);
    until("step 5 is held", || {
        bench
            .own("shipping")
            .is_some_and(|folder| folder.join("0").exists())
    })
    .await;
    attempt
}

fn state(bench: &Bench) -> Vec<u8> {
    let published = bench.head(None).unwrap().latest_checkpoint.unwrap();
    assert_eq!(bench.verify(&published), ["state"]);
    let key = format!("{}state", published.prefix);
    bench.store.read(BUCKET, &key).unwrap().body
}

#[tokio::test]
async fn one_that_is_removed_on_its_way_is_published_as_it_was() {
    let bench = Bench::train(shell(PATIENT));
    let attempt = on_its_way(&bench).await;

    fs::remove_dir_all(bench.own("checkpoints").unwrap().join("5")).unwrap();
    bench.store.fail(None);

    until("it is published", || bench.published_step() == Some(5)).await;
    assert_eq!(state(&bench), OLD.as_bytes());
    attempt.tell(Happening::Terminate);
    assert_eq!(attempt.code().await, 76);
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn a_step_that_is_written_again_leaves_the_first_one_whole() {
    let mut bench = Bench::train(shell(PATIENT));
    let attempt = on_its_way(&bench).await;
    let checkpoints = bench.own("checkpoints").unwrap();

    fs::remove_dir_all(checkpoints.join("5")).unwrap();
    write(&checkpoints, 5, NEW);
    bench.store.fail(None);

    until("the new one is published", || {
        bench.published_step() == Some(5) && state(&bench) == NEW.as_bytes()
    })
    .await;
    attempt.tell(Happening::Terminate);
    attempt.code().await;
    let newest = bench.head(None).unwrap().latest_checkpoint.unwrap();
    bench.put(BUCKET, &format!("{}state", newest.prefix), b"torn");
    bench.job.program = count(10, 1_000, "");
    // The program of the second attempt reads what the first one left.
    assert_eq!(bench.run(2).await, 0);
    assert_eq!(bench.record(2).resumed_from, Some(5));
    assert!(
        bench.record(2).log_tail[0].contains("resumed at 5"),
        "{:?}",
        bench.record(2).log_tail
    );
}
