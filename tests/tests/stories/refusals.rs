//! What a service refuses for good, until a person mends it: somebody is told, nothing that was decided is lost, and
//! no run waits for ever.

use serde_json::Value;
use trainspot_edge::memory::{Call, CallKind, Fault};
use trainspot_shared::run::{HistoryLine, Run};
use trainspot_stories::{Spec, Week, at, minutes};

use super::MONDAY;

fn refuse(week: &Week, is_it: impl Fn(&Call) -> bool + Send + 'static) {
    week.edge
        .on_call(move |call| is_it(call).then_some(Fault::Refused));
}

fn lists_the_data(call: &Call) -> bool {
    call.kind == CallKind::List && call.what == "interactions/"
}

fn writes(call: &Call, prefix: &str) -> bool {
    call.kind == CallKind::Put && call.what.starts_with(prefix)
}

/// One sweep; gives what it could not do.
fn failures_of_a_sweep(week: &mut Week) -> Vec<String> {
    let answer = week.sweep().expect("nobody kills it").expect("it answers");
    let failures = answer["swept"]["failures"].as_array().expect("a list");
    let texts = failures.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// How often `SweepsFailed` was told since the last time.
fn n_sweeps_failed(week: &Week) -> usize {
    let is_it = |line: &String| line.contains("\"SweepsFailed\":1.0");
    week.edge.take_printed().iter().filter(|l| is_it(l)).count()
}

/// Monday's run with all its jobs done, and what follows refused.
fn all_but_the_end(is_refused: impl Fn(&Call) -> bool + Send + 'static) -> Week {
    let mut week = Week::new(&Spec::default());
    refuse(&week, is_refused);
    week.tick(MONDAY);
    for _ in 0..6 {
        week.deliver_all();
        for id in week.runnable() {
            week.work(&id);
        }
    }
    week
}

fn monday(week: &Week) -> Run {
    let run = week.run_of("20261123T0200Z");
    week.ledger(&run).expect("a ledger")
}

fn has_in_history(run: &Run, what: &str) -> bool {
    run.history.iter().any(|line| line.what.contains(what))
}

#[test]
fn a_look_that_is_refused_keeps_back_nothing_that_was_decided_before_it() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h").within("30m"));
    week.tick(MONDAY);
    refuse(&week, lists_the_data);

    week.sweep_for(minutes(45));

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.told(), [format!("{run}/late")]);
    week.edge.calm();
    week.data_is_ready();
    week.to_the_end();
    assert_eq!(week.end_of(&run), "succeeded");
    week.assert_all_ended_and_told();
}

#[test]
fn data_that_may_not_be_listed_ends_the_run_when_its_wait_is_over() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.tick(MONDAY);
    refuse(&week, lists_the_data);

    week.to_the_end();

    let run = monday(&week);
    assert_eq!(week.end_of(&run.id), "failed(permission_denied)");
    let ended_at = run.ended_at.expect("an end");
    assert!(
        ended_at >= at("2026-11-23T04:00:00Z") && ended_at < at("2026-11-23T04:06:00Z"),
        "{ended_at}"
    );
    week.assert_all_ended_and_told();
}

#[test]
fn a_sweep_that_could_not_do_all_tells_the_alarm() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.tick(MONDAY);
    week.sweep_for(minutes(10));
    assert_eq!(n_sweeps_failed(&week), 0, "all is well");
    refuse(&week, lists_the_data);

    let failures = failures_of_a_sweep(&mut week);

    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(n_sweeps_failed(&week), 1);
    week.edge.calm();
    week.sweep();
    assert_eq!(n_sweeps_failed(&week), 0, "it ends by itself");
}

#[test]
fn a_report_that_may_not_be_written_is_told_of_by_each_sweep_and_given_up_after_two_hours() {
    let mut week = all_but_the_end(|call| writes(call, "reports/"));
    let run = monday(&week);
    assert!(
        run.is_final() && !run.is_settled(),
        "{}",
        week.tell(&run.id)
    );

    for _ in 0..20 {
        let failures = failures_of_a_sweep(&mut week);
        let [failure] = failures.as_slice() else {
            panic!("{failures:?}")
        };
        assert!(
            failure.starts_with(&format!("{}: report", run.id)) && failure.contains("reports/"),
            "{failure}"
        );
    }
    week.sweep_for(minutes(60));

    let run = monday(&week);
    assert!(run.is_settled());
    assert!(has_in_history(&run, "report could not be written"));
    assert_eq!(week.end_of(&run.id), "succeeded");
    assert_eq!(failures_of_a_sweep(&mut week), [""; 0]);
    week.assert_all_ended_and_told();
}

#[test]
fn a_promotion_that_is_refused_is_told_of_by_each_sweep_and_goes_through_once_it_may() {
    let mut week = all_but_the_end(|call| writes(call, "models/"));

    for _ in 0..30 {
        let failures = failures_of_a_sweep(&mut week);
        let [failure] = failures.as_slice() else {
            panic!("{failures:?}")
        };
        assert!(
            failure.contains("promote") && failure.contains("models/"),
            "{failure}"
        );
    }
    assert_eq!(week.champion(), None);
    week.edge.calm();
    week.to_the_end();

    let run = monday(&week);
    assert_eq!(week.end_of(&run.id), "succeeded");
    let noted = |line: &&HistoryLine| line.what.contains("promote put off");
    assert_eq!(run.history.iter().filter(noted).count(), 1, "said once");
    assert!(week.champion().is_some());
    week.assert_all_ended_and_told();
}

#[test]
fn a_promotion_that_is_refused_for_a_day_ends_the_run_and_is_told() {
    let mut week = all_but_the_end(|call| writes(call, "models/"));

    week.to_the_end();

    let run = monday(&week);
    assert_eq!(week.end_of(&run.id), "failed(permission_denied)");
    let waited = run.ended_at.expect("an end").duration_since(at(MONDAY));
    assert!(
        waited > minutes(20 * 60) && waited < minutes(30 * 60),
        "{waited}"
    );
    assert!(week.told().contains(&format!("{}/failed", run.id)));
    assert_eq!(week.champion(), None);
    week.assert_all_ended_and_told();
}
