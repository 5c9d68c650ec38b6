//! One call of one invocation, with what goes wrong on its way; and the services made of such calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use trainspot_shared::batch_event::JobSeen;
use trainspot_shared::identity::JobName;
use trainspot_shared::notice::Notice;

use super::call::{Call, CallKind, Fault, Precondition, Travel, Trouble};
use super::edge::MemoryEdge;
use super::shared::{Shared, lock};
use crate::jobs::{JobFound, JobRequest, Jobs, JobsError, SubmitError};
use crate::store::{Condition, Fetched, Listed, Piece, Put, Span, Store, StoreError, UploadedPart};
use crate::topic::{PublishError, Topic};
use crate::world::World;

/// What is asked for.
struct Asked {
    kind: CallKind,
    what: String,
    precondition: Precondition,
    /// Bucket and key of what a write writes.
    document: Option<(String, String)>,
}

impl Asked {
    fn of(kind: CallKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            precondition: Precondition::None,
            document: None,
        }
    }
}

impl MemoryEdge {
    async fn call<T: Send>(
        &self,
        asked: Asked,
        effect: impl Fn(&Shared) -> T + Send + Sync + 'static,
        failed: impl Fn(Trouble, String) -> T + Send + Sync,
    ) -> T {
        give_way().await;
        let kind = asked.kind;
        let call = Call {
            at: self.shared.clock.now(),
            by: self.caller.name.clone(),
            number: self.caller.calls.fetch_add(1, Ordering::SeqCst) + 1,
            kind,
            what: asked.what.clone(),
            precondition: asked.precondition,
        };
        let fault = self.fault_of(&call);
        if fault == Some(Fault::KilledBefore) {
            return self.die().await;
        }
        let travel = lock(&self.shared.travels)
            .as_mut()
            .map_or_else(Travel::default, |travels| travels(&call));
        lock(&self.shared.calls).push(call);
        self.sleep(travel.there).await;
        let answer = match fault {
            None => effect(&self.shared),
            // A bug on purpose: the client sends it again, and tells of the second answer only.
            Some(Fault::LostAfter) if kind == CallKind::Submit && self.repeats_submissions() => {
                drop(effect(&self.shared));
                effect(&self.shared)
            }
            // `SubmitJob` is never sent again by its client: it has no idempotency token.
            Some(Fault::Repeated) if kind != CallKind::Submit => {
                drop(effect(&self.shared));
                effect(&self.shared)
            }
            Some(Fault::Overtaken) => {
                self.rival_writes(&asked);
                effect(&self.shared)
            }
            Some(Fault::Overwritten) => {
                drop(effect(&self.shared));
                self.rival_writes(&asked);
                effect(&self.shared)
            }
            Some(Fault::LostBefore) => failed(Trouble::Unanswered, asked.what),
            Some(Fault::LostAfter | Fault::Repeated) => {
                drop(effect(&self.shared));
                failed(Trouble::Unanswered, asked.what)
            }
            Some(Fault::Late(after)) => {
                let shared = Arc::downgrade(&self.shared);
                let at = self.shared.clock.now() + after;
                let arrive = move || {
                    if let Some(shared) = shared.upgrade() {
                        drop(effect(&shared));
                    }
                };
                self.shared.timers.later(at, Box::new(arrive));
                failed(Trouble::Unanswered, asked.what)
            }
            Some(Fault::Conflict) => failed(Trouble::Conflict, asked.what),
            Some(Fault::Throttled) => failed(Trouble::Throttled, asked.what),
            Some(Fault::Refused) => failed(Trouble::Refused, asked.what),
            // It never left.
            Some(Fault::KilledBefore) => return self.die().await,
            Some(Fault::KilledAfter) => {
                drop(effect(&self.shared));
                return self.die().await;
            }
        };
        self.sleep(travel.back).await;
        answer
    }

    fn fault_of(&self, call: &Call) -> Option<Fault> {
        let fault = lock(&self.shared.faults)
            .as_mut()
            .and_then(|faults| faults(call));
        fault.filter(|fault| fault.can_strike(call))
    }

    fn repeats_submissions(&self) -> bool {
        self.shared.repeats_submissions.load(Ordering::SeqCst)
    }

    fn rival_writes(&self, asked: &Asked) {
        if let Some((bucket, key)) = &asked.document {
            self.shared.rival_writes(bucket, key);
        }
    }

    async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            let until = later(self.shared.clock.now(), duration);
            self.shared.timers.sleep(&self.shared.clock, until).await;
        }
    }

    async fn die<T>(&self) -> T {
        self.caller.is_killed.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
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

fn store_trouble(trouble: Trouble, what: String) -> StoreError {
    match trouble {
        Trouble::Unanswered | Trouble::Throttled | Trouble::Conflict => {
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
        if self.shared.waits_by_timers.load(Ordering::SeqCst) {
            self.sleep(duration).await;
        } else {
            self.advance_to(later(self.shared.clock.now(), duration));
        }
    }

    fn print(&self, line: &str) {
        lock(&self.shared.printed).push(line.to_owned());
    }
}

impl Store for MemoryEdge {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        let (b, k) = (bucket.to_owned(), key.to_owned());
        self.call(
            Asked::of(CallKind::Get, key),
            move |shared| Ok(shared.store.read(&b, &k)),
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
        let (b, k, by) = (bucket.to_owned(), key.to_owned(), self.name().to_owned());
        let asked = Asked {
            precondition: match &condition {
                Condition::Absent => Precondition::Absent,
                Condition::Matches(_) => Precondition::Matches,
                Condition::Always => Precondition::None,
            },
            document: Some((bucket.to_owned(), key.to_owned())),
            ..Asked::of(CallKind::Put, key)
        };
        self.call(
            asked,
            move |shared| Ok(shared.put(&by, &b, &k, &body, &condition)),
            |trouble, what| match trouble {
                Trouble::Conflict => Ok(Put::Refused),
                trouble => Err(store_trouble(trouble, what)),
            },
        )
        .await
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let (b, p) = (bucket.to_owned(), prefix.to_owned());
        self.call(
            Asked::of(CallKind::List, prefix),
            move |shared| Ok(shared.store.objects_under(&b, &p)),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (b, p) = (bucket.to_owned(), prefix.to_owned());
        self.call(
            Asked::of(CallKind::List, prefix),
            move |shared| Ok(shared.store.folders_under(&b, &p)),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        let (b, k) = (bucket.to_owned(), key.to_owned());
        let version = if_match.map(str::to_owned);
        self.call(
            Asked::of(CallKind::Get, key),
            move |shared| shared.store.read_span(&b, &k, span, version.as_deref()),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        _crc32: u32,
    ) -> Result<(), StoreError> {
        self.put(bucket, key, bytes.to_vec(), Condition::Always)
            .await
            .map(|_| ())
    }

    async fn begin_upload(&self, _bucket: &str, key: &str) -> Result<String, StoreError> {
        self.call(
            Asked::of(CallKind::Put, key),
            |shared| Ok(shared.store.begin_parts()),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn put_part(
        &self,
        _bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        let (k, id) = (key.to_owned(), upload.to_owned());
        self.call(
            Asked::of(CallKind::Put, key),
            move |shared| shared.store.write_part(&k, &id, number, &bytes, crc32),
            |trouble, what| Err(store_trouble(trouble, what)),
        )
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
        let by = self.caller.name.clone();
        let (b, k, id) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        let parts = parts.to_vec();
        self.call(
            Asked::of(CallKind::Put, key),
            move |shared| {
                let bytes = shared.store.take_parts(&k, &id, &parts, crc32)?;
                shared.put(&by, &b, &k, &bytes, &Condition::Always);
                Ok(())
            },
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }

    async fn abort_upload(&self, _bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        let id = upload.to_owned();
        self.call(
            Asked::of(CallKind::Put, key),
            move |shared| {
                shared.store.forget_parts(&id);
                Ok(())
            },
            |trouble, what| Err(store_trouble(trouble, what)),
        )
        .await
    }
}

impl Jobs for MemoryEdge {
    async fn submit(&self, request: &JobRequest) -> Result<String, SubmitError> {
        let asked = request.clone();
        self.call(
            Asked::of(CallKind::Submit, request.name.to_string()),
            move |shared| Ok(lock(&shared.batch).submit(&asked)),
            |trouble, name| {
                Err(match trouble {
                    Trouble::Unanswered | Trouble::Conflict => SubmitError::Unclear {
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
            Asked::of(CallKind::Describe, ids.join(" ")),
            move |shared| Ok(lock(&shared.batch).describe(&asked)),
            |trouble, what| Err(jobs_trouble(trouble, format!("describe {what}"))),
        )
        .await
    }

    async fn find(&self, queue: &str, name: &JobName) -> Result<Vec<JobFound>, JobsError> {
        let (queue, asked) = (queue.to_owned(), name.to_string());
        self.call(
            Asked::of(CallKind::Find, name.to_string()),
            move |shared| Ok(lock(&shared.batch).find(&queue, &asked)),
            |trouble, what| Err(jobs_trouble(trouble, format!("find {what}"))),
        )
        .await
    }

    async fn terminate(&self, id: &str, reason: &str) -> Result<(), JobsError> {
        let (asked, why) = (id.to_owned(), reason.to_owned());
        self.call(
            Asked::of(CallKind::Terminate, id),
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
            Asked::of(CallKind::Publish, notice.id.clone()),
            move |shared| {
                lock(&shared.told).push(asked.clone());
                Ok(())
            },
            |trouble, what| {
                Err(match trouble {
                    Trouble::Unanswered | Trouble::Throttled | Trouble::Conflict => {
                        PublishError::Later { why: what }
                    }
                    Trouble::Refused => PublishError::Refused { why: what },
                })
            },
        )
        .await
    }
}
