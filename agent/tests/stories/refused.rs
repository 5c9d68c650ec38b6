//! What S3 turns away for good.

use crate::bench::{Bench, shell};
use crate::binary::{agent, code};
use crate::stages::pin_dataset;
use crate::wire::{Answer, s3_answer, serve};

#[tokio::test]
async fn an_archived_data_object_is_bad_data_at_once_with_what_to_do() {
    let mut bench = Bench::train(shell("true"));
    pin_dataset(&mut bench, "i/", &["i/a.parquet"]);
    let shelf = bench.store.clone();
    let s3 = serve(move |request| {
        if request.method == "GET" && request.path.ends_with("/i/a.parquet") {
            Answer::error(403, "InvalidObjectState")
        } else {
            s3_answer(&shelf, request)
        }
    })
    .await;
    let log = bench.folder.path().join("log");

    let code = code(agent(&bench, &s3, 1, &log).spawn().unwrap(), &log).await;

    let error = bench.record(1).error.unwrap();
    assert_eq!(code, 65, "{error}");
    assert!(
        error.contains("i/a.parquet") && error.contains("InvalidObjectState"),
        "{error}"
    );
    assert!(error.contains("restore it"), "{error}");
}
