//! A deployment while a run is live: old and new functions read each other's documents, and the run ends with
//! the jobs it began with.

use serde_json::json;
use trainspot_edge::memory::{AttemptEnd, CallKind, Fault};
use trainspot_shared::identity::Stage;
use trainspot_shared::layout;
use trainspot_stories::{Deed, Spec, Wake, Week, minutes};

use super::MONDAY;

/// Monday's training is at work.
fn at_work() -> (Week, String) {
    at_work_on(&Spec::default())
}

fn at_work_on(spec: &Spec) -> (Week, String) {
    let mut week = Week::new(spec);
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    week.deliver_all();
    let id = week.runnable().pop().expect("Monday's job");
    week.work(&id);
    week.deliver_all();
    (week, id)
}

#[test]
fn what_a_newer_version_wrote_is_kept_by_an_older_one() {
    let (mut week, id) = at_work();
    let run = week.run_of("20261123T0200Z");
    let keys = [
        layout::pipeline_head(run.pipeline()),
        layout::ledger(&run),
        layout::stage_head(&run, Stage::Train, None),
    ];
    for key in &keys {
        week.rewrite(key, |document| document["later"] = json!({"on": [1, 2]}));
    }

    week.end(&id, &AttemptEnd::exit(1));
    week.to_the_end();
    week.assert_all_ended_and_told();
    for key in &keys {
        let document = week.document(key);
        assert_eq!(document["later"], json!({"on": [1, 2]}), "{key}");
    }
    assert_ne!(week.document(&keys[1])["phase"], "training");
}

#[test]
fn a_ledger_of_a_newer_format_is_refused_left_as_it_is_and_told_of() {
    let (mut week, id) = at_work();
    let ledger = layout::ledger(&week.run_of("20261123T0200Z"));
    week.rewrite(&ledger, |document| document["schema"] = json!(2));
    let as_it_was = week.document(&ledger);

    week.end(&id, &AttemptEnd::exit(1));
    week.deliver_all();
    let swept = week.sweep().expect("a sweep").expect("it answers");
    let failures = swept["swept"]["failures"].to_string();
    assert!(
        failures.contains("schema 2 and this function knows 1"),
        "{swept}"
    );
    assert_eq!(week.document(&ledger), as_it_was);

    // The newer version is deployed again, and nothing was lost meanwhile.
    week.rewrite(&ledger, |document| document["schema"] = json!(1));
    week.to_the_end();
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_ends_with_the_job_definitions_that_it_began_with() {
    let (mut week, id) = at_work();
    let began_with = week.settings.platform.definitions();

    let platform = &mut week.settings.platform;
    platform.train_definition = platform.train_definition.replace(":3", ":4");
    platform.post_processing_definition = platform.post_processing_definition.replace(":3", ":4");
    platform.image = "trainspot-trainer@sha256:11".to_owned();
    week.end(&id, &AttemptEnd::exit(139));
    week.to_the_end();
    week.assert_all_ended_and_told();
    for job in week.jobs() {
        let definition = &job.request.definition;
        let is_training = job.request.name.stage == Stage::Train;
        let wanted = if is_training {
            &began_with.train
        } else {
            &began_with.post_processing
        };
        assert_eq!(definition, wanted, "{}", job.request.name);
    }
    assert!(
        week.jobs().len() > 4,
        "a second training and all that follows"
    );

    week.new_data("another week's");
    week.tick(super::FRIDAY);
    week.sweep_for(minutes(10));
    let friday = week.jobs().pop().expect("Friday's training");
    assert!(
        friday.request.definition.ends_with(":4"),
        "{}",
        friday.request.definition
    );
}

/// A person asks for a run; gives what becomes of it.
fn asked_for(week: &mut Week, tick: &str) -> String {
    let run = week.run_of(tick);
    let payload = json!({"pipeline": "recommender", "run_id": run, "force": true});
    let answer = week.wake(&Wake::Request(payload)).expect("nobody kills it");
    assert_eq!(answer.expect("an answer")["outcome"], "created");
    week.end_of(&run)
}

#[test]
fn a_live_ledger_that_nobody_can_read_keeps_no_other_run_out() {
    let (mut week, id) = at_work_on(&Spec::default().overlap("allow"));
    let monday = layout::ledger(&week.run_of("20261123T0200Z"));
    week.rewrite(&monday, |document| document["schema"] = json!(2));

    let by_hand = asked_for(&mut week, "20261124T0900Z-m0123456789abcdef");
    let tick = week.tick(super::FRIDAY).expect("nobody kills it");

    assert_eq!(by_hand, "Training");
    assert_eq!(tick.expect("an answer")["outcome"], "created");
    week.rewrite(&monday, |document| document["schema"] = json!(1));
    week.end(&id, &AttemptEnd::exit(1));
    week.to_the_end();
    week.assert_all_ended_and_told();
}

#[test]
fn a_ledger_that_nobody_can_read_counts_as_a_live_run() {
    let (mut week, id) = at_work_on(&Spec::default().overlap("skip"));
    let monday = layout::ledger(&week.run_of("20261123T0200Z"));
    week.rewrite(&monday, |document| document["schema"] = json!(2));

    let by_hand = asked_for(&mut week, "20261124T0900Z-m0123456789abcdef");

    assert_eq!(by_hand, "skipped");
    week.rewrite(&monday, |document| document["schema"] = json!(1));
    week.end(&id, &AttemptEnd::exit(1));
    week.to_the_end();
    week.assert_all_ended_and_told();
}

#[test]
fn a_ledger_that_cannot_be_read_for_a_moment_is_read_again() {
    let (mut week, id) = at_work_on(&Spec::default().overlap("skip"));
    let monday = layout::ledger(&week.run_of("20261123T0200Z"));
    week.edge.on_call(move |call| {
        (call.kind == CallKind::Get && call.what == monday).then_some(Fault::LostBefore)
    });

    let tick = week.tick(super::FRIDAY).expect("nobody kills it");

    let error = tick.expect_err("Lambda tries again");
    assert!(error.contains("AdmitFailed"), "{error}");
    week.edge.calm();
    week.end(&id, &AttemptEnd::exit(1));
    week.to_the_end();
}

#[test]
fn a_new_image_for_the_stages_after_the_training_is_a_reason_to_run() {
    let mut week = Week::new(&Spec::default());
    week.tick(super::MONDAY);
    week.to_the_end();

    let platform = &mut week.settings.platform;
    platform.post_processing_image = "trainspot-trainer@sha256:22".to_owned();
    week.tick(super::FRIDAY);
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261127T0200Z")), "succeeded");
}
