//! Job records on disk, one file a job, so that they outlive the process.

use std::fs;
use std::io;
use std::sync::Arc;

use super::job::Job;
use crate::errors::StartError;
use crate::folder::Folder;

/// Writes a job's record.
pub(super) fn save(folder: &Folder, job: &Job) -> io::Result<()> {
    let bytes = serde_json::to_vec(job).map_err(io::Error::other)?;
    // An array child's id holds a colon, which not every file system takes.
    let name = format!("{}.json", job.id.replace(':', "."));
    folder.write(&folder.path("batch").join(name), &bytes)
}

/// Reads every record.
pub(super) fn load(folder: &Arc<Folder>) -> Result<Vec<Job>, StartError> {
    let path = folder.path("batch");
    let at = |source| StartError::File {
        doing: "read the records in",
        path: path.clone(),
        source,
    };
    let mut jobs = Vec::new();
    for entry in fs::read_dir(&path).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let bytes = fs::read(&path).map_err(|source| StartError::File {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        let job = serde_json::from_slice(&bytes).map_err(|source| StartError::Record {
            path: path.clone(),
            source,
        })?;
        jobs.push(job);
    }
    Ok(jobs)
}
