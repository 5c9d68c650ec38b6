//! Which ticks become runs, and when they start.

use serde_json::json;
use trainspot_edge::memory::{AttemptEnd, CallKind};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Deed, Spec, Wake, Week, at, minutes};

use super::{FRIDAY, MONDAY};

const NEXT_MONDAY: &str = "2026-11-30T02:00:00Z";

/// Monday's run is at work and stays there.
fn busy(spec: &Spec) -> (Week, String) {
    let mut week = Week::new(spec);
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    week.deliver_all();
    let id = week.runnable().pop().expect("Monday's job");
    week.work(&id);
    week.deliver_all();
    (week, id)
}

/// Monday's job comes to its end after all.
fn let_go(week: &mut Week, id: &str) {
    week.end(id, &AttemptEnd::exit(70));
    week.to_the_end();
    week.assert_all_ended_and_told();
}

#[test]
fn unchanged_data_is_a_receipt_instead_of_a_run_and_force_runs_all_the_same() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.to_the_end();
    let jobs = week.jobs().len();

    week.tick(FRIDAY);
    week.to_the_end();
    let friday = week.run_of("20261127T0200Z");
    insta::assert_snapshot!(week.tell(&friday), @r"
    02:00 asked for by submit-training/0000000a
    02:00 dataset pinned: 1 objects, 5 bytes
    02:00 skipped: data, spec and image are the same as in the last run that ended well
    told skipped
    ");
    assert_eq!(week.jobs().len(), jobs);

    let forced = week.run_of("20261127T0900Z-m0123456789abcdef");
    week.wake(&Wake::Request(serde_json::json!({
        "pipeline": "recommender", "run_id": forced, "force": true,
    })));
    week.to_the_end();
    assert_eq!(week.end_of(&forced), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn a_tick_while_the_last_run_is_live_is_skipped_and_told() {
    let (mut week, id) = busy(&Spec::default().overlap("skip"));

    week.tick(FRIDAY);
    week.sweep_for(minutes(10));

    let friday = week.run_of("20261127T0200Z");
    assert_eq!(week.end_of(&friday), "skipped");
    assert!(week.told().contains(&format!("{friday}/skipped")));
    assert_eq!(
        week.head().entries.len(),
        1,
        "the receipt is settled, Monday's run is not"
    );
    let_go(&mut week, &id);
}

#[test]
fn a_tick_may_start_beside_the_last_run() {
    let (mut week, id) = busy(&Spec::default().overlap("allow"));

    week.tick(FRIDAY);
    week.deliver_all();

    assert_eq!(week.jobs().len(), 2);
    let_go(&mut week, &id);
    assert_eq!(week.end_of(&week.run_of("20261127T0200Z")), "succeeded");
}

#[test]
fn a_queued_run_starts_when_the_last_one_is_over() {
    let (mut week, id) = busy(&Spec::default().overlap("queue"));

    week.tick(FRIDAY);
    week.sweep_for(minutes(20));
    let friday = week.run_of("20261127T0200Z");
    assert_eq!(week.end_of(&friday), "Queued");
    assert_eq!(week.jobs().len(), 1);

    let_go(&mut week, &id);
    assert_eq!(week.end_of(&friday), "succeeded");
}

#[test]
fn a_queued_run_compares_its_data_with_what_the_run_before_it_saw() {
    let mut week = Week::new(&Spec::default().overlap("queue"));
    week.tick(MONDAY);

    week.tick(FRIDAY);
    week.to_the_end();

    let (monday, friday) = (week.run_of("20261123T0200Z"), week.run_of("20261127T0200Z"));
    assert_eq!(
        (week.end_of(&monday), week.end_of(&friday)),
        ("succeeded".to_owned(), "skipped".to_owned())
    );
}

#[test]
fn data_that_went_there_and_back_is_not_what_the_run_before_saw() {
    let mut week = Week::new(&Spec::default().overlap("queue"));
    week.tick(MONDAY);
    week.to_the_end();
    week.new_data("other");
    let asked = week.run_of("20261125T0900Z-m0123456789abcdef");
    week.wake(&Wake::Request(
        serde_json::json!({"pipeline": "recommender", "run_id": asked}),
    ));

    week.new_data("first");
    week.tick(FRIDAY);
    week.to_the_end();

    assert_eq!(week.end_of(&asked), "succeeded");
    assert_eq!(week.end_of(&week.run_of("20261127T0200Z")), "succeeded");
}

#[test]
fn a_request_between_the_end_and_the_sweep_does_not_jump_the_queue() {
    let mut week = Week::new(&Spec::default().overlap("queue"));
    week.tick(MONDAY);
    week.tick(FRIDAY);
    for stage in ["train", "evaluate", "recommend", "gather"] {
        week.deliver_all();
        for id in week.runnable() {
            week.work(&id);
        }
        assert!(!week.jobs().is_empty(), "{stage}");
    }
    week.deliver_all();
    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");

    week.new_data("other");
    let asked = week.run_of("20261127T0230Z-m0123456789abcdef");
    week.wake(&Wake::Request(
        serde_json::json!({"pipeline": "recommender", "run_id": asked}),
    ));
    assert_eq!(week.end_of(&asked), "Queued");
    week.to_the_end();

    let friday = week.run_of("20261127T0200Z");
    assert_eq!(
        (week.end_of(&friday), week.end_of(&asked)),
        ("succeeded".to_owned(), "skipped".to_owned()),
        "the older one trains the data, and the newer one finds it trained"
    );
    week.assert_all_ended_and_told();
}

#[test]
fn a_newer_tick_takes_the_place_of_the_queued_one() {
    let (mut week, id) = busy(&Spec::default().overlap("queue"));

    week.tick(FRIDAY);
    week.tick(NEXT_MONDAY);
    week.sweep_for(minutes(10));

    let (friday, monday) = (week.run_of("20261127T0200Z"), week.run_of("20261130T0200Z"));
    assert_eq!(
        (week.end_of(&friday), week.end_of(&monday)),
        ("skipped".to_owned(), "Queued".to_owned())
    );
    assert!(week.told().contains(&format!("{friday}/skipped")));
    let_go(&mut week, &id);
    assert_eq!(week.end_of(&monday), "succeeded");
}

#[test]
fn a_lost_tick_is_made_up_after_ten_minutes_and_the_late_one_is_a_duplicate() {
    let mut week = Week::new(&Spec::default());
    week.edge
        .advance(at("2026-11-23T02:09:00Z").duration_since(week.edge_now()));
    week.wake(&Wake::Sweep);
    assert_eq!(week.ledgers(), []);

    week.edge.advance(minutes(2));
    week.wake(&Wake::Sweep);
    week.wake(&Wake::Sweep);
    let before = week.edge.calls().len();
    week.tick(MONDAY);

    assert_eq!(week.edge.counts_since(before), [(CallKind::Get, 2)].into());
    assert_eq!(week.ledgers().len(), 1);
    week.to_the_end();
    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn a_skipped_tick_does_not_come_back_as_lost() {
    let (mut week, id) = busy(&Spec::default());
    week.tick(FRIDAY);

    week.sweep_for(minutes(60));

    assert_eq!(week.ledgers().len(), 2);
    let_go(&mut week, &id);
}

#[test]
fn no_tick_is_made_up_while_paused_or_from_before_the_resume() {
    let mut week = Week::new(&Spec::default());
    week.change_head(|head| head.paused_at = Some(at("2026-11-23T01:00:00Z")));
    week.edge
        .advance(at("2026-11-23T03:00:00Z").duration_since(week.edge_now()));

    week.sweep_for(minutes(15));
    assert_eq!(week.ledgers(), []);
    week.change_head(|head| {
        head.paused_at = None;
        head.ticks_from = at("2026-11-23T03:00:00Z");
    });
    week.sweep_for(minutes(15));

    assert_eq!(week.ledgers(), []);
}

#[test]
fn a_tick_while_paused_is_skipped_and_told() {
    let mut week = Week::new(&Spec::default());
    week.change_head(|head| head.paused_at = Some(at("2026-11-23T01:00:00Z")));

    week.tick(MONDAY);
    week.to_the_end();

    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "skipped");
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_waits_for_its_data_and_starts_when_it_is_ready() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.tick(MONDAY);
    week.sweep_for(minutes(60));
    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "WaitingForData");
    assert_eq!(week.jobs().len(), 0);

    week.data_is_ready();
    week.to_the_end();

    assert_eq!(week.end_of(&run), "succeeded");
    week.assert_all_ended_and_told();
}

/// Monday's run took the marker that says that its export is whole, and succeeded.
fn monday_took_the_marker() -> Week {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.data_is_ready();
    week.tick(MONDAY);
    week.to_the_end();
    assert_eq!(week.end_of(&week.run_of("20261123T0200Z")), "succeeded");
    week
}

#[test]
fn a_marker_that_the_run_before_took_says_nothing_of_the_next_export() {
    let mut week = monday_took_the_marker();
    let friday = week.run_of("20261127T0200Z");

    week.tick(FRIDAY);
    week.sweep_for(minutes(40));
    assert_eq!(week.end_of(&friday), "WaitingForData");
    insta::assert_snapshot!(week.tell(&friday), @r"
    02:00 asked for by submit-training/0000000a
    02:00 waits for its data: s3://trainspot-data/interactions/_READY is of 2026-11-23T00:00:00Z, and run recommender-20261123T0200Z took it: the next export is whole when it is written anew
    ");
    week.new_data("friday's export, the first half");
    week.sweep_for(minutes(10));
    assert_eq!(week.end_of(&friday), "WaitingForData");
    week.new_data("friday's export");
    week.data_is_ready();
    week.to_the_end();

    assert_eq!(week.end_of(&friday), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn an_export_before_the_tick_counts_at_once_if_no_run_took_it() {
    let mut week = monday_took_the_marker();
    week.new_data("friday's export");
    week.data_is_ready();

    week.tick(FRIDAY);

    let friday = week.run_of("20261127T0200Z");
    assert_eq!(week.end_of(&friday), "Training");
    week.to_the_end();
}

#[test]
fn a_marker_is_taken_by_a_run_that_failed_or_is_at_work_and_a_person_may_take_it_again() {
    let spec = Spec::default().waiting_for_data("2h").overlap("allow");
    let mut week = Week::new(&spec);
    week.script(Stage::Train, [Deed::Ends(AttemptEnd::exit(70))]);
    week.data_is_ready();
    week.tick(MONDAY);
    let friday = week.run_of("20261127T0200Z");

    week.tick(FRIDAY);
    assert_eq!(
        week.end_of(&friday),
        "WaitingForData",
        "Monday's run is at work on it"
    );
    week.to_the_end();
    let monday = week.run_of("20261123T0200Z");
    assert_eq!(
        (week.end_of(&monday), week.end_of(&friday)),
        ("failed(bug)".to_owned(), "failed(bad_data)".to_owned())
    );
    week.tick(NEXT_MONDAY);
    let next = week.run_of("20261130T0200Z");
    assert_eq!(week.end_of(&next), "WaitingForData");

    for asked in ["20261123T0200Z-r2", "20261130T0200Z-m0123456789abcdef"] {
        let run = week.run_of(asked);
        week.wake(&Wake::Request(serde_json::json!({
            "pipeline": "recommender", "run_id": run, "force": true,
        })));
        assert_eq!(
            week.end_of(&run),
            "Training",
            "a person takes what is there"
        );
    }
    week.to_the_end();
}

#[test]
fn a_retry_waits_from_when_it_was_asked_for() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.tick(MONDAY);
    week.to_the_end();
    assert_eq!(
        week.end_of(&week.run_of("20261123T0200Z")),
        "failed(bad_data)"
    );

    let again = week.run_of("20261123T0200Z-r2");
    week.wake(&Wake::Request(serde_json::json!({
        "pipeline": "recommender", "run_id": again, "force": true,
    })));
    week.sweep_for(minutes(110));
    assert_eq!(week.end_of(&again), "WaitingForData");
    week.data_is_ready();
    week.to_the_end();

    assert_eq!(week.end_of(&again), "succeeded");
}

#[test]
fn data_that_never_comes_fails_the_run_when_the_wait_is_over() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));

    week.tick(MONDAY);
    week.to_the_end();

    let told = week.edge.told().pop().expect("a notice");
    let (why, _) = told.text.split_once("LOST AND SAVED").expect("its parts");
    insta::assert_snapshot!(why.trim_end(), @r"
    The recommender run of 2026-11-23 02:00 UTC failed before its first stage after 2 h.
    Deadline 2026-11-24 02:00 UTC: there is no result to keep it with.

    WHY
    The data was not there when the 2 h of `wait_for` were over. Nothing was run.
    Class `bad_data`, evidence: there is no s3://trainspot-data/interactions/_READY yet

    WHAT YOU MAY DO
    - Put the whole export below `interactions/`, then write `interactions/_READY` anew, and then
      retry: a retry takes what lies there when it is asked for. If the export always comes later,
      raise `wait_for`.
    - To run it again: `trainspot retry recommender-20261123T0200Z`
    - To read more: `trainspot show recommender-20261123T0200Z`
    ");

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "failed(bad_data)");
    let ended = week
        .ledger(&run)
        .and_then(|ledger| ledger.ended_at)
        .expect("an end");
    assert!(
        ended >= at("2026-11-23T04:00:00Z") && ended < at("2026-11-23T04:06:00Z"),
        "{ended}"
    );
    week.assert_all_ended_and_told();
}

#[test]
fn a_deadline_that_passes_is_told_once_and_the_run_goes_on() {
    let mut week = Week::new(&Spec::default().within("30m"));
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    let id = week.runnable().pop().expect("Monday's job");
    week.work(&id);

    week.sweep_for(minutes(45));
    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.told(), [format!("{run}/late")]);
    week.end(&id, &AttemptEnd::exit(137));
    week.to_the_end();

    assert_eq!(week.end_of(&run), "succeeded");
    assert_eq!(
        week.told(),
        [format!("{run}/late"), format!("{run}/succeeded")]
    );
}

/// What a newer cli pushes, and these functions do not know.
const OF_A_NEWER_VERSION: &str =
    "name = \"recommender\"\nbogus = 1\n[train]\nprogram = [\"true\"]\n";

#[test]
fn a_tick_that_is_refused_is_an_error_as_nobody_reads_a_schedules_answer() {
    let mut week = Week::new(&Spec::default());
    week.push(OF_A_NEWER_VERSION);

    let error = week.tick(MONDAY).expect("nobody kills it");
    let error = error.expect_err("Lambda tries again, and keeps what stays refused");
    assert!(
        error.contains("TickRefused") && error.contains("bogus"),
        "{error}"
    );
    assert_eq!(week.n_ledgers(), 0);

    // Pushed again, the letter is sent again.
    week.push(&Spec::default().to_string());
    let tick = week.tick_payload(MONDAY);
    let answer = week.wake(&tick).expect("nobody kills it");
    assert_eq!(answer.expect("an answer")["outcome"], "created");
}

#[test]
fn whatever_else_a_schedule_sends_in_vain_is_an_error_too() {
    let mut week = Week::new(&Spec::default());
    let of_schedules = [
        json!({"pipeline": "nobodys", "tick": MONDAY}),
        json!({"pipeline": "recommender", "tick": "on Monday"}),
        json!({"pipeline": "recommender", "tick": MONDAY, "priority": 3}),
        // A rule without its input transformer.
        json!({"source": "aws.events", "detail-type": "Scheduled Event", "time": MONDAY}),
    ];

    for payload in of_schedules {
        let told = week.wake(&Wake::Request(payload.clone()));
        let error = told.expect("nobody kills it").expect_err("an error");
        assert!(error.contains("TickRefused"), "{payload}: {error}");
    }
}

#[test]
fn a_request_by_hand_that_is_refused_is_an_answer() {
    let mut week = Week::new(&Spec::default());
    week.push(OF_A_NEWER_VERSION);
    let by_hand = [
        json!({"pipeline": "recommender"}),
        json!({"pipeline": "nobodys", "force": true}),
        json!({"pipelines": ["recommender"]}),
    ];

    for payload in by_hand {
        let told = week.wake(&Wake::Request(payload.clone()));
        let answer = told.expect("nobody kills it").expect("an answer");
        assert_eq!(answer["outcome"], "refused", "{payload}: {answer}");
    }
}
