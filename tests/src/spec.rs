//! The pipeline of the stories: small, with every part that a story needs.

use std::fmt;

/// Written to `pipelines/<name>.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    name: &'static str,
    prefix: &'static str,
    overlap: &'static str,
    wait_for: Option<&'static str>,
    is_train_only: bool,
    shards: u32,
    within: &'static str,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            name: "recommender",
            prefix: "interactions/",
            overlap: "skip",
            wait_for: None,
            is_train_only: false,
            shards: 4,
            within: "24h",
        }
    }
}

impl Spec {
    /// `true`, trained.
    pub fn train_only() -> Self {
        Self {
            is_train_only: true,
            ..Self::default()
        }
    }

    /// Of another pipeline, whose data lies elsewhere.
    #[must_use]
    pub fn named(self, name: &'static str, prefix: &'static str) -> Self {
        Self {
            name,
            prefix,
            ..self
        }
    }

    /// `skip`, `queue` or `allow`.
    #[must_use]
    pub fn overlap(self, overlap: &'static str) -> Self {
        Self { overlap, ..self }
    }

    /// Such as `2h`.
    #[must_use]
    pub fn waiting_for_data(self, wait_for: &'static str) -> Self {
        Self {
            wait_for: Some(wait_for),
            ..self
        }
    }

    /// Of the fan-out.
    #[must_use]
    pub fn shards(self, shards: u32) -> Self {
        Self { shards, ..self }
    }

    /// The deadline after the tick.
    #[must_use]
    pub fn within(self, within: &'static str) -> Self {
        Self { within, ..self }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name = \"{}\"", self.name)?;
        writeln!(f, "overlap = \"{}\"", self.overlap)?;
        writeln!(f, "within = \"{}\"", self.within)?;
        let told = [
            "failed",
            "succeeded",
            "kept_champion",
            "moved",
            "skipped",
            "late",
            "cancelled",
            "at_risk",
        ];
        if self.is_train_only {
            writeln!(
                f,
                "[train]\nprogram = [\"true\"]\ngpus = 0\nvcpus = 1\nmemory_gib = 2\ntimeout = \"1h\""
            )?;
        } else {
            writeln!(
                f,
                "[data]\nprefix = \"{}\"\nskip_if_unchanged = true",
                self.prefix
            )?;
            if let Some(wait_for) = self.wait_for {
                writeln!(f, "wait_for = \"{wait_for}\"")?;
            }
            writeln!(
                f,
                "[train]\nprogram = [\"train\"]\ngpus = 1\nvcpus = 4\nmemory_gib = 15\nmax_memory_gib = 60\ntimeout = \"6h\""
            )?;
            writeln!(f, "[evaluate]\nprogram = [\"evaluate\"]")?;
            writeln!(
                f,
                "[evaluate.gate]\nmetric = \"ndcg_at_10\"\nmin_gain = 0.01"
            )?;
            writeln!(
                f,
                "[recommend]\nprogram = [\"recommend\"]\nshards = {}",
                self.shards
            )?;
        }
        writeln!(f, "[notify]\non = {told:?}")
    }
}
