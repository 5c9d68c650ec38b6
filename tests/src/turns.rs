//! Polling invocations by hand, so that a story says who moves next. No runtime, no threads, no waiting.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use trainspot_edge::memory::MemoryEdge;

/// More polls than any invocation needs: one that goes round in circles fails its story.
const POLLS_MAX: usize = 1_000_000;

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<T> {
    /// It answered.
    Answered(T),
    /// A fault killed it half-way.
    Killed,
}

/// An invocation at work.
pub struct Invocation<'a, T> {
    /// Its own sight of the world; its faults kill it alone.
    pub edge: MemoryEdge,
    /// What it does.
    pub work: Pin<Box<dyn Future<Output = T> + 'a>>,
}

/// Runs one invocation to its end.
pub fn run<T>(edge: &MemoryEdge, work: impl Future<Output = T>) -> Ended<T> {
    let work: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(work);
    let only = Invocation {
        edge: edge.clone(),
        work,
    };
    by_turns(vec![only], |_| 0)
        .pop()
        .expect("one invocation has one end")
}

/// Runs several at once. `turn` gets the places of those still at work and says which of *these* makes
/// its next call.
pub fn by_turns<T>(
    invocations: Vec<Invocation<'_, T>>,
    mut turn: impl FnMut(&[usize]) -> usize,
) -> Vec<Ended<T>> {
    let mut ends: Vec<Option<Ended<T>>> = invocations.iter().map(|_| None).collect();
    let mut at_work: Vec<Option<Invocation<'_, T>>> = invocations.into_iter().map(Some).collect();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        let places: Vec<usize> = (0..at_work.len())
            .filter(|place| at_work[*place].is_some())
            .collect();
        if places.is_empty() {
            return ends.into_iter().flatten().collect();
        }
        let place = places[turn(&places) % places.len()];
        let Some(invocation) = at_work[place].as_mut() else {
            continue;
        };
        let polled = invocation.work.as_mut().poll(&mut context);
        let end = match polled {
            Poll::Ready(answer) => Ended::Answered(answer),
            Poll::Pending if invocation.edge.is_killed() => Ended::Killed,
            Poll::Pending => continue,
        };
        ends[place] = Some(end);
        at_work[place] = None;
    }
    panic!("an invocation did not come to an end in {POLLS_MAX} polls");
}
