//! What a program finds, and what becomes of what it leaves.

use trainspot_agent::Assignment;
use trainspot_shared::attempt::AttemptOutcome;
use trainspot_shared::dataset::{Dataset, DatasetObject};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::Stage;
use trainspot_shared::job::{Input, Pinned};
use trainspot_shared::layout;
use trainspot_shared::manifest::{Manifest, ManifestFile};

use crate::bench::{BUCKET, Bench, count, shell};

pub(crate) fn pin_dataset(bench: &mut Bench, prefix: &str, keys: &[&str]) {
    let objects = keys.iter().map(|key| DatasetObject {
        key: (*key).to_owned(),
        size: 4,
        etag: bench.put("data", key, b"rows"),
    });
    let objects = objects.collect();
    let dataset = Dataset {
        schema: 1,
        bucket: "data".to_owned(),
        prefix: prefix.to_owned(),
        objects,
    };
    let body = serde_json::to_vec(&dataset).unwrap();
    let sha256 = sha256_hex(&body);
    let key = format!("state/dataset-{sha256}.json");
    bench.put(BUCKET, &key, &body);
    bench.job.dataset = Some(Pinned { key, sha256 });
}

fn add_input(bench: &mut Bench, name: &str, promised: &[u8], there: &[u8]) {
    let prefix = format!("results/earlier/{name}/");
    bench.put(BUCKET, &format!("{prefix}model/weights"), there);
    let file = ManifestFile {
        path: "model/weights".to_owned(),
        size: promised.len() as u64,
        sha256: sha256_hex(promised),
        crc32: Vec::new(),
    };
    let manifest = serde_json::to_vec(&Manifest::of(9, vec![file])).unwrap();
    bench.put(BUCKET, &format!("{prefix}MANIFEST.json"), &manifest);
    let manifest_sha256 = sha256_hex(&manifest);
    bench.job.inputs.push(Input {
        name: name.to_owned(),
        prefix,
        manifest_sha256,
        shards: None,
    });
}

#[tokio::test]
async fn a_whole_run_publishes_its_output_and_cleans_up() {
    let bench = Bench::train(count(30, 10, ""));

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    let head = bench.head(None).unwrap();
    let output = head.output.unwrap();
    assert_eq!(output.step, 30);
    assert_eq!(bench.verify(&output), ["answer.json", "progress.json"]);
    let checkpoint = head.latest_checkpoint.unwrap();
    assert_eq!(bench.verify(&checkpoint), ["deep/step", "state"]);
    let record = bench.record(1);
    assert_eq!(
        (record.outcome, record.exit_code),
        (AttemptOutcome::Done, Some(0))
    );
    assert_eq!(
        (record.program_exit_code, record.last_step),
        (Some(0), Some(30))
    );
    assert_eq!(record.cold_start, [("import_s".to_owned(), 0.5)].into());
    assert_eq!(record.resumed_from, None);
    assert!(
        record
            .log_tail
            .last()
            .unwrap()
            .starts_with("resumed at 0, state ")
    );
    assert!(bench.leftovers().is_empty());
}

#[tokio::test]
async fn the_program_sees_exactly_what_was_pinned_and_never_the_job() {
    let mut bench = Bench::train(shell(
        r#"cd "$TRAINSPOT_DATA_DIR" && find . -type f | sort >"$TRAINSPOT_OUTPUT_DIR/data"
        cp -r "$TRAINSPOT_INPUT_DIR" "$TRAINSPOT_OUTPUT_DIR/input"
        cp "$TRAINSPOT_PARAMS" "$TRAINSPOT_OUTPUT_DIR/params"
        env | grep -E '^TRAINSPOT_(JOB|RUN_ID|PIPELINE|STAGE|SHARD|SHARDS)=' | sort >"$TRAINSPOT_OUTPUT_DIR/env""#,
    ));
    pin_dataset(
        &mut bench,
        "interactions/",
        &["interactions/a.parquet", "interactions/y=1/b.parquet"],
    );
    add_input(&mut bench, "champion", b"weights", b"weights");
    add_input(&mut bench, "recommend/0", b"shard", b"shard");

    let code = bench.run(1).await;

    assert_eq!(code, 0, "{:?}", bench.record(1));
    assert_eq!(
        bench.result(1, "data").unwrap(),
        "./a.parquet\n./y=1/b.parquet\n"
    );
    assert_eq!(
        bench.result(1, "input/champion/model/weights").unwrap(),
        "weights"
    );
    assert_eq!(
        bench.result(1, "input/recommend/0/model/weights").unwrap(),
        "shard"
    );
    assert_eq!(bench.result(1, "params").unwrap(), "{\n  \"epochs\": 20\n}");
    assert_eq!(
        bench.result(1, "env").unwrap(),
        "TRAINSPOT_PIPELINE=recommender\nTRAINSPOT_RUN_ID=recommender-20261123T0200Z\n\
         TRAINSPOT_SHARD=0\nTRAINSPOT_SHARDS=1\nTRAINSPOT_STAGE=train\n"
    );
}

#[tokio::test]
async fn a_data_object_that_changed_is_bad_data_and_is_named() {
    let mut bench = Bench::train(count(5, 5, ""));
    pin_dataset(&mut bench, "i/", &["i/a.parquet", "i/b.parquet"]);
    bench.put("data", "i/b.parquet", b"other");

    let code = bench.run(1).await;

    assert_eq!(code, 65);
    let record = bench.record(1);
    assert_eq!(record.outcome, AttemptOutcome::Failed);
    assert!(record.error.unwrap().contains("s3://data/i/b.parquet"));
    assert_eq!(record.program_started_at, None);
}

#[tokio::test]
async fn a_data_object_that_vanished_is_bad_data() {
    let mut bench = Bench::train(count(5, 5, ""));
    pin_dataset(&mut bench, "i/", &["i/a.parquet"]);
    bench.store.remove("data", "i/a.parquet");

    assert_eq!(bench.run(1).await, 65);
}

#[tokio::test]
async fn a_key_that_climbs_out_is_refused() {
    let mut bench = Bench::train(count(5, 5, ""));
    pin_dataset(&mut bench, "i/", &["i/../../../escaped"]);

    let code = bench.run(1).await;

    assert_eq!(code, 65);
    assert!(
        bench
            .record(1)
            .error
            .unwrap()
            .contains("i/../../../escaped")
    );
    assert!(!bench.folder.path().join("escaped").exists());
}

#[tokio::test]
async fn an_input_that_is_not_what_was_published_is_bad_data() {
    let mut bench = Bench::train(count(5, 5, ""));
    add_input(&mut bench, "train", b"weights", b"wEights");

    let code = bench.run(1).await;

    assert_eq!(code, 65);
    assert!(bench.record(1).error.unwrap().contains("input `train`"));
}

#[tokio::test]
async fn an_empty_output_is_an_output() {
    let bench = Bench::train(shell("true"));

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    let output = bench.head(None).unwrap().output.unwrap();
    assert_eq!(
        (bench.verify(&output), output.step),
        (Vec::<String>::new(), 0)
    );
}

#[tokio::test]
async fn a_program_may_not_hide_the_agents_own_files() {
    let bench = Bench::train(shell(
        r#"cd "$TRAINSPOT_OUTPUT_DIR" && echo x | tee MANIFEST.json attempt.json ok"#,
    ));

    let code = bench.run(1).await;

    assert_eq!(code, 0);
    let output = bench.head(None).unwrap().output.unwrap();
    assert_eq!(bench.verify(&output), ["ok"]);
    assert_eq!(bench.record(1).outcome, AttemptOutcome::Done);
}

/// Every shard of the fan-out is published, and the next stage has them as its input.
async fn gather_of(shards: u32, program: Vec<String>) -> Bench {
    let fan_out = Bench::recommend(
        shell(r#"echo $TRAINSPOT_SHARD >"$TRAINSPOT_OUTPUT_DIR/rows""#),
        shards,
    );
    for index in 0..shards {
        let array_index = Some(index);
        let child = Assignment {
            array_index,
            ..fan_out.assignment("parent", 1)
        };
        assert_eq!(fan_out.start_as(child).code().await, 0);
    }
    let mut gather = Bench::of(Stage::Gather, program);
    for key in fan_out.store.keys(BUCKET, "") {
        let object = fan_out.store.read(BUCKET, &key).unwrap();
        gather.put(BUCKET, &key, &object.body);
    }
    gather.job.inputs = vec![Input {
        name: "recommend".to_owned(),
        prefix: String::new(),
        manifest_sha256: String::new(),
        shards: Some(shards),
    }];
    gather
}

#[tokio::test]
async fn every_shard_of_a_fan_out_is_laid_into_its_own_folder() {
    let bench = gather_of(
        3,
        shell(r#"cat "$TRAINSPOT_INPUT_DIR"/recommend/{0,1,2}/rows >"$TRAINSPOT_OUTPUT_DIR/all""#),
    )
    .await;

    let code = bench.run(1).await;

    assert_eq!(code, 0, "{:?}", bench.record(1).error);
    assert_eq!(bench.result(1, "all").unwrap(), "0\n1\n2\n");
}

#[tokio::test]
async fn a_shard_that_was_never_published_is_bad_data_and_is_named() {
    let bench = gather_of(2, shell("true")).await;
    let head = layout::stage_head(&bench.job.run_id, Stage::Recommend, Some(1));
    bench.store.remove(BUCKET, &head);

    let code = bench.run(1).await;

    assert_eq!(code, 65);
    assert!(bench.record(1).error.unwrap().contains("recommend/1"));
}
