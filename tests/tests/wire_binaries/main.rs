//! Bad weeks for the real thing: the four functions' binaries and the agent, under the local cloud, while
//! events get lost, doubled, late and out of order, functions die half-way, answers go missing, hosts are
//! taken back and are not to be had.
//!
//! Needs the built binaries and a Python, as `make test` has them; without them it says so and does nothing,
//! unless `TRAINSPOT_WHOLE_RUNS=1` makes that a failure. `SEED=<n>` plays one week; real processes are ruled
//! by no seed, so that it is a week like the one that failed and not the same.

mod place;
mod printed;
mod recorded;
mod tour;
mod watch;
mod week;

use std::collections::BTreeMap;

use place::Place;
use tokio::task::JoinSet;
use tour::Tour;
use week::{Told, Week};

const WEEKS: u64 = 5;

/// Each must have struck in one of the weeks.
const KINDS: [&str; 12] = [
    "answer lost",
    "call cut",
    "call throttled",
    "capacity withheld",
    "effect late",
    "event delayed",
    "event dropped",
    "event duplicated",
    "event reordered",
    "function killed",
    "host lost",
    "host reclaimed",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_binaries_hold_through_five_bad_weeks() {
    let place = match Place::find() {
        Ok(place) => place,
        Err(missing) => {
            assert!(std::env::var("TRAINSPOT_WHOLE_RUNS").is_err(), "{missing}");
            eprintln!("skipped: {missing}; `make test` builds what this needs");
            return;
        }
    };
    let seeds = match std::env::var("SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("SEED is a whole number");
            seed..seed + 1
        }
        Err(_) => 1..1 + WEEKS,
    };
    let are_all = seeds.end - seeds.start == WEEKS;

    // Most of a week is waiting: all of them at once take little longer than one.
    let mut weeks: JoinSet<Told> = seeds
        .map(|seed| {
            let place = place.clone();
            async move { Week::play(&place, seed).await }
        })
        .collect();
    let mut struck: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = None;
    while let Some(week) = weeks.join_next().await {
        match week {
            Ok(told) => {
                eprintln!("{}", told.summary);
                for (kind, times) in told.struck {
                    *struck.entry(kind).or_default() += times;
                }
            }
            Err(error) => failed = Some(error),
        }
    }

    eprintln!("struck: {struck:#?}");
    if let Some(error) = failed {
        std::panic::resume_unwind(error.into_panic());
    }
    let missing: Vec<&&str> = KINDS
        .iter()
        .filter(|kind| !struck.contains_key(**kind))
        .collect();
    assert!(!are_all || missing.is_empty(), "never struck: {missing:?}");
}

/// What is called on the way is held against the template's policies by `make privileges`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tour_of_everything_that_is_called() {
    let place = match Place::find() {
        Ok(place) => place,
        Err(missing) => {
            assert!(std::env::var("TRAINSPOT_WHOLE_RUNS").is_err(), "{missing}");
            eprintln!("skipped: {missing}; `make test` builds what this needs");
            return;
        }
    };

    Tour::make(&place).await;
}
