//! Old runs' files go; the champion's, the one before's and a live run's stay, and so does every ledger. A ledger that
//! cannot be read hides no other run from whoever looks, and keeps all of its pipeline's runs from whoever deletes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::{Builder, tls};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trainspot_edge::aws::Aws;
use trainspot_edge::store::{Condition, Store as _};
use trainspot_edge::world::RealWorld;
use trainspot_localcloud::{Image, LocalCloud, Settings};
use trainspot_shared::champion::{Champion, Previous};
use trainspot_shared::identity::RunId;
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::Origin;
use trainspot_shared::run::{End, NewRun, Phase, Run};
use trainspot_shared::stage_head::Published;

const SPEC: &str =
    "name = \"nightly\"\n[data]\nprefix = \"clicks/\"\n[train]\nprogram = [\"true\"]\n";
/// The runs by their ticks, the youngest first.
const YOUNG: &str = "nightly-20261120T0200Z";
const LIVE: &str = "nightly-20260605T0200Z";
const CHAMPION: &str = "nightly-20260604T0200Z";
const RECOMMENDS: &str = "nightly-20260603T0200Z";
const BEFORE: &str = "nightly-20260602T0200Z";
const OLD: &str = "nightly-20260601T0200Z";

struct Place {
    cloud: LocalCloud,
    store: Aws<RealWorld>,
    bucket: String,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let [home, binaries] = ["folder", "binaries"].map(|name| folder.path().join(name));
        let mut settings = Settings::new(template, home, binaries, Image::default());
        let image = format!("i@sha256:{}", "0".repeat(64));
        settings.parameters.insert("ImageUri".to_owned(), image);
        let cloud = LocalCloud::start(settings)
            .await
            .expect("a free folder and port");
        let bucket = cloud
            .physical("ResultsBucket")
            .expect("the template has it");
        let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().tls_provider(ring).build_https())
            .endpoint_url(cloud.endpoint_url())
            .region(Region::new("us-east-1"))
            .test_credentials()
            .load()
            .await;
        let store = Aws::with(&config, "", RealWorld);
        Self {
            cloud,
            store,
            bucket,
            _folder: folder,
        }
    }

    async fn put(&self, key: &str, body: Vec<u8>) {
        let put = self.store.put(&self.bucket, key, body, Condition::Always);
        put.await.expect("the store takes everything");
    }

    /// A ledger, a checkpoint and a result. A run that is live has no end.
    async fn run(&self, id: &str, ended_days_ago: Option<i64>) {
        let id: RunId = id.parse().expect("an id");
        let new = NewRun {
            origin: Origin::Tick,
            created_by: "submit-training 7f3e".to_owned(),
            created_at: id.tick().start(),
            spec_text: SPEC,
            write_id: "w".to_owned(),
            id,
        };
        let mut run = match ended_days_ago {
            Some(_) => Run::new(new, Phase::Final, Some(End::Succeeded)),
            None => Run::new(new, Phase::Training, None),
        }
        .expect("the spec is right");
        run.ended_at =
            ended_days_ago.map(|days| Timestamp::now() - SignedDuration::from_hours(24 * days));
        run.is_reviewed = ended_days_ago.is_some();
        run.pending.clear();
        self.put(
            &layout::ledger(&run.id),
            serde_json::to_vec(&run).expect("JSON"),
        )
        .await;
        for place in layout::work_of(&run.id) {
            self.put(
                &format!("{place}train/1-1/MANIFEST.json"),
                b"12345".to_vec(),
            )
            .await;
        }
    }

    fn clean(&self, arguments: &[&str]) -> Output {
        self.asked("clean", arguments)
    }

    fn asked(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_trainspot"))
            .args([command, "--json", "--bucket", &self.bucket])
            .args(arguments)
            .env_clear()
            .envs(self.cloud.sdk_environment())
            .output()
            .expect("the command runs")
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.store.list(&self.bucket, prefix).await;
        listed
            .expect("it answers")
            .into_iter()
            .map(|object| object.key)
            .collect()
    }
}

/// What was said of each run: why it stays, or whether it was deleted.
fn said(output: &Output) -> BTreeMap<String, String> {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    rows.iter()
        .map(|row| {
            let what = match &row["kept"] {
                Value::String(why) => why.clone(),
                _ => format!("deleted: {}", row["deleted"]),
            };
            (row["run_id"].as_str().unwrap_or_default().to_owned(), what)
        })
        .collect()
}

fn champion() -> Champion {
    let id = |text: &str| text.parse::<RunId>().expect("an id");
    let model = Published {
        prefix: "results/".to_owned(),
        manifest_sha256: "0".repeat(64),
        step: 1,
        submission: 1,
        attempt: 1,
        at: Timestamp::UNIX_EPOCH,
    };
    Champion {
        schema: 1,
        version: 1,
        write_id: "w".to_owned(),
        run_id: id(CHAMPION),
        candidate: "network".to_owned(),
        recommendations: Some(model.clone()),
        model,
        metrics: BTreeMap::new(),
        recommendations_run_id: Some(id(RECOMMENDS)),
        promoted_at: Timestamp::UNIX_EPOCH,
        previous: Some(Previous {
            run_id: id(BEFORE),
            promoted_at: Timestamp::UNIX_EPOCH,
        }),
        unknown: serde_json::Map::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_runs_go_and_what_serves_or_may_serve_again_stays() {
    let place = Place::open().await;
    place.run(YOUNG, Some(1)).await;
    place.run(LIVE, None).await;
    for old in [CHAMPION, RECOMMENDS, BEFORE, OLD] {
        place.run(old, Some(170)).await;
    }
    let nightly = "nightly".parse().expect("a name");
    let document = serde_json::to_vec(&champion()).expect("JSON");
    place.put(&layout::champion(&nightly), document).await;
    let before = place.keys("").await;

    let stays = [
        (YOUNG, "young"),
        (LIVE, "live"),
        (CHAMPION, "champion"),
        (RECOMMENDS, "its recommendations serve"),
        (BEFORE, "champion before"),
    ];
    let mut expected: BTreeMap<String, String> = stays
        .iter()
        .map(|(run, why)| ((*run).to_owned(), (*why).to_owned()))
        .collect();

    let dry = place.clean(&["--dry-run"]);
    expected.insert(OLD.to_owned(), "deleted: false".to_owned());
    assert_eq!(said(&dry), expected);
    assert_eq!(place.keys("").await, before, "a dry run deletes nothing");

    let wet = place.clean(&["nightly"]);
    expected.insert(OLD.to_owned(), "deleted: true".to_owned());
    assert_eq!(said(&wet), expected);
    let old: RunId = OLD.parse().expect("an id");
    let gone = layout::work_of(&old);
    let left: Vec<String> = before
        .into_iter()
        .filter(|key| !gone.iter().any(|place| key.starts_with(place)))
        .collect();
    assert_eq!(
        place.keys("").await,
        left,
        "ledgers and everybody else's files stay"
    );

    expected.remove(OLD);
    assert_eq!(
        said(&place.clean(&[])),
        expected,
        "asked again, there is nothing of it"
    );
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_a_newer_version_hides_no_other_run_and_is_named() {
    let place = Place::open().await;
    place.run(YOUNG, Some(1)).await;
    place.run(OLD, Some(170)).await;
    let newer: RunId = LIVE.parse().expect("an id");
    let document = serde_json::json!({"schema": 2, "id": newer});
    place
        .put(&layout::ledger(&newer), document.to_string().into_bytes())
        .await;

    let runs = place.asked("runs", &[]);
    let cleaned = place.clean(&[]);

    let rows: Vec<Value> = serde_json::from_slice(&runs.stdout).expect("JSON");
    let shown: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["run_id"].as_str())
        .collect();
    assert_eq!(shown, [YOUNG, OLD]);
    let told = String::from_utf8_lossy(&runs.stderr).into_owned();
    assert_eq!(runs.status.code(), Some(65), "{told}");
    assert!(
        told.contains("1 of 3 runs cannot be read")
            && told.contains(LIVE)
            && told.contains("schema 2"),
        "{told}"
    );
    assert_eq!(
        cleaned.status.code(),
        Some(65),
        "nobody knows what that run needs"
    );
    assert_ne!(place.keys("results/").await, [""; 0]);
    place.cloud.stop().await;
}
