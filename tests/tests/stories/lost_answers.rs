//! Answers that get lost, jobs that come late, workers that should be dead.

use trainspot_edge::memory::{AttemptEnd, CallKind, Fault};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Arrival, Deed, Invocation, Spec, Week, answer, by_turns, minutes};

use super::MONDAY;

/// The first `SubmitJob` goes wrong so.
fn first_submit(week: &Week, fault: Fault) {
    let mut is_first = true;
    week.edge.on_call(move |call| {
        (call.kind == CallKind::Submit && std::mem::take(&mut is_first)).then_some(fault)
    });
}

#[test]
fn a_lost_answer_is_found_by_name_after_the_lease_and_two_minutes_and_no_second_job_is_made() {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::LostAfter);
    week.tick(MONDAY);
    // Nothing that Batch says gets through.
    week.take_events();

    week.edge.advance(minutes(4));
    week.wake(&trainspot_stories::Wake::Sweep);
    assert_eq!(
        week.count(CallKind::Find, ""),
        0,
        "the lease and two minutes are not over"
    );
    week.sweep_for(minutes(10));

    assert_eq!(week.count(CallKind::Find, "train-1"), 1);
    assert_eq!(week.count(CallKind::Submit, ""), 1);
    let ledger = week
        .ledger(&week.run_of("20261123T0200Z"))
        .expect("a ledger");
    assert_eq!(
        ledger.stages[&Stage::Train].submissions[0]
            .job_id
            .as_deref(),
        Some("job-0001")
    );
    assert_eq!(ledger.pending, []);
    week.to_the_end();
    week.assert_all_ended_and_told();
}

/// Two jobs under one name: `job-0001` is the one that the take-over made, `job-0002` the late one.
fn with_a_late_twin() -> Week {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::Late(minutes(30)));
    week.tick(MONDAY);
    week.sweep_for(minutes(15));
    assert_eq!(week.jobs().len(), 1, "{}", week.tell_all());
    week.edge.advance(minutes(20));
    assert_eq!(week.jobs().len(), 2);
    week
}

#[test]
fn a_late_twin_ends_79_and_publishes_nothing() {
    let mut week = with_a_late_twin();
    let (mut first, mut twin) = (week.start("job-0001"), week.start("job-0002"));

    assert_eq!(week.arrive(&mut first), Arrival::Work);
    assert_eq!(week.arrive(&mut twin), Arrival::NotOwner);
    assert!(!week.publish(&mut twin), "whatever it does");
    week.end("job-0002", &AttemptEnd::exit(79));
    week.deliver_all();
    assert!(week.publish(&mut first));
    week.end("job-0001", &AttemptEnd::exit(0));
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    assert_eq!(week.jobs().len(), 5, "{}", week.tell_all());
    week.assert_all_ended_and_told();
}

#[test]
fn a_twin_that_comes_first_is_adopted() {
    let mut week = with_a_late_twin();
    let (mut known, mut twin) = (week.start("job-0001"), week.start("job-0002"));

    assert_eq!(week.arrive(&mut twin), Arrival::Work);
    assert_eq!(week.arrive(&mut known), Arrival::NotOwner);
    week.end("job-0001", &AttemptEnd::exit(79));
    week.deliver_all();
    let ledger = week
        .ledger(&week.run_of("20261123T0200Z"))
        .expect("a ledger");
    assert_eq!(
        ledger.stages[&Stage::Train].submissions.len(),
        1,
        "79 is no failure of the run"
    );
    assert_eq!(
        ledger.stages[&Stage::Train].submissions[0]
            .job_id
            .as_deref(),
        Some("job-0002")
    );
    assert!(week.publish(&mut twin));
    week.end("job-0002", &AttemptEnd::exit(0));
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn a_twin_that_comes_first_and_loses_its_host_is_followed_too() {
    let mut week = with_a_late_twin();
    let (mut known, mut twin) = (week.start("job-0001"), week.start("job-0002"));
    assert_eq!(week.arrive(&mut twin), Arrival::Work);
    assert_eq!(week.arrive(&mut known), Arrival::NotOwner);

    week.end("job-0001", &AttemptEnd::exit(79));
    week.end("job-0002", &AttemptEnd::exit(143));
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn an_agent_killed_on_a_lost_host_that_publishes_all_the_same_is_a_zombie_without_a_say() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    let mut zombie = week.start("job-0001");
    assert_eq!(week.arrive(&mut zombie), Arrival::Work);

    week.end("job-0001", &AttemptEnd::host_lost());
    let mut next = week.start("job-0001");
    assert_eq!(week.arrive(&mut next), Arrival::Work);

    assert!(!week.publish(&mut zombie));
    assert!(week.publish(&mut next));
    week.end("job-0001", &AttemptEnd::exit(0));
    week.to_the_end();
    week.assert_all_ended_and_told();
}

/// A worker that Batch has given up publishes at the last moment: between the look at its head, which
/// decided to submit again, and the grant to the next submission. At every such moment.
#[test]
fn output_that_lands_while_the_next_submission_is_granted_is_taken() {
    for after in 0..16 {
        let mut week = Week::new(&Spec::default());
        week.tick(MONDAY);
        week.deliver_all();
        let mut zombie = week.start("job-0001");
        assert_eq!(week.arrive(&mut zombie), Arrival::Work);
        week.end("job-0001", &AttemptEnd::exit(137));
        let failed = week.take_events().pop().expect("FAILED is told last");

        let edge = week.caller(&failed, minutes(0));
        let settings = week.settings.clone();
        let results = week.results;
        let handler = Box::pin(async { answer(&edge, &settings, &failed).await.is_ok() });
        let publishing = Box::pin(zombie.publish_output(results));
        let mut polls = 0;
        by_turns(
            vec![
                Invocation {
                    edge: edge.clone(),
                    work: handler as std::pin::Pin<Box<dyn Future<Output = bool>>>,
                },
                Invocation {
                    edge: week.edge.clone(),
                    work: publishing,
                },
            ],
            |places| {
                polls += 1;
                if polls <= after { 0 } else { places.len() - 1 }
            },
        );
        week.watch();
        week.to_the_end();

        let run = week.run_of("20261123T0200Z");
        assert_eq!(
            week.end_of(&run),
            "succeeded",
            "after {after}\n{}",
            week.tell_all()
        );
        week.assert_all_ended_and_told();
    }
}

/// A person cancels while the output is being published: either it counts and the run goes on, or the
/// head is closed first and it does not.
#[test]
fn a_cancellation_and_an_output_at_once_have_one_winner() {
    for after in 0..16 {
        let mut week = Week::new(&Spec::train_only());
        week.tick(MONDAY);
        week.deliver_all();
        let mut worker = week.start("job-0001");
        assert_eq!(week.arrive(&mut worker), Arrival::Work);

        let edge = week.edge.caller("cli", minutes(0));
        let settings = week.settings.clone();
        let run = week.run_of("20261123T0200Z");
        let results = week.results;
        let seen = trainspot_shared::run::Observation::Cancel {
            because: "no longer wanted".to_owned(),
        };
        let cancel = Box::pin(async {
            trainspot_edge::drive::drive(&edge, &settings, &run, vec![seen], "cli")
                .await
                .is_ok()
        });
        let publishing = Box::pin(worker.publish_output(results));
        let mut polls = 0;
        let ends = by_turns(
            vec![
                Invocation {
                    edge: edge.clone(),
                    work: cancel as std::pin::Pin<Box<dyn Future<Output = bool>>>,
                },
                Invocation {
                    edge: week.edge.clone(),
                    work: publishing,
                },
            ],
            |places| {
                polls += 1;
                if polls <= after { 0 } else { places.len() - 1 }
            },
        );
        let is_published = ends[1] == trainspot_stories::Ended::Answered(true);
        week.watch();
        week.end(
            "job-0001",
            &AttemptEnd::exit(if is_published { 0 } else { 79 }),
        );
        week.to_the_end();

        let expected = if is_published {
            "succeeded"
        } else {
            "cancelled"
        };
        assert_eq!(
            week.end_of(&run),
            expected,
            "after {after}\n{}",
            week.tell_all()
        );
        week.assert_all_ended_and_told();
    }
}

/// The next submission was decided upon and not begun when the output of the one before comes in, and a
/// person cancels: the output counts, and nothing waits for the job that was never submitted.
#[test]
fn output_of_an_earlier_submission_beats_a_cancellation() {
    let mut week = Week::new(&Spec::train_only());
    week.tick(MONDAY);
    week.deliver_all();
    let mut zombie = week.start("job-0001");
    assert_eq!(week.arrive(&mut zombie), Arrival::Work);
    week.end("job-0001", &AttemptEnd::exit(137));
    week.edge.on_call(|call| {
        call.what
            .ends_with("train/job-2.json")
            .then_some(Fault::LostBefore)
    });
    week.deliver_all();
    assert!(
        week.publish(&mut zombie),
        "nobody was granted the stage yet"
    );
    let run = week.run_of("20261123T0200Z");

    week.cancel(&run).expect("it can be cancelled");
    week.to_the_end();

    assert_eq!(week.end_of(&run), "succeeded");
    assert_eq!(week.jobs().len(), 1);
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_cancelled_while_its_submission_is_unclear_ends_and_so_does_its_job() {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::LostAfter);
    week.tick(MONDAY);
    let run = week.run_of("20261123T0200Z");

    week.cancel(&run).expect("it can be cancelled");
    // The job waits for a host that never comes; its events arrive late.
    week.sweep_for(minutes(15));
    week.deliver_all();
    week.sweep_for(minutes(15));

    assert_eq!(week.end_of(&run), "cancelled");
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_cancelled_while_its_submission_is_put_off_leaves_nothing_behind() {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::Throttled);
    week.tick(MONDAY);
    let run = week.run_of("20261123T0200Z");

    week.cancel(&run).expect("it can be cancelled");
    week.to_the_end();

    assert_eq!(week.end_of(&run), "cancelled");
    assert_eq!(week.jobs().len(), 0);
    week.assert_all_ended_and_told();
}

#[test]
fn a_throttled_submission_is_made_when_its_time_comes() {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::Throttled);

    week.tick(MONDAY);
    assert_eq!(week.jobs().len(), 0);
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    assert_eq!(
        week.count(CallKind::Find, ""),
        0,
        "a refusal for load is clear"
    );
}

#[test]
fn a_submission_refused_on_spot_is_made_on_demand_and_then_given_up() {
    let mut week = Week::new(&Spec::default());
    week.edge
        .on_call(|call| (call.kind == CallKind::Submit).then_some(Fault::Refused));

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "failed(misconfigured)");
    assert_eq!(week.count(CallKind::Submit, "train-"), 2);
    week.assert_all_ended_and_told();
    assert_eq!(
        week.told(),
        [format!("{run}/moved-train-2"), format!("{run}/failed")]
    );
    let whys: Vec<String> = week
        .edge
        .told()
        .into_iter()
        .filter_map(|told| {
            let (_, why) = told.text.split_once("WHY\n")?;
            let (why, _) = why.split_once("\nLOST AND SAVED")?;
            Some(format!("{}\n{why}", told.subject))
        })
        .collect();
    insta::assert_snapshot!(whys.join("\n"), @r"
    [trainspot] recommender moved to on-demand: misconfigured (2026-11-23 02:00 UTC)
    Batch refused the submission, and would refuse the same one again. No program ran.
    Class `misconfigured`, evidence: ClientException

    WHAT YOU MAY DO
    - Read Batch's words in the evidence: a queue that is disabled, a job definition that is not
      active, a program that is too long. Mend the template or the spec.
    - Until then each run of this pipeline goes on at the on-demand price, as this one does.
    - To see how far it is: `trainspot show recommender-20261123T0200Z`

    [trainspot] recommender failed in train: misconfigured (2026-11-23 02:00 UTC)
    Batch refused the submission, and would refuse the same one again. No program ran.
    Class `misconfigured`, evidence: ClientException

    WHAT YOU MAY DO
    - Read Batch's words in the evidence: a queue that is disabled, a job definition that is not
      active, a program that is too long. Mend the template or the spec.
    - To run it again: `trainspot retry recommender-20261123T0200Z`
    - To read more: `trainspot show recommender-20261123T0200Z`
    ");
}

#[test]
fn a_submission_refused_on_spot_and_taken_on_demand_is_told_as_a_move() {
    let mut week = Week::new(&Spec::default());
    first_submit(&week, Fault::Refused);

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(
        week.told(),
        [format!("{run}/moved-train-2"), format!("{run}/succeeded")]
    );
    week.assert_all_ended_and_told();
}

#[test]
fn a_checkpoint_of_an_earlier_attempt_is_what_the_next_begins_from() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Reclaimed { step: 40 }]);

    week.tick(MONDAY);
    week.to_the_end();

    let ledger = week
        .ledger(&week.run_of("20261123T0200Z"))
        .expect("a ledger");
    let records = &ledger.stages[&Stage::Train].submissions[0].records;
    assert_eq!(
        records.iter().map(|r| r.resumed_from).collect::<Vec<_>>(),
        [None, Some(40)]
    );
    assert_eq!(ledger.totals().reclaims, 1);
}
