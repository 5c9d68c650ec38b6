//! A file's name below a folder, from a key or a manifest: outside data, so it may not climb out.

use std::path::{Path, PathBuf};

/// The local path of `name` under `folder`; `None` unless each part of it is a plain name.
pub(crate) fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let is_plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    name.split('/').all(is_plain).then(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_lie_below() {
        let folder = Path::new("/srv/data");

        assert_eq!(
            below(folder, "a.parquet"),
            Some(PathBuf::from("/srv/data/a.parquet"))
        );
        assert_eq!(
            below(folder, "y=2026/b..c"),
            Some(PathBuf::from("/srv/data/y=2026/b..c"))
        );
        // Here it parts no names, and a program may have used it.
        assert_eq!(below(folder, r"a\b"), Some(PathBuf::from(r"/srv/data/a\b")));
    }

    #[test]
    fn nothing_climbs_out() {
        for name in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\0b",
        ] {
            assert_eq!(below(Path::new("/srv/data"), name), None, "{name:?}");
        }
    }
}
