//! Files of more than one part, on their way there and back.

use std::process::Stdio;

use rustix::process::Signal;
use trainspot_agent::host::Happening;

use crate::bench::{BUCKET, Bench, shell, until};
use crate::binary::{agent, code, signal};
use crate::wire::serve_s3;

/// Checkpoints of one file of so many bytes that never changes and a small one that does; goes on after the newest.
fn frozen(size: u64) -> Vec<String> {
    let mut program = shell(FROZEN);
    program.push(size.to_string());
    program
}

const FROZEN: &str = r#"
    cd "$TRAINSPOT_CHECKPOINT_DIR"
    last=$(ls | sort -n | tail -1); step=$((${last:-0} + 1)); stop=
    trap 'stop=1' TERM
    if [[ -n $last ]]; then
        sha256sum <"$last/frozen" >half && mv half "$TRAINSPOT_OUTPUT_DIR/restored"
    fi
    while ((step <= 2)); do
        mkdir "$step.partial"
        yes "a line of a frozen table" | head -c "$0" >"$step.partial/frozen"
        echo "step $step" >"$step.partial/state"
        mv "$step.partial" "$step"
        until [[ -n $stop || -e $TRAINSPOT_OUTPUT_DIR/../go-$step ]]; do read -rt 0.01 <> <(:); done
        if [[ -n $stop ]]; then exit 143; fi
        step=$((step + 1))
    done
"#;

#[tokio::test]
async fn over_the_wire_a_large_checkpoint_goes_up_in_parts_and_comes_back_whole() {
    let bench = Bench::train(frozen(20_000_000));
    let s3 = serve_s3(bench.store.clone()).await;
    let log = bench.folder.path().join("log");
    let child = agent(&bench, &s3, 1, &log)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it is published", || bench.published_step() == Some(1)).await;
    signal(&child, Signal::TERM);
    let first = code(child, &log).await;
    let published = bench.head(None).unwrap().latest_checkpoint.unwrap();
    assert_eq!(bench.verify(&published), ["frozen", "state"]);
    let key = format!("{}frozen", published.prefix);
    let n_parts = bench
        .store
        .sent()
        .iter()
        .filter(|sent| **sent == key)
        .count();

    let child = agent(&bench, &s3, 2, &log).spawn().unwrap();
    until("it is back", || {
        let own = bench.leftovers();
        own.iter().any(|own| own.join("output/restored").exists())
    })
    .await;
    let restored = bench
        .leftovers()
        .iter()
        .find_map(|own| std::fs::read_to_string(own.join("output/restored")).ok())
        .unwrap();
    signal(&child, Signal::TERM);
    let second = code(child, &log).await;

    // Whether something was published since they were told to go is a matter of time.
    let told_to_go = [75, 76];
    assert!(told_to_go.contains(&first) && told_to_go.contains(&second));
    assert_eq!((n_parts, bench.store.n_uploads()), (3, 0));
    let frozen = bench.store.read(BUCKET, &key).unwrap().body;
    let sha256 = trainspot_shared::digest::sha256_hex(&frozen);
    assert_eq!(restored.split_whitespace().next(), Some(sha256.as_str()));
}

#[tokio::test]
async fn of_an_older_checkpoint_only_what_differs_comes_again() {
    // So small that it is there before anything is known of the other, which is torn.
    let bench = Bench::train(frozen(60_000));
    let attempt = bench.start("job", 1);
    until("the first is published", || {
        bench.published_step() == Some(1)
    })
    .await;
    std::fs::write(bench.leftovers()[0].join("go-1"), "").unwrap();
    until("the second is published", || {
        bench.published_step() == Some(2)
    })
    .await;
    attempt.tell(Happening::Terminate);
    attempt.code().await;
    let newest = bench.head(None).unwrap().latest_checkpoint.unwrap();
    bench.put(BUCKET, &format!("{}state", newest.prefix), b"torn");
    bench.store.take_read();

    let attempt = bench.start("job", 2);
    until("it has restored", || {
        let own = bench.leftovers();
        own.iter().any(|own| own.join("output/restored").exists())
    })
    .await;
    attempt.tell(Happening::Terminate);
    attempt.code().await;

    assert_eq!(bench.record(2).resumed_from, Some(1));
    let read = bench.store.take_read();
    let of = |prefix: &str, name: &str| {
        let key = format!("{prefix}{name}");
        read.iter().filter(|read| **read == key).count()
    };
    let older = newest.prefix.replace("/2/", "/1/");
    assert_eq!((of(&newest.prefix, "frozen"), of(&older, "frozen")), (1, 0));
    assert_eq!(of(&older, "state"), 1);
}
