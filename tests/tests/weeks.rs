//! Bad weeks by the thousand, over the services in memory; and bugs on purpose, each of which they find.
//!
//! `TRAINSPOT_WEEKS` says how many, `TRAINSPOT_FIRST_SEED` from which seed on; `SEED=<n>` plays one week and
//! prints its story.

use test_case::test_case;
use trainspot_stories::InMemory;
use trainspot_stories::bad_week::{Bug, Weeks, play};

const WEEKS: u64 = 1_000;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a whole number, received: {text}")))
}

#[test]
fn bad_weeks_hold() {
    if let Some(seed) = variable("SEED") {
        match play(InMemory, seed, Bug::None, true) {
            Ok(outcome) => eprintln!("{}\nweek {seed} holds", outcome.story),
            Err(failure) => panic!("{}\nSEED={seed}: {}", failure.story, failure.violation.0),
        }
        return;
    }
    let first = variable("TRAINSPOT_FIRST_SEED").unwrap_or(0);
    let weeks = first..first + variable("TRAINSPOT_WEEKS").unwrap_or(WEEKS);

    let played = Weeks::play(&InMemory, weeks, Bug::None);

    eprintln!("{}", played.table());
    if let Some(failure) = played.failure {
        let (seed, why) = (failure.seed, failure.violation.0);
        panic!("{}\nSEED={seed} fails: {why}", failure.story);
    }
    let seldom: Vec<&str> = played.too_seldom().iter().map(|kind| kind.name()).collect();
    assert!(seldom.is_empty(), "struck in too few weeks: {seldom:?}");
}

#[test]
fn the_same_seed_is_the_same_week() {
    for seed in 0..10 {
        let fingerprint = || play(InMemory, seed, Bug::None, false).map(|o| o.fingerprint);
        let (one, other) = (fingerprint(), fingerprint());

        match (one, other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "seed {seed}"),
            (Err(one), Err(other)) => assert_eq!(one.violation, other.violation, "seed {seed}"),
            (one, other) => panic!("seed {seed}: {:?}, {:?}", one.is_ok(), other.is_ok()),
        }
    }
}

/// A proof that cannot fail proves nothing.
#[test_case(Bug::NoStageHead)]
#[test_case(Bug::SubmitBeforeSave)]
#[test_case(Bug::RepeatedSubmissions)]
#[test_case(Bug::ShortLease)]
#[test_case(Bug::TerminalOverwritten)]
fn a_bug_on_purpose_is_found(bug: Bug) {
    let played = Weeks::play(&InMemory, 0..WEEKS, bug);

    let Some(failure) = played.failure else {
        panic!("{bug:?} lived through {WEEKS} weeks");
    };
    eprintln!(
        "{bug:?}: found after {} weeks that held: {}",
        played.held, failure.violation.0
    );
}
