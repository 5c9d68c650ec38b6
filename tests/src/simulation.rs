//! Many invocations and agents at once on one virtual clock. No runtime, no threads, no waiting.
//!
//! Everybody gives way at each call; chance says who goes on. When everybody waits, nothing but time can
//! move anybody, and whoever owns the clock moves it to the next moment that matters.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use jiff::Timestamp;
use trainspot_edge::memory::MemoryEdge;

use crate::turns::Ended;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(u64);

/// Rings when its task can go on.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task<T> {
    work: Pin<Box<dyn Future<Output = T>>>,
    sight: MemoryEdge,
    bell: Arc<Bell>,
    waker: Waker,
    frozen_until: Option<Timestamp>,
}

/// Everything that is at work.
pub struct Simulation<T> {
    tasks: BTreeMap<TaskId, Task<T>>,
    begun: u64,
}

impl<T> Default for Simulation<T> {
    fn default() -> Self {
        Self {
            tasks: BTreeMap::new(),
            begun: 0,
        }
    }
}

impl<T> Simulation<T> {
    /// Begins `work`, whose calls go through `sight`: a fault that kills the sight kills it.
    pub fn begin(&mut self, sight: MemoryEdge, work: impl Future<Output = T> + 'static) -> TaskId {
        self.begun += 1;
        let id = TaskId(self.begun);
        let bell = Arc::new(Bell(AtomicBool::new(true)));
        let task = Task {
            work: Box::pin(work),
            sight,
            waker: Waker::from(bell.clone()),
            bell,
            frozen_until: None,
        };
        self.tasks.insert(id, task);
        id
    }

    /// How many are at work, or frozen.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether it has not ended.
    pub fn is_live(&self, id: TaskId) -> bool {
        self.tasks.contains_key(&id)
    }

    /// The one whose sight has that name.
    pub fn named(&self, name: &str) -> Option<TaskId> {
        let mut tasks = self.tasks.iter();
        let found = tasks.find(|(_, task)| task.sight.name() == name);
        found.map(|(id, _)| *id)
    }

    /// It does nothing until then, whatever happens to it meanwhile, and goes on as if nothing had.
    pub fn freeze(&mut self, id: TaskId, until: Timestamp) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.frozen_until = task.frozen_until.max(Some(until));
        }
    }

    /// It is gone, in the middle of whatever it did. `false` if it had ended before.
    pub fn kill(&mut self, id: TaskId) -> bool {
        self.tasks.remove(&id).is_some()
    }

    /// When the first frozen one thaws.
    pub fn next_thaw(&self) -> Option<Timestamp> {
        self.tasks
            .values()
            .filter(|task| task.bell.0.load(Ordering::SeqCst))
            .filter_map(|task| task.frozen_until)
            .min()
    }

    /// One that can go on does, up to its next call. `None` if nobody can; else who, and how it ended if
    /// it did.
    pub fn turn(
        &mut self,
        now: Timestamp,
        chance: &mut fastrand::Rng,
    ) -> Option<(TaskId, Option<Ended<T>>)> {
        let can_go_on = |task: &Task<T>| {
            task.bell.0.load(Ordering::SeqCst) && task.frozen_until.is_none_or(|until| until <= now)
        };
        let mut ready: Vec<TaskId> = Vec::new();
        for (id, task) in &self.tasks {
            if can_go_on(task) {
                ready.push(*id);
            }
        }
        let id = match ready.as_slice() {
            [] => return None,
            [only] => *only,
            several => several[chance.usize(0..several.len())],
        };
        let task = self.tasks.get_mut(&id)?;
        task.bell.0.store(false, Ordering::SeqCst);
        task.frozen_until = None;
        let waker = task.waker.clone();
        let polled = task.work.as_mut().poll(&mut Context::from_waker(&waker));
        let end = match polled {
            Poll::Ready(answer) => Ended::Answered(answer),
            Poll::Pending if task.sight.is_killed() => Ended::Killed,
            Poll::Pending => return Some((id, None)),
        };
        self.tasks.remove(&id);
        Some((id, Some(end)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::SignedDuration;
    use trainspot_edge::World as _;

    use super::*;

    fn world() -> MemoryEdge {
        let edge = MemoryEdge::new(1, Timestamp::UNIX_EPOCH);
        edge.wait_by_timers();
        edge
    }

    /// Goes on until everybody has ended; gives who ended when, in seconds.
    fn to_the_end(
        edge: &MemoryEdge,
        simulation: &mut Simulation<&'static str>,
    ) -> Vec<(i64, String)> {
        let mut chance = fastrand::Rng::with_seed(1);
        let mut ends = Vec::new();
        while !simulation.is_empty() {
            match simulation.turn(edge.clock(), &mut chance) {
                Some((_, Some(end))) => ends.push((edge.clock().as_second(), format!("{end:?}"))),
                Some((_, None)) => {}
                None => {
                    let next = edge
                        .next_moment()
                        .into_iter()
                        .chain(simulation.next_thaw())
                        .min();
                    edge.advance_to(next.expect("somebody waits for something"));
                }
            }
        }
        ends
    }

    async fn waits(edge: MemoryEdge, seconds: u64, name: &'static str) -> &'static str {
        edge.pause(Duration::from_secs(seconds)).await;
        name
    }

    #[test]
    fn hours_of_waiting_are_skipped_and_come_in_order() {
        let edge = world();
        let mut simulation = Simulation::default();
        simulation.begin(edge.clone(), waits(edge.clone(), 7_200, "late"));
        simulation.begin(edge.clone(), waits(edge.clone(), 60, "early"));

        let ends = to_the_end(&edge, &mut simulation);

        let expected = [(60, "Answered(\"early\")"), (7_200, "Answered(\"late\")")];
        assert_eq!(ends, expected.map(|(at, end)| (at, end.to_owned())));
    }

    #[test]
    fn a_frozen_one_goes_on_when_it_thaws_and_not_before() {
        let edge = world();
        let mut simulation = Simulation::default();
        let frozen = simulation.begin(edge.clone(), waits(edge.clone(), 60, "frozen"));
        simulation.freeze(frozen, edge.clock() + SignedDuration::from_secs(500));

        let ends = to_the_end(&edge, &mut simulation);

        // It had not even begun to wait.
        assert_eq!(ends, [(560, "Answered(\"frozen\")".to_owned())]);
    }

    #[test]
    fn one_that_is_killed_is_due_no_more() {
        let edge = world();
        let mut simulation = Simulation::default();
        let doomed = simulation.begin(edge.clone(), waits(edge.clone(), 60, "doomed"));
        let mut chance = fastrand::Rng::with_seed(1);
        while simulation.turn(edge.clock(), &mut chance).is_some() {}
        assert!(edge.next_moment().is_some());

        assert!(simulation.kill(doomed));

        assert_eq!(edge.next_moment(), None);
    }
}
