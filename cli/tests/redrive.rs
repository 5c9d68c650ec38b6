//! A dead letter in a local cloud: shown, tried while its function is broken, and gone once it is whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use trainspot_localcloud::{Happening, Image, LocalCloud, Settings};

/// `make test` sets it, and builds the functions first.
const MUST_RUN: &str = "TRAINSPOT_WHOLE_RUNS";
/// Longer than three starts of a program take, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const FUNCTION: &str = "handle-failure";

fn whole_function() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_trainspot")).with_file_name(FUNCTION);
    if built.is_file() {
        return Some(built);
    }
    assert!(
        std::env::var_os(MUST_RUN).is_none(),
        "{} is not built",
        built.display()
    );
    eprintln!("skipped: {} is not built", built.display());
    None
}

/// A function that ends before it has asked for work.
fn broken_function(path: &Path) {
    fs::write(path, "#!/bin/sh\nexit 3\n").expect("it can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be made to run");
}

async fn cloud(place: &Path) -> LocalCloud {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let mut settings = Settings::new(
        template,
        place.join("folder"),
        place.join("binaries"),
        Image::default(),
    );
    settings.async_retry_scale = 0.0001;
    settings.parameters.insert(
        "ImageUri".to_owned(),
        format!("i@sha256:{}", "0".repeat(64)),
    );
    LocalCloud::start(settings)
        .await
        .expect("a free folder and port")
}

fn redrive(cloud: &LocalCloud, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trainspot"))
        .arg("redrive")
        .args(arguments)
        .env_clear()
        .envs(cloud.sdk_environment())
        .output()
        .expect("the command runs")
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_goes_only_when_its_function_has_answered_well() {
    let Some(whole) = whole_function() else {
        return;
    };
    let place = tempfile::tempdir().expect("a temporary folder can be made");
    let binary = place.path().join("binaries").join(FUNCTION);
    fs::create_dir_all(place.path().join("binaries")).expect("it can be made");
    broken_function(&binary);
    let cloud = cloud(place.path()).await;
    let queue = cloud
        .physical("DeadLetterQueue")
        .expect("the template has it");

    let none = redrive(&cloud, &[]);
    assert!(none.status.success());
    assert_eq!(String::from_utf8_lossy(&none.stdout), "no dead letters\n");

    let mut seen = cloud.happenings();
    let failed = include_str!("../../events/batch-failed-bug.json");
    let mut event: Value = serde_json::from_str(failed).expect("a fixture is JSON");
    event["detail"]["jobQueue"] = json!(cloud.physical("SpotQueue"));
    cloud.put_event(event).await;
    let given_up =
        async { while !matches!(seen.recv().await, Ok(Happening::DeadLettered { .. })) {} };
    tokio::time::timeout(PATIENCE, given_up)
        .await
        .expect("it is given up after three tries");
    assert_eq!(cloud.letters(&queue).len(), 1);

    let shown = redrive(&cloud, &["--dry-run", "--json"]);
    assert!(shown.status.success());
    let [row] = rows(&shown).try_into().expect("one letter");
    let of = |name: &str| row[name].as_str().unwrap_or_default();
    assert_eq!(of("function"), "trainspot-local-HandleFailureFunction");
    assert!(of("about").starts_with("run recommender-"), "{row}");
    assert!(of("error").starts_with("Runtime.ExitError"), "{row}");
    assert_eq!(of("outcome"), "would be sent again");
    assert_eq!(cloud.letters(&queue).len(), 1);

    let broken = redrive(&cloud, &[]);
    assert_eq!(broken.status.code(), Some(1));
    let told = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(told.contains("1 of 1 dead letters stay"), "{told}");
    assert_eq!(cloud.letters(&queue).len(), 1);

    fs::remove_file(&binary).expect("it is there");
    fs::copy(whole, &binary).expect("it can be copied");
    let mended = redrive(&cloud, &["--json"]);
    assert!(
        mended.status.success(),
        "{}",
        String::from_utf8_lossy(&mended.stderr)
    );
    let [row] = rows(&mended).try_into().expect("one letter");
    assert_eq!(row["went"], true);
    assert!(
        row["outcome"]
            .as_str()
            .is_some_and(|said| said.contains("no ledger")),
        "{row}"
    );
    assert_eq!(cloud.letters(&queue), Vec::<String>::new());
    cloud.stop().await;
}
