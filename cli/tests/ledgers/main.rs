//! What `runs`, `show`, `start` and `promote` tell of ledgers: never more than the ledger knows.

mod place;
mod promoting;
mod skipped;
mod standing;

use place::{Place, run, trains, worked};
use serde_json::{Value, json};
use trainspot_shared::batch_event::JobStatus;
use trainspot_shared::run::{End, ToldNotice};

#[tokio::test(flavor = "multi_thread")]
async fn a_cost_that_nobody_knows_is_not_told_as_nothing() {
    let place = Place::open().await;
    let mut live = run("nightly-20261127T0200Z", 3, None);
    trains(&mut live, JobStatus::Running);
    let mut unread = run("nightly-20261126T0200Z", 3, Some(End::Succeeded));
    trains(&mut unread, JobStatus::Succeeded);
    let mut part = run("nightly-20261125T0200Z", 3, Some(End::Succeeded));
    trains(&mut part, JobStatus::Succeeded);
    worked(&mut part, 1, Some("g4dn.xlarge"));
    worked(&mut part, 2, None);
    let mut whole = run("nightly-20261124T0200Z", 3, Some(End::Succeeded));
    trains(&mut whole, JobStatus::Succeeded);
    worked(&mut whole, 1, Some("g4dn.xlarge"));
    let because = "ticks are paused".to_owned();
    let skipped = run("nightly-20261123T0200Z", 3, Some(End::Skipped { because }));
    for run in [&live, &unread, &part, &whole, &skipped] {
        place.ledger(run).await;
    }

    let rows = place.json(&["runs", "--json"]);
    let (_, table, _) = place.trainspot(&["runs"]);
    let (_, page, _) = place.trainspot(&["show", "nightly-20261125T0200Z"]);

    assert!(page.contains("cost: at least $"), "{page}");
    let rows = rows.as_array().expect("a list");
    let of = |field: &str| -> Vec<Value> { rows.iter().map(|row| row[field].clone()).collect() };
    let cost = of("cost_usd")[3].clone();
    assert!(cost.as_f64().is_some_and(|cost| cost > 0.0), "{cost}");
    assert_eq!(
        of("cost_usd"),
        [json!(null), json!(null), cost.clone(), cost, json!(0.0)]
    );
    assert_eq!(
        of("cost_known"),
        ["nothing", "nothing", "part", "everything", "nothing_ran"]
    );
    assert_eq!(of("saved_usd")[..2], [json!(null), json!(null)]);
    let lines: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("nightly"))
        .collect();
    assert_eq!(lines.len(), 5, "{table}");
    for (line, has) in lines.iter().zip(["–", "–", "≥ $", "$", "$0.0000"]) {
        assert!(line.contains(has), "{has}: {line}");
    }
    assert!(!table.contains("≥ $0.0000"), "{table}");
    assert!(
        !lines[0].contains("$0.0000") && !lines[1].contains("$0.0000"),
        "{table}"
    );
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_one_minute_come_newest_first_whatever_their_drawn_ids() {
    let place = Place::open().await;
    let ids = [
        ("nightly-20261123T0200Z-m0000000a", 50),
        ("nightly-20261123T0200Z-mffffffff", 10),
        ("nightly-20261123T0200Z-m77777777", 30),
        ("nightly-20261123T0159Z", 5),
    ];
    for (id, after_s) in ids {
        place.ledger(&run(id, after_s, None)).await;
    }
    let listed = |limit: &str| -> Vec<String> {
        let rows = place.json(&["runs", "--json", "--limit", limit]);
        let rows = rows.as_array().expect("a list").clone();
        let id = |row: Value| row["run_id"].as_str().unwrap_or_default().to_owned();
        rows.into_iter().map(id).collect()
    };

    let newest_first = [ids[0].0, ids[2].0, ids[1].0, ids[3].0];
    assert_eq!(listed("9"), newest_first);
    assert_eq!(listed("2"), newest_first[..2]);
    let (_, none, _) = place.trainspot(&["runs", "--limit", "0"]);
    assert!(!none.contains("no runs yet"), "{none}");
    assert!(none.contains("4 older runs"), "{none}");
    place.cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_which_nobody_was_told_is_marked_and_sns_s_words_are_shown() {
    let place = Place::open().await;
    let mut silent = run("nightly-20261124T0200Z", 3, Some(End::Succeeded));
    silent.notices.push(ToldNotice {
        id: "nightly-20261124T0200Z/succeeded".to_owned(),
        at: silent.created_at,
        undeliverable: Some("NotFound: Topic does not exist".to_owned()),
    });
    let told = run("nightly-20261123T0200Z", 3, Some(End::Succeeded));
    for run in [&silent, &told] {
        place.ledger(run).await;
    }

    let (_, table, _) = place.trainspot(&["runs"]);
    let rows = place.json(&["runs", "--json"]);
    let (_, page, _) = place.trainspot(&["show", "nightly-20261124T0200Z"]);
    let (_, other, _) = place.trainspot(&["show", "nightly-20261123T0200Z"]);

    let marked: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("not told"))
        .collect();
    assert_eq!(marked.len(), 1, "{table}");
    assert!(marked[0].contains("nightly-20261124T0200Z"), "{table}");
    assert_eq!(
        rows[0]["undeliverable"],
        json!(["nightly-20261124T0200Z/succeeded"])
    );
    assert_eq!(rows[1]["undeliverable"], json!([]));
    assert!(page.contains("nightly-20261124T0200Z/succeeded"), "{page}");
    assert!(page.contains("NotFound: Topic does not exist"), "{page}");
    assert!(!other.contains("not told"), "{other}");
    place.cloud.stop().await;
}
