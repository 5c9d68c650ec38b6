//! Why a local cloud did not start, and why a request to it was refused.

use std::path::PathBuf;

/// Why a local cloud did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process holds the folder.
    #[error("open the folder `{}`: another process holds it", folder.display())]
    FolderInUse {
        /// The folder that is held.
        folder: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} `{}`", path.display())]
    File {
        /// What was being done, as a verb.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The template cannot be used.
    #[error("read the template at `{place}`: {why}")]
    Template {
        /// A line, or the path of the resource and property.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// The port could not be opened.
    #[error("listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The container engine does not answer.
    #[error("ask the container engine: {why}")]
    Containers {
        /// What it said.
        why: String,
    },
    /// A record from an earlier start cannot be read.
    #[error("read the record `{}`", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
}

/// Why the local cloud refused what its owner asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The template has no rule or schedule of that name (or its condition is false).
    #[error("deliver a tick of `{0}`: the template has no such schedule")]
    NoSuchRule(String),
    /// The template has no function of that name.
    #[error("invoke `{0}`: the template has no such function")]
    NoSuchFunction(String),
    /// The job is unknown or has no host now.
    #[error("reclaim the host of `{0}`: the job has no host now")]
    NoHost(String),
    /// On-demand hosts are never reclaimed with a notice.
    #[error("reclaim the host of `{0}` with a notice: it is an on-demand host")]
    NotSpot(String),
    /// The template has no job queue of that name.
    #[error("withhold capacity from `{0}`: the template has no such queue")]
    NoSuchQueue(String),
}
