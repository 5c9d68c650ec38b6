//! Coming in on the heads, and publishing on them.
//!
//! The rules are `StageHead`'s; here they meet the store. In a fan-out the stage's head says which
//! job may work at all, and each shard has a head of its own to publish on; the agent never writes
//! the output of a fan-out's stage.

use trainspot_edge::cas::{self, Decision};
use trainspot_edge::{Store, World};
use trainspot_shared::job::JobDocument;
use trainspot_shared::layout;
use trainspot_shared::stage_head::{
    Owner, Place, Publication, PublishRefused, Published, SCHEMA, StageHead, Worker,
};

use crate::assignment::Assignment;
use crate::error::AgentError;

/// The attempt of a fan-out's job in the stage's head: its children have attempts of their own.
const ATTEMPT_OF_PARENT: u32 = 1;

/// Where this attempt works and publishes.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// The results bucket.
    pub(crate) bucket: String,
    /// The head it publishes on.
    pub(crate) head_key: String,
    /// Who it is there.
    pub(crate) worker: Worker,
    /// Under which its results lie; ends with `/`.
    pub(crate) results: String,
    /// Under which its checkpoints lie; ends with `/`.
    pub(crate) checkpoints: String,
    /// Under which every attempt's checkpoints lie; ends with `/`.
    pub(crate) all_checkpoints: String,
    /// For tests only.
    pub(crate) ignore_heads: bool,
}

/// What the heads said.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Work, from this checkpoint on.
    Work(Option<Published>),
    /// The output was there already.
    AlreadyDone,
    /// Somebody else's, or ended.
    NotOwner(&'static str),
}

/// The shard that this job works on; `None` outside a fan-out.
pub(crate) fn shard(job: &JobDocument, assignment: &Assignment) -> Result<Option<u32>, AgentError> {
    let wrong = |why: String| Err(AgentError::Configuration(why));
    match (job.shards, assignment.array_index) {
        (None, None) => Ok(None),
        (None, Some(index)) => wrong(format!(
            "array index {index} of a stage that is not a fan-out"
        )),
        (Some(shards), index) => match job.shard_of(index) {
            Some(shard) if shard < shards => Ok(Some(shard)),
            _ => wrong(format!(
                "array index {} has no shard among {shards}",
                index.unwrap_or_default()
            )),
        },
    }
}

impl Seat {
    /// The seat of this attempt.
    pub(crate) fn of(
        job: &JobDocument,
        assignment: &Assignment,
        shard: Option<u32>,
        ignore_heads: bool,
    ) -> Self {
        let (run, stage) = (&job.run_id, job.stage);
        let attempt = assignment.attempt;
        let own =
            |place: fn(&_, _, _, _, _) -> String| place(run, stage, shard, job.submission, attempt);
        let checkpoints = own(layout::checkpoints);
        let own_name = format!("{}-{attempt}/", job.submission);
        Self {
            bucket: assignment.bucket.clone(),
            head_key: layout::stage_head(run, stage, shard),
            worker: Worker {
                submission: job.submission,
                job_id: assignment.job_id.clone(),
                attempt,
            },
            results: own(layout::results),
            all_checkpoints: checkpoints
                .strip_suffix(&own_name)
                .unwrap_or(&checkpoints)
                .to_owned(),
            checkpoints,
            ignore_heads,
        }
    }

    /// Reads the heads and comes in, if they let this attempt in. Safe to repeat.
    pub(crate) async fn take(
        &self,
        store: &impl Store,
        world: &impl World,
        job: &JobDocument,
        shard: Option<u32>,
    ) -> Result<Arrival, AgentError> {
        if shard.is_some() {
            let parent = Worker {
                attempt: ATTEMPT_OF_PARENT,
                ..self.worker.clone()
            };
            let key = layout::stage_head(&job.run_id, job.stage, None);
            match self
                .come_in(store, world, &key, None, &parent, true)
                .await?
            {
                Arrival::Work(_) => {}
                other => return Ok(other),
            }
        }
        let absent = shard.map(|_| StageHead::absent_shard(job.base));
        self.come_in(store, world, &self.head_key, absent, &self.worker, false)
            .await
    }

    async fn come_in(
        &self,
        store: &impl Store,
        world: &impl World,
        key: &str,
        absent: Option<StageHead>,
        worker: &Worker,
        is_shared: bool,
    ) -> Result<Arrival, AgentError> {
        cas::change(
            world,
            store,
            &self.bucket,
            key,
            |seen: Option<&StageHead>, write_id| {
                let Some(head) = seen.cloned().or_else(|| absent.clone()) else {
                    if self.ignore_heads {
                        let head = StageHead::first(worker.submission, String::new());
                        return Decision::Write(
                            Box::new(with_owner(&head, worker, write_id)),
                            Ok(Arrival::Work(None)),
                        );
                    }
                    return Decision::Leave(Ok(Arrival::NotOwner("nobody was granted the stage")));
                };
                if head.schema > SCHEMA {
                    return Decision::Leave(Err(too_new(key, &head)));
                }
                let checkpoint = head.latest_checkpoint.clone();
                let is_open = head.output.is_none() && head.closed.is_none();
                // Ten thousand children would otherwise write the same sentence over each other.
                if is_shared && is_open && head.is_owned_by(worker) {
                    return Decision::Leave(Ok(Arrival::Work(checkpoint)));
                }
                match head.place_for(worker, write_id.clone()) {
                    Place::Work(next) => {
                        Decision::Write(Box::new(next), Ok(Arrival::Work(checkpoint)))
                    }
                    Place::Done | Place::NotOwner(_) if self.ignore_heads => Decision::Write(
                        Box::new(with_owner(&head, worker, write_id)),
                        Ok(Arrival::Work(checkpoint)),
                    ),
                    Place::Done => Decision::Leave(Ok(Arrival::AlreadyDone)),
                    Place::NotOwner(why) => Decision::Leave(Ok(Arrival::NotOwner(why))),
                }
            },
        )
        .await?
    }

    /// Publishes by one write on the head, if this attempt is its whole owner still. Safe to repeat.
    pub(crate) async fn publish(
        &self,
        store: &impl Store,
        world: &impl World,
        publication: &Publication,
    ) -> Result<(), AgentError> {
        cas::change(
            world,
            store,
            &self.bucket,
            &self.head_key,
            |seen: Option<&StageHead>, write_id| {
                let Some(head) = seen else {
                    return Decision::Leave(Err(AgentError::NotOwner(
                        "the head is gone".to_owned(),
                    )));
                };
                if head.schema > SCHEMA {
                    return Decision::Leave(Err(too_new(&self.head_key, head)));
                }
                // The answer to an earlier try may have been lost, and the head changed on top of it.
                if is_published(head, publication) {
                    return Decision::Leave(Ok(()));
                }
                match head.publish(&self.worker, publication.clone(), write_id.clone()) {
                    Ok(next) => Decision::Write(Box::new(next), Ok(())),
                    Err(_) if self.ignore_heads => {
                        Decision::Write(Box::new(forced(head, publication, write_id)), Ok(()))
                    }
                    Err(refused) => Decision::Leave(Err(AgentError::NotOwner(
                        match refused {
                            PublishRefused::NotOwner => "another worker came in meanwhile",
                            PublishRefused::HasOutput => "another worker's output is there",
                            PublishRefused::Closed => "the stage was closed meanwhile",
                        }
                        .to_owned(),
                    ))),
                }
            },
        )
        .await?
    }
}

fn too_new(key: &str, head: &StageHead) -> AgentError {
    AgentError::Configuration(format!(
        "head `{key}` has schema {}, and this agent knows {SCHEMA}",
        head.schema
    ))
}

fn is_published(head: &StageHead, publication: &Publication) -> bool {
    let (there, mine) = match publication {
        Publication::Checkpoint(mine) => (&head.latest_checkpoint, mine),
        Publication::Output(mine) => (&head.output, mine),
    };
    there.as_ref() == Some(mine)
}

fn with_owner(head: &StageHead, worker: &Worker, write_id: String) -> StageHead {
    let owner = Owner {
        submission: worker.submission,
        job_id: Some(worker.job_id.clone()),
        attempt: Some(worker.attempt),
    };
    StageHead {
        version: head.version + 1,
        write_id,
        owner,
        ..head.clone()
    }
}

fn forced(head: &StageHead, publication: &Publication, write_id: String) -> StageHead {
    let mut next = StageHead {
        version: head.version + 1,
        write_id,
        ..head.clone()
    };
    match publication {
        Publication::Checkpoint(published) => next.latest_checkpoint = Some(published.clone()),
        Publication::Output(published) => next.output = Some(published.clone()),
    }
    next
}
