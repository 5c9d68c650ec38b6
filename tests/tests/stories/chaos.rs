//! Bad weeks, drawn by seed.

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::memory::{AttemptEnd, CallKind, Fault, MemoryEdge};
use trainspot_stories::{
    Arrival, Invocation, Spec, Wake, Week, Worker, answer, at, by_turns, minutes,
};

const SEEDS: u64 = 200;
/// Trouble stops then, so that every run can come to its end.
const CALM_FROM: &str = "2026-11-28T00:00:00Z";
const LAST_TICK: &str = "2026-11-27T02:00:00Z";

/// A host with an agent on it.
struct Host {
    id: String,
    worker: Worker,
    has_work: bool,
}

struct Bad {
    week: Week,
    chance: fastrand::Rng,
    on_the_way: Vec<(Timestamp, Wake)>,
    hosts: Vec<Host>,
    zombies: Vec<Worker>,
}

impl Bad {
    fn new(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let overlap = ["skip", "queue", "allow"][chance.usize(0..3)];
        let spec = Spec::default().overlap(overlap).shards(chance.u32(1..=3));
        let week = Week::seeded(&spec, seed);
        let mut weather = chance.fork();
        let calm = at(CALM_FROM);
        week.edge.on_call(move |call| {
            if call.by.starts_with("agent") || call.at >= calm || weather.u8(0..100) >= 4 {
                return None;
            }
            Some(match weather.u8(0..8) {
                0 => Fault::LostBefore,
                1 => Fault::LostAfter,
                2 => Fault::Repeated,
                3 | 4 => Fault::KilledBefore,
                5 => Fault::KilledAfter,
                // A refusal for load is Batch's and SNS's; the store's client tries again by itself.
                6 if matches!(call.kind, CallKind::Submit | CallKind::Publish) => Fault::Throttled,
                _ => Fault::Late(minutes(i64::from(weather.u8(0..15)))),
            })
        });
        Self {
            week,
            chance,
            on_the_way: Vec::new(),
            hosts: Vec::new(),
            zombies: Vec::new(),
        }
    }

    fn is_calm(&self) -> bool {
        self.week.edge_now() >= at(CALM_FROM)
    }

    fn send(&mut self, wake: &Wake) {
        let now = self.week.edge_now();
        if self.is_calm() {
            self.on_the_way.push((now, wake.clone()));
            return;
        }
        if self.chance.u8(0..100) < 12 {
            return; // lost
        }
        for _ in 0..=usize::from(self.chance.u8(0..100) < 25) {
            let delay = if self.chance.bool() {
                0
            } else {
                self.chance.i64(0..25)
            };
            self.on_the_way.push((now + minutes(delay), wake.clone()));
        }
    }

    /// What is due arrives: at once, by turns, on hosts whose clocks differ.
    fn arrive(&mut self) {
        let events = self.week.take_events();
        for event in events {
            self.send(&event);
        }
        let now = self.week.edge_now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.on_the_way)
            .into_iter()
            .partition(|(due, _)| *due <= now);
        self.on_the_way = later;
        let mut wakes: Vec<Wake> = due.into_iter().map(|(_, wake)| wake).collect();
        self.chance.shuffle(&mut wakes);
        while !wakes.is_empty() {
            let n = self.chance.usize(1..=3).min(wakes.len());
            let together: Vec<Wake> = wakes.split_off(wakes.len() - n);
            let edges: Vec<MemoryEdge> = together
                .iter()
                .map(|wake| {
                    let skew = SignedDuration::from_secs(self.chance.i64(-15..=15));
                    self.week.caller(wake, skew)
                })
                .collect();
            let settings = self.week.settings.clone();
            let invocations = edges
                .iter()
                .zip(&together)
                .map(|(edge, wake)| Invocation {
                    edge: edge.clone(),
                    work: Box::pin(answer(edge, &settings, wake)),
                })
                .collect();
            let chance = &mut self.chance;
            by_turns(invocations, |places| chance.usize(0..places.len()));
            self.week.watch();
        }
    }

    fn hosts_come_and_go(&mut self) {
        for id in self.week.runnable() {
            if self.is_calm() || self.chance.u8(0..100) < 60 {
                let mut worker = self.week.start(&id);
                match self.week.arrive(&mut worker) {
                    Arrival::Work => self.hosts.push(Host {
                        id,
                        worker,
                        has_work: true,
                    }),
                    Arrival::Done => self.week.end(&id, &AttemptEnd::exit(0)),
                    Arrival::NotOwner => self.hosts.push(Host {
                        id,
                        worker,
                        has_work: false,
                    }),
                }
            }
        }
        for mut host in std::mem::take(&mut self.hosts) {
            if !host.has_work {
                assert!(
                    !self.week.publish(&mut host.worker),
                    "a worker that was turned away publishes"
                );
                self.week.end(&host.id, &AttemptEnd::exit(79));
                continue;
            }
            let lot = if self.is_calm() {
                0
            } else {
                self.chance.u8(0..100)
            };
            match lot {
                0..45 => {
                    let code = if self.week.publish(&mut host.worker) {
                        0
                    } else {
                        79
                    };
                    self.week.end(&host.id, &AttemptEnd::exit(code));
                }
                45..50 => {
                    // Done, and the host dies before it can say so.
                    self.week.publish(&mut host.worker);
                    self.week.end(&host.id, &AttemptEnd::host_lost());
                }
                50..62 => {
                    // Batch gives the host up; its agent does not know.
                    self.week.end(&host.id, &AttemptEnd::host_lost());
                    self.zombies.push(host.worker);
                }
                62..66 => self.week.end(&host.id, &AttemptEnd::exit(137)),
                66..69 => self.week.end(&host.id, &AttemptEnd::out_of_memory()),
                69..70 => self.week.end(&host.id, &AttemptEnd::exit(70)),
                70..71 => {
                    let _ = self
                        .week
                        .edge
                        .batch(|batch| batch.terminate(&host.id, "not today"));
                }
                _ => self.hosts.push(host),
            }
        }
        if !self.zombies.is_empty() && self.chance.u8(0..100) < 30 {
            // Whether it counts is the head's to say; the week watches that nothing counts twice.
            let mut zombie = self.zombies.swap_remove(0);
            self.week.publish(&mut zombie);
        }
    }

    fn live(&mut self) {
        let mut ticks = vec![at("2026-11-23T02:00:00Z"), at(LAST_TICK)];
        let mut n_new = 0;
        while self.week.edge_now() < at("2026-12-02T00:00:00Z") {
            let now = self.week.edge_now();
            if ticks.first().is_some_and(|tick| *tick <= now) {
                let tick = ticks.remove(0);
                n_new += 1;
                self.week.new_data(&format!("data {n_new}"));
                let payload = self.week.tick_payload(&tick.to_string());
                for _ in 0..self.chance.usize(0..=3) {
                    self.send(&payload);
                }
            }
            if self.is_calm() || self.chance.u8(0..100) < 85 {
                self.on_the_way.push((now, Wake::Sweep));
            }
            self.arrive();
            self.hosts_come_and_go();
            self.arrive();
            let is_idle = self.hosts.is_empty()
                && self.on_the_way.is_empty()
                && self.week.head().entries.is_empty();
            let next = ticks
                .first()
                .copied()
                .unwrap_or_else(|| at("2026-12-02T00:00:00Z"));
            // Nothing is going on: on to the next tick. A tick that nobody delivers is still due.
            let is_due = self.week.n_ledgers() < n_new;
            if is_idle && !is_due && next > self.week.edge_now() {
                self.week
                    .edge
                    .advance(next.duration_since(self.week.edge_now()));
            } else {
                self.week.edge.advance(minutes(5));
            }
        }
    }
}

#[test]
fn bad_weeks_end_well() {
    let only: Option<u64> = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    let n_seeds = seeds.end - seeds.start;
    let (mut n_runs, mut n_calls, mut n_jobs) = (0, 0, 0);
    let next = std::sync::Mutex::new(seeds);
    let totals = std::sync::Mutex::new((&mut n_runs, &mut n_calls, &mut n_jobs));

    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.lock().ok().and_then(|mut seeds| seeds.next());
                    let Some(seed) = seed else { break };
                    // Printed only if this seed fails: the last line of a failure is its seed.
                    let told = Seed(seed);
                    let mut bad = Bad::new(seed);
                    bad.live();
                    if only.is_some() {
                        eprintln!("{}", bad.week.tell_all());
                    }
                    bad.week.assert_all_ended_and_told();
                    assert_eq!(bad.week.n_ledgers(), 2, "both ticks became runs");
                    if let Ok(mut totals) = totals.lock() {
                        *totals.0 += bad.week.ledgers().len();
                        *totals.1 += bad.week.edge.calls().len();
                        *totals.2 += bad.week.jobs().len();
                    }
                    drop(told);
                }
            });
        }
    });

    eprintln!("{n_seeds} weeks: {n_runs} runs, {n_jobs} jobs, {n_calls} calls");
}

/// Says which seed it was when the test that holds it fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with SEED={}", self.0);
        }
    }
}
