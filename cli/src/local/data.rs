//! A dataset's way from a folder into the data bucket: looked at whole before the first byte is put.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use md5::{Digest as _, Md5};
use trainspot_edge::World;
use trainspot_edge::store::{Condition, Listed, Store};
use trainspot_edge::transfer::{self, Transfer};
use trainspot_shared::dataset::READY;
use trainspot_shared::pipeline::{DataSpec, Pipeline};

use crate::parquet_footer::{self, FooterError};
use crate::problem::{Exit, Problem};

/// What every Parquet file that the reference trainer reads has; `weight` may be there too.
const COLUMNS: [&str; 3] = ["user_id", "item_id", "timestamp"];
const PIECE: usize = 1 << 16;
/// A cloud on this machine answers, or is gone.
const PATIENCE: Duration = Duration::ZERO;

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Below the folder, with `/`.
    pub(crate) name: String,
}

/// What putting did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PutFiles {
    /// Files that were new or other than before.
    pub(crate) put: usize,
    /// Files that were there already.
    pub(crate) unchanged: usize,
    /// Objects under the prefix that are none of the files: the dataset has them too.
    pub(crate) others: usize,
}

/// The command line of the reference trainer, whatever the Python is called.
const REFERENCE: [&str; 2] = ["-m", "trainer"];

/// Whether the reference trainer reads the dataset: what another program wants to see in it is its own affair.
pub(crate) fn is_for_reference(pipeline: &Pipeline) -> bool {
    let program = &pipeline.train.program;
    program
        .windows(REFERENCE.len())
        .any(|words| words == REFERENCE)
}

/// The files of a dataset's folder; with `is_checked`, each for the reference trainer's columns. Hidden ones and a
/// marker are left out.
pub(crate) fn files(folder: &Path, is_checked: bool) -> anyhow::Result<Vec<DataFile>> {
    if !folder.is_dir() {
        let sentence = format!("dataset folder `{}` is not there", folder.display());
        return Err(Problem::new(Exit::Data, sentence)
            .hint("`python -m trainer import` makes one")
            .into());
    }
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    if files.is_empty() {
        let sentence = format!("dataset folder `{}` holds no file", folder.display());
        return Err(Problem::new(Exit::Data, sentence)
            .hint("`python -m trainer import` fills one")
            .into());
    }
    let is_parquet = |file: &&DataFile| file.name.ends_with(".parquet");
    for file in files.iter().filter(is_parquet).filter(|_| is_checked) {
        check_columns(&file.path)?;
    }
    Ok(files)
}

fn collect(folder: &Path, below: &str, files: &mut Vec<DataFile>) -> anyhow::Result<()> {
    let doing = || format!("read dataset folder `{}`", folder.display());
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let sentence = format!("`{}`: a file's name is not UTF-8", path.display());
            return Err(Problem::new(Exit::Data, sentence).into());
        };
        if name.starts_with('.') || name == READY {
            continue;
        }
        let name = format!("{below}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            files.push(DataFile { path, name });
        }
    }
    Ok(())
}

fn check_columns(path: &Path) -> Result<(), Problem> {
    let shown = path.display();
    let has = parquet_footer::columns(path).map_err(|error| match error {
        FooterError::File(error) => {
            Problem::new(Exit::Data, format!("`{shown}` cannot be read: {error}"))
        }
        FooterError::Shape => {
            Problem::new(Exit::Data, format!("`{shown}` is not a whole Parquet file"))
                .hint("it was cut off or is something else; write it again")
        }
    })?;
    match COLUMNS
        .iter()
        .find(|wanted| !has.iter().any(|column| column == *wanted))
    {
        None => Ok(()),
        Some(missing) => {
            let sentence = format!(
                "`{shown}` has no column `{missing}`; it has: {}",
                has.join(", ")
            );
            Err(Problem::new(Exit::Data, sentence).hint(format!(
                "a dataset has the columns {}, and may have `weight`",
                COLUMNS.join(", ")
            )))
        }
    }
}

/// Puts the files under the pipeline's prefix, and `_READY` last if the pipeline waits for it: anew, as the next
/// tick waits for a newer one. What is there with the same bytes stays as it is, so that its `ETag` tells of no
/// change.
pub(crate) async fn put(
    (store, world): (&impl Store, &impl World),
    bucket: &str,
    spec: &DataSpec,
    files: &[DataFile],
) -> anyhow::Result<PutFiles> {
    let prefix = &spec.prefix;
    let listed = store.list(bucket, prefix).await.map_err(Problem::from)?;
    let mut done = PutFiles::default();
    let transfer = Transfer::new(store, world);
    for file in files {
        let key = format!("{prefix}{}", file.name);
        if is_there(&listed, &key, &etag_of(&file.path)?) {
            done.unchanged += 1;
        } else {
            transfer
                .send(PATIENCE, (bucket, &key), &file.path)
                .await
                .map_err(Problem::from)?;
            done.put += 1;
        }
    }
    let ready = format!("{prefix}{READY}");
    let is_ours = |key: &str| {
        key == ready
            || files
                .iter()
                .any(|file| key == format!("{prefix}{}", file.name))
    };
    done.others = listed.iter().filter(|there| !is_ours(&there.key)).count();
    if spec.wait_for_s.is_some() {
        store
            .put(bucket, &ready, Vec::new(), Condition::Always)
            .await
            .map_err(Problem::from)?;
    }
    Ok(done)
}

fn is_there(listed: &[Listed], key: &str, etag: &str) -> bool {
    listed
        .iter()
        .any(|there| there.key == key && there.etag == etag)
}

/// An object's `ETag` as the store makes it, in quotes: its MD5; of one that was sent in parts, the MD5 of the
/// parts' and how many they were.
fn etag_of(path: &Path) -> anyhow::Result<String> {
    let doing = || format!("read `{}`", path.display());
    let mut file = File::open(path).with_context(doing)?;
    let size = file.metadata().with_context(doing)?.len();
    let mut digests = Vec::new();
    for span in transfer::spans(size, transfer::PART) {
        digests.push(md5_of(&mut file, span.length).with_context(doing)?);
    }
    if let [whole] = digests.as_slice() {
        return Ok(format!("\"{}\"", hex::encode(whole)));
    }
    let all = Md5::digest(digests.concat());
    Ok(format!("\"{}-{}\"", hex::encode(all), digests.len()))
}

/// Of the next `length` bytes.
fn md5_of(file: &mut File, length: u64) -> std::io::Result<[u8; 16]> {
    let mut digest = Md5::new();
    let mut left = file.take(length);
    let mut piece = vec![0; PIECE];
    loop {
        let n = left.read(&mut piece)?;
        let Some(read) = piece.get(..n).filter(|read| !read.is_empty()) else {
            return Ok(digest.finalize().into());
        };
        digest.update(read);
    }
}

#[cfg(test)]
mod tests {
    use trainspot_edge::memory::MemoryStore;
    use trainspot_edge::world::RealWorld;

    use super::*;

    const BUCKET: &str = "data";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (name, body) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the folder"))
                .expect("it can be made");
            std::fs::write(path, body).expect("it can be written");
        }
        folder
    }

    fn spec() -> DataSpec {
        DataSpec {
            prefix: "clicks/".to_owned(),
            wait_for_s: Some(60),
            skip_if_unchanged: true,
        }
    }

    #[tokio::test]
    async fn a_dataset_is_put_under_its_prefix_with_the_marker_last() {
        let store = MemoryStore::new(jiff::Timestamp::now);
        let folder = folder(&[("a.csv", "1"), ("b/c.csv", "2"), (".hidden", "3")]);
        let files = files(folder.path(), true).expect("files that may be put");

        let done = put((&store, &RealWorld), BUCKET, &spec(), &files)
            .await
            .expect("the store answers");
        let fewer = put((&store, &RealWorld), BUCKET, &spec(), &files[..1])
            .await
            .expect("the store answers");

        assert_eq!(
            done,
            PutFiles {
                put: 2,
                unchanged: 0,
                others: 0
            }
        );
        assert_eq!(
            store.keys(BUCKET),
            ["clicks/_READY", "clicks/a.csv", "clicks/b/c.csv"]
        );
        assert_eq!(
            fewer.others, 1,
            "the other file is still part of the dataset"
        );
    }

    #[tokio::test]
    async fn the_marker_is_written_anew_with_files_that_did_not_change_too() {
        let seconds = std::sync::atomic::AtomicI64::new(0);
        let store = MemoryStore::new(move || {
            let now = seconds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(now)
        });
        let folder = folder(&[("a.csv", "1")]);
        let files = files(folder.path(), true).expect("files that may be put");
        let mut written = Vec::new();

        for _ in 0..2 {
            put((&store, &RealWorld), BUCKET, &spec(), &files)
                .await
                .expect("the store answers");
            let listed = store.list(BUCKET, "clicks/_READY").await.expect("a list");
            written.extend(listed.iter().map(|marker| marker.last_modified));
        }

        assert!(written[0] < written[1], "{written:?}");
    }

    #[test]
    fn only_the_same_bytes_under_the_same_key_are_there_already() {
        let folder = folder(&[("a.csv", "1")]);
        let etag = etag_of(&folder.path().join("a.csv")).expect("a readable file");
        let listed = [Listed {
            key: "clicks/a.csv".to_owned(),
            size: 1,
            etag: "\"c4ca4238a0b923820dcc509a6f75849b\"".to_owned(),
            last_modified: jiff::Timestamp::UNIX_EPOCH,
        }];

        assert!(is_there(&listed, "clicks/a.csv", &etag));
        assert!(!is_there(&listed, "clicks/b.csv", &etag));
        assert!(!is_there(&listed, "clicks/a.csv", "\"other\""));
    }

    #[test]
    fn an_empty_or_missing_folder_is_bad_data() {
        let empty = folder(&[("_READY", "")]);
        for path in [empty.path().to_owned(), empty.path().join("missing")] {
            let error = files(&path, true).expect_err("nothing to put");

            let problem = error.downcast::<Problem>().expect("a problem for a person");
            assert_eq!(problem.exit, Exit::Data);
        }
    }

    #[test]
    fn columns_are_the_reference_trainers_affair_and_nobody_elses() {
        let with = |program: &str| {
            let text = format!("name = \"p\"\n[train]\nprogram = {program}\n");
            Pipeline::parse(&text).expect("a spec")
        };
        let folder = folder(&[("a.parquet", "of somebody else's making")]);

        let reference = is_for_reference(&with(r#"["python3", "-m", "trainer", "train"]"#));
        let own = is_for_reference(&with(r#"["python", "-m", "fit"]"#));

        assert!(reference && !own);
        assert!(files(folder.path(), reference).is_err());
        assert!(files(folder.path(), own).is_ok());
    }
}
