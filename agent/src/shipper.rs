//! Ships what the program leaves in its folders, and publishes what is complete.
//!
//! Everything goes under the attempt's own prefix; nothing counts until the head points to it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use trainspot_edge::store::{Condition, StoreError};
use trainspot_edge::transfer::Transfer;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::layout::file::{ATTEMPT, MANIFEST};
use trainspot_shared::manifest::ManifestFile;
use trainspot_shared::stage_head::{Publication, Published};

use crate::checkpoints::{Finished, Shelf};
use crate::error::AgentError;
use crate::file_set::{self, to_json};
use crate::folder::{self, LocalFile};
use crate::held::Held;
use crate::live::{self, Live};
use crate::patience::patiently;
use crate::place::Seat;

/// Written by the agent itself, whatever the program calls its files.
const RESERVED: [&str; 2] = [MANIFEST, ATTEMPT];

/// The shipper of one attempt.
#[derive(Debug)]
pub(crate) struct Shipper<'a, S, W> {
    store: &'a S,
    world: &'a W,
    seat: &'a Seat,
    transfer: Transfer<'a, S, W>,
    checkpoint_dir: PathBuf,
    output_dir: PathBuf,
    /// Where second names of what is being shipped lie: on the checkpoints' own file system.
    aside: PathBuf,
    shelf: Shelf,
    /// The last checkpoint that was begun, and the how manieth of its step that is.
    begun: Option<(Finished, u32)>,
    live: Live,
    last: Option<(u64, Timestamp)>,
}

impl<'a, S: Store, W: World> Shipper<'a, S, W> {
    /// Before the program begins.
    pub(crate) fn before_program(
        (store, world, seat): (&'a S, &'a W, &'a Seat),
        (checkpoint_dir, output_dir, aside): (PathBuf, PathBuf, PathBuf),
    ) -> Result<Self, AgentError> {
        let shelf = Shelf::before_program(&checkpoint_dir)?;
        Ok(Self {
            store,
            world,
            seat,
            transfer: Transfer::new(store, world),
            checkpoint_dir,
            output_dir,
            aside,
            shelf,
            begun: None,
            live: Live::default(),
            last: None,
        })
    }

    /// Step and time of the last checkpoint that was published here.
    pub(crate) fn last_published(&self) -> Option<(u64, Timestamp)> {
        self.last
    }

    /// Ships and publishes the newest finished checkpoint, if there is a new one.
    pub(crate) async fn ship_checkpoint(&mut self, patience: Duration) -> Result<(), AgentError> {
        let Some(finished) = self.shelf.newest(&self.checkpoint_dir)? else {
            return Ok(());
        };
        let step = finished.step;
        let gone = || {
            tracing::info!("the program removed or replaced step {step} while it was shipped");
            Ok(())
        };
        let Some(held) = Held::take(&finished, &self.aside)? else {
            return gone();
        };
        if held.files().iter().any(|file| file.name == MANIFEST) {
            return Err(AgentError::Configuration(format!(
                "checkpoint {step} has a file `{MANIFEST}`, which is the agent's own name"
            )));
        }
        let prefix = self.prefix_of(&finished);
        self.transfer.forget_sent(&self.seat.checkpoints, &prefix);
        let files = match self.upload(patience, &prefix, held.files().to_vec()).await {
            // It is shipped from where it lies; there is a newer one then.
            Err(error) if error.is_missing_file() && !finished.is_there() => return gone(),
            files => files?,
        };
        if !held.is_still(&finished)? {
            return gone();
        }
        let manifest_sha256 = self.seal(patience, &prefix, step, files).await?;
        let published = self.published(prefix, manifest_sha256, step);
        self.publish(patience, Publication::Checkpoint(published))
            .await?;
        self.last = Some((step, self.world.now()));
        tracing::info!("published step {step}");
        self.shelf.shipped(&self.checkpoint_dir, finished)
    }

    /// Where it goes. A step that is written once more has a place of its own: the head may point to the first.
    fn prefix_of(&mut self, finished: &Finished) -> String {
        let number = match &self.begun {
            Some((begun, number)) if begun == finished => *number,
            Some((begun, number)) if begun.step == finished.step => number + 1,
            _ => 1,
        };
        self.begun = Some((finished.clone(), number));
        let checkpoints = &self.seat.checkpoints;
        match (finished.step, number) {
            (step, 1) => format!("{checkpoints}{step}/"),
            (step, number) => format!("{checkpoints}{step}.{number}/"),
        }
    }

    /// Ships the newest checkpoint and what people watch, once the program has ended; and says how patient to
    /// be with what is left to do.
    pub(crate) async fn ship_last(
        &mut self,
        patience: Duration,
    ) -> (Duration, Result<(), AgentError>) {
        let checkpoint = self.ship_checkpoint(patience).await;
        // One minute for all of it: the host may be going.
        let patience = if checkpoint.is_ok() {
            patience
        } else {
            Duration::ZERO
        };
        let live = self.ship_live(patience, true).await;
        (patience, checkpoint.and(live))
    }

    /// Ships the files that people watch, as far as they changed; with `all`, however recently.
    pub(crate) async fn ship_live(
        &mut self,
        patience: Duration,
        all: bool,
    ) -> Result<(), AgentError> {
        let due = self
            .live
            .watched(&self.output_dir, all, self.world.uptime());
        for (name, body) in due {
            let key = format!("{}{name}", self.seat.results);
            let put = patiently(self.world, patience, || {
                self.store
                    .put(&self.seat.bucket, &key, body.clone(), Condition::Always)
            });
            if let Err(error) = put.await {
                self.live.failed(name);
                return Err(error);
            }
        }
        self.ship_unpublished(patience, all).await
    }

    /// Ships what else the program wrote since the last look, small files in packs.
    async fn ship_unpublished(&mut self, patience: Duration, all: bool) -> Result<(), AgentError> {
        let now = self.world.uptime();
        if !self.live.is_time(all, now) {
            return Ok(());
        }
        let mut files = match folder::files_below_so_far(&self.output_dir) {
            Ok(files) => files,
            // A folder can go away while it is listed. What is wrong for good is told at the end.
            Err(error) => {
                tracing::debug!("the output cannot be listed: {}", error.sentence());
                return Ok(());
            }
        };
        files.retain(|file| !RESERVED.contains(&file.name.as_str()));
        let (bucket, results) = (self.seat.bucket.as_str(), self.seat.results.as_str());
        let due = self.live.due(files, all, now);
        for pack in due.packs {
            let (bytes, packed) = live::pack(&pack)?;
            if packed.is_empty() {
                continue;
            }
            let key = format!("{results}{}", self.live.next_pack());
            let bytes = Bytes::from(bytes);
            self.transfer
                .send_bytes(patience, (bucket, &key), bytes)
                .await?;
            for (name, seen) in packed {
                self.live.shipped(name, &seen, now);
            }
        }
        for file in due.alone {
            let Ok(seen) = file.path.metadata() else {
                continue;
            };
            let key = format!("{results}{}", file.name);
            match self
                .transfer
                .send(patience, (bucket, &key), &file.path)
                .await
            {
                Ok(_) => self.live.shipped(&file.name, &seen, now),
                // It is being written; there will be another look, and the end.
                Err(StoreError::Moving { .. } | StoreError::File { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Who writes the attempt's record meanwhile.
    pub(crate) fn scribe(&self) -> Scribe<'a, S, W> {
        Scribe {
            store: self.store,
            world: self.world,
            seat: self.seat,
        }
    }

    /// Ships the whole output without publishing it: for whoever looks into a failure.
    pub(crate) async fn ship_remains(&self, patience: Duration) -> Result<(), AgentError> {
        let place = (self.seat.bucket.as_str(), self.seat.results.as_str());
        file_set::upload(&self.transfer, patience, place, self.output()?).await?;
        Ok(())
    }

    /// Ships the whole output and publishes it. An empty one is fine.
    pub(crate) async fn publish_output(
        &self,
        patience: Duration,
        step: u64,
    ) -> Result<(), AgentError> {
        let prefix = self.seat.results.clone();
        let files = self.output()?;
        let n_files = files.len();
        let files = self.upload(patience, &prefix, files).await?;
        let manifest_sha256 = self.seal(patience, &prefix, step, files).await?;
        let published = self.published(prefix, manifest_sha256, step);
        self.publish(patience, Publication::Output(published))
            .await?;
        tracing::info!("published the output: {n_files} files, step {step}");
        Ok(())
    }

    fn output(&self) -> Result<Vec<LocalFile>, AgentError> {
        let (files, reserved): (Vec<_>, Vec<_>) = folder::files_below(&self.output_dir)?
            .into_iter()
            .partition(|file| !RESERVED.contains(&file.name.as_str()));
        for file in reserved {
            tracing::warn!(
                "`{}` is the agent's own name; the program's is left out",
                file.name
            );
        }
        Ok(files)
    }

    async fn upload(
        &self,
        patience: Duration,
        prefix: &str,
        files: Vec<LocalFile>,
    ) -> Result<Vec<ManifestFile>, AgentError> {
        let place = (self.seat.bucket.as_str(), prefix);
        self.transfer.forget_all_but(prefix).await;
        file_set::upload(&self.transfer, patience, place, files).await
    }

    async fn seal(
        &self,
        patience: Duration,
        prefix: &str,
        step: u64,
        files: Vec<ManifestFile>,
    ) -> Result<String, AgentError> {
        let place = (self.seat.bucket.as_str(), prefix);
        file_set::seal(self.store, self.world, patience, place, step, files).await
    }

    fn published(&self, prefix: String, manifest_sha256: String, step: u64) -> Published {
        Published {
            prefix,
            manifest_sha256,
            step,
            submission: self.seat.worker.submission,
            attempt: self.seat.worker.attempt,
            at: self.world.now(),
        }
    }

    async fn publish(
        &self,
        patience: Duration,
        publication: Publication,
    ) -> Result<(), AgentError> {
        patiently(self.world, patience, || {
            self.seat.publish(self.store, self.world, &publication)
        })
        .await
    }
}

/// Writes the record of an attempt at work, beside its shipper.
#[derive(Debug)]
pub(crate) struct Scribe<'a, S, W> {
    store: &'a S,
    world: &'a W,
    seat: &'a Seat,
}

impl<'a, S: Store, W: World> Scribe<'a, S, W> {
    /// Once: the next record is the next try.
    pub(crate) fn write(
        &self,
        record: AttemptRecord,
    ) -> impl Future<Output = Result<(), AgentError>> + Send + use<'a, S, W> {
        let (store, world, seat) = (self.store, self.world, self.seat);
        async move {
            write_record(
                store,
                world,
                Duration::ZERO,
                seat,
                &record,
                Condition::Always,
            )
            .await
        }
    }
}

/// Writes an attempt's record. [`Condition::Absent`] is for one that never worked: a twin has the
/// same prefix as the owner, and its record must not hide the owner's.
pub(crate) async fn write_record(
    store: &impl Store,
    world: &impl World,
    patience: Duration,
    seat: &Seat,
    record: &AttemptRecord,
    condition: Condition,
) -> Result<(), AgentError> {
    let key = format!("{}{ATTEMPT}", seat.results);
    let body = to_json(record)?;
    patiently(world, patience, || {
        store.put(&seat.bucket, &key, body.clone(), condition.clone())
    })
    .await?;
    Ok(())
}
