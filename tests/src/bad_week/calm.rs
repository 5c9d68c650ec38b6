//! When all is at rest, and what must hold then.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use trainspot_edge::memory::BatchJob;
use trainspot_shared::batch_event::ArrayRole;
use trainspot_shared::identity::{RunId, Tick};
use trainspot_shared::layout;
use trainspot_shared::pipeline_head::Origin;

use super::BadWeek;
use super::happens::Happens;
use super::watch::{Checked, violated};
use crate::door::Door;

/// A due tick is made up by then, in the worst week.
const MADE_UP_WITHIN: SignedDuration = SignedDuration::from_hours(3);

impl<D: Door> BadWeek<D> {
    /// Nobody works, nothing is on its way, no run is live. A tick may be due later.
    pub(super) fn is_idle(&self) -> bool {
        self.simulation.is_empty()
            && self.edge.next_moment().is_none()
            && self.agenda.iter().all(|(_, item)| {
                matches!(
                    item,
                    Happens::Sweep
                        | Happens::Tick { .. }
                        | Happens::Data { .. }
                        | Happens::Person(_)
                        | Happens::ForeignJob(_)
                )
            })
            && self
                .watch
                .pipelines
                .values()
                .all(|head| head.entries.is_empty())
            && self
                .due_ticks()
                .all(|run| self.watch.ledgers.contains_key(&run))
    }

    /// The next thing that is planned, whatever happens.
    pub(super) fn next_tick(&self) -> Option<Timestamp> {
        let planned = self
            .agenda
            .iter()
            .find(|(_, item)| !matches!(item, Happens::Sweep));
        // A tick that nobody delivers is found once it is ten minutes old.
        planned.map(|(at, _)| at + SignedDuration::from_mins(11))
    }

    /// Trouble is over and there is nothing left to do.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_calm()
            && self.simulation.is_empty()
            && self.edge.next_moment().is_none()
            && self.agenda.iter().all(|(_, item)| {
                matches!(
                    item,
                    Happens::Sweep | Happens::TimeOut(_) | Happens::Fate(..)
                )
            })
            && self
                .watch
                .pipelines
                .values()
                .all(|head| head.entries.is_empty())
            && !self.watch.has_pending()
            && self.now() > self.plan.calm_at + SignedDuration::from_mins(30)
    }

    /// Every tick that is due by now and that nobody may have paused away.
    fn due_ticks(&self) -> impl Iterator<Item = RunId> {
        let now = self.now();
        self.plan.pipelines.iter().flat_map(move |pipeline| {
            let pauses = self.pauses.get(pipeline.name.as_str());
            let is_paused = move |tick: Timestamp| {
                pauses.into_iter().flatten().any(|(since, until)| {
                    *since < tick + MADE_UP_WITHIN && until.is_none_or(|until| until > tick)
                })
            };
            let due = pipeline.ticks.iter().copied();
            due.filter(move |tick| *tick <= now && !is_paused(*tick))
                .map(|tick| RunId::scheduled(pipeline.name.clone(), Tick::containing(tick)))
        })
    }

    /// Everything ended, was told, and left nothing behind.
    pub(super) fn check_rest(&self) -> Checked {
        for run in self.due_ticks() {
            if !self.watch.ledgers.contains_key(&run) {
                return violated(format!("{run} was due, and there is no run"));
            }
        }
        let told: BTreeSet<String> = self.edge.told().into_iter().map(|n| n.id).collect();
        let is_tick = |id: &RunId| {
            let mut planned = self.plan.pipelines.iter();
            planned.any(|p| {
                p.ticks
                    .iter()
                    .any(|tick| RunId::scheduled(p.name.clone(), Tick::containing(*tick)) == *id)
            })
        };
        for (id, run) in &self.watch.ledgers {
            let Some(end) = &run.end else {
                return violated(format!("{id} did not end: {:?}", run.phase));
            };
            if !matches!(run.origin, Origin::Manual { .. }) && !is_tick(id) {
                return violated(format!("{id} is the run of no tick"));
            }
            if !run.is_settled() {
                return violated(format!("{id} is not settled: {:?}", run.pending));
            }
            let notice = format!("{id}/{}", end.as_str());
            let is_refused = run
                .notices
                .iter()
                .any(|n| n.id == notice && n.undeliverable.is_some());
            if !told.contains(&notice) && !is_refused {
                return violated(format!("nobody was told {notice}"));
            }
        }
        self.watch
            .measured
            .check(&self.watch.ledgers, |by| self.weather.is_troubled(by))?;
        self.check_jobs()
    }

    fn check_jobs(&self) -> Checked {
        let jobs: Vec<BatchJob> = self.edge.batch(|batch| batch.jobs().cloned().collect());
        for job in jobs {
            let id = &job.seen.id;
            if self.watch.is_known_foreign(id) {
                if job.seen.is_terminated {
                    return violated(format!("the foreign job {id} was ended"));
                }
            } else if !job.seen.status.is_terminal() {
                return violated(format!("{id} is still {:?}", job.seen.status));
            } else if !matches!(job.seen.array, Some(ArrayRole::Child { .. }))
                && !self.watch.ledgers.contains_key(&job.request.name.run)
            {
                return violated(format!("{id} is a job of no run"));
            }
        }
        for pipeline in &self.plan.pipelines {
            let key = layout::pipeline_head(&pipeline.name);
            let head = self.watch.pipelines.get(&key);
            if let Some(head) = head.filter(|head| !head.entries.is_empty()) {
                return violated(format!("entries are left: {:?}", head.entries));
            }
        }
        Ok(())
    }
}
