//! Weeks by the thousand: played by seed on two threads, counted, and told when one fails.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::BadWeek;
use super::kind::{Kind, Tally};
use super::plan::Bug;
use super::watch::Violation;
use crate::door::Door;

/// The machine that this is for has two cores.
const THREADS: usize = 2;
/// A kind that strikes in fewer weeks proves little.
const SHARE_MIN_PERCENT: u64 = 5;
/// Whoever waits for ten thousand weeks wants to see them pass.
const TELL_EVERY: u64 = 500;
/// Fewer weeks say nothing about shares.
const WEEKS_MIN_FOR_SHARES: u64 = 200;

/// What came of a week that held.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What struck.
    pub tally: Tally,
    /// Runs there were.
    pub n_runs: usize,
    /// Jobs, without array children and other people's.
    pub n_jobs: usize,
    /// Calls that were made.
    pub n_calls: usize,
    /// All that happened, in one number: same seed, same number.
    pub fingerprint: String,
    /// Line by line, if it was asked for.
    pub story: String,
}

/// A week in which a rule did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which week.
    pub seed: u64,
    /// Which rule.
    pub violation: Violation,
    /// Line by line.
    pub story: String,
}

/// Plays one week.
pub fn play<D: Door>(door: D, seed: u64, bug: Bug, is_told: bool) -> Result<Outcome, Failure> {
    let failed = |violation: Violation, story: String| Failure {
        seed,
        violation,
        story,
    };
    let mut week =
        BadWeek::new(door, seed, bug, is_told).map_err(|why| failed(why, String::new()))?;
    let lived = catch_unwind(AssertUnwindSafe(|| week.live()));
    let lived = lived.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation(format!("a panic: {}", words.unwrap_or_default())))
    });
    let story = week.story.read();
    lived.map_err(|violation| failed(violation, story.clone()))?;
    Ok(Outcome {
        tally: week.weather.tally(),
        n_runs: week.watch.ledgers.len(),
        n_jobs: week.watch.n_jobs(),
        n_calls: week.weather.n_calls(),
        fingerprint: week.fingerprint(),
        story,
    })
}

/// What came of many.
#[derive(Debug, Default)]
pub struct Weeks {
    /// How many held.
    pub held: u64,
    /// The first that did not, with its story.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
    n_runs: usize,
    n_jobs: usize,
    n_calls: usize,
    /// In how many weeks each kind struck.
    struck: BTreeMap<Kind, u64>,
}

impl Weeks {
    /// Plays the weeks of these seeds, until one fails.
    pub fn play<D: Door>(door: &D, seeds: std::ops::Range<u64>, bug: Bug) -> Self {
        let began = Instant::now();
        let next = AtomicU64::new(seeds.start);
        let has_failed = AtomicBool::new(false);
        let sum = Mutex::new(Self::default());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while !has_failed.load(Ordering::SeqCst) {
                        let seed = next.fetch_add(1, Ordering::SeqCst);
                        if seed >= seeds.end {
                            return;
                        }
                        let played = play(door.clone(), seed, bug, false);
                        has_failed.fetch_or(played.is_err(), Ordering::SeqCst);
                        let mut sum = sum
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        sum.take(played);
                        if sum.held.is_multiple_of(TELL_EVERY) {
                            let seconds = began.elapsed().as_secs();
                            eprintln!("{} weeks held, {seconds} s", sum.held);
                        }
                    }
                });
            }
        });
        let mut sum = sum
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        sum.took = began.elapsed();
        if let Some(failure) = sum.failure.take() {
            // Once more, with every line kept.
            sum.failure = play(door.clone(), failure.seed, bug, true)
                .err()
                .or(Some(failure));
        }
        sum
    }

    fn take(&mut self, played: Result<Outcome, Failure>) {
        let outcome = match played {
            Ok(outcome) => outcome,
            Err(failure) => {
                let is_first = self.failure.as_ref().is_none_or(|f| failure.seed < f.seed);
                if is_first {
                    self.failure = Some(failure);
                }
                return;
            }
        };
        self.held += 1;
        self.n_runs += outcome.n_runs;
        self.n_jobs += outcome.n_jobs;
        self.n_calls += outcome.n_calls;
        for kind in outcome.tally.kinds() {
            *self.struck.entry(kind).or_insert(0) += 1;
        }
    }

    /// Everything in numbers.
    pub fn table(&self) -> String {
        let seconds = self.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = self.held as f64 / seconds.max(0.001);
        let mut text = format!(
            "{} weeks in {seconds:.0} s, {rate:.1} a second: {} runs, {} jobs, {} calls\n",
            self.held, self.n_runs, self.n_jobs, self.n_calls
        );
        for kind in Kind::ALL {
            let weeks = self.struck.get(kind).copied().unwrap_or(0);
            let share = weeks * 100 / self.held.max(1);
            text.push_str(&format!("{:<45} {weeks:>6} {share:>4} %\n", kind.name()));
        }
        text
    }

    /// Kinds that struck too seldom to prove anything; none while there were too few weeks to tell.
    pub fn too_seldom(&self) -> Vec<Kind> {
        if self.held < WEEKS_MIN_FOR_SHARES {
            return Vec::new();
        }
        let is_seldom = |kind: &&Kind| {
            let weeks = self.struck.get(kind).copied().unwrap_or(0);
            weeks * 100 < self.held * SHARE_MIN_PERCENT
        };
        Kind::ALL.iter().filter(is_seldom).copied().collect()
    }
}
