//! The messages of every queue, one file a message, so that they outlive the process. What was received is visible
//! again after a restart, as at-least-once delivery allows.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::errors::StartError;
use crate::folder::Folder;
use crate::happening::Watch;
use crate::ids::Ids;
use crate::locked::locked;
use crate::template::LetterQueue;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) message_id: String,
    pub(super) body: String,
    /// Texts only: nobody sends anything else here.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) sent_at_ms: i64,
    /// Counts the messages of a cloud, so that those of one millisecond have an order.
    sequence: u64,
    #[serde(default)]
    pub(super) received: u32,
    #[serde(skip)]
    hidden_until: Option<Instant>,
}

impl Letter {
    fn is_visible(&self, now: Instant) -> bool {
        self.hidden_until.is_none_or(|until| until <= now)
    }

    /// Good for deleting the message until somebody receives it again.
    pub(super) fn receipt(&self) -> String {
        format!("{}.{}", self.message_id, self.received)
    }
}

/// Every queue's messages.
#[derive(Debug)]
pub(crate) struct Letters {
    queues: Vec<LetterQueue>,
    folder: Arc<Folder>,
    pub(super) ids: Arc<Ids>,
    watch: Arc<Watch>,
    kept: Mutex<BTreeMap<String, Vec<Letter>>>,
    pub(super) arrived: Notify,
}

impl Letters {
    /// Reads what was put away before.
    pub(crate) fn open(
        queues: Vec<LetterQueue>,
        folder: Arc<Folder>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
    ) -> Result<Self, StartError> {
        let mut kept = BTreeMap::new();
        for queue in &queues {
            let path = folder.path("queues").join(&queue.name);
            let at = |source| StartError::File {
                doing: "read the messages in",
                path: path.clone(),
                source,
            };
            fs::create_dir_all(&path).map_err(at)?;
            let mut letters: Vec<Letter> = Vec::new();
            for entry in fs::read_dir(&path).map_err(at)? {
                let path = entry.map_err(at)?.path();
                let bytes = fs::read(&path).map_err(at)?;
                letters.push(serde_json::from_slice(&bytes).map_err(|source| {
                    StartError::Record {
                        path: path.clone(),
                        source,
                    }
                })?);
            }
            letters.sort_by_key(|letter| (letter.sent_at_ms, letter.sequence));
            kept.insert(queue.name.clone(), letters);
        }
        Ok(Self {
            queues,
            folder,
            ids,
            watch,
            kept: Mutex::new(kept),
            arrived: Notify::new(),
        })
    }

    /// A queue by URL, whatever host is in it, or by name or ARN.
    pub(super) fn queue(&self, wanted: &str) -> Option<&LetterQueue> {
        self.queues.iter().find(|queue| {
            wanted == queue.name
                || wanted == queue.arn
                || wanted
                    .rsplit('/')
                    .next()
                    .is_some_and(|name| wanted.contains("://") && name == queue.name)
        })
    }

    /// Puts a message into the queue with this ARN. `false` if the template has none.
    pub(crate) fn send(
        &self,
        queue_arn: &str,
        body: String,
        attributes: BTreeMap<String, String>,
    ) -> bool {
        let Some(queue) = self.queue(queue_arn) else {
            return false;
        };
        let mut kept = locked(&self.kept);
        let letters = kept.entry(queue.name.clone()).or_default();
        let letter = Letter {
            message_id: self.ids.uuid(),
            body,
            attributes,
            sent_at_ms: Timestamp::now().as_millisecond(),
            sequence: letters.last().map_or(1, |last| last.sequence + 1),
            received: 0,
            hidden_until: None,
        };
        self.save(&queue.name, &letter);
        letters.push(letter);
        self.arrived.notify_waiters();
        true
    }

    /// Up to `most` messages that nobody else is at work on, oldest first; they are hidden for `hidden`.
    pub(super) fn receive(&self, queue: &str, most: usize, hidden: Duration) -> Vec<Letter> {
        let now = Instant::now();
        let mut kept = locked(&self.kept);
        let letters = kept.get_mut(queue).map(Vec::as_mut_slice);
        letters
            .unwrap_or_default()
            .iter_mut()
            .filter(|letter| letter.is_visible(now))
            .take(most)
            .map(|letter| {
                letter.received += 1;
                letter.hidden_until = now.checked_add(hidden);
                letter.clone()
            })
            .collect()
    }

    /// Deletes the message of this receipt; one that was received again since then stays.
    pub(super) fn delete(&self, queue: &str, receipt: &str) {
        let mut kept = locked(&self.kept);
        let Some(letters) = kept.get_mut(queue) else {
            return;
        };
        let Some(place) = letters
            .iter()
            .position(|letter| letter.receipt() == receipt)
        else {
            return;
        };
        let letter = letters.remove(place);
        let path = self.path(queue, &letter);
        if let Err(error) = fs::remove_file(path) {
            self.watch.broken("delete a message", &error);
        }
    }

    /// Changes for how long a received message is hidden from now on. `false` if the receipt is good for none.
    pub(super) fn hide(&self, queue: &str, receipt: &str, hidden: Duration) -> bool {
        let mut kept = locked(&self.kept);
        let letter = kept.get_mut(queue).and_then(|letters| {
            letters
                .iter_mut()
                .find(|letter| letter.receipt() == receipt)
        });
        let Some(letter) = letter else {
            return false;
        };
        letter.hidden_until = Instant::now().checked_add(hidden);
        self.arrived.notify_waiters();
        true
    }

    /// How many messages are visible, and how many are hidden.
    pub(super) fn count(&self, queue: &str) -> (usize, usize) {
        let now = Instant::now();
        let kept = locked(&self.kept);
        let letters = kept.get(queue).map(Vec::as_slice).unwrap_or_default();
        let visible = letters
            .iter()
            .filter(|letter| letter.is_visible(now))
            .count();
        (visible, letters.len() - visible)
    }

    /// Every message's body in a queue, oldest first.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        let kept = locked(&self.kept);
        let letters = self.queue(queue).and_then(|queue| kept.get(&queue.name));
        letters
            .into_iter()
            .flatten()
            .map(|letter| letter.body.clone())
            .collect()
    }

    fn path(&self, queue: &str, letter: &Letter) -> std::path::PathBuf {
        self.folder
            .path("queues")
            .join(queue)
            .join(format!("{}.json", letter.message_id))
    }

    fn save(&self, queue: &str, letter: &Letter) {
        let path = self.path(queue, letter);
        let written = serde_json::to_vec_pretty(letter)
            .map_err(std::io::Error::other)
            .and_then(|bytes| self.folder.write(&path, &bytes));
        if let Err(error) = written {
            self.watch.broken("write a message", &error);
        }
    }
}
