//! The attempt's own folder: filled before the program begins, named to it, removed at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trainspot_edge::transfer::Transfer;
use trainspot_edge::{Store, World};
use trainspot_shared::job::JobDocument;
use trainspot_shared::stage_head::Published;

use crate::error::AgentError;
use crate::fetch;
use crate::file_set::to_json;
use crate::folder;
use crate::place::Seat;
use crate::program::Launch;
use crate::restore::restore;

/// Whoever runs the agent can give it another folder.
fn unwritable(error: AgentError, root: &Path) -> AgentError {
    let AgentError::Local { source, .. } = &error else {
        return error;
    };
    let is_for_others = matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
    );
    if !is_for_others {
        return error;
    }
    AgentError::Configuration(format!(
        "the work folder `{}` cannot be written ({source}); set `TRAINSPOT_WORK_DIR` to one that can",
        root.display()
    ))
}

/// The attempt's own folder and what lies in it.
pub(crate) struct Workplace {
    /// All of it; removed at the end.
    pub(crate) own: PathBuf,
    data: PathBuf,
    input: PathBuf,
    pub(crate) checkpoints: PathBuf,
    pub(crate) output: PathBuf,
    /// What is on its way is held here; made when there is something.
    pub(crate) shipping: PathBuf,
    params: PathBuf,
}

impl Workplace {
    /// A fresh one under `root`.
    pub(crate) fn make(root: &Path, seat: &Seat, drawn: &str) -> Result<Self, AgentError> {
        let root =
            std::path::absolute(root).map_err(|source| AgentError::local("find", root, source))?;
        // A random part: on a laptop two attempts may share the root.
        let own = root.join(format!(
            "{}-{}-{}",
            seat.worker.submission,
            seat.worker.attempt,
            drawn.get(..8).unwrap_or(drawn)
        ));
        let workplace = Self {
            data: own.join("data"),
            input: own.join("input"),
            checkpoints: own.join("checkpoints"),
            output: own.join("output"),
            shipping: own.join("shipping"),
            params: own.join("params.json"),
            own,
        };
        for path in [
            &workplace.data,
            &workplace.input,
            &workplace.checkpoints,
            &workplace.output,
        ] {
            folder::make(path).map_err(|error| unwritable(error, &root))?;
        }
        Ok(workplace)
    }

    /// Everything the program needs, on the local disk; the step it resumes from.
    pub(crate) async fn fill(
        &self,
        (store, world): (&impl Store, &impl World),
        patience: Duration,
        seat: &Seat,
        job: JobDocument,
        checkpoint: Option<&Published>,
    ) -> Result<Option<u64>, AgentError> {
        let bucket = seat.bucket.as_str();
        std::fs::write(&self.params, to_json(&job.params)?)
            .map_err(|source| AgentError::local("write", &self.params, source))?;
        let transfer = Transfer::new(store, world);
        let way = (store, world, &transfer);
        if let Some(dataset) = &job.dataset {
            fetch::dataset(way, patience, bucket, dataset, &self.data).await?;
        }
        for input in &job.inputs {
            let from = (bucket, &job.run_id);
            fetch::input(way, patience, from, input, &self.input).await?;
        }
        restore(way, patience, seat, checkpoint, &self.checkpoints).await
    }

    /// What the program is told; `program` goes before the job document's.
    pub(crate) fn launch(
        &self,
        job: &JobDocument,
        shard: Option<u32>,
        program: &[String],
    ) -> Launch {
        let command = if program.is_empty() {
            &job.program
        } else {
            program
        };
        let path = |path: &PathBuf| path.display().to_string();
        Launch {
            command: command.to_vec(),
            variables: vec![
                ("TRAINSPOT_RUN_ID", job.run_id.to_string()),
                ("TRAINSPOT_PIPELINE", job.run_id.pipeline().to_string()),
                ("TRAINSPOT_STAGE", job.stage.to_string()),
                // Outside a fan-out: the one share of one.
                ("TRAINSPOT_SHARD", shard.unwrap_or(0).to_string()),
                ("TRAINSPOT_SHARDS", job.shards.unwrap_or(1).to_string()),
                ("TRAINSPOT_DATA_DIR", path(&self.data)),
                ("TRAINSPOT_INPUT_DIR", path(&self.input)),
                ("TRAINSPOT_CHECKPOINT_DIR", path(&self.checkpoints)),
                ("TRAINSPOT_OUTPUT_DIR", path(&self.output)),
                ("TRAINSPOT_PARAMS", path(&self.params)),
            ],
            checkpoint_dir: self.checkpoints.clone(),
            output_dir: self.output.clone(),
        }
    }
}
