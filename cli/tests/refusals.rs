//! What the command says when it cannot go on: every word is compared with a golden file, none is longer
//! than five lines, and a folder that was refused is left as it was.
//!
//! `UPDATE_GOLDEN=1` writes the files anew.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use trainspot_localcloud::{Image, LocalCloud, Settings};

const LINES_MAX: usize = 5;
const SPEC: &str =
    "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\n[train]\nprogram = [\"true\"]\n";

/// Of the reference trainer, whose columns are known: other programs read what they like.
const REFERENCE: &str = "[\"python\", \"-m\", \"trainer\", \"train\"]";

/// A temporary folder with a spec, a dataset and binaries that are never run.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        place.write("nightly.toml", SPEC.as_bytes());
        place.write("binaries/trainspot-agent", b"never run");
        place.write(
            "data/clicks.parquet",
            &parquet(&["user_id", "item_id", "timestamp"]),
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("it can be made");
        std::fs::write(path, bytes).expect("it can be written");
    }

    /// `trainspot local run` of the spec, in `folder`.
    fn local_run(&self, arguments: &[&str]) -> Command {
        let mut command = self.trainspot(&["local", "run", "nightly.toml", "--folder", "folder"]);
        let template = template();
        command.args([
            "--template",
            template.to_str().expect("a readable path"),
            "--binaries",
            "binaries",
        ]);
        command.args(arguments);
        command
    }

    fn trainspot(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainspot"));
        command
            .current_dir(self.0.path())
            .args(arguments)
            .env_clear();
        command
    }

    async fn cloud(&self) -> LocalCloud {
        let mut settings = Settings::new(
            template(),
            self.path("folder"),
            self.path("binaries"),
            Image::default(),
        );
        settings.parameters.insert(
            "ImageUri".to_owned(),
            format!("i@sha256:{}", "0".repeat(64)),
        );
        LocalCloud::start(settings)
            .await
            .expect("a free folder and port")
    }

    /// Every file below `folder`, with its bytes and the time of its last change.
    fn folder(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path("folder")];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries {
                let path = entry.expect("a readable folder").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let changed = path
                    .metadata()
                    .and_then(|seen| seen.modified())
                    .expect("a readable file");
                files.insert(
                    path.clone(),
                    (std::fs::read(path).expect("a readable file"), changed),
                );
            }
        }
        files
    }
}

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")
}

/// A Parquet file with nothing but a schema.
fn parquet(columns: &[&str]) -> Vec<u8> {
    let n = u8::try_from(columns.len()).expect("a few columns");
    let mut footer = vec![0x15, 0x02, 0x19, ((n + 1) << 4) | 0x0c];
    let mut element = |name: &str, n_children: u8| {
        footer.push(0x48);
        footer.push(u8::try_from(name.len()).expect("a short name"));
        footer.extend(name.as_bytes());
        if n_children > 0 {
            footer.extend([0x15, n_children * 2]);
        }
        footer.push(0);
    };
    element("schema", n);
    for name in columns {
        element(name, 0);
    }
    footer.push(0);
    let length = u32::try_from(footer.len())
        .expect("a short footer")
        .to_le_bytes();
    [b"PAR1".as_slice(), &footer, &length, b"PAR1"].concat()
}

/// Runs the command and compares exit code and stderr with `golden/<name>.txt`; nothing may be on stdout.
fn refuses(name: &str, exit: i32, place: &Place, mut command: Command) {
    let output = command.output().expect("the command runs");

    let told = String::from_utf8(output.stderr).expect("text");
    let told = told.replace(&place.0.path().display().to_string(), "<place>");
    assert_eq!(output.status.code(), Some(exit), "{told}");
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(told.lines().count() <= LINES_MAX, "{told}");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &told).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(told, expected, "{}", golden.display());
}

#[test]
fn a_typo_in_a_spec_is_told_with_line_and_suggestion_and_touches_nothing() {
    let place = Place::new();
    place.write("nightly.toml", SPEC.replace("program", "progam").as_bytes());

    refuses("spec-typo", 64, &place, place.local_run(&[]));
    refuses(
        "spec-typo",
        64,
        &place,
        place.trainspot(&["check", "nightly.toml"]),
    );

    assert!(!place.path("folder").exists());
}

#[test]
fn a_dataset_without_a_column_is_refused_before_anything_is_put() {
    let place = Place::new();
    place.write(
        "nightly.toml",
        SPEC.replace("[\"true\"]", REFERENCE).as_bytes(),
    );
    place.write(
        "data/clicks.parquet",
        &parquet(&["user_id", "item", "timestamp"]),
    );

    refuses(
        "dataset-without-a-column",
        65,
        &place,
        place.local_run(&["--data", "data"]),
    );

    assert!(!place.path("folder").exists());
}

#[test]
fn a_dataset_that_was_cut_off_is_refused_before_anything_is_put() {
    let place = Place::new();
    place.write(
        "nightly.toml",
        SPEC.replace("[\"true\"]", REFERENCE).as_bytes(),
    );
    let whole = parquet(&["user_id", "item_id", "timestamp"]);
    place.write(
        "data/clicks.parquet",
        whole.get(..whole.len() - 6).expect("longer than its tail"),
    );

    refuses(
        "dataset-cut-off",
        65,
        &place,
        place.local_run(&["--data", "data"]),
    );

    assert!(!place.path("folder").exists());
}

#[test]
fn a_chaos_file_that_cannot_be_followed_is_told_before_anything_is_started() {
    let place = Place::new();
    place.write("bad-week.toml", b"[events]\ndrop = 120\n");
    place.write("typo.toml", b"[events]\nlose = 5\n");

    for (name, file) in [
        ("chaos-share-wrong", "bad-week.toml"),
        ("chaos-typo", "typo.toml"),
        ("chaos-missing", "none.toml"),
    ] {
        refuses(name, 64, &place, place.local_run(&["--chaos", file]));
    }

    assert!(!place.path("folder").exists());
}

#[test]
fn a_missing_binary_is_told_with_how_to_build_it() {
    let place = Place::new();
    std::fs::remove_file(place.path("binaries/trainspot-agent")).expect("it is there");

    refuses("binary-missing", 64, &place, place.local_run(&[]));

    assert!(!place.path("folder").exists());
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_left_as_it_was() {
    let place = Place::new();
    let cloud = place.cloud().await;
    let before = place.folder();
    assert!(!before.is_empty());

    refuses(
        "folder-in-use",
        75,
        &place,
        place.local_run(&["--data", "data"]),
    );

    assert_eq!(place.folder(), before);
    cloud.stop().await;
}

/// An environment whose endpoint was free a moment ago.
fn nobody_listens() -> BTreeMap<&'static str, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    BTreeMap::from([
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "nobody".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "nobody".to_owned()),
    ])
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_unreachable() {
    let place = Place::new();
    let nobody = nobody_listens();
    let with_nobody = |arguments: &[&str]| {
        let mut command = place.trainspot(arguments);
        command.envs(nobody.clone());
        command
    };

    refuses(
        "endpoint-unreachable",
        69,
        &place,
        with_nobody(&["runs", "--bucket", "results"]),
    );
    refuses(
        "function-unreachable",
        69,
        &place,
        with_nobody(&["start", "nightly", "--json"]),
    );
    refuses(
        "cancel-unreachable",
        69,
        &place,
        with_nobody(&["cancel", "nightly-20261123T0200Z"]),
    );
    refuses("queue-unreachable", 69, &place, with_nobody(&["redrive"]));
}

#[test]
fn without_a_bucket_the_hint_says_where_to_get_one() {
    let place = Place::new();

    refuses("no-bucket", 64, &place, place.trainspot(&["runs"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_pipeline_or_run_is_answered_with_those_there_are() {
    let place = Place::new();
    let cloud = place.cloud().await;
    let bucket = cloud
        .physical("ResultsBucket")
        .expect("the template has it");
    let with_cloud = |arguments: &[&str]| {
        let mut command = place.trainspot(arguments);
        command
            .envs(cloud.sdk_environment())
            .env("TRAINSPOT_RESULTS_BUCKET", &bucket);
        command
    };

    let pushed = with_cloud(&["push", "nightly.toml"])
        .output()
        .expect("the command runs");
    assert!(
        pushed.status.success(),
        "{}",
        String::from_utf8_lossy(&pushed.stderr)
    );
    let told = String::from_utf8_lossy(&pushed.stdout).into_owned();
    assert!(told.contains("pushed for the first time"), "{told}");
    // A copy whose name was forgotten would replace the pipeline that it was copied from.
    place.write(
        "search.toml",
        SPEC.replace("clicks/", "queries/").as_bytes(),
    );
    refuses(
        "name-forgotten",
        64,
        &place,
        with_cloud(&["push", "search.toml"]),
    );
    let again = with_cloud(&["push", "nightly.toml"])
        .output()
        .expect("the command runs");
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(told.contains("unchanged"), "{told}");
    place.write("pipeline.toml", SPEC.as_bytes());
    let by_folder = with_cloud(&["push", "pipeline.toml"])
        .output()
        .expect("the command runs");
    assert!(by_folder.status.success(), "{by_folder:?}");
    refuses(
        "pipeline-unknown",
        64,
        &place,
        with_cloud(&["runs", "nihgtly"]),
    );
    refuses(
        "run-unknown",
        64,
        &place,
        with_cloud(&["show", "nightly-20261123T0200Z"]),
    );

    refuses(
        "run-to-retry-unknown",
        64,
        &place,
        with_cloud(&["retry", "nightly-20261123T0200Z"]),
    );
    refuses(
        "function-unknown",
        64,
        &place,
        with_cloud(&["start", "nightly", "--function", "submit"]),
    );
    refuses(
        "pipeline-name-wrong",
        64,
        &place,
        with_cloud(&["start", "Nightly!"]),
    );

    refuses(
        "run-to-cancel-unknown",
        64,
        &place,
        with_cloud(&["cancel", "nightly-20261123T0200Z"]),
    );
    refuses(
        "reason-to-cancel-wrong",
        64,
        &place,
        with_cloud(&["cancel", "nightly-20261123T0200Z", "--because", "a\nb"]),
    );
    refuses(
        "queue-unknown",
        64,
        &place,
        with_cloud(&[
            "redrive",
            "--queue",
            "https://sqs.us-east-1.amazonaws.com/123456789012/orders",
        ]),
    );
    refuses(
        "pipeline-to-pause-unknown",
        64,
        &place,
        with_cloud(&["pause", "nihgtly"]),
    );

    let told = |arguments: &[&str]| {
        let output = with_cloud(arguments).output().expect("the command runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(told(&["runs", "nightly"]), "no runs yet\n");
    assert!(told(&["pause", "nightly"]).starts_with("pipeline `nightly`: paused;"));
    assert!(told(&["pause", "nightly"]).contains("was paused already since 20"));
    assert!(told(&["runs"]).contains("pipeline nightly is paused since 20"));
    assert!(told(&["resume", "nightly"]).starts_with("pipeline `nightly`: resumed;"));
    assert_eq!(told(&["runs", "nightly"]), "no runs yet\n");
    assert_eq!(
        told(&["resume", "nightly"]),
        "pipeline `nightly`: was not paused\n"
    );
    cloud.stop().await;
}
