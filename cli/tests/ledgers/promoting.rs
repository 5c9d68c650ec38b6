//! A person promotes, goes back, and asks twice.

use serde_json::{Value, json};
use trainspot_shared::digest::sha256_hex;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::{self, file};
use trainspot_shared::run::{End, Run};
use trainspot_shared::stage_head::Published;

use crate::place::{Place, run};

const BEFORE: &str = "nightly-20261120T0200Z";
const ASKS: &str = "nightly-20261123T0200Z";

/// A run with a model whose manifest lies in the bucket, and a gate that said `is_better`.
async fn judged(place: &Place, id: &str, is_better: bool, passed: bool) -> Run {
    let end = if is_better {
        End::Succeeded
    } else {
        End::KeptChampion {
            because: "the pipeline asks a person before it promotes".to_owned(),
        }
    };
    let mut run = run(id, 3, Some(end));
    let manifest = json!({ "schema": 1, "of": id });
    let prefix = layout::results(&run.id, Stage::Train, None, 1, 1);
    place
        .put(&format!("{prefix}{}", file::MANIFEST), &manifest)
        .await;
    let published = |prefix: String| Published {
        prefix,
        manifest_sha256: sha256_hex(&serde_json::to_vec(&manifest).expect("JSON")),
        step: 40,
        submission: 1,
        attempt: 1,
        at: run.created_at,
    };
    let gathered = published(layout::results(&run.id, Stage::Gather, None, 1, 1));
    let trained = published(prefix);
    run.stages.entry(Stage::Train).or_default().output = Some(trained);
    run.stages.entry(Stage::Gather).or_default().output = Some(gathered);
    let gate = json!({
        "candidate": "network", "is_better": is_better, "is_left_to_a_person": !is_better && passed,
        "because": "", "score": 0.2,
        "checks": [{"name": "gain in ndcg_at_10", "value": 0.02, "bound": 0.01, "passed": passed}],
    });
    run.gate = Some(serde_json::from_value(gate).expect("a gate"));
    if !is_better {
        let champion = json!({
            "schema": 1, "version": 1, "write_id": "w", "run_id": BEFORE, "candidate": "network",
            "model": run.stages[&Stage::Train].output, "metrics": {}, "promoted_at": run.created_at,
        });
        let seen = json!({ "etag": "\"e\"", "champion": champion });
        run.champion_seen = Some(serde_json::from_value(seen).expect("a champion"));
    }
    place.ledger(&run).await;
    run
}

fn id_of(told: &Value) -> (&str, &str) {
    let text = |value: &'static str| told[value].as_str().unwrap_or_default();
    let run = told["champion"]["run_id"].as_str().unwrap_or_default();
    (text("outcome"), run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_promotes_and_goes_back_and_twice_is_once() {
    let place = Place::open().await;
    judged(&place, BEFORE, true, true).await;
    judged(&place, ASKS, false, true).await;

    let first = place.json(&["promote", BEFORE, "--json"]);
    let dry = place.json(&["promote", ASKS, "--json", "--dry-run"]);
    let asked = place.json(&["promote", ASKS, "--json"]);
    let twice = place.json(&["promote", ASKS, "--json"]);
    let (exit, back, _) = place.trainspot(&["promote", BEFORE]);
    let stands = place.json(&["promote", BEFORE, "--json"]);

    assert_eq!(id_of(&first), ("promoted", BEFORE));
    assert_eq!(id_of(&dry), ("would_promote", ASKS));
    assert_eq!(id_of(&asked), ("promoted", ASKS));
    let champion = &asked["champion"];
    assert_eq!(champion["version"], 2, "the dry run wrote nothing");
    assert_eq!(champion["previous"]["run_id"], BEFORE);
    assert_eq!(champion["metrics"], json!({ "ndcg_at_10": 0.2 }));
    assert_eq!(champion["recommendations_run_id"], BEFORE, "they serve on");
    assert_eq!(id_of(&twice), ("already_champion", ASKS));
    assert_eq!(twice["champion"]["version"], 2);
    assert_eq!(exit, Some(0), "{back}");
    assert!(back.contains(&format!("in place of run {ASKS}")), "{back}");
    assert_eq!(id_of(&stands), ("already_champion", BEFORE));
    assert_eq!(stands["champion"]["version"], 3);
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_a_check_or_is_not_there_any_more_is_refused() {
    let place = Place::open().await;
    judged(&place, BEFORE, true, true).await;
    judged(&place, ASKS, false, false).await;
    place.json(&["promote", BEFORE, "--json"]);
    let mut gone = judged(&place, "nightly-20261117T0200Z", true, true).await;
    if let Some(trained) = gone.stages.get_mut(&Stage::Train) {
        let output = trained.output.as_mut().expect("it was trained");
        output.prefix = "results/nightly/deleted/".to_owned();
    }
    place.ledger(&gone).await;

    let (failed, _, why) = place.trainspot(&["promote", ASKS]);
    let forced = place.json(&["promote", ASKS, "--json", "--force", "--dry-run"]);
    let (cleaned, _, told) = place.trainspot(&["promote", "nightly-20261117T0200Z"]);

    assert_eq!(failed, Some(1), "{why}");
    assert!(
        why.contains("gain in ndcg_at_10") && why.contains("--force"),
        "{why}"
    );
    assert_eq!(id_of(&forced), ("would_promote", ASKS));
    assert_eq!(cleaned, Some(65), "{told}");
    assert!(told.contains("is not there any more"), "{told}");
    place.cloud.stop().await;
}
