//! How far a live run is, as the notices that send people to `show` promise.

use serde_json::{Value, json};
use trainspot_shared::batch_event::JobStatus;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::{self, file};

use crate::place::{Place, run, trains};

fn head(attempt: Option<u32>) -> Value {
    json!({
        "schema": 1, "version": 3, "write_id": "w", "base": 1,
        "owner": {"submission": 1, "job_id": attempt.map(|_| "job-1"), "attempt": attempt},
        "latest_checkpoint": {
            "prefix": "checkpoints/nightly/x/train/1-1/8/", "manifest_sha256": "0", "step": 8, "submission": 1,
            "attempt": 1, "at": "2026-11-23T02:09:00Z",
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_shows_its_heartbeat_and_its_last_checkpoint() {
    let place = Place::open().await;
    let mut live = run("nightly-20261123T0200Z", 3, None);
    trains(&mut live, JobStatus::Running);
    place.ledger(&live).await;
    let progress = layout::results(&live.id, Stage::Train, None, 1, 2) + file::PROGRESS;
    place
        .put(
            &layout::stage_head(&live.id, Stage::Train, None),
            &head(Some(2)),
        )
        .await;
    place
        .put(
            &progress,
            &json!({"step": 10, "total": 40, "rate": 2.5, "detail": "epoch 3 of 12"}),
        )
        .await;

    let (exit, page, _) = place.trainspot(&["show", "nightly-20261123T0200Z"]);

    assert_eq!(exit, Some(0), "{page}");
    for told in [
        "train 1, attempt 2",
        "step 10 of 40 (25 %)",
        "2.5 steps a second",
        "epoch 3 of 12",
        "last checkpoint: step 8, published 2026-11-23 02:09:00Z",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_its_next_host_shows_where_it_will_go_on() {
    let place = Place::open().await;
    let mut live = run("nightly-20261123T0200Z", 3, None);
    trains(&mut live, JobStatus::Runnable);
    place.ledger(&live).await;
    place
        .put(
            &layout::stage_head(&live.id, Stage::Train, None),
            &head(None),
        )
        .await;

    let (_, page, _) = place.trainspot(&["show", "nightly-20261123T0200Z"]);

    assert!(page.contains("no heartbeat"), "{page}");
    assert!(page.contains("last checkpoint: step 8"), "{page}");
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_read_is_told_and_hides_nothing_else() {
    let place = Place::open().await;
    let mut live = run("nightly-20261123T0200Z", 3, None);
    trains(&mut live, JobStatus::Running);
    place.ledger(&live).await;
    place
        .put(
            &layout::stage_head(&live.id, Stage::Train, None),
            &json!({"schema": 9}),
        )
        .await;

    let (exit, page, _) = place.trainspot(&["show", "nightly-20261123T0200Z"]);

    assert_eq!(exit, Some(0), "{page}");
    assert!(page.contains("at work: not known, since"), "{page}");
    assert!(page.contains("a newer version wrote it"), "{page}");
    assert!(page.contains("asked for by"), "{page}");
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_of_another_shape_is_told_and_hides_nothing_else() {
    let place = Place::open().await;
    let mut live = run("nightly-20261123T0200Z", 3, None);
    trains(&mut live, JobStatus::Running);
    place.ledger(&live).await;
    let progress = layout::results(&live.id, Stage::Train, None, 1, 1) + file::PROGRESS;
    place
        .put(
            &layout::stage_head(&live.id, Stage::Train, None),
            &head(Some(1)),
        )
        .await;
    place.put(&progress, &json!({"epoch": 3})).await;

    let (exit, page, _) = place.trainspot(&["show", "nightly-20261123T0200Z"]);

    assert_eq!(exit, Some(0), "{page}");
    assert!(page.contains("heartbeat cannot be read"), "{page}");
    assert!(page.contains("last checkpoint: step 8"), "{page}");
    place.cloud.stop().await;
}
