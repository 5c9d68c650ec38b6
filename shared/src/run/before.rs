//! What other runs of the pipeline saw: what a run's own sight of the data bucket is held against.

use jiff::Timestamp;

use super::Run;
use crate::pipeline::DataSpec;
use crate::pipeline_head::{LastSuccess, Origin, PipelineHead, TakenMarker};

/// Of the pipeline's head, and of the runs that have not written into it yet what they saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenBefore {
    /// For skip-if-unchanged.
    pub last_success: Option<LastSuccess>,
    /// The newest marker that a run went by, or could have.
    pub marker: Option<TakenMarker>,
}

impl SeenBefore {
    /// `others` are the runs of the head's entries: each stands there until the head has what it saw.
    pub fn of<'r>(head: &PipelineHead, others: impl IntoIterator<Item = &'r Run>) -> Self {
        let mut seen = Self {
            last_success: head.last_success.clone(),
            marker: head.last_marker.clone(),
        };
        for run in others {
            if let Some(success) = run.success()
                && success.follows(seen.last_success.as_ref())
            {
                seen.last_success = Some(success);
            }
            if let Some(marker) = run.marker()
                && marker.follows(seen.marker.as_ref())
            {
                seen.marker = Some(marker);
            }
        }
        seen
    }
}

impl Run {
    /// Why the data is not there for this run, in a sentence; none if it is. `marker` is when the marker at
    /// `uri` was written.
    ///
    /// Nobody removes a marker, so the one of the last export lies there still while the next one is on its
    /// way. For a schedule's run it counts only if no run took it before; a person who asks for a run means
    /// what is there.
    pub fn why_not_ready(
        &self,
        data: &DataSpec,
        uri: &str,
        marker: Option<Timestamp>,
        before: &SeenBefore,
    ) -> Option<String> {
        data.wait_for_s?;
        let Some(at) = marker else {
            return Some(format!("there is no {uri} yet"));
        };
        let taken = before.marker.as_ref().filter(|taken| at <= taken.at)?;
        match self.origin {
            Origin::Manual { .. } => None,
            Origin::Tick | Origin::LostTick => Some(format!(
                "{uri} is of {at}, and run {} took it: the next export is whole when it is written anew",
                taken.run_id
            )),
        }
    }

    /// The marker that lay there when this run's data was pinned: taken, whatever became of the run.
    pub(super) fn marker(&self) -> Option<TakenMarker> {
        Some(TakenMarker {
            run_id: self.id.clone(),
            at: self.dataset.as_ref()?.ready_at?,
        })
    }

    /// From when on it waits for its data: a schedule's run from its tick, and one that a person asked for from
    /// then on. A retry's tick may be of last week.
    pub(super) fn waits_from(&self) -> Timestamp {
        match self.origin {
            Origin::Manual { .. } => self.created_at,
            Origin::Tick | Origin::LostTick => self.id.tick().start(),
        }
    }
}
