//! What every story needs: the cloud, its store, and short ways to look at both.

use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use trainspot_edge::aws::Aws;
use trainspot_edge::store::Store as _;
use trainspot_localcloud::PublishedNotice;
use trainspot_shared::identity::RunId;
use trainspot_shared::run::{End, Run};

use crate::local::cloud::Local;
use crate::local::data::{self, DataFile};
use crate::local::follow::{Beat, follow};
use crate::local::narrator::Narrator;
use crate::problem::{Exit, Problem};
use crate::push;
use crate::runs::state;
use crate::spec_file::SpecFile;

/// A run that takes longer than this on a laptop hangs.
const LONGEST_RUN: Duration = Duration::from_mins(10);

/// Where all stories play.
pub(crate) struct Stage {
    /// The cloud.
    pub(crate) local: Local,
    /// Clients that look at it.
    pub(crate) store: Aws,
    /// Who tells what happens.
    pub(crate) narrator: Narrator,
    /// The dataset.
    pub(crate) files: Vec<DataFile>,
}

impl Stage {
    /// Pushes a spec and puts its dataset.
    pub(crate) async fn prepare(&self, spec: &SpecFile) -> Result<(), Problem> {
        push::write(&self.store, &self.store, &self.local.results, spec).await?;
        if let Some(wanted) = &spec.pipeline.data {
            let put = data::put(
                (&self.store, &self.store),
                &self.local.data,
                wanted,
                &self.files,
            )
            .await;
            put.map_err(|error| Problem::new(Exit::Data, format!("{error:#}")))?;
        }
        Ok(())
    }

    /// Follows a run to its end.
    pub(crate) async fn follow(
        &self,
        run: &RunId,
        each: impl AsyncFnMut(&Beat) -> Result<(), Problem>,
    ) -> Result<Run, Problem> {
        follow(
            &self.local,
            &self.store,
            run,
            &self.narrator,
            Some(LONGEST_RUN),
            each,
        )
        .await
    }

    /// A JSON document in the results bucket; null when it is not there.
    pub(crate) async fn document(&self, key: &str) -> Result<Value, Problem> {
        let Some(fetched) = self.store.get(&self.local.results, key).await? else {
            return Ok(Value::Null);
        };
        serde_json::from_slice(&fetched.body).map_err(|error| {
            Problem::new(Exit::Data, format!("document `{key}` is not JSON: {error}"))
        })
    }

    /// Whether there is such an object in the results bucket.
    pub(crate) async fn has(&self, key: &str) -> Result<bool, Problem> {
        Ok(self.store.get(&self.local.results, key).await?.is_some())
    }

    /// The notices of one kind about a run.
    pub(crate) fn notices(&self, run: &RunId, kind: &str) -> Vec<PublishedNotice> {
        let about = |notice: &PublishedNotice| {
            notice
                .attributes
                .get("kind")
                .is_some_and(|known| known == kind)
                && notice.message.contains(&run.to_string())
        };
        self.local
            .cloud
            .notices()
            .into_iter()
            .filter(about)
            .collect()
    }
}

/// The end in one line, with the reason of a bad one.
pub(crate) fn end(run: &Run) -> String {
    match &run.end {
        Some(End::Failed {
            stage,
            class,
            evidence,
        }) => {
            let stage = stage.map_or(String::new(), |stage| format!("{stage}, "));
            format!("failed ({stage}{}, {evidence})", class.as_str())
        }
        _ => state(run),
    }
}

/// The last two times at which the template's schedule was due, older first: Mondays and Fridays at 2:00.
pub(crate) fn last_two_ticks(now: Timestamp) -> [Timestamp; 2] {
    let last = |day: Weekday| {
        let now = now.to_zoned(TimeZone::UTC);
        let mut at = now.date().at(2, 0, 0, 0);
        while at.weekday() != day || at > now.datetime() {
            at = at.saturating_sub(SignedDuration::from_hours(24));
        }
        at.to_zoned(TimeZone::UTC)
            .map_or(Timestamp::UNIX_EPOCH, |at| at.timestamp())
    };
    let mut ticks = [last(Weekday::Monday), last(Weekday::Friday)];
    ticks.sort();
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_the_last_monday_and_friday_at_two() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a valid time");
        let cases = [
            (
                "2026-11-21T12:00:00Z",
                "2026-11-16T02:00:00Z",
                "2026-11-20T02:00:00Z",
            ),
            (
                "2026-11-23T01:59:00Z",
                "2026-11-16T02:00:00Z",
                "2026-11-20T02:00:00Z",
            ),
            (
                "2026-11-23T02:00:00Z",
                "2026-11-20T02:00:00Z",
                "2026-11-23T02:00:00Z",
            ),
        ];
        for (now, older, newer) in cases {
            assert_eq!(last_two_ticks(at(now)), [at(older), at(newer)], "{now}");
        }
    }
}
