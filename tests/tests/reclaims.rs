//! A real training under the real agent, over the wire: three reclaims with notice at random steps end in
//! the very state of an undisturbed training.
//!
//! Needs the built functions and agent and the trainer's environment, as `make test` makes them; without
//! them it says so and does nothing, unless `TRAINSPOT_WHOLE_RUNS=1` makes that a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trainspot_localcloud::{Image, LocalCloud, Reclaim, Settings};
use trainspot_shared::attempt::{AttemptOutcome, AttemptRecord};
use trainspot_shared::run::{End, Run};

/// A slow machine has minutes for each step of the story.
const PATIENCE: Duration = Duration::from_mins(15);
const TICK: &str = "20261123T0200Z";

const SPEC: &str = r#"
[data]
prefix = "interactions/"
[train]
program = ["python", "-m", "trainer", "train"]
gpus = 1
memory_gib = 8
timeout = "20m"
params = { model = "sequential-two-tower", epochs = 6000, refit_epochs = 0, seed = 3, dim = 32, chunk_s = 0.02, checkpoint_every_s = 1 }
"#;

struct Place {
    root: PathBuf,
    python: PathBuf,
    binaries: PathBuf,
}

impl Place {
    /// Everything that a whole run needs, or what is missing.
    fn find() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().map_err(|e| e.to_string())?;
        let test = std::env::current_exe().map_err(|e| e.to_string())?;
        // target/<profile>/deps/<this test>
        let binaries = test
            .ancestors()
            .nth(2)
            .ok_or("no folder of binaries")?
            .to_owned();
        let place = Self {
            python: root.join(".venv/bin/python"),
            binaries,
            root,
        };
        let names = [
            "trainspot-agent",
            "submit-training",
            "fan-out",
            "handle-failure",
            "supervise-runs",
        ];
        let needed = names.map(|name| place.binaries.join(name));
        for path in needed.iter().chain([&place.python]) {
            if !path.exists() {
                return Err(format!("`{}` is not there", path.display()));
            }
        }
        Ok(place)
    }

    fn settings(&self, folder: &Path) -> Settings {
        let bin = self.root.join(".venv/bin");
        let image = Image {
            entrypoint: vec![
                self.binaries.join("trainspot-agent").display().to_string(),
                "--".to_owned(),
            ],
            env: BTreeMap::from([
                (
                    "PATH".to_owned(),
                    format!("{}:/usr/bin:/bin", bin.display()),
                ),
                (
                    "PYTHONPATH".to_owned(),
                    self.root.join("trainer").display().to_string(),
                ),
                ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
                ("KERAS_BACKEND".to_owned(), "jax".to_owned()),
                ("HOME".to_owned(), "/tmp".to_owned()),
                ("TRAINSPOT_IMDS_POLL_S".to_owned(), "0.5".to_owned()),
            ]),
            workdir: PathBuf::new(),
        };
        let mut settings = Settings::new(
            self.root.join("template.yaml"),
            folder,
            &self.binaries,
            image,
        );
        let image_uri = format!(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/t@sha256:{}",
            "0".repeat(64)
        );
        settings.parameters.insert("ImageUri".to_owned(), image_uri);
        settings
    }

    /// A small shop: deterministic, with something to learn.
    fn dataset(&self, folder: &Path) {
        let mut events = String::from("user,item,at\n");
        for user in 0_u32..200 {
            for n in 0_u32..20 {
                let item = (user * 7 + n * n * 3 + n) % 40;
                let at = 1_700_000_000 + n * 5_000 + user * 13;
                events.push_str(&format!("{user},{item},{at}\n"));
            }
        }
        let csv = folder.join("events.csv");
        std::fs::write(&csv, events).expect("the test's own folder is writable");
        let done = std::process::Command::new(&self.python)
            .args(["-m", "trainer", "import", "csv"])
            .arg(&csv)
            .args([
                "--user",
                "user",
                "--item",
                "item",
                "--timestamp",
                "at",
                "--to",
            ])
            .arg(folder.join("data"))
            .env("PYTHONPATH", self.root.join("trainer"))
            .output()
            .expect("Python starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
}

/// One local cloud and the folder it keeps.
struct Stage {
    cloud: LocalCloud,
    folder: PathBuf,
    results: PathBuf,
}

impl Stage {
    async fn open(place: &Place, folder: &Path) -> Self {
        let cloud = LocalCloud::start(place.settings(&folder.join("cloud")))
            .await
            .expect("it starts");
        let bucket = |id: &str| {
            let name = cloud.physical(id).expect("the template has it");
            folder.join("cloud/buckets").join(name)
        };
        let results = bucket("ResultsBucket");
        let data = bucket("DataBucket").join("interactions");
        std::fs::create_dir_all(&data).expect("writable");
        for file in std::fs::read_dir(folder.join("data")).expect("imported") {
            let file = file.expect("readable").path();
            let name = file.file_name().expect("a file has a name");
            std::fs::copy(&file, data.join(name)).expect("copied");
        }
        Self {
            cloud,
            folder: folder.to_owned(),
            results,
        }
    }

    async fn start(&self, pipeline: &str) {
        let spec = format!("name = \"{pipeline}\"\n{SPEC}");
        let folder = self.results.join("pipelines");
        std::fs::create_dir_all(&folder).expect("writable");
        std::fs::write(folder.join(format!("{pipeline}.toml")), spec).expect("writable");
        let tick = json!({"pipeline": pipeline, "tick": "2026-11-23T02:00:00Z"});
        let answer = self
            .cloud
            .invoke("SubmitTrainingFunction", tick)
            .await
            .expect("there is one");
        assert_eq!(answer.payload["outcome"], "created", "{answer:?}");
    }

    fn read(&self, key: &str) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.results.join(key)).ok()?).ok()
    }

    fn attempt_file(&self, pipeline: &str, attempt: u32, name: &str) -> Option<Value> {
        self.read(&format!(
            "results/{pipeline}/{pipeline}-{TICK}/train/1-{attempt}/{name}"
        ))
    }

    fn run(&self, pipeline: &str) -> Option<Run> {
        serde_json::from_value(self.read(&format!("state/{pipeline}/{pipeline}-{TICK}/run.json"))?)
            .ok()
    }

    async fn wait<T>(&self, what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(value) = seen() {
                return value;
            }
            let logs = self.folder.join("cloud/logs");
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain for {what}; logs: {}",
                logs.display()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(&self, pipeline: &str) -> Run {
        self.wait("the end", || {
            self.run(pipeline)
                .filter(|run| run.is_final() && run.is_reviewed)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_reclaims_at_random_steps_end_in_the_undisturbed_state() {
    let place = match Place::find() {
        Ok(place) => place,
        Err(missing) => {
            assert!(std::env::var("TRAINSPOT_WHOLE_RUNS").is_err(), "{missing}");
            eprintln!("skipped: {missing}; `make test` builds what this needs");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    place.dataset(folder.path());
    let stage = Stage::open(&place, folder.path()).await;

    stage.start("undisturbed").await;
    assert_eq!(stage.end("undisturbed").await.end, Some(End::Succeeded));
    let undisturbed = stage
        .attempt_file("undisturbed", 1, "training.json")
        .expect("it trained");
    let steps = undisturbed["steps"].as_u64().expect("a number of steps");

    stage.start("reclaimed").await;
    // Each time a random distance after the step that was published last, so that there is new work to
    // keep; three of them end well before the training does, also when a busy machine hears late of a step.
    let mut published = 0;
    for attempt in 1..=3 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "steps are far below 2^52"
        )]
        let target = published + ((0.02 + 0.05 * fastrand::f64()) * steps as f64) as u64;
        eprintln!("attempt {attempt} is reclaimed after step {target} of {steps}");
        let is_far_enough = |step: u64| step >= target;
        let job = stage
            .wait("the step to reclaim at", || {
                let run = stage.run("reclaimed");
                assert!(
                    run.is_none_or(|run| !run.is_final()),
                    "the training was over before its host was taken back: give it more to do"
                );
                let progress = stage.attempt_file("reclaimed", attempt, "progress.json")?;
                is_far_enough(progress["step"].as_u64()?).then_some(())?;
                let jobs = stage.cloud.jobs();
                jobs.into_iter()
                    .find(|job| job.job_name.starts_with("reclaimed-") && job.status == "RUNNING")
            })
            .await;
        stage
            .cloud
            .reclaim(&job.job_id, Reclaim::WithNotice(Duration::from_secs(20)))
            .await
            .expect("it runs");
        published = stage
            .wait("the attempt's end", || {
                let record = stage.attempt_file("reclaimed", attempt, "attempt.json")?;
                (record["outcome"] != "running").then(|| record["published_step"].as_u64())
            })
            .await
            .expect("there was time to publish");
    }
    let run = stage.end("reclaimed").await;
    stage.cloud.stop().await;

    assert_eq!(run.end, Some(End::Succeeded));
    let records: Vec<&AttemptRecord> = run.records();
    let (last, reclaimed) = records.split_last().expect("there are attempts");
    assert_eq!(reclaimed.len(), 3, "{records:?}");
    for pair in records.windows(2) {
        let [before, after] = pair else {
            unreachable!("windows of two")
        };
        assert_eq!(before.outcome, AttemptOutcome::PreemptedPublished);
        assert_eq!(before.exit_code, Some(75));
        assert_eq!(
            after.resumed_from, before.published_step,
            "it goes on where the one before published"
        );
    }
    let repeated_s = run.totals().repeated_s();
    assert!(
        repeated_s <= 2.0,
        "{repeated_s} s of work were repeated after notices"
    );
    let output = run
        .stages
        .values()
        .next()
        .and_then(|s| s.output.clone())
        .expect("published");
    let trained = stage_file(
        &folder.path().join("cloud/buckets"),
        &output.prefix,
        "training.json",
    );
    assert_eq!(
        trained["digest"], undisturbed["digest"],
        "the state is the undisturbed training's"
    );
    assert_eq!(
        trained["resumed_from"].as_u64(),
        last.resumed_from,
        "{trained} {last:?}"
    );
}

/// A file of the results bucket, whatever the bucket is called.
fn stage_file(buckets: &Path, prefix: &str, name: &str) -> Value {
    let found = std::fs::read_dir(buckets)
        .expect("there are buckets")
        .filter_map(Result::ok)
        .find_map(|bucket| std::fs::read(bucket.path().join(prefix).join(name)).ok());
    serde_json::from_slice(&found.expect("it was published")).expect("the trainer writes JSON")
}
