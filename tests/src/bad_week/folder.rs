//! Where the agents of a week have their folders.

use std::path::Path;

use tempfile::TempDir;

/// In memory where the system has such a place: a thousand weeks make a million small files.
const IN_MEMORY: &str = "/dev/shm";

/// Removed when it is dropped.
pub(super) fn make() -> std::io::Result<TempDir> {
    let in_memory = Path::new(IN_MEMORY);
    if in_memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(in_memory)
    {
        return Ok(folder);
    }
    tempfile::tempdir()
}
