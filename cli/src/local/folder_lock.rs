//! Whether another process works in a local cloud's folder, found out without changing anything in it. The
//! cloud takes the lock itself when it starts; this only spares a folder that is held every touch.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

use crate::problem::{Exit, Problem};

/// The local cloud's own lock; see `trainspot-localcloud`.
const LOCK: &str = "lock";

/// Refuses a folder that is held. One that is free, or not there, is fine.
pub(crate) fn refuse_if_held(folder: &Path) -> anyhow::Result<()> {
    let lock = folder.join(LOCK);
    if !lock.is_file() {
        return Ok(());
    }
    let held = File::open(&lock).with_context(|| format!("open `{}`", lock.display()))?;
    match held.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(held_by_another(folder).into()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock `{}`", lock.display()))
        }
    }
}

/// What a person is told then.
pub(crate) fn held_by_another(folder: &Path) -> Problem {
    let sentence = format!(
        "folder `{}` is in use by another trainspot",
        folder.display()
    );
    Problem::new(Exit::InUse, sentence).hint("wait for it to end, or give another --folder")
}
