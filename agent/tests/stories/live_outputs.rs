//! What the program writes is off the host before it ends, in a handful of requests.

use crate::bench::{BUCKET, Bench, shell, until};

const FILES: usize = 300;

#[tokio::test]
async fn hundreds_of_small_files_are_a_pack_until_they_are_published() {
    let bench = Bench::train(shell(
        r#"cd "$TRAINSPOT_OUTPUT_DIR"
        for ((n = 0; n < 300; n++)); do echo "line $n" >"shard-$n"; done
        head -c 3000000 /dev/zero >large
        until [[ -e ../go ]]; do read -rt 0.01 <> <(:); done
        exit 0"#,
    ));
    let attempt = bench.start("job", 1);
    let results = bench.results(None, 1);
    let packed = || bench.store.keys(BUCKET, &format!("{results}unpublished/"));
    until("it is off the host", || {
        let bytes = packed().into_iter().map(|key| {
            let pack = bench.store.read(BUCKET, &key).unwrap().body;
            // Each file has a header of 512 bytes and, being small, as much again.
            pack.len() / 1024
        });
        bytes.sum::<usize>() >= FILES && bench.result(1, "large").is_some()
    })
    .await;
    let n_packs = packed().len();
    let alone = bench.store.keys(BUCKET, &format!("{results}shard-"));
    let n_large = |sent: Vec<String>| sent.iter().filter(|key| key.ends_with("/large")).count();
    let large_before = n_large(bench.store.sent());

    std::fs::write(bench.leftovers()[0].join("go"), "").unwrap();
    let code = attempt.code().await;

    assert_eq!(code, 0);
    assert!(n_packs <= 5, "{n_packs}");
    assert!(alone.is_empty(), "{alone:?}");
    let output = bench.head(None).unwrap().output.unwrap();
    assert_eq!(bench.verify(&output).len(), FILES + 1);
    // It did not change since, and was there.
    assert_eq!(n_large(bench.store.sent()), large_before);
}
