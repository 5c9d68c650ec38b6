//! Bad weeks over the wire: the same weeks as in memory, with the same checks, through the SDKs.
//!
//! `TRAINSPOT_WIRE_WEEKS` says how many, `TRAINSPOT_FIRST_SEED` from which seed on; `SEED=<n>` plays one week
//! and prints its story.

use trainspot_stories::bad_week::{Bug, Weeks, play};
use trainspot_stories::{OverTheWire, WithRepeatedSubmissions};

const WEEKS: u64 = 50;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a whole number, received: {text}")))
}

#[test]
fn bad_weeks_hold_over_the_wire() {
    if let Some(seed) = variable("SEED") {
        match play(OverTheWire, seed, Bug::None, true) {
            Ok(outcome) => eprintln!("{}\nweek {seed} holds", outcome.story),
            Err(failure) => panic!("{}\nSEED={seed}: {}", failure.story, failure.violation.0),
        }
        return;
    }
    let first = variable("TRAINSPOT_FIRST_SEED").unwrap_or(0);
    let weeks = first..first + variable("TRAINSPOT_WIRE_WEEKS").unwrap_or(WEEKS);

    let played = Weeks::play(&OverTheWire, weeks, Bug::None);

    eprintln!("{}", played.table());
    if let Some(failure) = played.failure {
        let (seed, why) = (failure.seed, failure.violation.0);
        panic!("{}\nSEED={seed} fails over the wire: {why}", failure.story);
    }
}

#[test]
fn the_same_seed_is_the_same_week_over_the_wire() {
    for seed in 0..3 {
        let fingerprint = || play(OverTheWire, seed, Bug::None, false).map(|o| o.fingerprint);
        let (one, other) = (fingerprint(), fingerprint());

        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "seed {seed}"),
            (Err(one), Err(other)) => assert_eq!(one.violation, other.violation, "seed {seed}"),
            (one, other) => panic!("seed {seed}: {:?}, {:?}", one.is_ok(), other.is_ok()),
        }
    }
}

/// The SDKs' own retries, on the one call that must not have them.
#[test]
fn clients_that_repeat_submissions_are_found() {
    let played = Weeks::play(&WithRepeatedSubmissions, 0..WEEKS, Bug::None);

    let Some(failure) = played.failure else {
        panic!("they lived through {WEEKS} weeks");
    };
    let why = failure.violation.0;
    eprintln!("found after {} weeks that held: {why}", played.held);
    assert!(why.contains("was submitted twice"), "{why}");
}
