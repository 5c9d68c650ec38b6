//! The letters that were looked at in one redrive. Pure.
//!
//! SQS hides a letter for a while only: where many functions take their whole time, the first ones are handed out
//! again before the last ones were. Each is sent once, whatever comes back.

use std::collections::BTreeMap;

use super::queue::Received;

/// What is known of a letter's place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// It is there, and hidden under this receipt.
    Stays { receipt: String },
    /// It was deleted.
    Went,
}

/// Every letter that the queue has handed out, by message id.
#[derive(Debug, Default)]
pub(super) struct Pile {
    letters: BTreeMap<String, Place>,
    /// Answers of the queue, the last ones, that held nothing new.
    stale_answers: usize,
}

impl Pile {
    /// Takes an answer of the queue in; gives the letters that nobody has looked at yet.
    pub(super) fn take(&mut self, received: Vec<Received>) -> Vec<Received> {
        let mut fresh = Vec::new();
        for message in received {
            let stays = Place::Stays {
                receipt: message.receipt.clone(),
            };
            match self.letters.get_mut(&message.message_id) {
                // A queue may hand a letter out once more that it has deleted.
                Some(Place::Went) => {}
                // Only the newest receipt gives it back.
                Some(known) => *known = stays,
                None => {
                    self.letters.insert(message.message_id.clone(), stays);
                    fresh.push(message);
                }
            }
        }
        self.stale_answers = if fresh.is_empty() {
            self.stale_answers + 1
        } else {
            0
        };
        fresh
    }

    /// Whether every letter has been looked at: each answer without a new one has hidden one at least of those that
    /// are known, so after as many there is none left to come.
    pub(super) fn is_through(&self) -> bool {
        self.stale_answers > 0 && self.stale_answers >= self.letters.len()
    }

    /// It was deleted.
    pub(super) fn went(&mut self, message: &Received) {
        self.letters.insert(message.message_id.clone(), Place::Went);
    }

    /// Receipts of those that are to be given back.
    pub(super) fn staying(&self) -> impl Iterator<Item = &str> {
        self.letters.values().filter_map(|place| match place {
            Place::Stays { receipt } => Some(receipt.as_str()),
            Place::Went => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, receipt: &str) -> Received {
        Received {
            message_id: id.to_owned(),
            receipt: receipt.to_owned(),
            sent_at: None,
            body: String::new(),
            attributes: BTreeMap::new(),
        }
    }

    fn ids(messages: &[Received]) -> Vec<&str> {
        messages.iter().map(|m| m.message_id.as_str()).collect()
    }

    #[test]
    fn a_letter_that_comes_back_is_not_sent_again_and_given_back_by_its_newest_receipt() {
        let mut pile = Pile::default();

        let first = pile.take(vec![message("a", "1")]);
        assert!(!pile.is_through());
        let again = pile.take(vec![message("a", "2")]);

        assert_eq!((ids(&first), ids(&again)), (vec!["a"], vec![]));
        assert!(pile.is_through());
        assert_eq!(pile.staying().collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn a_new_letter_among_those_that_came_back_is_found() {
        let mut pile = Pile::default();
        pile.take(vec![message("a", "1"), message("b", "1")]);

        let stale = pile.take(vec![message("a", "2")]);
        assert!(stale.is_empty() && !pile.is_through());
        let fresh = pile.take(vec![message("b", "2"), message("c", "1")]);

        assert_eq!(ids(&fresh), ["c"]);
        assert!(!pile.is_through());
    }

    #[test]
    fn a_deleted_letter_is_given_back_by_nobody() {
        let mut pile = Pile::default();
        for message in pile.take(vec![message("a", "1"), message("b", "1")]) {
            if message.message_id == "a" {
                pile.went(&message);
            }
        }

        let again = pile.take(vec![message("a", "2")]);

        assert_eq!(ids(&again), [""; 0]);
        assert_eq!(pile.staying().collect::<Vec<_>>(), ["1"]);
    }
}
