//! What every event costs in requests. The table is in `docs/ARCHITECTURE.md`, and may only get shorter.

use std::collections::BTreeMap;

use trainspot_edge::memory::{AttemptEnd, Call, CallKind};
use trainspot_shared::identity::Stage;
use trainspot_stories::{Deed, Spec, Wake, Week};

use super::MONDAY;

/// The most that an event which changes a state may cost besides its actions.
const BESIDES_ACTIONS_MAX: usize = 4;

/// Up to the first save of the ledger, that save included: what was read to decide, and the decision.
/// Everything after it belongs to an action, the save that records it too.
fn besides_actions(calls: &[Call]) -> usize {
    let is_save = |call: &Call| call.kind == CallKind::Put && call.what.ends_with("/run.json");
    let first_save = calls.iter().position(is_save);
    first_save.map_or(calls.len(), |place| place + 1)
}

/// What the event says, such as `train-1 FAILED`.
fn label(wake: &Wake) -> String {
    let Wake::Event(event) = wake else {
        return "no event".to_owned();
    };
    let detail = &event["detail"];
    let name = detail["jobName"].as_str().unwrap_or_default();
    let (_, job) = name.rsplit_once("--").unwrap_or_default();
    format!("{job} {}", detail["status"].as_str().unwrap_or_default())
}

/// Delivers all that Batch tells, each twice, and gives what each cost: besides its actions, and in all.
fn costs(week: &mut Week) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..60 {
        for event in week.take_events() {
            let before = week.edge.calls().len();
            week.wake(&event);
            let calls = week.edge.calls().split_off(before);
            if calls.is_empty() {
                continue; // no rule takes it
            }
            let besides = besides_actions(&calls);
            assert!(
                besides <= BESIDES_ACTIONS_MAX,
                "{}: {calls:?}",
                label(&event)
            );
            told.push(format!("{}: {besides} of {}", label(&event), calls.len()));

            let before = week.edge.calls().len();
            week.wake(&event);
            assert_eq!(
                week.edge.counts_since(before),
                [(CallKind::Get, 1)].into(),
                "the same again: {}",
                label(&event)
            );
        }
        for id in week.runnable() {
            week.work(&id);
        }
    }
    told
}

#[test]
fn a_duplicate_tick_costs_two_requests() {
    let mut week = Week::new(&Spec::default());
    week.tick(MONDAY);
    let before = week.edge.calls().len();

    week.tick(MONDAY);

    assert_eq!(week.edge.counts_since(before), [(CallKind::Get, 2)].into());
}

#[test]
fn a_duplicate_event_costs_one_request_and_a_new_one_at_most_four_besides_its_actions() {
    let mut week = Week::new(&Spec::default());
    week.script(
        Stage::Train,
        [
            Deed::Reclaimed { step: 10 },
            Deed::Ends(AttemptEnd::out_of_memory()),
            Deed::Ends(AttemptEnd::exit(137)),
        ],
    );

    week.tick(MONDAY);
    let told = costs(&mut week);

    assert_eq!(
        told,
        [
            "train-1 RUNNING: 2 of 2",
            "train-1 RUNNABLE: 2 of 2",
            "train-1 RUNNING: 2 of 2",
            // Batch's words say why: memory. Submitted again, with more.
            "train-1 FAILED: 3 of 8",
            "train-2 RUNNING: 2 of 2",
            // They do not: the attempt's record is read.
            "train-2 FAILED: 4 of 9",
            "train-3 RUNNING: 2 of 2",
            "train-3 SUCCEEDED: 4 of 9",
            "evaluate-1 RUNNING: 2 of 2",
            "evaluate-1 SUCCEEDED: 4 of 9",
            "recommend-1 SUCCEEDED: 3 of 11",
            "gather-1 RUNNING: 2 of 2",
            "gather-1 SUCCEEDED: 4 of 26",
        ],
        "besides its actions, of all"
    );
    week.to_the_end();
    week.assert_all_ended_and_told();
}

/// The requests from the gate to gather's submission, by kind, without those of the agents.
fn fan_out(shards: u32) -> BTreeMap<CallKind, usize> {
    let mut week = Week::new(&Spec::default().shards(shards));
    week.tick(MONDAY);
    for _ in 0..2 {
        week.deliver_all();
        for id in week.runnable() {
            week.work(&id);
        }
    }
    let before = week.edge.calls().len();
    week.deliver_all();
    // The children of a fan-out wake nobody: who works on them does not matter here.
    let parents = week.jobs();
    let parent = parents.last().expect("the fan-out was submitted");
    assert!(parent.seen.name.ends_with("recommend-1"));
    let done = AttemptEnd::exit(0);
    week.edge
        .batch(|batch| batch.end_children(&parent.seen.id, &done));
    week.deliver_all();
    assert_eq!(week.jobs().len(), 4, "{}", week.tell_all());
    week.edge.counts_since(before)
}

#[test]
fn ten_thousand_shards_cost_as_many_requests_as_four() {
    let few = fan_out(4);
    let many = fan_out(10_000);

    assert_eq!(many, few);
    // One for all the shards, one for gather.
    assert_eq!(many.get(&CallKind::Submit), Some(&2));
}
