//! The functions die, or stop hearing, at every call they make, in every story that the product knows. Each
//! story ends as it would have.
//!
//! The calls are counted in an undisturbed telling and then struck one by one, so that a new call is
//! covered the day it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::SignedDuration;
use trainspot_edge::memory::{AttemptEnd, CallKind, Fault};
use trainspot_shared::batch_event::JobStatus;
use trainspot_shared::identity::Stage;
use trainspot_shared::run::{Action, Run};
use trainspot_stories::{Deed, Spec, Wake, Week, at};

const MONDAY: &str = "2026-11-23T02:00:00Z";
const FRIDAY: &str = "2026-11-27T02:00:00Z";
/// More rounds than any story needs.
const ROUNDS_MAX: usize = 500;
const THREADS: usize = 2;

/// Killed before, killed after, and an answer lost whose effect is done.
const FAULTS: [Fault; 3] = [Fault::KilledBefore, Fault::KilledAfter, Fault::LostAfter];
/// What else may befall a call; told in the first story only.
const OTHER_FAULTS: [Fault; 6] = [
    Fault::LostBefore,
    Fault::Repeated,
    Fault::Conflict,
    Fault::Overtaken,
    Fault::Overwritten,
    Fault::Late(SignedDuration::from_mins(20)),
];
/// Pairs of faults, drawn by seed.
const PAIRS: usize = 400;

struct Story {
    name: &'static str,
    spec: fn() -> Spec,
    /// What goes wrong in it anyway.
    goes_wrong: fn(CallKind, &str) -> Option<Fault>,
    tell: fn(&mut Week),
}

const fn nothing(_: CallKind, _: &str) -> Option<Fault> {
    None
}

fn two_shards() -> Spec {
    Spec::default().shards(2)
}

const STORIES: [Story; 11] = [
    Story {
        name: "a good run",
        spec: two_shards,
        goes_wrong: nothing,
        tell: |week| {
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "a failure that stops",
        spec: two_shards,
        goes_wrong: nothing,
        tell: |week| {
            week.script(Stage::Train, [Deed::Ends(AttemptEnd::exit(70))]);
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "reclaims until it moves to on-demand",
        spec: Spec::train_only,
        goes_wrong: nothing,
        tell: |week| {
            week.script(Stage::Train, [Deed::Reclaimed { step: 10 }]);
            week.script(Stage::Train, (0..9).map(|_| Deed::LosesHost));
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "one failed shard of three",
        spec: || Spec::default().shards(3),
        goes_wrong: nothing,
        tell: |week| {
            week.script_shard(1, [Deed::Ends(AttemptEnd::exit(137))]);
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "a submission refused on Spot",
        spec: Spec::train_only,
        goes_wrong: |kind, what| {
            (kind == CallKind::Submit && what.ends_with("train-1")).then_some(Fault::Refused)
        },
        tell: |week| {
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "a tick skipped because the last run is live",
        spec: Spec::train_only,
        goes_wrong: nothing,
        tell: |week| {
            busy(week);
            tick(week, FRIDAY);
            week.deliver_all();
            goes_on(week);
        },
    },
    Story {
        name: "a tick that waits for the last run",
        spec: || Spec::train_only().overlap("queue"),
        goes_wrong: nothing,
        tell: |week| {
            busy(week);
            tick(week, FRIDAY);
            week.deliver_all();
            goes_on(week);
        },
    },
    Story {
        name: "a tick on unchanged data",
        spec: || Spec::default().shards(1),
        goes_wrong: nothing,
        tell: |week| {
            tick(week, MONDAY);
            week.to_the_end();
            tick(week, FRIDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "a run that a person ends",
        spec: Spec::train_only,
        goes_wrong: nothing,
        tell: |week| {
            busy(week);
            let cancel = Wake::Cancel {
                run_id: week.run_of("20261123T0200Z"),
                because: "no longer wanted".to_owned(),
            };
            week.deliver(&cancel);
            without_hosts(week);
        },
    },
    Story {
        name: "a notice that SNS never takes",
        spec: Spec::train_only,
        goes_wrong: |kind, _| (kind == CallKind::Publish).then_some(Fault::Refused),
        tell: |week| {
            tick(week, MONDAY);
            week.to_the_end();
        },
    },
    Story {
        name: "a queue that can never run the job",
        spec: Spec::train_only,
        goes_wrong: nothing,
        tell: |week| {
            tick(week, MONDAY);
            let waits = |week: &mut Week| week.runnable().into_iter().next();
            let job = rounds(week, waits);
            week.edge.batch(|batch| {
                batch.block(&job, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.");
            });
            without_hosts(week);
        },
    },
];

/// The tick comes at its time, again and again until it is taken.
fn tick(week: &mut Week, time: &str) {
    let until = at(time).duration_since(week.edge_now());
    if until.is_positive() {
        week.edge.advance(until);
    }
    let payload = week.tick_payload(time);
    week.deliver(&payload);
}

/// Events arrive and supervision comes by until `look` finds something.
fn rounds<T>(week: &mut Week, look: impl Fn(&mut Week) -> Option<T>) -> T {
    for _ in 0..ROUNDS_MAX {
        week.deliver_all();
        if let Some(found) = look(week) {
            return found;
        }
        week.sweep();
    }
    panic!("it never came:\n{}", week.tell_all());
}

/// Monday's training is at work and stays there.
fn busy(week: &mut Week) {
    week.script(Stage::Train, [Deed::Stays]);
    tick(week, MONDAY);
    rounds(week, |week| {
        for job in week.runnable() {
            week.work(&job);
        }
        let mut jobs = week.jobs().into_iter();
        jobs.find(|job| job.seen.status == JobStatus::Running)
    });
}

/// The host of the training that stayed is lost, and everything goes on.
fn goes_on(week: &mut Week) {
    week.end("job-0001", &AttemptEnd::host_lost());
    week.to_the_end();
}

/// Nobody gets a host any more; all comes to rest.
fn without_hosts(week: &mut Week) {
    rounds(week, |week| week.head().entries.is_empty().then_some(()));
}

/// Which calls go wrong, by their number among all calls of functions, from 1.
type Struck = BTreeMap<usize, Fault>;

fn told(story: &Story, struck: Struck) -> Week {
    let mut week = Week::new(&(story.spec)());
    week.edge.keep_writes();
    let made = AtomicUsize::new(0);
    let goes_wrong = story.goes_wrong;
    week.edge.on_call(move |call| {
        if call.by.starts_with("agent") {
            return None;
        }
        let number = made.fetch_add(1, Ordering::SeqCst) + 1;
        let anyway = goes_wrong(call.kind, &call.what);
        // What is turned away anyway has no effect, whatever becomes of its answer and its sender.
        match (struck.get(&number).copied(), anyway) {
            (Some(Fault::KilledAfter), Some(_)) => Some(Fault::KilledBefore),
            (Some(Fault::LostAfter), Some(_)) => Some(Fault::LostBefore),
            (fault, anyway) => fault.or(anyway),
        }
    });
    (story.tell)(&mut week);
    week
}

/// What must be the same whatever dies.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    ends: Vec<(String, String)>,
    jobs: Vec<String>,
}

fn outcome(week: &Week) -> Outcome {
    let mut jobs = week.job_list();
    jobs.sort();
    Outcome {
        ends: week
            .ledgers()
            .iter()
            .map(|run| (run.id.to_string(), week.end_of(&run.id)))
            .collect(),
        jobs,
    }
}

/// The functions by which the calls of an undisturbed telling were made, in order.
fn handlers(week: &Week) -> Vec<String> {
    let calls = week.edge.calls();
    let own = calls.iter().filter(|call| !call.by.starts_with("agent"));
    own.map(|call| call.by.split('/').next().unwrap_or_default().to_owned())
        .collect()
}

/// One telling with its faults.
struct Point<'s> {
    story: &'s Story,
    struck: Struck,
}

impl Point<'_> {
    /// `Err`: what was different.
    fn check(&self, undisturbed: &Outcome) -> Result<(), String> {
        let told = catch_unwind(AssertUnwindSafe(|| {
            let week = told(self.story, self.struck.clone());
            week.assert_all_ended_and_told();
            (outcome(&week), week.tell_all())
        }));
        let what = format!("{}, struck by {:?}", self.story.name, self.struck);
        let (mut outcome, text) = told.map_err(|_| format!("{what}: see the panic above"))?;
        // A request that arrives after the take-over makes a second job; it never makes a second
        // result, which the week watches for. No other fault makes one.
        if self
            .struck
            .values()
            .any(|fault| matches!(fault, Fault::Late(_)))
        {
            outcome.jobs.clone_from(&undisturbed.jobs);
        }
        if outcome == *undisturbed {
            return Ok(());
        }
        Err(format!(
            "{what}: {outcome:?} instead of {undisturbed:?}\n{text}"
        ))
    }
}

fn check_all(points: &[(Point<'_>, &Outcome)]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((point, undisturbed)) =
                    points.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    if let Err(what) = point.check(undisturbed) {
                        let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                        wrong.push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    for what in &wrong {
        eprintln!("{}", what.lines().next().unwrap_or_default());
    }
    let first = wrong.first().map(String::as_str).unwrap_or_default();
    assert!(
        wrong.is_empty(),
        "{} of {} points; the first: {first}",
        wrong.len(),
        points.len()
    );
}

#[test]
fn a_function_that_dies_at_any_call_of_any_story_changes_nothing_but_the_time() {
    let mut by_handler: BTreeMap<String, usize> = BTreeMap::new();
    let tellings: Vec<(Vec<String>, Outcome)> = STORIES
        .iter()
        .map(|story| {
            let week = told(story, Struck::new());
            week.assert_all_ended_and_told();
            (handlers(&week), outcome(&week))
        })
        .collect();
    let mut points = Vec::new();
    for (place, (story, (handlers, undisturbed))) in STORIES.iter().zip(&tellings).enumerate() {
        let others = OTHER_FAULTS.iter().filter(|_| place == 0);
        let faults: Vec<Fault> = FAULTS.iter().chain(others).copied().collect();
        for (call, handler) in handlers.iter().enumerate() {
            for fault in &faults {
                let struck = Struck::from([(call + 1, *fault)]);
                points.push((Point { story, struck }, undisturbed));
            }
            *by_handler.entry(handler.clone()).or_insert(0) += faults.len();
        }
        eprintln!("{}: {} calls", story.name, handlers.len());
    }

    check_all(&points);

    for (handler, n) in by_handler {
        eprintln!("{handler}: {n} points");
    }
    eprintln!("{} points", points.len());
}

#[test]
fn two_deaths_in_one_story_change_nothing_but_the_time() {
    let mut chance = fastrand::Rng::with_seed(7);
    let stories = [&STORIES[0], &STORIES[3], &STORIES[8]];
    let tellings = stories.map(|story| {
        let week = told(story, Struck::new());
        (story, handlers(&week).len(), outcome(&week))
    });
    let points: Vec<_> = (0..PAIRS)
        .map(|_| {
            let (story, n_calls, undisturbed) = &tellings[chance.usize(0..tellings.len())];
            let mut strike = || {
                (
                    chance.usize(1..=*n_calls),
                    FAULTS[chance.usize(0..FAULTS.len())],
                )
            };
            let struck = Struck::from([strike(), strike()]);
            (Point { story, struck }, undisturbed)
        })
        .collect();

    check_all(&points);

    eprintln!("{} pairs", points.len());
}

const fn kind(action: &Action) -> &'static str {
    match action {
        Action::Submit(_) => "submit",
        Action::Close { .. } => "close",
        Action::Terminate { .. } => "terminate",
        Action::PublishShards { .. } => "publish shards",
        Action::Promote(_) => "promote",
        Action::WriteReport => "report",
        Action::Notify(_) => "notify",
        Action::RecordEnd { .. } => "record end",
    }
}

#[test]
fn the_stories_hold_every_kind_of_action() {
    let mut kinds = BTreeSet::new();
    for story in &STORIES {
        let week = told(story, Struck::new());
        for written in week.edge.take_writes() {
            if let Ok(run) = serde_json::from_slice::<Run>(&written.body) {
                kinds.extend(run.pending.iter().map(|pending| kind(&pending.action)));
            }
        }
    }

    let all = [
        "submit",
        "close",
        "terminate",
        "publish shards",
        "promote",
        "report",
        "notify",
        "record end",
    ];
    assert_eq!(kinds, BTreeSet::from(all));
}
