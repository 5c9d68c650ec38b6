//! From a tick to a champion.

use trainspot_shared::identity::Stage;
use trainspot_shared::layout;
use trainspot_stories::{Results, Spec, Week};

use super::{FRIDAY, MONDAY};

#[test]
fn a_tick_becomes_a_champion() {
    let mut week = Week::new(&Spec::default());

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    insta::assert_snapshot!(week.tell(&run), @r"
    02:00 asked for by submit-training/00000001
    02:00 dataset pinned: 1 objects, 5 bytes
    02:00 train-1 submitted as job job-0001
    02:10 train-1 is RUNNING after 0 ended attempts
    02:10 train-1 is SUCCEEDED after 1 ended attempts
    02:10 train is complete
    02:10 evaluate-1 submitted as job job-0002
    02:20 evaluate-1 is RUNNING after 0 ended attempts
    02:20 evaluate-1 is SUCCEEDED after 1 ended attempts
    02:20 evaluate is complete
    02:20 gate: `network` is promoted: there is no champion yet
    02:20 recommend-1 submitted as job job-0003
    03:00 recommend-1 is SUCCEEDED after 0 ended attempts
    03:00 recommend is complete
    03:00 gather-1 submitted as job job-0004
    03:10 gather-1 is RUNNING after 0 ended attempts
    03:10 gather-1 is SUCCEEDED after 1 ended attempts
    03:10 gather is complete
    03:10 succeeded
    told succeeded
    ");
    insta::assert_snapshot!(week.job_list().join("\n"), @r"
    train-1 Succeeded in trainspot-gpu-spot
    evaluate-1 Succeeded in trainspot-post-processing
    recommend-1 Succeeded in trainspot-post-processing
    gather-1 Succeeded in trainspot-post-processing
    ");
    let champion = week.champion().expect("there is a champion");
    assert_eq!(champion.run_id, run);
    let gathered = champion.recommendations.expect("with recommendations");
    assert_eq!(
        gathered.prefix,
        layout::results(&run, Stage::Gather, None, 1, 1)
    );
    assert!(week.has_object(&layout::report(&run)));
    let head = week.head();
    assert!(
        head.spend["2026-11"].contains_key(&run.to_string()),
        "{:?}",
        head.spend
    );
    assert_eq!(head.last_success.map(|last| last.run_id), Some(run));
    week.assert_all_ended_and_told();
}

#[test]
fn a_worse_challenger_keeps_the_champion_and_makes_fresh_recommendations_by_it() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.to_the_end();
    let (monday, friday) = (week.run_of("20261123T0200Z"), week.run_of("20261127T0200Z"));
    let before = week.champion().expect("Monday's");

    week.results = Results {
        gain: -0.02,
        ..Results::default()
    };
    week.new_data("second");
    week.tick(FRIDAY);
    week.to_the_end();

    let after = week.champion().expect("still Monday's");
    assert_eq!(week.end_of(&friday), "kept_champion");
    assert_eq!((&after.run_id, &after.model), (&monday, &before.model));
    assert_eq!(after.recommendations_run_id.as_ref(), Some(&friday));
    assert_ne!(after.recommendations, before.recommendations);
    week.assert_all_ended_and_told();
}

#[test]
fn a_better_challenger_takes_the_place_and_names_the_one_before() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.to_the_end();

    week.new_data("second");
    week.tick(FRIDAY);
    week.to_the_end();

    let champion = week.champion().expect("Friday's");
    assert_eq!(champion.run_id, week.run_of("20261127T0200Z"));
    assert_eq!(
        champion.previous.map(|previous| previous.run_id),
        Some(week.run_of("20261123T0200Z"))
    );
    week.assert_all_ended_and_told();
}

#[test]
fn recommendations_that_are_not_verified_promote_nobody() {
    let mut week = Week::new(&Spec::default());
    week.results = Results {
        is_verified: false,
        ..Results::default()
    };

    week.tick(MONDAY);
    week.to_the_end();

    assert_eq!(
        week.end_of(&week.run_of("20261123T0200Z")),
        "failed(quality_floor)"
    );
    assert_eq!(week.champion(), None);
    week.assert_all_ended_and_told();
}

#[test]
fn a_pipeline_with_only_a_train_stage_runs_true() {
    let mut week = Week::new(&Spec::train_only());

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    insta::assert_snapshot!(week.tell(&run), @r"
    02:00 asked for by submit-training/00000001
    02:00 train-1 submitted as job job-0001
    02:10 train-1 is RUNNING after 0 ended attempts
    02:10 train-1 is SUCCEEDED after 1 ended attempts
    02:10 train is complete
    02:10 succeeded
    told succeeded
    ");
    let jobs = week.jobs();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].request.command, ["true"]);
    week.assert_all_ended_and_told();
}
