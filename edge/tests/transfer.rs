//! Files in parts over a store that fails, garbles, counts and shows what is under way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use trainspot_edge::Store;
use trainspot_edge::memory::MemoryStore;
use trainspot_edge::store::{
    Condition, Fetched, Listed, Piece, Put, Span, StoreError, UploadedPart,
};
use trainspot_edge::transfer::{Arrived, Sent, Transfer, Wanted, spans};
use trainspot_edge::world::RealWorld;
use trainspot_shared::digest::sha256_hex;

const BUCKET: &str = "results";
const KEY: &str = "checkpoints/weights";
const PATIENCE: Duration = Duration::from_secs(20);
/// Small ones: it is the same with large ones, and takes longer.
const PART: u64 = 64 << 10;
const IN_FLIGHT: u64 = 12 * PART;

/// What goes wrong, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unreachable,
    Garbled,
}

/// A store in memory that can fail at a part and counts what is under way.
struct Proof {
    store: MemoryStore,
    /// By what is asked for, such as `part 3` or `span 8388608`.
    faults: Mutex<BTreeMap<String, (Fault, usize)>>,
    asked: Mutex<Vec<String>>,
    under_way: AtomicU64,
    most: AtomicU64,
    /// Called once, when the first part goes up.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Proof {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(Timestamp::now),
            faults: Mutex::default(),
            asked: Mutex::default(),
            under_way: AtomicU64::new(0),
            most: AtomicU64::new(0),
            meanwhile: Mutex::new(None),
        }
    }

    fn fail(&self, what: &str, fault: Fault, times: usize) {
        lock(&self.faults).insert(what.to_owned(), (fault, times));
    }

    /// What was asked for since the last time, without the rest.
    fn take_asked(&self, kind: &str) -> Vec<String> {
        let asked = std::mem::take(&mut *lock(&self.asked));
        asked
            .into_iter()
            .filter(|asked| asked.starts_with(kind))
            .collect()
    }

    /// Holds `bytes` for a moment, in which others come to ask.
    async fn carry(&self, what: String, bytes: u64) -> Option<Fault> {
        let now = self.under_way.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.under_way.fetch_sub(bytes, Ordering::SeqCst);
        let mut faults = lock(&self.faults);
        let fault = faults.get_mut(&what).filter(|(_, left)| *left > 0);
        let fault = fault.map(|(fault, left)| {
            *left -= 1;
            *fault
        });
        drop(faults);
        lock(&self.asked).push(what);
        fault
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unreachable(what: &str) -> StoreError {
    StoreError::Unreachable {
        what: what.to_owned(),
        source: std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
    }
}

impl Store for Proof {
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Fetched>, StoreError> {
        self.store.get(bucket, key).await
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        condition: Condition,
    ) -> Result<Put, StoreError> {
        self.store.put(bucket, key, body, condition).await
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.store.list(bucket, prefix).await
    }

    async fn list_folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list_folders(bucket, prefix).await
    }

    async fn get_span(
        &self,
        bucket: &str,
        key: &str,
        span: Span,
        if_match: Option<&str>,
    ) -> Result<Option<Piece>, StoreError> {
        let what = format!("span {}", span.from);
        let fault = self.carry(what.clone(), span.length).await;
        let mut piece = self.store.get_span(bucket, key, span, if_match).await?;
        match (fault, &mut piece) {
            (Some(Fault::Unreachable), _) => return Err(unreachable(&what)),
            (Some(Fault::Garbled), Some(piece)) => {
                let mut bytes = piece.bytes.to_vec();
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                }
                piece.bytes = bytes.into();
            }
            _ => {}
        }
        Ok(piece)
    }

    async fn put_bytes(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<(), StoreError> {
        match self.carry(format!("put {key}"), bytes.len() as u64).await {
            Some(Fault::Unreachable) => Err(unreachable(key)),
            Some(Fault::Garbled) => self.store.put_bytes(bucket, key, bytes, crc32 ^ 1).await,
            None => self.store.put_bytes(bucket, key, bytes, crc32).await,
        }
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String, StoreError> {
        self.store.begin_upload(bucket, key).await
    }

    async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
        crc32: u32,
    ) -> Result<UploadedPart, StoreError> {
        let meanwhile = lock(&self.meanwhile).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let what = format!("part {number}");
        let crc32 = match self.carry(what.clone(), bytes.len() as u64).await {
            Some(Fault::Unreachable) => return Err(unreachable(&what)),
            Some(Fault::Garbled) => crc32 ^ 1,
            None => crc32,
        };
        self.store
            .put_part(bucket, key, upload, number, bytes, crc32)
            .await
    }

    async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        parts: &[UploadedPart],
        crc32: u32,
    ) -> Result<(), StoreError> {
        self.store
            .complete_upload(bucket, key, upload, parts, crc32)
            .await
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<(), StoreError> {
        self.store.abort_upload(bucket, key, upload).await
    }
}

struct Place {
    folder: TempDir,
    proof: Arc<Proof>,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            proof: Arc::new(Proof::new()),
        }
    }

    fn transfer(&self) -> Transfer<'_, Proof, RealWorld> {
        Transfer::of(&*self.proof, &RealWorld, PART, IN_FLIGHT)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of bytes that differ from part to part.
    fn file(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes(size)).expect("the test's own folder is writable");
        path
    }
}

fn bytes(size: u64) -> Vec<u8> {
    let words = (0..size.div_ceil(8)).flat_map(u64::to_le_bytes);
    words
        .take(usize::try_from(size).expect("it fits into memory"))
        .collect()
}

fn wanted<'w>(sent: &'w Sent, if_match: Option<&'w str>) -> Wanted<'w> {
    Wanted {
        bucket: BUCKET,
        key: KEY,
        size: sent.size,
        if_match,
        sha256: Some(&sent.sha256),
        crc32: &sent.crc32,
    }
}

#[tokio::test]
async fn files_of_every_awkward_size_come_back_as_they_went() {
    for size in [0, 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 3 * PART + 7] {
        let place = Place::new();
        let transfer = place.transfer();
        let from = place.file("from", size);

        let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
        let sent = sent.expect("it goes up");
        let to = place.path("to");
        let arrived = transfer.fetch(PATIENCE, &wanted(&sent, None), &to).await;

        assert_eq!(arrived.expect("it comes down"), Arrived::Whole, "{size}");
        let there = std::fs::read(&to).expect("it is there");
        assert!(there == bytes(size), "{size}: other bytes came");
        assert_eq!((sent.size, &sent.sha256), (size, &sha256_hex(&there)));
        assert_eq!(sent.crc32.len(), spans(size, PART).len());
        assert_eq!(place.proof.store.n_uploads(), 0);
    }
}

#[tokio::test]
async fn a_part_that_breaks_off_is_repeated_and_not_the_file() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 4 * PART);
    place.proof.fail("part 2", Fault::Unreachable, 1);
    place.proof.fail("part 3", Fault::Garbled, 1);

    let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
    let sent = sent.expect("a second try goes well");
    let mut up = place.proof.take_asked("part");
    up.sort();
    place
        .proof
        .fail(&format!("span {}", 2 * PART), Fault::Unreachable, 1);
    place.proof.fail(&format!("span {PART}"), Fault::Garbled, 1);
    let to = place.path("to");
    let arrived = transfer.fetch(PATIENCE, &wanted(&sent, None), &to).await;

    assert_eq!(
        up,
        ["part 1", "part 2", "part 2", "part 3", "part 3", "part 4"]
    );
    assert_eq!(arrived.expect("a second try goes well"), Arrived::Whole);
    assert_eq!(
        place.proof.take_asked("span").len(),
        6,
        "four, and two of them again"
    );
    assert!(std::fs::read(&to).expect("it is there") == bytes(4 * PART));
}

#[tokio::test]
async fn what_broke_off_goes_on_and_what_is_there_is_not_sent_again() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 4 * PART);
    place.proof.fail("part 4", Fault::Unreachable, 1);

    let first = transfer.send(Duration::ZERO, (BUCKET, KEY), &from).await;
    place.proof.take_asked("");
    let second = transfer.send(Duration::ZERO, (BUCKET, KEY), &from).await;
    let on_second = place.proof.take_asked("");
    let third = transfer.send(Duration::ZERO, (BUCKET, KEY), &from).await;
    let on_third = place.proof.take_asked("");

    assert!(
        matches!(first, Err(StoreError::Unreachable { .. })),
        "{first:?}"
    );
    assert_eq!(on_second, ["part 4"]);
    assert!(on_third.is_empty(), "{on_third:?}");
    assert_eq!(second.expect("it goes on"), third.expect("it is there"));
    let there = place.proof.store.read(BUCKET, KEY).expect("it is there");
    assert!(there.body == bytes(4 * PART));
}

#[tokio::test]
async fn no_more_bytes_are_held_than_there_is_room_for() {
    let place = Place::new();
    let transfer = place.transfer();
    let size = IN_FLIGHT / 2 + 5;
    let files: Vec<_> = (0..3).map(|n| place.file(&format!("{n}"), size)).collect();

    let keys = ["a", "b", "c"].map(|name| format!("checkpoints/{name}"));
    let uploads = files
        .iter()
        .zip(&keys)
        .map(|(file, key)| transfer.send(PATIENCE, (BUCKET, key), file));
    let sent = futures::future::try_join_all(uploads).await;
    let sent = sent.expect("all go up");
    let most_up = place.proof.most.swap(0, Ordering::SeqCst);
    let to: Vec<_> = (0..3).map(|n| place.path(&format!("to-{n}"))).collect();
    let wanted: Vec<_> = sent
        .iter()
        .zip(&keys)
        .map(|(sent, key)| Wanted {
            key,
            ..wanted(sent, None)
        })
        .collect();
    let fetch = wanted
        .iter()
        .zip(&to)
        .map(|(wanted, to)| transfer.fetch(PATIENCE, wanted, to));
    let arrived = futures::future::try_join_all(fetch).await;
    let most_down = place.proof.most.load(Ordering::SeqCst);

    assert_eq!(arrived.expect("all come down"), [Arrived::Whole; 3]);
    for most in [most_up, most_down] {
        // Bounded, and not one after the other either.
        assert!((2 * PART..=IN_FLIGHT).contains(&most), "{most}");
    }
}

#[tokio::test]
async fn a_file_that_is_written_meanwhile_is_sent_as_it_then_is() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 3 * PART);
    let (path, shorter) = (from.clone(), bytes(2 * PART));
    let now = shorter.clone();
    *lock(&place.proof.meanwhile) = Some(Box::new(move || {
        std::fs::write(path, now).expect("the test's own folder is writable");
    }));

    let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;

    assert_eq!(sent.expect("it came to rest").sha256, sha256_hex(&shorter));
    let there = place.proof.store.read(BUCKET, KEY).expect("it is there");
    assert!(there.body == shorter);
    assert_eq!(
        place.proof.store.n_uploads(),
        0,
        "the first one is forgotten"
    );
}

#[tokio::test]
async fn a_file_that_goes_away_is_sent_to_its_end_and_one_that_is_gone_leaves_nothing_behind() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 3 * PART);
    let path = from.clone();
    *lock(&place.proof.meanwhile) = Some(Box::new(move || {
        std::fs::remove_file(path).expect("it is there");
    }));

    // A file that is open can be read to its end, whoever removes its name.
    let first = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
    let second = transfer.send(PATIENCE, (BUCKET, "another"), &from).await;

    assert_eq!(first.expect("it is sent").size, 3 * PART);
    assert!(matches!(second, Err(StoreError::File { .. })), "{second:?}");
    assert_eq!(place.proof.store.n_uploads(), 0);
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_are_forgotten() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 3 * PART);
    place.proof.fail("part 2", Fault::Unreachable, 1);
    let sent = transfer.send(Duration::ZERO, (BUCKET, KEY), &from).await;
    assert!(sent.is_err(), "{sent:?}");

    transfer.forget_all_but("checkpoints/").await;
    let kept = place.proof.store.n_uploads();
    transfer.forget_all_but("results/").await;

    assert_eq!((kept, place.proof.store.n_uploads()), (1, 0));
}

#[tokio::test]
async fn what_is_not_as_it_was_promised_leaves_nothing_under_its_name() {
    let place = Place::new();
    let transfer = place.transfer();
    for size in [1000, 2 * PART + 1] {
        let from = place.file("from", size);
        let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
        let sent = sent.expect("it goes up");
        let there = place.proof.store.read(BUCKET, KEY).expect("it is there");
        let to = place.path("to");
        let other = sha256_hex(b"other");
        let promises = [
            // Another content, as its parts tell or as the whole does.
            Wanted {
                sha256: Some(&other),
                ..wanted(&sent, None)
            },
            Wanted {
                crc32: &[7],
                sha256: Some(&other),
                ..wanted(&sent, None)
            },
            Wanted {
                size: size + 1,
                ..wanted(&sent, None)
            },
            wanted(&sent, Some("\"another version\"")),
        ];

        for promise in promises {
            let arrived = transfer.fetch(PATIENCE, &promise, &to).await;
            assert_eq!(arrived.expect("the store answers"), Arrived::Other);
        }
        let absent = Wanted {
            key: "nothing",
            ..wanted(&sent, None)
        };
        let absent = transfer.fetch(PATIENCE, &absent, &to).await;
        assert_eq!(absent.expect("the store answers"), Arrived::Absent);
        let left: Vec<_> = std::fs::read_dir(place.folder.path())
            .expect("it is a folder")
            .map(|entry| entry.expect("it can be listed").file_name())
            .collect();
        assert_eq!(left, ["from"]);
        let pinned = wanted(&sent, Some(&there.etag));
        let arrived = transfer.fetch(PATIENCE, &pinned, &to).await;
        assert_eq!(arrived.expect("the store answers"), Arrived::Whole);
        std::fs::remove_file(&to).expect("it is there");
    }
}

#[tokio::test]
async fn a_manifest_of_parts_that_are_cut_otherwise_is_as_good() {
    let place = Place::new();
    for size in [2 * PART, 3 * PART] {
        let from = place.file("from", size);
        let transfer = place.transfer();
        let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
        let cut_otherwise = Sent {
            crc32: vec![1, 2],
            ..sent.expect("it goes up")
        };
        let to = place.path("to");

        let arrived = transfer
            .fetch(PATIENCE, &wanted(&cut_otherwise, None), &to)
            .await;

        assert_eq!(arrived.expect("the store answers"), Arrived::Whole);
        assert!(std::fs::read(&to).expect("it is there") == bytes(size));
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_an_error_when_patience_ends() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 3 * PART);
    let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
    let sent = sent.expect("it goes up");
    place
        .proof
        .fail(&format!("span {PART}"), Fault::Unreachable, usize::MAX);
    let to = place.path("to");

    let arrived = transfer
        .fetch(Duration::ZERO, &wanted(&sent, None), &to)
        .await;

    assert!(
        matches!(arrived, Err(StoreError::Unreachable { .. })),
        "{arrived:?}"
    );
    assert!(!to.exists());
}

#[tokio::test]
async fn a_file_with_the_longest_name_there_is_comes_down() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 2 * PART + 1);
    let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
    let sent = sent.expect("it goes up");
    let to = place.path(&"n".repeat(255));

    let arrived = transfer.fetch(PATIENCE, &wanted(&sent, None), &to).await;

    assert_eq!(arrived.expect("there is room for it"), Arrived::Whole);
    assert_eq!(
        std::fs::read(&to).expect("it is there"),
        bytes(2 * PART + 1)
    );
}

#[tokio::test]
async fn a_file_on_its_way_down_takes_the_name_of_no_other() {
    let place = Place::new();
    let transfer = place.transfer();
    let from = place.file("from", 2 * PART + 1);
    let sent = transfer.send(PATIENCE, (BUCKET, KEY), &from).await;
    let sent = sent.expect("it goes up");
    let paths = ["weights.arriving", "weights"].map(|name| place.path(name));

    for to in &paths {
        let arrived = transfer.fetch(PATIENCE, &wanted(&sent, None), to).await;
        assert_eq!(arrived.expect("the store answers"), Arrived::Whole);
    }

    for there in &paths {
        assert_eq!(
            std::fs::read(there).expect("it is there"),
            bytes(2 * PART + 1)
        );
    }
}
