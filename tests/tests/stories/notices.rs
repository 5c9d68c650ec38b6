//! People are told, or it is written down that they could not be.

use trainspot_edge::memory::{CallKind, Fault};
use trainspot_stories::{Spec, Week, at, minutes};

use super::MONDAY;

#[test]
fn a_notice_refused_for_good_is_written_down_and_the_run_settles() {
    let mut week = Week::new(&Spec::train_only());
    week.edge
        .on_call(|call| (call.kind == CallKind::Publish).then_some(Fault::Refused));

    week.tick(MONDAY);
    week.to_the_end();

    let ledger = week
        .ledger(&week.run_of("20261123T0200Z"))
        .expect("a ledger");
    assert_eq!(ledger.notices.len(), 1);
    assert!(ledger.notices[0].undeliverable.is_some());
    assert!(ledger.is_settled());
    assert_eq!(
        week.count(CallKind::Publish, ""),
        1,
        "the same would be refused again"
    );
    week.assert_all_ended_and_told();
}

#[test]
fn an_hour_without_sns_delays_the_notice_and_nothing_else() {
    let mut week = Week::new(&Spec::train_only());
    let back = at("2026-11-23T03:30:00Z");
    week.edge.on_call(move |call| {
        (call.kind == CallKind::Publish && call.at < back).then_some(Fault::LostBefore)
    });

    week.tick(MONDAY);
    week.deliver_all();
    let id = week.runnable().pop().expect("the job");
    week.work(&id);
    week.deliver_all();
    let run = week.run_of("20261123T0200Z");
    assert_eq!(
        week.end_of(&run),
        "succeeded",
        "the end does not wait for SNS"
    );
    assert_eq!(week.told(), [""; 0]);
    week.to_the_end();

    assert_eq!(week.told(), [format!("{run}/succeeded")]);
    let told_at = week.ledger(&run).expect("a ledger").notices[0].at;
    assert!(told_at >= back && told_at < back + minutes(16), "{told_at}");
    week.assert_all_ended_and_told();
}

#[test]
fn a_notice_whose_answer_was_lost_comes_again_under_the_same_id() {
    let mut week = Week::new(&Spec::train_only());
    let mut is_first = true;
    week.edge.on_call(move |call| {
        (call.kind == CallKind::Publish && std::mem::take(&mut is_first))
            .then_some(Fault::LostAfter)
    });

    week.tick(MONDAY);
    week.to_the_end();

    let id = format!("{}/succeeded", week.run_of("20261123T0200Z"));
    assert_eq!(week.told(), [id.clone(), id]);
    week.assert_all_ended_and_told();
}

#[test]
fn a_notice_that_is_put_off_for_a_day_is_written_down_as_undeliverable_and_the_run_settles() {
    let mut week = Week::new(&Spec::train_only());
    week.edge
        .on_call(|call| (call.kind == CallKind::Publish).then_some(Fault::Throttled));

    week.tick(MONDAY);
    week.to_the_end();

    let ledger = week
        .ledger(&week.run_of("20261123T0200Z"))
        .expect("a ledger");
    let told = ledger.notices.first().expect("it was given up");
    assert!(told.undeliverable.is_some());
    let waited = told.at.duration_since(ledger.ended_at.expect("an end"));
    assert!(
        waited > minutes(20 * 60) && waited < minutes(30 * 60),
        "{waited}"
    );
    week.assert_all_ended_and_told();
}
