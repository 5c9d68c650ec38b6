//! Asynchronous invocations that were accepted, one file each until they are done or given up, so that they outlive
//! the process as they outlive a host of Lambda's. A restart counts the tries anew.

use std::fs;
use std::io;
use std::path::PathBuf;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};

use crate::errors::StartError;
use crate::folder::Folder;
use crate::template::Function;

/// An accepted invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Accepted {
    pub(super) request_id: String,
    /// Its logical id.
    pub(super) function: String,
    /// JSON, as it came in.
    pub(super) payload: String,
}

impl Accepted {
    pub(super) fn new(request_id: &str, function: &Function, payload: &Bytes) -> Self {
        Self {
            request_id: request_id.to_owned(),
            function: function.logical_id.clone(),
            payload: String::from_utf8_lossy(payload).into_owned(),
        }
    }

    pub(super) fn save(&self, folder: &Folder) -> io::Result<()> {
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        folder.write(&self.path(folder), &bytes)
    }

    pub(super) fn remove(&self, folder: &Folder) -> io::Result<()> {
        match fs::remove_file(self.path(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What earlier processes left.
    pub(super) fn load(folder: &Folder) -> Result<Vec<Self>, StartError> {
        let path = folder.path("accepted");
        let at = |source| StartError::File {
            doing: "read the accepted invocations in",
            path: path.clone(),
            source,
        };
        let mut all: Vec<Self> = Vec::new();
        for entry in fs::read_dir(&path).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let bytes = fs::read(&path).map_err(at)?;
            all.push(
                serde_json::from_slice(&bytes)
                    .map_err(|source| StartError::Record { path, source })?,
            );
        }
        Ok(all)
    }

    fn path(&self, folder: &Folder) -> PathBuf {
        folder
            .path("accepted")
            .join(format!("{}.json", self.request_id))
    }
}
