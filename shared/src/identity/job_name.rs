//! The name under which a submission runs in Batch.

use std::fmt;
use std::str::FromStr;

use super::{IdentityError, RunId, Stage};

/// `<run id>--<stage>-<submission>`; at most 128 characters, as Batch demands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName {
    /// The run it works for.
    pub run: RunId,
    /// The stage it works on.
    pub stage: Stage,
    /// The n-th submission of that stage, from 1.
    pub submission: u32,
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}--{}-{}", self.run, self.stage, self.submission)
    }
}

impl FromStr for JobName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || IdentityError::JobName(text.to_owned());
        let (run, rest) = text.rsplit_once("--").ok_or_else(wrong)?;
        let (stage, n) = rest.split_once('-').ok_or_else(wrong)?;
        let name = Self {
            run: run.parse().map_err(|_| wrong())?,
            stage: stage.parse().map_err(|_| wrong())?,
            submission: n.parse().map_err(|_| wrong())?,
        };
        if name.submission >= 1 && name.to_string() == text {
            Ok(name)
        } else {
            Err(wrong())
        }
    }
}

super::serde_as_text!(JobName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn foreign_job_names_are_not_ours() {
        for text in [
            "event-test",
            "cpu-stress-test-1760707009",
            "recommender-20261123T0200Z--train-0",
            "recommender-20261123T0200Z--train-01",
            "recommender-20261123T0200Z--teach-1",
            "recommender-20261123T0200Z-train-1",
        ] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_job_name_survives_the_round_trip_and_fits_batch(
            name in "[a-z][a-z0-9-]{0,39}", hex in "[0-9a-f]{32}", n in 1_u32..10_000, stage in 0_usize..4,
        ) {
            let run: RunId = format!("{name}-20261123T0200Z-m{hex}-r9999").parse().expect("made to fit");
            let job = JobName { run, stage: Stage::ALL[stage], submission: n };
            let text = job.to_string();

            prop_assert!(text.len() <= 128, "{}", text);
            prop_assert_eq!(text.parse::<JobName>(), Ok(job));
        }
    }
}
