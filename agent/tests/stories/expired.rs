//! Credentials that S3 calls expired before their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use trainspot_shared::attempt::AttemptOutcome;

use crate::bench::{Bench, count, until};
use crate::binary::{agent, code};
use crate::wire::{Answer, s3_answer, serve};

#[tokio::test]
async fn expired_credentials_are_renewed_and_the_call_is_repeated() {
    // Long enough for a checkpoint to be published while it works.
    let bench = Bench::train(count(300, 10, ""));
    let shelf = bench.store.clone();
    // The number of the key that S3 takes; the provider gives the newest.
    let valid = Arc::new(AtomicU32::new(1));
    let taken = Arc::clone(&valid);
    let s3 = serve(move |request| {
        let key = format!("Credential=key-{}/", taken.load(Ordering::SeqCst));
        let signed = request.header("authorization").unwrap_or_default();
        if signed.contains(&key) {
            s3_answer(&shelf, request)
        } else {
            Answer::error(400, "ExpiredToken")
        }
    })
    .await;
    let given = Arc::clone(&valid);
    let asked = Arc::new(AtomicU32::new(0));
    let times = Arc::clone(&asked);
    let provider = serve(move |_| {
        times.fetch_add(1, Ordering::SeqCst);
        let n = given.load(Ordering::SeqCst);
        Answer::ok(format!(
            r#"{{"AccessKeyId":"key-{n}","SecretAccessKey":"made-up","Token":"made-up","Expiration":"2099-01-01T00:00:00Z"}}"#
        ))
    })
    .await;
    let log = bench.folder.path().join("log");
    let mut command = agent(&bench, &s3, 1, &log);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/role", provider.url),
        );

    let child = command.spawn().unwrap();
    until("it works", || bench.published_step().is_some()).await;
    valid.store(2, Ordering::SeqCst);
    let code = code(child, &log).await;

    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(code, 0, "{said}");
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Done);
    assert!(asked.load(Ordering::SeqCst) >= 2, "{said}");
}
