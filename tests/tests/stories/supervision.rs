//! What supervision does by itself: for many runs at once, and before something is lost.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use trainspot_edge::memory::{AttemptEnd, Call, CallKind, Fault, Travel};
use trainspot_shared::identity::{RunId, Stage};
use trainspot_stories::{Arrival, Deed, Simulation, Spec, Wake, Week, answer, minutes};

use super::MONDAY;

/// What one call takes over the network, there and back: slow, for S3.
const ON_THE_WAY: Duration = Duration::from_millis(50);
const RUNS: usize = 50;
const HALF_A_MINUTE: SignedDuration = SignedDuration::from_secs(30);

/// So many runs, each with a training at work.
fn many_at_work(n: usize) -> (Week, Vec<RunId>) {
    let mut week = Week::new(&Spec::default().overlap("allow"));
    let runs: Vec<RunId> = (0..n)
        .map(|i| week.run_of(&format!("20261123T0200Z-m{i:016x}")))
        .collect();
    for run in &runs {
        week.wake(&Wake::Request(json!({
            "pipeline": "recommender", "run_id": run, "force": true,
        })));
    }
    week.deliver_all();
    assert_eq!(week.runnable().len(), n);
    (week, runs)
}

/// One sweep in which every call takes its time; gives how long it took.
fn sweep_over_the_network(week: &mut Week) -> SignedDuration {
    over_the_network(week, &Wake::Sweep, |_| ON_THE_WAY)
}

/// One invocation whose calls are on their way for so long, each way. Its function's time-out ends it; gives how
/// long it took.
fn over_the_network(
    week: &mut Week,
    wake: &Wake,
    on_the_way: impl Fn(&Call) -> Duration + Send + 'static,
) -> SignedDuration {
    let edge = week.caller(wake, SignedDuration::ZERO);
    edge.wait_by_timers();
    edge.on_travel(move |call| Travel {
        there: on_the_way(call),
        back: on_the_way(call),
    });
    let began_at = edge.clock();
    let timeout = SignedDuration::try_from(week.settings.function_timeout).expect("a minute");
    let mut simulation = Simulation::default();
    let (sight, settings, woken_by) = (edge.clone(), week.settings.clone(), wake.clone());
    let id = simulation.begin(edge.clone(), async move {
        answer(&sight, &settings, &woken_by).await
    });
    let mut chance = fastrand::Rng::with_seed(1);
    while !simulation.is_empty() {
        if simulation.turn(edge.clock(), &mut chance).is_none() {
            let next = edge.next_moment().expect("somebody waits for an answer");
            edge.advance_to(next.min(began_at + timeout));
            if edge.clock() >= began_at + timeout {
                simulation.kill(id);
            }
        }
    }
    edge.on_travel(|_| Travel::default());
    edge.clock().duration_since(began_at)
}

/// Monday's fan-out, of which every child has failed without having begun; nobody was told.
fn all_shards_failed(shards: u32) -> (Week, RunId) {
    let mut week = Week::new(&Spec::default().shards(shards));
    week.tick(MONDAY);
    for _ in 0..2 {
        week.deliver_all();
        for id in week.runnable() {
            week.work(&id);
        }
    }
    week.deliver_all();
    let parent = week.jobs().pop().expect("the fan-out was submitted");
    assert!(parent.seen.name.ends_with("recommend-1"));
    let killed = AttemptEnd::exit(137);
    week.edge
        .batch(|batch| batch.end_children(&parent.seen.id, &killed));
    let run = week.run_of("20261123T0200Z");
    (week, run)
}

fn is_submitted_again(week: &Week) -> bool {
    let jobs = week.jobs();
    jobs.iter()
        .any(|job| job.seen.name.ends_with("recommend-2"))
}

/// Every missing shard has its new owner: the grant comes before the submission.
fn assert_all_granted(week: &Week, run: &RunId, shards: u32) {
    for shard in 0..shards {
        let head = week.stage_head(run, Stage::Recommend, Some(shard));
        assert_eq!(head.map(|head| head.owner.submission), Some(2), "{shard}");
    }
}

#[test]
fn fifty_runs_whose_jobs_ended_without_a_word_go_on_within_half_a_minute() {
    let (mut week, runs) = many_at_work(RUNS);
    for id in week.runnable() {
        week.work(&id);
    }
    drop(week.take_events()); // nobody tells

    let took = sweep_over_the_network(&mut week);

    for run in &runs {
        assert_eq!(week.end_of(run), "Evaluating", "{}", week.tell(run));
    }
    assert!(took < HALF_A_MINUTE, "{took:?}");
    eprintln!("{RUNS} runs went on in {took:?} at 100 ms a call");
}

#[test]
fn a_run_that_waits_loses_its_checkpoints_or_its_heartbeat_is_told_of_in_time() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    week.deliver_all();
    week.sweep_for(minutes(150));
    let waits = week.told();

    let id = week.runnable().pop().expect("it waits for a host");
    let mut worker = week.start(&id);
    assert_eq!(week.arrive(&mut worker), Arrival::Work);
    week.deliver_all();
    week.sweep_for(minutes(50));
    assert_eq!(week.told(), waits, "it works, and has time");
    week.sweep_for(minutes(40));
    let overdue = week.told();
    week.end(&id, &AttemptEnd::exit(70));
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    let id = |what: &str| format!("{run}/at_risk-{what}-train-1-1");
    assert_eq!(waits, [id("stuck")]);
    assert_eq!(overdue[1..], [id("checkpoint_overdue")]);
    assert_eq!(week.end_of(&run), "failed(bug)");
    week.assert_all_ended_and_told();
}

#[test]
fn a_run_of_a_pipeline_that_was_removed_goes_on_to_its_end_and_is_told_of() {
    let mut week = Week::new(&Spec::default().waiting_for_data("2h"));
    week.tick(MONDAY);
    week.deliver_all();
    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "WaitingForData");

    week.remove_pipeline();
    week.sweep_for(minutes(150));

    assert_eq!(week.end_of(&run), "failed(bad_data)");
    week.assert_all_ended_and_told();
}

#[test]
fn an_entry_whose_ledger_cannot_be_made_any_more_keeps_no_other_from_its_end() {
    let mut week = Week::new(&Spec::default().overlap("allow").waiting_for_data("2h"));
    let runs = [0, 1].map(|i| week.run_of(&format!("20261123T0200Z-m{i:016x}")));
    for run in &runs {
        week.wake(&Wake::Request(
            json!({"pipeline": "recommender", "run_id": run}),
        ));
    }
    let [lost, other] = &runs;
    week.remove_ledger(lost);
    week.remove_pipeline();
    week.sweep_for(minutes(290));

    let answer = week.sweep().expect("nobody kills it").expect("it answers");

    assert_eq!(week.end_of(other), "failed(bad_data)");
    let failures = answer["swept"]["failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1, "{answer}");
    let failure = failures[0].as_str().unwrap_or_default();
    assert!(
        failure.starts_with(&format!("{lost}: there is no pipeline `recommender`")),
        "{failure}"
    );
}

#[test]
fn ticks_of_a_pipeline_that_was_removed_before_its_schedule_are_not_made_up() {
    let mut week = Week::new(&Spec::default());
    let schedules = week.settings.schedules.clone();
    week.remove_pipeline();
    week.settings.schedules = schedules;

    week.sweep_for(minutes(150));
    let answer = week.sweep().expect("nobody kills it").expect("it answers");

    assert_eq!(week.n_ledgers(), 0);
    assert_eq!(answer["swept"]["failures"], json!([]));
}

#[test]
fn two_thousand_missing_shards_are_submitted_again_by_one_function() {
    let (mut week, run) = all_shards_failed(2_000);
    drop(week.take_events()); // nobody tells

    let took = sweep_over_the_network(&mut week);

    assert!(is_submitted_again(&week), "after {took:?}");
    assert_all_granted(&week, &run, 2_000);
    eprintln!("2,000 shards were submitted again in {took:?} at 100 ms a call");
}

#[test]
fn whoever_takes_a_submission_over_goes_on_where_its_grants_ended() {
    let (mut week, run) = all_shards_failed(2_000);
    let first_grant = |call: &Call| {
        call.kind == CallKind::Put
            && call.what.contains("/recommend/")
            && call.what.ends_with("head.json")
    };
    week.edge
        .on_call(move |call| first_grant(call).then_some(Fault::KilledBefore));
    drop(week.take_events());
    week.sweep();
    assert!(!is_submitted_again(&week));

    // From now on no function gets beyond so many calls: too few for a look at every shard.
    week.edge
        .on_call(|call| (call.number > 1_500).then_some(Fault::KilledBefore));
    week.sweep_for(minutes(60));

    assert!(is_submitted_again(&week));
    assert_all_granted(&week, &run, 2_000);
}
