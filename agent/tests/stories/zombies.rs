//! A worker that goes on after it lost its stage, woken anywhere in its publishing, publishes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::task::JoinHandle;
use trainspot_agent::host::{Channel, Happening, HostIdentity};
use trainspot_agent::program::{Ended, Launch, Program, Signal};
use trainspot_agent::work;
use trainspot_shared::job::JobDocument;
use trainspot_shared::stage_head::{Closed, Owner, StageHead, Worker};

use crate::bench::{BUCKET, Bench};
use crate::turns::{Draws, Held, Turns, Violation};

const INTERLEAVINGS: usize = 1_000;
/// Some seeds draw a moment at which the old worker is done already; these do not count.
const MOST_SEEDS: u64 = 4_000;
const STEPS: u64 = 3;

/// Who comes after the old worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    /// The next attempt of its own job.
    Attempt,
    /// Another job with its submission, that Batch was asked for twice.
    Twin,
    /// The job of the next submission, granted by the ledger's side.
    Submission,
    /// Nobody: the stage is closed.
    Nobody,
}

const AFTERS: [After; 4] = [
    After::Attempt,
    After::Twin,
    After::Submission,
    After::Nobody,
];

/// Counts to [`STEPS`], a checkpoint at each, and says who did it.
struct Counting {
    turns: Turns,
    who: usize,
    name: String,
    folders: Option<(PathBuf, PathBuf)>,
    step: u64,
    ended: Option<Ended>,
}

impl Counting {
    fn work(&mut self) -> io::Result<()> {
        let Some((checkpoints, output)) = &self.folders else {
            return Err(io::Error::other("it was not started"));
        };
        if self.step == STEPS {
            std::fs::write(output.join("answer"), &self.name)?;
            self.ended = Some(Ended::Exited(0));
            return Ok(());
        }
        self.step += 1;
        let progress =
            serde_json::json!({"step": self.step, "total": STEPS, "at": Timestamp::now()});
        std::fs::write(output.join("progress.json"), progress.to_string())?;
        let partial = checkpoints.join(format!("{}.partial", self.step));
        std::fs::create_dir(&partial)?;
        std::fs::write(partial.join("state"), &self.name)?;
        std::fs::rename(&partial, checkpoints.join(self.step.to_string()))
    }
}

impl Program for Counting {
    async fn start(&mut self, launch: &Launch) -> io::Result<()> {
        for entry in std::fs::read_dir(&launch.checkpoint_dir)? {
            let step = entry?.file_name().to_string_lossy().parse().unwrap_or(0);
            self.step = self.step.max(step);
        }
        self.folders = Some((launch.checkpoint_dir.clone(), launch.output_dir.clone()));
        Ok(())
    }

    async fn ended(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.ended {
                return Ok(ended);
            }
            self.turns.stop(self.who, "step".to_owned()).await;
            self.work()?;
        }
    }

    fn signal(&mut self, signal: Signal) {
        if matches!(signal, Signal::Terminate | Signal::Kill) {
            self.ended = Some(Ended::Signaled(15));
        }
    }

    async fn sweep_up(&mut self) {}

    fn log_tail(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A stage and the workers at it.
struct Stage {
    bench: Bench,
    turns: Turns,
    violations: Arc<Mutex<Vec<Violation>>>,
    /// The old worker works and publishes whatever the heads say: a bug on purpose.
    is_bug_planted: bool,
}

impl Stage {
    fn new(is_bug_planted: bool) -> Self {
        let bench = Bench::train(vec!["counts".to_owned()]);
        bench.put_job();
        Self {
            bench,
            turns: Turns::default(),
            violations: Arc::default(),
            is_bug_planted,
        }
    }

    fn start(&self, me: &Worker) -> (usize, JoinHandle<u8>) {
        let job = JobDocument {
            submission: me.submission,
            ..self.bench.job.clone()
        };
        let job_key = trainspot_shared::layout::job(&job.run_id, job.stage, job.submission);
        self.bench
            .put(BUCKET, &job_key, &serde_json::to_vec(&job).unwrap());
        let assignment = trainspot_agent::Assignment {
            job_key,
            ..self.bench.assignment(&me.job_id, me.attempt)
        };
        let mut settings = self.bench.settings.clone();
        let who = self.turns.join();
        settings.ignore_heads = self.is_bug_planted && who == 0;
        let held = Held {
            shelf: self.bench.store.clone(),
            turns: self.turns.clone(),
            who,
            me: me.clone(),
            violations: Arc::clone(&self.violations),
            seconds: Arc::default(),
        };
        let mut program = Counting {
            turns: self.turns.clone(),
            who,
            name: format!("{me:?}"),
            folders: None,
            step: 0,
            ended: None,
        };
        let turns = self.turns.clone();
        let running = tokio::spawn(async move {
            let (host, mut channel) = Channel::open();
            // News for the record, which is then written beside the program.
            host.send(Happening::Identity(HostIdentity::default()))
                .unwrap();
            let code = work(
                &held,
                &held,
                &settings,
                &assignment,
                &mut program,
                &mut channel,
            )
            .await;
            turns.end(who);
            code
        });
        (who, running)
    }

    /// What the ledger's side does, if it does anything; `false` if the stage is done already.
    fn hand_over(&self, after: After) -> bool {
        let head = self.bench.head(None).unwrap();
        if head.output.is_some() {
            return false;
        }
        let change: fn(&mut StageHead) = match after {
            After::Attempt | After::Twin => return true,
            After::Submission => |head| {
                head.owner = Owner {
                    submission: 2,
                    job_id: None,
                    attempt: None,
                }
            },
            After::Nobody => |head| {
                head.closed = Some(Closed {
                    reason: "cancelled".to_owned(),
                    at: Timestamp::UNIX_EPOCH,
                });
            },
        };
        self.bench.change_head(change);
        true
    }
}

fn worker(submission: u32, job_id: &str, attempt: u32) -> Worker {
    Worker {
        submission,
        job_id: job_id.to_owned(),
        attempt,
    }
}

/// One interleaving.
struct Seen {
    /// Every turn that was taken, in order.
    trace: Vec<(usize, String)>,
    /// Where the old worker slept when the stage was handed over.
    slept_at: String,
    codes: Vec<u8>,
    violations: Vec<Violation>,
}

/// `None` if the old worker was done before the stage was handed over.
async fn interleave(seed: u64, is_bug_planted: bool) -> Option<Seen> {
    let mut draws = Draws(seed);
    let after = AFTERS[draws.below(AFTERS.len())];
    let stage = Stage::new(is_bug_planted);
    let mut trace = Vec::new();
    let (old, old_runs) = stage.start(&worker(1, "job", 1));

    // The old worker is put to sleep somewhere on its way.
    let mut slept_at = "its start".to_owned();
    for _ in 0..draws.below(70) {
        if !stage.turns.settle(old).await {
            return None;
        }
        slept_at = stage.turns.let_go(old, &mut draws);
        trace.push((old, slept_at.clone()));
    }
    if !stage.turns.settle(old).await || !stage.hand_over(after) {
        return None;
    }
    trace.push((2, format!("{after:?}")));
    let mut running = vec![(old, old_runs)];
    match after {
        After::Attempt => running.push(stage.start(&worker(1, "job", 2))),
        After::Twin => running.push(stage.start(&worker(1, "twin", 1))),
        After::Submission => running.push(stage.start(&worker(2, "next", 1))),
        After::Nobody => {}
    }

    // From seldom to nearly always it is the old one's turn.
    let share = [1, 10, 50, 90, 99][draws.below(5)];
    loop {
        let mut alive = Vec::new();
        for (who, _) in &running {
            if stage.turns.settle(*who).await {
                alive.push(*who);
            }
        }
        let who = match alive.as_slice() {
            [] => break,
            [only] => *only,
            all if draws.below(100) < share => all[0],
            all => all[1],
        };
        trace.push((who, stage.turns.let_go(who, &mut draws)));
    }
    let mut codes = Vec::new();
    for (_, runs) in running {
        codes.push(runs.await.unwrap());
    }
    let violations = std::mem::take(&mut *stage.violations.lock().unwrap());
    if !is_bug_planted {
        check_end(&stage, after, &codes, seed);
    }
    Some(Seen {
        trace,
        slept_at,
        codes,
        violations,
    })
}

/// Whatever is published is whole, and what the new worker came for is done.
fn check_end(stage: &Stage, after: After, codes: &[u8], seed: u64) {
    let head = stage.bench.head(None).unwrap();
    for published in head.latest_checkpoint.iter().chain(&head.output) {
        stage.bench.verify(published);
    }
    if after == After::Nobody {
        assert_eq!((codes, &head.output), (&[79][..], &None), "seed {seed}");
        return;
    }
    let output = head.output.unwrap();
    let answer = stage
        .bench
        .store
        .read(BUCKET, &format!("{}answer", output.prefix))
        .unwrap()
        .body;
    let owner = worker(
        head.owner.submission,
        &head.owner.job_id.unwrap(),
        head.owner.attempt.unwrap(),
    );
    assert_eq!(
        String::from_utf8(answer).unwrap(),
        format!("{owner:?}"),
        "seed {seed}"
    );
    assert!(
        codes.contains(&0) && codes.iter().all(|code| [0, 79].contains(code)),
        "seed {seed}: {codes:?}"
    );
}

#[tokio::test]
async fn a_thousand_interleavings_of_a_zombie_publish_nothing() {
    let mut traces = BTreeSet::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut n_interleavings = 0;
    let mut n_ended_as_not_the_owner = 0;
    for seed in 0..MOST_SEEDS {
        let Some(seen) = interleave(seed, false).await else {
            continue;
        };
        assert!(
            seen.violations.is_empty(),
            "seed {seed}: {:?}\n{:#?}",
            seen.violations,
            seen.trace
        );
        n_interleavings += 1;
        n_ended_as_not_the_owner += usize::from(seen.codes[0] == 79);
        *places.entry(seen.slept_at).or_default() += 1;
        traces.insert(seen.trace);
        if traces.len() == INTERLEAVINGS {
            break;
        }
    }

    println!(
        "{n_interleavings} interleavings of a zombie, {} of them different, asleep at {} places; \
         {n_ended_as_not_the_owner} ended with 79; none published",
        traces.len(),
        places.len()
    );
    assert!(traces.len() >= INTERLEAVINGS);
    for place in ["read train/head.json, done", "write train/head.json"] {
        assert!(
            places.contains_key(place),
            "nobody slept at `{place}`: {places:#?}"
        );
    }
}

#[tokio::test]
async fn a_zombie_that_ignores_the_heads_is_caught() {
    for seed in 0..MOST_SEEDS {
        let seen = interleave(seed, true).await;
        if seen.is_some_and(|seen| !seen.violations.is_empty()) {
            println!("caught with seed {seed}");
            return;
        }
    }
    panic!("the judge saw nothing");
}
