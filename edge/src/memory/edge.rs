//! All services at once, on one clock and one seed, for any number of invocations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;
use trainspot_shared::notice::Notice;

use super::batch::MemoryBatch;
use super::call::{Call, CallKind, Fault, Trouble};
use super::clock::VirtualClock;
use super::store::MemoryStore;
use crate::jobs::{JobFound, JobRequest, Jobs, JobsError, SubmitError};
use crate::store::{Condition, Fetched, Listed, Put, Store, StoreError};
use crate::topic::{PublishError, Topic};
use crate::world::World;

type Faults = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;
type LateEffect = (Timestamp, Box<dyn FnOnce() + Send>);

struct Shared {
    clock: VirtualClock,
    store: MemoryStore,
    batch: Mutex<MemoryBatch>,
    told: Mutex<Vec<Notice>>,
    chance: Mutex<fastrand::Rng>,
    calls: Mutex<Vec<Call>>,
    faults: Mutex<Option<Faults>>,
    late: Mutex<Vec<LateEffect>>,
}

#[derive(Debug)]
struct Caller {
    name: String,
    skew: SignedDuration,
    calls: AtomicUsize,
    is_killed: AtomicBool,
}

/// One invocation's sight of the world. Each call gives way once before it arrives, so that a proof
/// which polls several invocations by turns interleaves them at every call.
#[derive(Clone)]
pub struct MemoryEdge {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
}

impl std::fmt::Debug for MemoryEdge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "MemoryEdge({} at {})",
            self.caller.name,
            self.shared.clock.now()
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic in another test thread left is still whole: every change is one statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryEdge {
    /// An empty world at `begins_at`; all chance and all ids come of `seed`.
    pub fn new(seed: u64, begins_at: Timestamp) -> Self {
        let clock = VirtualClock::at(begins_at);
        let stamps = clock.clone();
        let shared = Shared {
            store: MemoryStore::new(move || stamps.now()),
            batch: Mutex::new(MemoryBatch::new(clock.clone())),
            clock,
            told: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
            calls: Mutex::default(),
            faults: Mutex::default(),
            late: Mutex::default(),
        };
        let caller = Caller {
            name: "proof".to_owned(),
            skew: SignedDuration::ZERO,
            calls: AtomicUsize::new(0),
            is_killed: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            caller: Arc::new(caller),
        }
    }

    /// The same world for another invocation, whose host's clock is off by `skew`.
    #[must_use]
    pub fn caller(&self, name: &str, skew: SignedDuration) -> Self {
        let caller = Caller {
            name: name.to_owned(),
            skew,
            calls: AtomicUsize::new(0),
            is_killed: AtomicBool::new(false),
        };
        Self {
            shared: self.shared.clone(),
            caller: Arc::new(caller),
        }
    }

    /// Whose sight this is.
    pub fn name(&self) -> &str {
        &self.caller.name
    }

    /// A fault has killed this invocation: its future is to be dropped, it will never be ready.
    pub fn is_killed(&self) -> bool {
        self.caller.is_killed.load(Ordering::SeqCst)
    }

    /// Moves the clock on; effects that were late arrive on the way, each at its time.
    pub fn advance(&self, by: SignedDuration) {
        let until = self.shared.clock.now() + by;
        loop {
            let next = {
                let mut late = lock(&self.shared.late);
                let due = late
                    .iter()
                    .enumerate()
                    .filter(|(_, (at, _))| *at <= until)
                    .min_by_key(|(_, (at, _))| *at)
                    .map(|(place, _)| place);
                due.map(|place| late.remove(place))
            };
            let Some((at, effect)) = next else { break };
            self.shared
                .clock
                .advance(at.duration_since(self.shared.clock.now()));
            effect();
        }
        self.shared
            .clock
            .advance(until.duration_since(self.shared.clock.now()));
    }

    /// The objects, without a call being counted.
    pub fn objects(&self) -> &MemoryStore {
        &self.shared.store
    }

    /// Batch itself, for whoever plays the hosts.
    pub fn batch<T>(&self, act: impl FnOnce(&mut MemoryBatch) -> T) -> T {
        act(&mut lock(&self.shared.batch))
    }

    /// What SNS took, in order; the same notice twice if it was sent twice.
    pub fn told(&self) -> Vec<Notice> {
        lock(&self.shared.told).clone()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// How many calls of each kind there were since the `since`-th.
    pub fn counts_since(&self, since: usize) -> BTreeMap<CallKind, usize> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.shared.calls).iter().skip(since) {
            *counts.entry(call.kind).or_insert(0) += 1;
        }
        counts
    }

    /// From now on `faults` is asked what becomes of each call.
    pub fn on_call(&self, faults: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.faults) = Some(Box::new(faults));
    }

    /// From now on every call goes well.
    pub fn calm(&self) {
        *lock(&self.shared.faults) = None;
    }

    async fn call<T: Send>(
        &self,
        kind: CallKind,
        what: String,
        effect: impl Fn(&Shared) -> T + Send + Sync + 'static,
        failed: impl Fn(Trouble, String) -> T + Send + Sync,
    ) -> T {
        give_way().await;
        let call = Call {
            at: self.shared.clock.now(),
            by: self.caller.name.clone(),
            number: self.caller.calls.fetch_add(1, Ordering::SeqCst) + 1,
            kind,
            what: what.clone(),
        };
        let fault = lock(&self.shared.faults)
            .as_mut()
            .and_then(|faults| faults(&call));
        if fault != Some(Fault::KilledBefore) {
            lock(&self.shared.calls).push(call);
        }
        match fault {
            None => effect(&self.shared),
            // `SubmitJob` is never sent again by its client: it has no idempotency token.
            Some(Fault::Repeated) if kind != CallKind::Submit => {
                drop(effect(&self.shared));
                effect(&self.shared)
            }
            Some(Fault::LostBefore) => failed(Trouble::Unanswered, what),
            Some(Fault::LostAfter | Fault::Repeated) => {
                drop(effect(&self.shared));
                failed(Trouble::Unanswered, what)
            }
            Some(Fault::Late(after)) => {
                let shared = Arc::downgrade(&self.shared);
                let at = self.shared.clock.now() + after;
                let arrive = move || {
                    if let Some(shared) = shared.upgrade() {
                        drop(effect(&shared));
                    }
                };
                lock(&self.shared.late).push((at, Box::new(arrive)));
                failed(Trouble::Unanswered, what)
            }
            Some(Fault::Throttled) => failed(Trouble::Throttled, what),
            Some(Fault::Refused) => failed(Trouble::Refused, what),
            Some(Fault::KilledBefore) => self.die().await,
            Some(Fault::KilledAfter) => {
                drop(effect(&self.shared));
                self.die().await
            }
        }
    }

    async fn die<T>(&self) -> T {
        self.caller.is_killed.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

/// Lets whoever polls poll somebody else first.
async fn give_way() {
    let mut has_given_way = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_given_way, true) {
            Poll::Ready(())
        } else {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// The store's effects are ready at once: it holds no lock across an await.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory store answers at once"),
    }
}

fn store_trouble(trouble: Trouble, what: String) -> StoreError {
    match trouble {
        Trouble::Unanswered | Trouble::Throttled => {
            let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
            StoreError::Unreachable {
                what,
                source: Box::new(source),
            }
        }
        Trouble::Refused => StoreError::Denied { what },
    }
}

fn jobs_trouble(trouble: Trouble, what: String) -> JobsError {
    JobsError {
        what,
        why: format!("{trouble:?}").to_lowercase(),
    }
}

impl World for MemoryEdge {
    fn now(&self) -> Timestamp {
        self.shared.clock.now() + self.caller.skew
    }

    fn draw(&self) -> String {
        format!("{:032x}", lock(&self.shared.chance).u128(..))
    }

    fn chance(&self) -> f64 {
        lock(&self.shared.chance).f64()
    }

    async fn pause(&self, duration: Duration) {
        give_way().await;
        self.advance(SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO));
    }
}

impl Store for MemoryEdge {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        let (b, k) = (bucket.to_owned(), key.to_owned());
        self.call(
            CallKind::Get,
            key.to_owned(),
            move |shared| at_once(shared.store.get(&b, &k)),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        let (b, k) = (bucket.to_owned(), key.to_owned());
        self.call(
            CallKind::Put,
            key.to_owned(),
            move |shared| at_once(shared.store.put(&b, &k, body.clone(), condition.clone())),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (b, p) = (bucket.to_owned(), prefix.to_owned());
        self.call(
            CallKind::List,
            prefix.to_owned(),
            move |shared| at_once(shared.store.list(&b, &p)),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (b, p) = (bucket.to_owned(), prefix.to_owned());
        self.call(
            CallKind::List,
            prefix.to_owned(),
            move |shared| at_once(shared.store.list_folders(&b, &p)),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn fetch_file(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<&str>,
        to: &Path,
    ) -> Result<Option<u64>, StoreError> {
        // The read is the call; what follows is local.
        self.call(
            CallKind::Get,
            key.to_owned(),
            |_| Ok(()),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await?;
        self.shared
            .store
            .fetch_file(bucket, key, if_match, to)
            .await
    }

    async fn put_file(&self, bucket: &str, key: &str, from: &Path) -> Result<(), StoreError> {
        let body = std::fs::read(from).map_err(|source| StoreError::File {
            what: format!("s3://{bucket}/{key}"),
            source,
        })?;
        self.put(bucket, key, body, Condition::Always)
            .await
            .map(|_| ())
    }
}

impl Jobs for MemoryEdge {
    async fn submit(&self, request: &JobRequest) -> Result<String, SubmitError> {
        let asked = request.clone();
        self.call(
            CallKind::Submit,
            request.name.to_string(),
            move |shared| Ok(lock(&shared.batch).submit(&asked)),
            |trouble, name| {
                Err(match trouble {
                    Trouble::Unanswered => SubmitError::Unclear {
                        name,
                        why: "no answer".to_owned(),
                    },
                    Trouble::Throttled => SubmitError::Throttled { name },
                    Trouble::Refused => SubmitError::Refused {
                        name,
                        why: "ClientException".to_owned(),
                    },
                })
            },
        )
        .await
    }

    async fn describe(&self, ids: &[String]) -> Result<Vec<JobSeen>, JobsError> {
        let asked = ids.to_vec();
        self.call(
            CallKind::Describe,
            ids.join(" "),
            move |shared| Ok(lock(&shared.batch).describe(&asked)),
            |trouble, what| Err(jobs_trouble(trouble, format!("describe {what}"))),
        )
        .await
    }

    async fn find(&self, queue: &str, name: &JobName) -> Result<Vec<JobFound>, JobsError> {
        let (queue, asked) = (queue.to_owned(), name.to_string());
        self.call(
            CallKind::Find,
            name.to_string(),
            move |shared| Ok(lock(&shared.batch).find(&queue, &asked)),
            |trouble, what| Err(jobs_trouble(trouble, format!("find {what}"))),
        )
        .await
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<(), JobsError> {
        let (asked, why) = (id.to_owned(), reason.to_owned());
        self.call(
            CallKind::Terminate,
            id.to_owned(),
            move |shared| {
                if lock(&shared.batch).terminate(&asked, &why) {
                    return Ok(());
                }
                Err(JobsError {
                    what: format!("terminate {asked}"),
                    why: "no such job".to_owned(),
                })
            },
            |trouble, what| Err(jobs_trouble(trouble, format!("terminate {what}"))),
        )
        .await
    }
}

impl Topic for MemoryEdge {
    async fn publish(&self, notice: &Notice) -> Result<(), PublishError> {
        let asked = notice.clone();
        self.call(
            CallKind::Publish,
            notice.id.clone(),
            move |shared| {
                lock(&shared.told).push(asked.clone());
                Ok(())
            },
            |trouble, what| {
                Err(match trouble {
                    Trouble::Unanswered | Trouble::Throttled => PublishError::Later { why: what },
                    Trouble::Refused => PublishError::Refused { why: what },
                })
            },
        )
        .await
    }
}
