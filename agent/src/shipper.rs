//! Ships what the program leaves in its folders, and publishes what is complete.
//!
//! Everything goes under the attempt's own prefix; nothing counts until the head points to it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use trainspot_edge::store::Condition;
use trainspot_edge::transfer::Transfer;
use trainspot_edge::{Store, World};
use trainspot_shared::attempt::AttemptRecord;
use trainspot_shared::layout::file::{ATTEMPT, CURVE, MANIFEST, PROGRESS};
use trainspot_shared::stage_head::{Publication, Published};

use crate::checkpoints::Shelf;
use crate::error::AgentError;
use crate::file_set::{self, to_json};
use crate::folder::{self, LocalFile};
use crate::patience::{between, patiently};
use crate::place::Seat;

/// Appended to by the program; larger files wait for the end.
const METRICS_LINES: &str = "metrics.jsonl";
const LARGEST_LIVE_BYTES: u64 = 64 << 20;
/// The files that people watch, and how often each may be shipped at most: PUTs cost money.
const LIVE: [(&str, Duration); 3] = [
    (PROGRESS, Duration::from_secs(2)),
    (METRICS_LINES, Duration::from_secs(5)),
    (CURVE, Duration::from_secs(5)),
];
/// Written by the agent itself, whatever the program calls its files.
const RESERVED: [&str; 2] = [MANIFEST, ATTEMPT];

/// Size, inode and time: a file that has all three is the one that was shipped.
type Stamp = (u64, u64, i64, i64);

/// The shipper of one attempt.
#[derive(Debug)]
pub(crate) struct Shipper<'a, S, W> {
    store: &'a S,
    world: &'a W,
    seat: &'a Seat,
    transfer: Transfer<'a, S, W>,
    checkpoint_dir: PathBuf,
    output_dir: PathBuf,
    shelf: Shelf,
    live: BTreeMap<&'static str, (Stamp, Timestamp)>,
    last: Option<(u64, Timestamp)>,
}

impl<'a, S: Store, W: World> Shipper<'a, S, W> {
    /// Before the program begins.
    pub(crate) fn before_program(
        (store, world, seat): (&'a S, &'a W, &'a Seat),
        checkpoint_dir: PathBuf,
        output_dir: PathBuf,
    ) -> Result<Self, AgentError> {
        let shelf = Shelf::before_program(&checkpoint_dir)?;
        let live = BTreeMap::new();
        Ok(Self {
            store,
            world,
            seat,
            transfer: Transfer::new(store, world),
            checkpoint_dir,
            output_dir,
            shelf,
            live,
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
        let prefix = format!("{}{step}/", self.seat.checkpoints);
        let files = folder::files_below(&finished.path)?;
        if files.iter().any(|file| file.name == MANIFEST) {
            return Err(AgentError::Configuration(format!(
                "checkpoint {step} has a file `{MANIFEST}`, which is the agent's own name"
            )));
        }
        let manifest_sha256 = match self.upload(patience, &prefix, step, files).await {
            Ok(sha256) => sha256,
            // The program keeps only its newest ones; there is a newer one then.
            Err(error) if error.is_missing_file() && !finished.path.exists() => {
                tracing::info!("the program removed step {step} while it was shipped");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let published = self.published(prefix, manifest_sha256, step);
        self.publish(patience, Publication::Checkpoint(published))
            .await?;
        self.last = Some((step, self.world.now()));
        tracing::info!("published step {step}");
        self.shelf.shipped(&self.checkpoint_dir, finished)
    }

    /// Ships the files that people watch, as far as they changed; with `all`, however recently.
    pub(crate) async fn ship_live(
        &mut self,
        patience: Duration,
        all: bool,
    ) -> Result<(), AgentError> {
        for (name, every) in LIVE {
            let path = self.output_dir.join(name);
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            let stamp = (
                metadata.len(),
                metadata.ino(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            );
            let now = self.world.now();
            let is_due = self.live.get(name).is_none_or(|&(shipped, at)| {
                shipped != stamp && (all || between(at, now) >= every)
            });
            if !is_due || metadata.len() > LARGEST_LIVE_BYTES {
                continue;
            }
            // Read at once: the program may append while it is on its way.
            let Ok(body) = std::fs::read(&path) else {
                continue;
            };
            let key = format!("{}{name}", self.seat.results);
            patiently(self.world, patience, || {
                self.store
                    .put(&self.seat.bucket, &key, body.clone(), Condition::Always)
            })
            .await?;
            self.live.insert(name, (stamp, now));
        }
        Ok(())
    }

    /// Writes the attempt's record.
    pub(crate) async fn ship_record(&self, record: &AttemptRecord) -> Result<(), AgentError> {
        write_record(
            self.store,
            self.world,
            Duration::ZERO,
            self.seat,
            record,
            Condition::Always,
        )
        .await
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
        let manifest_sha256 = self.upload(patience, &prefix, step, files).await?;
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
        step: u64,
        files: Vec<LocalFile>,
    ) -> Result<String, AgentError> {
        let place = (self.seat.bucket.as_str(), prefix);
        self.transfer.forget_all_but(prefix).await;
        let files = file_set::upload(&self.transfer, patience, place, files).await?;
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
