//! The examples of `docs/bring-your-own.md`, each as its reader runs it: checked, run in a local cloud under the real
//! agent, and run again with a host taken back in the middle, which must end in the same output.
//!
//! Needs the built binaries and the trainer's environment, as `make test` makes them; without them it says so and
//! does nothing, unless `TRAINSPOT_WHOLE_RUNS=1` makes that a failure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use trainspot_shared::attempt::{AttemptOutcome, AttemptRecord};
use trainspot_shared::identity::Stage;
use trainspot_shared::run::{End, Run};

/// For one run, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(20);
/// Work that may be done twice after a notice: what the program did between its checkpoint and its end.
const REPEATED_MAX_S: f64 = 3.0;
const PUBLISHED: i32 = 75;
const NOTHING_NEW: i32 = 76;

/// One run at a time: a program that waits for a core is not where its heartbeat says.
static ALONE: Mutex<()> = Mutex::new(());

/// A folder of `examples/`, and how it is tried.
struct Example {
    name: &'static str,
    /// Made by the test, in place of a reader's own.
    data: fn(&Place, &Path),
    /// In its spec, so that small data give enough work for a reclaim in the middle.
    longer: &'static [(&'static str, &'static str)],
    reclaimed: Stage,
    /// Of the stage's published output; equal to the last byte.
    equal: (Stage, &'static [&'static str]),
}

const KERAS_MODULE: Example = Example {
    name: "keras-module",
    data: interactions,
    longer: &[(
        "epochs = 20",
        "epochs = 1500, refit_epochs = 0, dim = 32, chunk_s = 0.05",
    )],
    reclaimed: Stage::Train,
    equal: (Stage::Train, &["model/weights.safetensors"]),
};

const KERAS_FIT: Example = Example {
    name: "keras-fit",
    data: interactions,
    longer: &[("epochs = 60", "epochs = 800"), ("dim = 32", "dim = 256")],
    reclaimed: Stage::Train,
    equal: (Stage::Train, &["weights.npz"]),
};

const PLAIN_FILES: Example = Example {
    name: "plain-files",
    data: interactions,
    longer: &[("epochs = 40", "epochs = 5000")],
    reclaimed: Stage::Train,
    equal: (Stage::Train, &["items.npy", "users.npy"]),
};

const SHELL_SHARDS: Example = Example {
    name: "shell-shards",
    data: shop_log,
    longer: &[("users_per_part = 20", "users_per_part = 3")],
    reclaimed: Stage::Recommend,
    equal: (Stage::Gather, &["recommendations.csv"]),
};

#[test]
fn a_keras_model_of_ones_own_goes_on_at_its_step() {
    survives_a_reclaim(&KERAS_MODULE);
}

#[test]
fn a_script_with_model_fit_goes_on_at_its_epoch() {
    survives_a_reclaim(&KERAS_FIT);
}

#[test]
fn a_loop_with_plain_files_goes_on_at_its_step() {
    survives_a_reclaim(&PLAIN_FILES);
}

#[test]
fn a_shell_pipeline_goes_on_at_its_part_of_a_shard() {
    survives_a_reclaim(&SHELL_SHARDS);
}

#[test]
fn the_page_shows_the_examples_as_they_are() {
    let root = Place::root();
    let page = std::fs::read_to_string(root.join("docs/bring-your-own.md")).expect("the page");
    let mut shown = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let (label, text) = block.split_once('\n').expect("a block has a first line");
        let Some((_, file)) = label.split_once(' ') else {
            continue;
        };
        let source = std::fs::read_to_string(root.join(file))
            .unwrap_or_else(|error| panic!("`{file}` of the page: {error}"));
        assert!(
            source.contains(text.trim_end()),
            "the page's block of `{file}` is not in the file:\n{text}"
        );
        shown += 1;
    }
    assert!(shown >= 8, "{shown} blocks name a file");
}

fn survives_a_reclaim(example: &Example) {
    let place = match Place::find() {
        Ok(place) => place,
        Err(missing) => {
            assert!(std::env::var("TRAINSPOT_WHOLE_RUNS").is_err(), "{missing}");
            eprintln!("skipped: {missing}; `make test` builds what this needs");
            return;
        }
    };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data).expect("writable");
    (example.data)(&place, &data);
    let spec = place.spec(example, folder.path());

    place.check(&spec);
    let undisturbed = place.run(example, &spec, &folder.path().join("undisturbed"), None);
    let stage = example.reclaimed;
    let reclaim = format!("{stage}@20");
    let reclaimed = place.run(
        example,
        &spec,
        &folder.path().join("reclaimed"),
        Some(&reclaim),
    );

    for run in [&undisturbed, &reclaimed] {
        assert_eq!(run.end, Some(End::Succeeded), "{run:?}");
    }
    let (before, after) = the_two_attempts(&reclaimed, stage);
    assert_eq!(before.notice.as_deref(), Some("spot_notice"));
    // A shell script may hear it right after a checkpoint, with nothing new to publish: 76, and nothing lost.
    let was_published_before = before.published_step == before.last_step;
    let expected = if before.outcome == AttemptOutcome::PreemptedUnpublished && was_published_before
    {
        NOTHING_NEW
    } else {
        PUBLISHED
    };
    assert_eq!(before.exit_code, Some(expected), "{before:?}");
    assert!(before.published_step.is_some(), "{before:?}");
    assert_eq!(after.resumed_from, before.published_step);
    let repeated_s = reclaimed.totals().repeated_s();
    assert!(repeated_s <= REPEATED_MAX_S, "{repeated_s} s were repeated");
    let (stage, files) = example.equal;
    for file in files {
        let of = |run: &Run, cloud: &str| {
            let output = run
                .stages
                .get(&stage)
                .and_then(|stage| stage.output.clone());
            let prefix = output.expect("published").prefix;
            object(&folder.path().join(cloud), &prefix, file)
        };
        assert!(
            of(&undisturbed, "undisturbed") == of(&reclaimed, "reclaimed"),
            "`{file}` is not the undisturbed run's"
        );
    }
}

/// The attempt whose host was taken back, and the one after it, for the same shard.
fn the_two_attempts(run: &Run, stage: Stage) -> (AttemptRecord, AttemptRecord) {
    let records: Vec<AttemptRecord> = run
        .records()
        .into_iter()
        .filter(|record| record.stage == stage)
        .cloned()
        .collect();
    let noticed: Vec<_> = records.iter().filter(|r| r.notice.is_some()).collect();
    let [before] = noticed.as_slice() else {
        panic!(
            "one attempt was told to go, not {}: {records:?}",
            noticed.len()
        );
    };
    let after = records
        .iter()
        .find(|r| r.shard == before.shard && r.attempt == before.attempt + 1);
    (
        (*before).clone(),
        after.expect("it was tried again").clone(),
    )
}

/// An object of the results bucket, whatever the bucket is called.
fn object(cloud: &Path, prefix: &str, name: &str) -> Vec<u8> {
    let buckets = std::fs::read_dir(cloud.join("buckets")).expect("there are buckets");
    buckets
        .filter_map(Result::ok)
        .find_map(|bucket| std::fs::read(bucket.path().join(prefix).join(name)).ok())
        .unwrap_or_else(|| panic!("`{prefix}{name}` was published"))
}

/// A small shop as Parquet: deterministic, with something to learn.
fn interactions(place: &Place, folder: &Path) {
    let mut events = String::from("user,item,at\n");
    for user in 0_u32..200 {
        for n in 0_u32..20 {
            let item = (user * 7 + n * n * 3 + n) % 40;
            let at = 1_700_000_000 + n * 5_000 + user * 13;
            writeln!(events, "{user},{item},{at}").expect("a string takes it");
        }
    }
    let csv = folder.with_extension("csv");
    std::fs::write(&csv, events).expect("writable");
    let columns = ["--user", "user", "--item", "item", "--timestamp", "at"];
    let done = Command::new(&place.python)
        .args(["-m", "trainer", "import", "csv"])
        .arg(&csv)
        .args(columns)
        .arg("--to")
        .arg(folder)
        .env("PYTHONPATH", place.root.join("trainer"))
        .output()
        .expect("Python starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A larger shop as CSV: enough for `sort` and `awk` to be at it for a while.
fn shop_log(_: &Place, folder: &Path) {
    let mut events = String::from("user,item,at\n");
    for n in 0_u32..80_000 {
        let user = n.wrapping_mul(2_654_435_761) >> 21;
        let item = (n % 19) * (n % 23) % 97;
        writeln!(events, "u{user:04},{item},{}", 1_700_000_000 + n).expect("a string takes it");
    }
    std::fs::write(folder.join("log.csv"), events).expect("writable");
}

struct Place {
    root: PathBuf,
    python: PathBuf,
    binaries: PathBuf,
}

impl Place {
    fn root() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        root.canonicalize().expect("the repository")
    }

    /// `Err`: what is missing.
    fn find() -> Result<Self, String> {
        let root = Self::root();
        let test = std::env::current_exe().map_err(|e| e.to_string())?;
        // target/<profile>/deps/<this test>
        let binaries = test.ancestors().nth(2).ok_or("no folder of binaries")?;
        let place = Self {
            python: root.join(".venv/bin/python"),
            binaries: binaries.to_owned(),
            root,
        };
        let names = [
            "trainspot",
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

    /// The example's own, with more to do.
    fn spec(&self, example: &Example, folder: &Path) -> PathBuf {
        let path = self
            .root
            .join("examples")
            .join(example.name)
            .join("pipeline.toml");
        let mut text = std::fs::read_to_string(&path).expect("the example has a spec");
        for (was, is) in example.longer {
            assert!(text.contains(was), "`{was}` is not in {}", path.display());
            text = text.replace(was, is);
        }
        let spec = folder.join(format!("{}.toml", example.name));
        std::fs::write(&spec, text).expect("writable");
        spec
    }

    fn trainspot(&self) -> Command {
        let mut command = Command::new(self.binaries.join("trainspot"));
        command.current_dir(&self.root);
        command
    }

    fn check(&self, spec: &Path) {
        let done = self
            .trainspot()
            .arg("check")
            .arg(spec)
            .output()
            .expect("it starts");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stdout)
        );
    }

    /// `trainspot local run`, as the page has it.
    fn run(&self, example: &Example, spec: &Path, folder: &Path, reclaim: Option<&str>) -> Run {
        let data = folder.with_file_name("data");
        let (ledger, told) = (folder.with_extension("json"), folder.with_extension("txt"));
        let file = |path: &Path| std::fs::File::create(path).expect("writable");
        let mut command = self.trainspot();
        command
            .args(["local", "run"])
            .arg(spec)
            .arg("--folder")
            .arg(folder)
            .arg("--binaries")
            .arg(&self.binaries)
            .arg("--data")
            .arg(data)
            .arg("--code")
            .arg(self.root.join("examples").join(example.name))
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(file(&ledger))
            .stderr(file(&told));
        if let Some(reclaim) = reclaim {
            command.args(["--reclaim", reclaim]);
        }
        let mut child = command.spawn().expect("it starts");
        let begun = Instant::now();
        let mut is_told = false;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child of ours") {
                break status;
            }
            if begun.elapsed() > PATIENCE && !is_told {
                // As by Ctrl-C, which takes the cloud's jobs with it; a kill would leave them behind.
                is_told = true;
                let id = child.id().to_string();
                let kill = Command::new("kill").args(["-INT", &id]).status();
                assert!(kill.expect("`kill` starts").success());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let told = std::fs::read_to_string(told).expect("written");
        assert!(status.success(), "{status}: {told}");
        let ledger = std::fs::read(ledger).expect("written");
        serde_json::from_slice(&ledger).expect("the ledger is a run's")
    }
}
