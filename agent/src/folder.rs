//! What lies in a local folder: every regular file, by its name below it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::AgentError;

/// A file below a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalFile {
    /// With `/` between folders.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// In bytes, when it was listed.
    pub(crate) size: u64,
}

/// Every file below `folder`, sorted by name. A link to a file counts as the file; a link to a
/// folder, a socket or a pipe is named in the log and left out. No folder is no files.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<LocalFile>, AgentError> {
    list(folder, |name| {
        tracing::warn!("`{name}` is no file and is left out");
    })
}

/// The same, for whoever looks every few seconds: what is left out is not said again.
pub(crate) fn files_below_so_far(folder: &Path) -> Result<Vec<LocalFile>, AgentError> {
    list(folder, |_| {})
}

fn list(folder: &Path, leave_out: impl Fn(&str)) -> Result<Vec<LocalFile>, AgentError> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = open.pop() {
        let failed = |source| AgentError::local("list folder", &path, source);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && prefix.is_empty() => {
                return Ok(found);
            }
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(AgentError::BadData(format!(
                    "file name `{}` is not UTF-8",
                    entry.path().display()
                )));
            };
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else if kind.is_file() || entry.path().is_file() {
                // One that is gone by now is missed when it is read.
                let size = fs::metadata(entry.path()).map_or(0, |seen| seen.len());
                found.push(LocalFile {
                    name,
                    path: entry.path(),
                    size,
                });
            } else {
                leave_out(&name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes every file below `folder` that is not among `names`, and every folder that is then empty.
pub(crate) fn keep_only<'n>(
    folder: &Path,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), AgentError> {
    let names: BTreeSet<&str> = names.collect();
    for file in files_below(folder)? {
        if names.contains(file.name.as_str()) {
            continue;
        }
        fs::remove_file(&file.path)
            .map_err(|source| AgentError::local("remove", &file.path, source))?;
        let mut parent = file.path.parent();
        while let Some(empty) = parent.filter(|parent| *parent != folder) {
            if fs::remove_dir(empty).is_err() {
                break; // It holds other files.
            }
            parent = empty.parent();
        }
    }
    Ok(())
}

/// Makes a folder and all above it.
pub(crate) fn make(path: &Path) -> Result<(), AgentError> {
    fs::create_dir_all(path).map_err(|source| AgentError::local("make folder", path, source))
}

/// Removes a folder with all in it; none is fine.
pub(crate) fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(AgentError::local("remove folder", path, source))
        }
        _ => Ok(()),
    }
}
