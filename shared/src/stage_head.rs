//! The head of a stage or of one shard: who may work, and what is published.
//!
//! Every change is a pure function from the head that was read to the head to write by
//! compare-and-swap; a refusal says why. The rules are those of the model-checked protocol:
//! ownership is granted by the ledger's side and only rises, and publishing is one write.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Format of this document; a reader refuses a newer one.
pub const SCHEMA: u32 = 1;

/// Who may work on the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The submission that was granted the stage; it only rises.
    pub submission: u32,
    /// The job that came first with this submission; set by its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Its newest attempt, from 1; set by its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// A complete set of files that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where the files lie, ending with `/`; the manifest is `MANIFEST.json` under it.
    pub prefix: String,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// The step it holds: a checkpoint's, or the last one for an output.
    pub step: u64,
    /// Which submission published it.
    pub submission: u32,
    /// Which attempt of it.
    pub attempt: u32,
    /// When, by the agent's clock.
    pub at: Timestamp,
}

/// The end of a stage by decision, not by output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Why, for the worker that finds itself closed out.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The document `head.json` of a stage or of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageHead {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// Rises with every write.
    pub version: u64,
    /// Random per write, so that no two writes have equal bytes.
    pub write_id: String,
    /// Who may work.
    pub owner: Owner,
    /// The stage's first submission, a constant: the owner of shards that have no head yet.
    pub base: u32,
    /// The newest complete checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_checkpoint: Option<Published>,
    /// The stage's one result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Published>,
    /// Ended without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    /// What a newer version wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Why the ledger's side may not have the stage for a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantRefused {
    /// A later submission owns it.
    Overtaken,
    /// The stage is done.
    HasOutput,
    /// The stage was ended.
    Closed,
}

/// What a grant makes of a head.
#[expect(
    clippy::large_enum_variant,
    reason = "made once and taken apart at once"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Write this.
    Write(StageHead),
    /// It stands already; go on.
    Stands,
    /// Give up.
    Refused(GrantRefused),
}

/// A worker: one attempt of one job of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Of the stage.
    pub submission: u32,
    /// Batch's id; of an array child, the parent's.
    pub job_id: String,
    /// From 1.
    pub attempt: u32,
}

/// What an agent does when it has read the head at its start.
#[expect(
    clippy::large_enum_variant,
    reason = "made once and taken apart at once"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Write this, then work.
    Work(StageHead),
    /// The output is complete: nothing to do, exit 0.
    Done,
    /// Not the owner: exit 79.
    NotOwner(&'static str),
}

/// Why a worker may not publish: it ends with 79.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRefused {
    /// Somebody else owns the stage.
    NotOwner,
    /// The output is there already.
    HasOutput,
    /// The stage was ended.
    Closed,
}

/// What publishing puts where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// A newer checkpoint.
    Checkpoint(Published),
    /// The stage's result.
    Output(Published),
}

impl StageHead {
    /// The head that the first grant of a stage creates.
    pub fn first(submission: u32, write_id: String) -> Self {
        Self {
            schema: SCHEMA,
            version: 1,
            write_id,
            owner: Owner {
                submission,
                job_id: None,
                attempt: None,
            },
            base: submission,
            latest_checkpoint: None,
            output: None,
            closed: None,
            unknown: Map::new(),
        }
    }

    /// The owner of a shard that has no head yet is the stage's `base`.
    pub fn absent_shard(base: u32) -> Self {
        Self {
            version: 0,
            write_id: String::new(),
            ..Self::first(base, String::new())
        }
    }

    /// The same head, to be written as the next version.
    #[must_use]
    fn next(&self, write_id: String) -> Self {
        Self {
            version: self.version + 1,
            write_id,
            ..self.clone()
        }
    }

    /// Gives the stage to `submission`; only ever raises.
    pub fn grant(&self, submission: u32, write_id: String) -> Grant {
        if self.output.is_some() {
            return Grant::Refused(GrantRefused::HasOutput);
        }
        if self.closed.is_some() {
            return Grant::Refused(GrantRefused::Closed);
        }
        match self.owner.submission.cmp(&submission) {
            std::cmp::Ordering::Greater => Grant::Refused(GrantRefused::Overtaken),
            std::cmp::Ordering::Equal => Grant::Stands,
            std::cmp::Ordering::Less => {
                let mut next = self.next(write_id);
                next.owner = Owner {
                    submission,
                    job_id: None,
                    attempt: None,
                };
                Grant::Write(next)
            }
        }
    }

    /// What `worker` does at its start.
    pub fn place_for(&self, worker: &Worker, write_id: String) -> Place {
        if self.output.is_some() {
            return Place::Done;
        }
        if self.closed.is_some() {
            return Place::NotOwner("the stage was closed");
        }
        if self.owner.submission != worker.submission {
            return Place::NotOwner("another submission owns the stage");
        }
        if self
            .owner
            .job_id
            .as_deref()
            .is_some_and(|id| id != worker.job_id)
        {
            return Place::NotOwner("another job of the same submission came first");
        }
        if self
            .owner
            .attempt
            .is_some_and(|attempt| attempt > worker.attempt)
        {
            return Place::NotOwner("a later attempt of this job works");
        }
        let mut next = self.next(write_id);
        next.owner = Owner {
            submission: worker.submission,
            job_id: Some(worker.job_id.clone()),
            attempt: Some(worker.attempt),
        };
        Place::Work(next)
    }

    /// The head with `publication` in it, if `worker` is the whole owner still.
    pub fn publish(
        &self,
        worker: &Worker,
        publication: Publication,
        write_id: String,
    ) -> Result<Self, PublishRefused> {
        if self.output.is_some() {
            return Err(PublishRefused::HasOutput);
        }
        if self.closed.is_some() {
            return Err(PublishRefused::Closed);
        }
        if !self.is_owned_by(worker) {
            return Err(PublishRefused::NotOwner);
        }
        let mut next = self.next(write_id);
        match publication {
            Publication::Checkpoint(published) => next.latest_checkpoint = Some(published),
            Publication::Output(published) => next.output = Some(published),
        }
        Ok(next)
    }

    /// Whether submission, job and attempt are all the owner's.
    pub fn is_owned_by(&self, worker: &Worker) -> bool {
        self.owner.submission == worker.submission
            && self.owner.job_id.as_deref() == Some(worker.job_id.as_str())
            && self.owner.attempt == Some(worker.attempt)
    }

    /// The head with the one output that stands for all shards; the ledger's side writes it once every
    /// child has ended well. Closed, done or overtaken heads refuse.
    pub fn publish_shards(
        &self,
        output: Published,
        write_id: String,
    ) -> Result<Self, PublishRefused> {
        if self.output.is_some() {
            return Err(PublishRefused::HasOutput);
        }
        if self.closed.is_some() {
            return Err(PublishRefused::Closed);
        }
        if self.owner.submission != output.submission {
            return Err(PublishRefused::NotOwner);
        }
        let mut next = self.next(write_id);
        next.output = Some(output);
        Ok(next)
    }

    /// The head closed; `None` when it has output (then the stage is done) or is closed already.
    pub fn close(&self, reason: &str, at: Timestamp, write_id: String) -> Option<Self> {
        if self.output.is_some() || self.closed.is_some() {
            return None;
        }
        let mut next = self.next(write_id);
        next.closed = Some(Closed {
            reason: reason.to_owned(),
            at,
        });
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(submission: u32, job_id: &str, attempt: u32) -> Worker {
        Worker {
            submission,
            job_id: job_id.to_owned(),
            attempt,
        }
    }

    fn owned_by(worker: &Worker) -> StageHead {
        let head = StageHead::first(worker.submission, "w1".to_owned());
        match head.place_for(worker, "w2".to_owned()) {
            Place::Work(head) => head,
            other => panic!("a granted worker finds work, not {other:?}"),
        }
    }

    fn published(step: u64) -> Published {
        Published {
            prefix: "results/p/".to_owned(),
            manifest_sha256: "00".to_owned(),
            step,
            submission: 1,
            attempt: 1,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_twin_of_the_same_submission_is_not_the_owner() {
        let head = owned_by(&worker(1, "job-a", 1));

        let place = head.place_for(&worker(1, "job-b", 1), "w3".to_owned());

        assert_eq!(
            place,
            Place::NotOwner("another job of the same submission came first")
        );
    }

    #[test]
    fn a_zombie_attempt_cannot_publish_after_the_next_attempt_came_in() {
        let first = worker(1, "job-a", 1);
        let second = worker(1, "job-a", 2);
        let head = owned_by(&first);
        let Place::Work(head) = head.place_for(&second, "w3".to_owned()) else {
            panic!("the retry of the owner works");
        };

        let late = head.publish(
            &first,
            Publication::Checkpoint(published(10)),
            "w4".to_owned(),
        );

        assert_eq!(late, Err(PublishRefused::NotOwner));
        assert_eq!(
            head.place_for(&first, "w5".to_owned()),
            Place::NotOwner("a later attempt of this job works")
        );
    }

    #[test]
    fn the_same_attempt_may_come_in_again_after_its_answer_was_lost() {
        let me = worker(1, "job-a", 1);
        let head = owned_by(&me);

        assert!(matches!(
            head.place_for(&me, "w3".to_owned()),
            Place::Work(_)
        ));
    }

    #[test]
    fn output_ends_everything_and_cannot_be_closed_over() {
        let me = worker(1, "job-a", 1);
        let head = owned_by(&me)
            .publish(&me, Publication::Output(published(100)), "w3".to_owned())
            .expect("the owner publishes");

        assert_eq!(
            head.place_for(&worker(1, "job-a", 2), "w4".to_owned()),
            Place::Done
        );
        assert_eq!(
            head.grant(2, "w4".to_owned()),
            Grant::Refused(GrantRefused::HasOutput)
        );
        assert_eq!(
            head.close("late", Timestamp::UNIX_EPOCH, "w4".to_owned()),
            None
        );
        assert_eq!(
            head.publish(&me, Publication::Output(published(100)), "w4".to_owned()),
            Err(PublishRefused::HasOutput)
        );
    }

    #[test]
    fn nobody_publishes_on_a_closed_head() {
        let me = worker(1, "job-a", 1);
        let head = owned_by(&me)
            .close("cancelled", Timestamp::UNIX_EPOCH, "w3".to_owned())
            .expect("an open head closes");

        assert_eq!(
            head.publish(&me, Publication::Output(published(1)), "w4".to_owned()),
            Err(PublishRefused::Closed)
        );
        assert_eq!(
            head.grant(9, "w4".to_owned()),
            Grant::Refused(GrantRefused::Closed)
        );
    }

    #[test]
    fn what_a_newer_version_wrote_is_kept() {
        let text = r#"{"schema":1,"version":4,"write_id":"x","owner":{"submission":1},"base":1,"standby":{"submission":3}}"#;

        let head: StageHead = serde_json::from_str(text).expect("an unknown field is welcome");
        let written = serde_json::to_value(&head).expect("a head is JSON");

        assert_eq!(written["standby"]["submission"], 3);
    }

    proptest! {
        #[test]
        fn a_grant_only_raises(owner in 1_u32..6, asked in 1_u32..6) {
            let head = StageHead::first(owner, "w1".to_owned());

            match head.grant(asked, "w2".to_owned()) {
                Grant::Write(next) => {
                    prop_assert!(asked > owner);
                    prop_assert_eq!(next.owner, Owner { submission: asked, job_id: None, attempt: None });
                    prop_assert_eq!(next.version, head.version + 1);
                }
                Grant::Stands => prop_assert_eq!(asked, owner),
                Grant::Refused(why) => {
                    prop_assert_eq!(why, GrantRefused::Overtaken);
                    prop_assert!(asked < owner);
                }
            }
        }
    }
}
