//! The same news twice, three times at once, and in the wrong order.

use jiff::SignedDuration;
use trainspot_edge::memory::{AttemptEnd, CallKind, MemoryEdge};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Deed, Invocation, Spec, Wake, Week, answer, by_turns};

use super::MONDAY;

/// The same tick to three invocations; `turn` says who makes the next call.
fn three_at_once(turn: impl FnMut(&[usize]) -> usize) -> Week {
    let mut week = Week::new(&Spec::train_only());
    let wake = week.tick_payload(MONDAY);
    let settings = week.settings.clone();
    let edges: Vec<MemoryEdge> = (0..3)
        .map(|_| week.caller(&wake, SignedDuration::ZERO))
        .collect();

    let invocations = edges
        .iter()
        .map(|edge| Invocation {
            edge: edge.clone(),
            work: Box::pin(answer(edge, &settings, &wake)),
        })
        .collect();
    by_turns(invocations, turn);
    week.watch();
    week
}

fn assert_one_of_each(week: &Week) {
    assert_eq!(week.ledgers().len(), 1, "{}", week.tell_all());
    assert_eq!(week.head().entries.len(), 1);
    assert_eq!(week.count(CallKind::Submit, ""), 1, "{}", week.tell_all());
    assert_eq!(week.jobs().len(), 1);
}

#[test]
fn the_same_tick_three_times_at_once_makes_one_ledger_and_one_job() {
    // In lockstep, the worst there is, and in a thousand other orders.
    let mut next = 0;
    assert_one_of_each(&three_at_once(|places| {
        next += 1;
        next % places.len()
    }));
    for seed in 0..200 {
        let mut chance = fastrand::Rng::with_seed(seed);
        assert_one_of_each(&three_at_once(|places| chance.usize(0..places.len())));
    }
}

#[test]
fn every_pair_of_calls_of_two_ticks_can_meet_without_harm() {
    // The second invocation begins after each call of the first, and runs through.
    for after in 0..40 {
        let mut made = 0;
        let week = three_at_once(|places| {
            made += 1;
            if made <= after { 0 } else { places.len() - 1 }
        });

        assert_one_of_each(&week);
    }
}

/// Everything that Batch told is told again, in an order by `seed`, each twice, after the whole run.
#[test]
fn events_in_any_order_each_twice_come_to_the_same_end() {
    for seed in 0..30 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut week = Week::new(&Spec::default().shards(2));
        week.script(
            Stage::Train,
            [Deed::Reclaimed { step: 10 }, Deed::LosesHost],
        );
        week.tick(MONDAY);
        let mut heard: Vec<Wake> = Vec::new();

        for _ in 0..60 {
            let events = week.take_events();
            heard.extend(events.iter().cloned().chain(events.iter().cloned()));
            chance.shuffle(&mut heard);
            // Some of it arrives now, the newest perhaps before the oldest.
            let n_now = chance.usize(0..=heard.len());
            for event in heard.split_off(heard.len() - n_now) {
                week.deliver(&event);
            }
            for id in week.runnable() {
                week.work(&id);
            }
        }
        for event in heard {
            week.deliver(&event);
        }
        week.to_the_end();

        let run = week.run_of("20261123T0200Z");
        assert_eq!(
            week.end_of(&run),
            "succeeded",
            "seed {seed}\n{}",
            week.tell_all()
        );
        assert_eq!(week.jobs().len(), 4, "seed {seed}\n{}", week.tell_all());
        assert_eq!(week.told().len(), 1, "seed {seed}: {:?}", week.told());
        week.assert_all_ended_and_told();
    }
}

#[test]
fn a_failed_job_whose_output_is_complete_is_a_success() {
    let mut week = Week::new(&Spec::default());
    week.script(Stage::Train, [Deed::FinishesThen(AttemptEnd::exit(1))]);

    week.tick(MONDAY);
    week.to_the_end();

    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "succeeded");
    assert!(
        week.tell(&run)
            .contains("train is complete although its job says FAILED")
    );
    week.assert_all_ended_and_told();
}

#[test]
fn a_job_that_succeeds_without_output_is_tried_once_more_and_then_a_failure() {
    let mut week = Week::new(&Spec::default());
    week.script(
        Stage::Train,
        [Deed::ComesBackEmptyHanded, Deed::ComesBackEmptyHanded],
    );

    week.tick(MONDAY);
    week.to_the_end();

    assert_eq!(
        week.end_of(&week.run_of("20261123T0200Z")),
        "failed(no_output)"
    );
    assert_eq!(week.jobs().len(), 2);
    week.assert_all_ended_and_told();
}
