//! Workers that take turns: whoever calls the store or waits is held until a story lets it go on.
//!
//! Every call has two stops, one before its effect and one before its answer, so that a story can put
//! a worker to sleep anywhere and wake it whenever it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use trainspot_edge::store::{
    Condition, Fetched, Listed, Piece, Put, Span, StoreError, UploadedPart,
};
use trainspot_edge::world::RealWorld;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::{AttemptOutcome, AttemptRecord};
use trainspot_shared::layout::file::ATTEMPT;
use trainspot_shared::stage_head::{StageHead, Worker};

use crate::shelf::Shelf;

/// A number that the same seed draws again (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

/// A worker's own tasks wake each other at most so often before it is held again.
const TURNS_TO_SETTLE: usize = 4;

struct Stop {
    who: usize,
    what: String,
    go: oneshot::Sender<()>,
}

#[derive(Default)]
struct Waiting {
    stops: Vec<Stop>,
    /// By worker.
    has_ended: Vec<bool>,
}

/// Who waits where.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<(Mutex<Waiting>, Notify)>);

impl Turns {
    /// A new worker, on its way to its first stop.
    pub(crate) fn join(&self) -> usize {
        let mut waiting = self.0.0.lock().unwrap();
        waiting.has_ended.push(false);
        waiting.has_ended.len() - 1
    }

    pub(crate) fn end(&self, who: usize) {
        self.0.0.lock().unwrap().has_ended[who] = true;
        self.0.1.notify_one();
    }

    pub(crate) async fn stop(&self, who: usize, what: String) {
        let (go, gone) = oneshot::channel();
        {
            let mut waiting = self.0.0.lock().unwrap();
            waiting.stops.push(Stop { who, what, go });
        }
        self.0.1.notify_one();
        // Without a story any more everybody goes on.
        let _story_is_over = gone.await.is_err();
    }

    /// Waits until `who` is held and goes no further; `false` if it has ended, and nothing of it is on its way.
    pub(crate) async fn settle(&self, who: usize) -> bool {
        loop {
            // One thread: by the time it is this one's turn again, the others went as far as they could.
            for _ in 0..TURNS_TO_SETTLE {
                tokio::task::yield_now().await;
            }
            {
                let mut waiting = self.0.0.lock().unwrap();
                // What was given up meanwhile, as the losing half of a `select!` is.
                waiting.stops.retain(|stop| !stop.go.is_closed());
                if waiting.stops.iter().any(|stop| stop.who == who) {
                    return true;
                }
                if waiting.has_ended[who] {
                    return false;
                }
            }
            self.0.1.notified().await;
        }
    }

    /// Lets `who` go on from one of its stops, drawn; answers which. It must be held.
    pub(crate) fn let_go(&self, who: usize, draws: &mut Draws) -> String {
        let mut waiting = self.0.0.lock().unwrap();
        let own: Vec<usize> = (0..waiting.stops.len())
            .filter(|&n| waiting.stops[n].who == who)
            .collect();
        let stop = waiting.stops.remove(own[draws.below(own.len())]);
        let _it_gave_up = stop.go.send(()).is_err();
        stop.what
    }
}

/// A change of what a head publishes, by a worker that the head did not name; or a record that says that its
/// attempt works, after the one that says how it ended.
pub(crate) type Violation = String;

/// The store and the world of one worker.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) shelf: Shelf,
    pub(crate) turns: Turns,
    pub(crate) who: usize,
    pub(crate) me: Worker,
    pub(crate) violations: Arc<Mutex<Vec<Violation>>>,
    pub(crate) seconds: Arc<AtomicU64>,
}

impl Held {
    async fn call<T>(&self, what: &str, key: &str, effect: impl FnOnce() -> T + Send) -> T
    where
        T: Send,
    {
        let key = key.rsplit_once("Z/").map_or(key, |(_, key)| key);
        self.turns.stop(self.who, format!("{what} {key}")).await;
        let answer = effect();
        self.turns
            .stop(self.who, format!("{what} {key}, done"))
            .await;
        answer
    }

    /// The other judge: an attempt's closing record is its last.
    fn judge_record(&self, before: Option<&Fetched>, after: &[u8]) {
        let record = |bytes: &[u8]| serde_json::from_slice::<AttemptRecord>(bytes).unwrap();
        let after = record(after);
        let before = before.map(|before| record(&before.body));
        let was_closed = before.is_some_and(|before| {
            before.job_id == after.job_id && before.outcome != AttemptOutcome::Running
        });
        if was_closed && after.outcome == AttemptOutcome::Running {
            let who = format!("{} attempt {}", after.job_id, after.attempt);
            let violation = format!("{who} is at work again, by its record");
            self.violations.lock().unwrap().push(violation);
        }
    }

    /// The judge: by the heads alone, whatever the worker thinks of itself.
    fn judge(&self, before: Option<&Fetched>, after: &[u8]) {
        let Ok(after) = serde_json::from_slice::<StageHead>(after) else {
            return;
        };
        let Some(before) =
            before.and_then(|head| serde_json::from_slice::<StageHead>(&head.body).ok())
        else {
            return;
        };
        let is_published = (&before.latest_checkpoint, &before.output)
            != (&after.latest_checkpoint, &after.output);
        let owner = (
            before.owner.submission,
            before.owner.job_id.as_deref(),
            before.owner.attempt,
        );
        let me = (
            self.me.submission,
            Some(self.me.job_id.as_str()),
            Some(self.me.attempt),
        );
        let is_open = before.output.is_none() && before.closed.is_none();
        if is_published && !(owner == me && is_open) {
            self.violations.lock().unwrap().push(format!(
                "{me:?} published over the head of {owner:?}, open: {is_open}"
            ));
        }
    }
}

impl Store for Held {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        self.call("read", key, || Ok(self.shelf.read(bucket, key)))
            .await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        let (held, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
        let arrives = async move {
            let effect = || {
                let before = held.shelf.read(&bucket, &key);
                let put = held.shelf.write(&bucket, &key, body.clone(), &condition);
                if put != Put::Refused && key.ends_with("/head.json") {
                    held.judge(before.as_ref(), &body);
                }
                if put != Put::Refused && key.ends_with(ATTEMPT) {
                    held.judge_record(before.as_ref(), &body);
                }
                put
            };
            held.call("write", &key, effect).await
        };
        // A request that is on its way arrives, also when nobody waits for its answer any more.
        Ok(tokio::spawn(arrives).await.unwrap())
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.turns.stop(self.who, format!("list {prefix}")).await;
        self.shelf.list(bucket, prefix).await
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.shelf.list_folders(bucket, prefix).await
    }

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        self.turns.stop(self.who, format!("fetch {key}")).await;
        self.shelf.get_span(bucket, key, span, if_match).await
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        _: u32,
    ) -> Result<(), StoreError> {
        self.call("ship", key, || {
            self.shelf
                .write(bucket, key, bytes.to_vec(), &Condition::Always);
            Ok(())
        })
        .await
    }

    async fn begin_upload(&self, _: &str, key: &str) -> Result<String, StoreError> {
        self.call("begin", key, || Ok(self.shelf.begin())).await
    }

    async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        self.turns.stop(self.who, format!("ship {key}")).await;
        self.shelf
            .put_part(bucket, key, upload, number, bytes, crc32)
            .await
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> Result<(), StoreError> {
        self.turns.stop(self.who, format!("complete {key}")).await;
        self.shelf
            .complete_upload(bucket, key, upload, parts, crc32)
            .await
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        self.turns.stop(self.who, format!("forget {key}")).await;
        self.shelf.abort_upload(bucket, key, upload).await
    }
}

impl World for Held {
    fn now(&self) -> Timestamp {
        RealWorld.now()
    }

    /// A second for each time that it waited.
    fn uptime(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn draw(&self) -> String {
        RealWorld.draw()
    }

    fn chance(&self) -> f64 {
        0.0
    }

    async fn pause(&self, _: Duration) {
        self.turns.stop(self.who, "wait".to_owned()).await;
        self.seconds.fetch_add(1, Ordering::SeqCst);
    }

    fn print(&self, _: &str) {}
}
