//! What is told to `CloudWatch` of a run: exactly this, and nothing where there is nothing to tell.

use jiff::SignedDuration;
use serde_json::Value;
use trainspot_edge::memory::{ATTEMPTS_MAX, AttemptEnd, Call, CallKind, Fault};
use trainspot_edge::store::Condition;
use trainspot_shared::identity::Stage;
use trainspot_shared::layout::{self, file};
use trainspot_stories::{Arrival, Deed, Invocation, Spec, Wake, Week, answer, by_turns, minutes};

use super::{FRIDAY, MONDAY};

/// Each line that was printed since the last time, as `metric value, …`.
fn printed(week: &Week) -> Vec<String> {
    let told = |line: String| {
        let document: Value = serde_json::from_str(&line).expect("one JSON document a line");
        let directives = document["_aws"]["CloudWatchMetrics"].as_array();
        let metrics = directives
            .into_iter()
            .flatten()
            .flat_map(|directive| directive["Metrics"].as_array().into_iter().flatten());
        let told = metrics.map(|metric| {
            let name = metric["Name"].as_str().unwrap_or_default();
            let outcome = match (name, &document["Outcome"]) {
                ("RunsEnded", outcome) => format!(" {outcome}"),
                _ => String::new(),
            };
            format!("{name}{outcome} {}", document[name])
        });
        told.collect::<Vec<_>>().join(", ").replace('"', "")
    };
    week.edge.take_printed().into_iter().map(told).collect()
}

#[test]
fn a_good_run_with_one_reclaim() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Reclaimed { step: 300 }]);

    week.tick(MONDAY);
    week.edge.advance(minutes(7));
    week.to_the_end();

    // Eight attempts of ten minutes at $0.18936 an hour; what was published was not done again.
    assert_eq!(
        printed(&week),
        [
            "RunsStarted 1.0",
            "QueueWait 420.0",
            "Reclaims 1.0",
            "QueueWait 0.0",
            "QueueWait 0.0",
            "QueueWait 0.0",
            "Goodput 100.0, DollarsSpent 0.25248, DollarsSaved 0.448856, DollarsWasted 0.0, RunsEnded succeeded 1.0",
            "MonthSpend 0.25248",
        ]
    );
}

#[test]
fn a_skipped_tick_ends_and_begins_nothing() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    week.to_the_end();
    drop(printed(&week));

    week.tick(FRIDAY);
    week.to_the_end();

    let run = week.run_of("20261127T0200Z");
    assert_eq!(week.end_of(&run), "skipped");
    // What Monday's run cost.
    assert_eq!(
        printed(&week),
        ["RunsEnded skipped 1.0", "MonthSpend 0.22092"]
    );
}

#[test]
fn a_tick_that_is_not_let_in_ends_with_its_first_save() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    week.deliver_all();
    drop(printed(&week));

    week.tick(FRIDAY);

    let run = week.run_of("20261127T0200Z");
    assert_eq!(week.end_of(&run), "skipped");
    assert_eq!(printed(&week), ["RunsEnded skipped 1.0", "MonthSpend 0.0"]);
}

#[test]
fn a_failed_run() {
    let mut week = Week::new(&Spec::train_only());
    week.script(Stage::Train, [Deed::Ends(AttemptEnd::exit(70))]);

    week.tick(MONDAY);
    week.to_the_end();

    assert_eq!(
        printed(&week),
        [
            "RunsStarted 1.0",
            "QueueWait 0.0",
            "Goodput 100.0, DollarsSpent 0.03156, DollarsSaved 0.056107, DollarsWasted 0.0, RunsEnded failed 1.0",
            "MonthSpend 0.03156",
        ]
    );
}

#[test]
fn a_move_to_on_demand_and_the_wait_there() {
    let mut week = Week::new(&Spec::train_only());
    week.script(Stage::Train, vec![Deed::LosesHost; ATTEMPTS_MAX]);
    week.tick(MONDAY);
    while week.jobs().len() < 2 {
        week.deliver_all();
        if week.jobs().len() < 2 {
            let id = week.runnable().pop().expect("Batch tries again");
            week.work(&id);
        }
    }
    let until_the_move = printed(&week);

    week.sweep_for(minutes(12));
    let waits = printed(&week);
    week.to_the_end();

    let count = |what: &str| until_the_move.iter().filter(|line| *line == what).count();
    assert_eq!(count("QueueWait 0.0"), ATTEMPTS_MAX);
    // All but the last one; that one's event also moves it.
    assert_eq!(count("Reclaims 1.0"), ATTEMPTS_MAX - 1);
    assert_eq!(count("Reclaims 1.0, MovesToOnDemand 1.0"), 1);
    assert_eq!(until_the_move.len(), 2 * ATTEMPTS_MAX + 1);
    let waited_s: Vec<f64> = waits
        .iter()
        .map(|line| {
            let value = line.strip_prefix("OnDemandWait ");
            let value = value.and_then(|value| value.parse().ok());
            value.unwrap_or_else(|| panic!("{line}"))
        })
        .collect();
    assert!(waited_s.len() >= 2, "{waits:?}");
    assert!(
        waited_s
            .windows(2)
            .all(|pair| (pair[1] - pair[0] - 300.0).abs() < 1.0),
        "a sweep later it has waited five minutes more: {waits:?}"
    );
}

#[test]
fn a_notice_that_nobody_will_ever_get() {
    let mut week = Week::new(&Spec::train_only());
    week.edge
        .on_call(|call| (call.kind == CallKind::Publish).then_some(Fault::Refused));

    week.tick(MONDAY);
    week.to_the_end();

    let printed = printed(&week);
    let told = |what: &str| printed.iter().filter(|line| line.contains(what)).count();
    assert_eq!(told("NoticesUndeliverable 1.0"), 1, "{printed:?}");
    assert_eq!(told("NoticesUndeliverable"), 1);
}

#[test]
fn a_training_at_work_shows_what_a_reclaim_would_lose() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::Stays]);
    week.tick(MONDAY);
    week.deliver_all();
    let id = week.runnable().pop().expect("it waits for a host");
    let mut worker = week.start(&id);
    assert_eq!(week.arrive(&mut worker), Arrival::Work);
    week.deliver_all();
    drop(printed(&week));

    week.sweep();
    let without_heartbeat = printed(&week);
    let run = week.run_of("20261123T0200Z");
    let results = layout::results(&run, Stage::Train, None, 1, 1);
    week.edge.objects().write(
        &week.settings.results_bucket,
        &format!("{results}{}", file::PROGRESS),
        b"{}",
        &Condition::Always,
    );
    week.sweep_for(minutes(10));

    let told = printed(&week);
    assert_eq!(without_heartbeat, [""; 0]);
    let ages: Vec<f64> = told
        .iter()
        .filter_map(|line| line.strip_prefix("CheckpointAge ")?.parse().ok())
        .collect();
    assert_eq!(ages.len(), 2, "{told:?}");
    assert!((ages[1] - ages[0] - 300.0).abs() < 1.0, "{told:?}");
}

#[test]
fn of_three_that_race_for_a_save_one_tells() {
    for seed in 0..100 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut week = Week::new(&Spec::train_only());
        let wake = week.tick_payload(MONDAY);
        let settings = week.settings.clone();
        let edges: Vec<_> = (0..3)
            .map(|_| week.caller(&wake, SignedDuration::ZERO))
            .collect();
        let invocations = edges
            .iter()
            .map(|edge| Invocation {
                edge: edge.clone(),
                work: Box::pin(answer(edge, &settings, &wake)),
            })
            .collect();

        by_turns(invocations, |places| chance.usize(0..places.len()));

        assert_eq!(printed(&week), ["RunsStarted 1.0"], "seed {seed}");
    }
}

#[test]
fn who_dies_with_its_save_takes_what_it_would_have_told_along() {
    let mut week = Week::new(&Spec::train_only());
    week.tick(MONDAY);
    week.deliver_all();
    let id = week.runnable().pop().expect("the job");
    week.work(&id);
    drop(printed(&week));
    week.edge.on_call(|call| {
        let is_the_end = call.kind == CallKind::Put
            && call.what.ends_with("/run.json")
            && call.by.starts_with("fan-out");
        is_the_end.then_some(Fault::KilledAfter)
    });

    week.deliver_all();
    week.edge.calm();
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "succeeded");
    let printed = printed(&week);
    assert!(
        !printed.iter().any(|line| line.contains("RunsEnded")),
        "at most once: {printed:?}"
    );
}

/// Everything that may be told of, with metrics or without: the calls, in order.
fn calls(namespace: Option<&str>) -> (Vec<Call>, usize) {
    let mut week = Week::new(&Spec::default());
    week.settings.metrics_namespace = namespace.map(str::to_owned);
    let hosts = [
        vec![Deed::Reclaimed { step: 10 }],
        vec![Deed::LosesHost; ATTEMPTS_MAX],
    ];
    week.script(Stage::Train, hosts.concat());
    week.script_shard(1, [Deed::Ends(AttemptEnd::out_of_memory())]);
    week.tick(MONDAY);
    week.to_the_end();
    week.tick(FRIDAY);
    week.to_the_end();
    week.wake(&Wake::Sweep);
    (week.edge.calls(), week.edge.take_printed().len())
}

#[test]
fn metrics_cost_no_request_and_change_none() {
    let (with, printed) = calls(Some("trainspot/stories"));
    let (without, silent) = calls(None);

    assert_eq!(with, without);
    assert!(printed > 20 && silent == 0, "{printed}, {silent}");
}
