//! The demo begins in an empty folder: a tick that was run before would be no news. It empties only what an
//! earlier demo left, and only while nobody works in it.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::local::folder_lock;
use crate::problem::{Exit, Problem};

/// Says that the folder is a demo's.
const MARK: &str = "made-by-the-demo";

/// Empties the folder, or makes it.
pub(crate) fn make_ready(folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("read folder `{shown}`")),
    };
    if !is_empty {
        if !folder.join(MARK).is_file() {
            let sentence = format!("folder `{shown}` holds something that is not the demo's");
            return Err(Problem::new(Exit::Configuration, sentence)
                .hint("give another --folder")
                .into());
        }
        empty(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("make folder `{shown}`"))?;
    fs::write(folder.join(MARK), "").with_context(|| format!("write into folder `{shown}`"))
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    folder_lock::refuse_if_held(folder)?;
    fs::remove_dir_all(folder).with_context(|| format!("empty folder `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    /// As the local cloud calls it.
    const LOCK: &str = "lock";

    #[test]
    fn only_an_earlier_demos_folder_is_emptied() {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = place.path().join("demo");
        make_ready(&folder).expect("a new folder");
        fs::write(folder.join("state"), "old").expect("it can be written");

        make_ready(&folder).expect("its own folder");
        assert!(!folder.join("state").exists());

        let other = place.path().join("other");
        fs::create_dir(&other).expect("it can be made");
        fs::write(other.join("thesis"), "precious").expect("it can be written");
        make_ready(&other).expect_err("somebody else's folder");
        assert!(other.join("thesis").exists());
    }

    #[test]
    fn a_folder_that_is_worked_in_is_left_alone() {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = place.path().join("demo");
        make_ready(&folder).expect("a new folder");
        let lock = File::create(folder.join(LOCK)).expect("it can be made");
        lock.lock().expect("it is free");

        let error = make_ready(&folder).expect_err("it is held");

        let problem = error.downcast::<Problem>().expect("a problem for a person");
        assert_eq!(problem.exit, Exit::InUse);
        assert!(folder.join(LOCK).exists());
    }
}
