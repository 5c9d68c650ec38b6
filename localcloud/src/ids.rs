//! Draws every id of the local cloud from one seeded source, in the forms AWS uses.

use std::fmt::Write as _;
use std::sync::Mutex;

use crate::locked::locked;

/// A seeded source of ids. The same seed over the same number of starts draws the same ids in the same order.
#[derive(Debug)]
pub(crate) struct Ids(Mutex<fastrand::Rng>);

impl Ids {
    /// `start` is the number of times a cloud was started over the folder: without it a second start
    /// with the same seed would draw the ids of jobs that are on record.
    pub(crate) fn new(seed: u64, start: u64) -> Self {
        let mut mixed = fastrand::Rng::with_seed(seed);
        for _ in 0..start {
            mixed = fastrand::Rng::with_seed(mixed.u64(..));
        }
        Self(Mutex::new(mixed))
    }

    /// `n` lower-case hexadecimal digits.
    pub(crate) fn hex(&self, digits: usize) -> String {
        let mut rng = locked(&self.0);
        let mut text = String::with_capacity(digits + 15);
        while text.len() < digits {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:016x}", rng.u64(..));
        }
        text.truncate(digits);
        text
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&self) -> String {
        let h = self.hex(32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &h[..8],
            &h[8..12],
            &h[13..16],
            &h[17..20],
            &h[20..]
        )
    }

    /// An EC2 instance id.
    pub(crate) fn instance(&self) -> String {
        format!("i-{}", self.hex(17))
    }
}
