//! Seeded draws, each kind from a source of its own: how often one kind is drawn changes nothing for another.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;

use crate::locked::locked;

/// FNV-1a's constants: a kind's name must give the same number on every machine and with every compiler.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The sources of all kinds.
#[derive(Debug)]
pub(super) struct Draws {
    mixed_seed: u64,
    sources: Mutex<BTreeMap<&'static str, Rng>>,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            // Seeds that people give are neighbours, and their first draws should not be.
            mixed_seed: Rng::with_seed(seed).u64(..),
            sources: Mutex::default(),
        }
    }

    fn draw<T>(&self, kind: &'static str, take: impl FnOnce(&mut Rng) -> T) -> T {
        let mut sources = locked(&self.sources);
        let source = sources
            .entry(kind)
            .or_insert_with(|| Rng::with_seed(self.mixed_seed ^ number_of(kind)));
        take(source)
    }

    /// A number from 0 up to 100.
    pub(super) fn per_cent(&self, kind: &'static str) -> f64 {
        self.draw(kind, Rng::f64) * 100.0
    }

    /// A time up to `longest`.
    pub(super) fn within(&self, kind: &'static str, longest: Duration) -> Duration {
        longest.mul_f64(self.draw(kind, Rng::f64))
    }

    /// A number from 1 to `most`.
    pub(super) fn count(&self, kind: &'static str, most: u32) -> u32 {
        self.draw(kind, |source| source.u32(1..=most.max(1)))
    }

    pub(super) fn coin(&self, kind: &'static str) -> bool {
        self.draw(kind, Rng::bool)
    }
}

fn number_of(kind: &str) -> u64 {
    kind.bytes().fold(OFFSET, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_for_a_kind_whatever_else_is_drawn() {
        let (alone, beside, other) = (Draws::new(7), Draws::new(7), Draws::new(8));
        let some =
            |draws: &Draws| -> Vec<f64> { (0..20).map(|_| draws.per_cent("events")).collect() };
        for _ in 0..5 {
            beside.coin("calls");
        }

        let drawn = some(&alone);

        assert_eq!(drawn, some(&beside));
        assert_ne!(drawn, some(&other));
        assert!(drawn.iter().all(|share| (0.0..100.0).contains(share)));
    }
}
