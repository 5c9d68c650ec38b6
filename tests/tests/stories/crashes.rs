//! The functions die, or stop hearing, at every call they make. The run ends well all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trainspot_edge::memory::Fault;
use trainspot_stories::{Spec, Week, minutes};

use super::MONDAY;

/// A whole run in which the functions' `nth` call (from 1) goes wrong; gives how many calls there were.
fn with_fault_at(spec: &Spec, nth: usize, fault: Fault) -> (Week, usize) {
    let mut week = Week::new(spec);
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    week.edge.on_call(move |call| {
        if call.by.starts_with("agent") {
            return None;
        }
        (counter.fetch_add(1, Ordering::SeqCst) + 1 == nth).then_some(fault)
    });
    let tick = week.tick_payload(MONDAY);
    week.edge.advance(minutes(120));
    week.deliver(&tick);
    week.to_the_end();
    let n_calls = made.load(Ordering::SeqCst);
    (week, n_calls)
}

const FAULTS: [Fault; 6] = [
    Fault::KilledBefore,
    Fault::KilledAfter,
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::Repeated,
    Fault::Late(minutes_20()),
];

const fn minutes_20() -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(20)
}

#[test]
fn a_fault_at_any_call_of_any_function_changes_nothing_but_the_time() {
    let spec = Spec::default().shards(2);
    let (undisturbed, n_calls) = with_fault_at(&spec, 0, Fault::KilledBefore);
    let expected: Vec<String> = undisturbed.job_list();
    let run = undisturbed.run_of("20261123T0200Z");
    let mut n_points = 0;

    for nth in 1..=n_calls {
        for fault in FAULTS {
            let (week, _) = with_fault_at(&spec, nth, fault);

            let what = format!("{fault:?} at call {nth}:\n{}", week.tell_all());
            assert_eq!(week.end_of(&run), "succeeded", "{what}");
            week.assert_all_ended_and_told();
            // A request that arrives after the take-over makes a second job; it never makes a second
            // result, which the week watches for. No other fault makes one.
            if !matches!(fault, Fault::Late(_)) {
                assert_eq!(week.job_list(), expected, "{what}");
            }
            assert_eq!(
                week.champion().map(|champion| champion.run_id).as_ref(),
                Some(&run),
                "{what}"
            );
            n_points += 1;
        }
    }

    eprintln!(
        "{n_points} points: {n_calls} calls, {} faults each",
        FAULTS.len()
    );
}
