//! What a run cost, saved and repeated: arithmetic over its attempts' records.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::host_time::{
    HostLine, cost_of, host_lines, host_seconds, length_s, market_of, seconds_between,
};
use super::shard_sums::{ShardSums, gaps, was_reclaimed};
use super::{Gaps, Run};
use crate::attempt::AttemptRecord;
use crate::cost::Usd;
use crate::identity::{Market, Stage};

/// Work that had to be done twice, and the pause before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// Where.
    pub stage: Stage,
    /// The attempt that was interrupted: submission and attempt.
    pub interrupted: (u32, u32),
    /// It had a Spot notice.
    pub is_reclaim: bool,
    /// When it was told to go, or ended.
    pub at: Timestamp,
    /// The step its heartbeat told of last.
    pub last_step: u64,
    /// The step the next attempt began from.
    pub resumed_from: u64,
    /// The difference, in seconds of work at the rate it had.
    pub repeated_s: f64,
    /// From its end to the next one's program start, in seconds: boot, pull, fetch.
    pub change_over_s: f64,
}

/// The sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// The attempts' own lengths, in seconds.
    #[serde(default)]
    pub attempt_s: f64,
    /// Host seconds on Spot: a host on which several attempts were at work at once is counted once.
    pub spot_s: f64,
    /// Host seconds on-demand.
    pub on_demand_s: f64,
    /// What they cost, as far as the price file knows the instance types.
    pub cost: Usd,
    /// What the same seconds would have cost on-demand.
    pub on_demand_cost: Usd,
    /// Seconds whose price is not known.
    pub unpriced_s: f64,
    /// Hosts taken back with a notice.
    pub reclaims: usize,
    /// Every interruption of an attempt whose record is kept.
    pub repeated: Vec<Repeated>,
    /// Seconds of work that were done twice by attempts whose records are not.
    #[serde(default)]
    pub shards_repeated_s: f64,
}

impl Totals {
    /// What Spot saved against on-demand.
    pub fn saved(&self) -> Usd {
        self.on_demand_cost - self.cost
    }

    /// Seconds of work that were done twice.
    pub fn repeated_s(&self) -> f64 {
        let kept = self.repeated.iter();
        kept.fold(self.shards_repeated_s, |sum, r| sum + r.repeated_s)
    }
}

impl Run {
    /// Every attempt's record that the ledger keeps, by stage, submission, shard and attempt.
    pub fn records(&self) -> Vec<&AttemptRecord> {
        let mut all: Vec<_> = self
            .stages
            .values()
            .flat_map(|stage| &stage.submissions)
            .flat_map(|submission| &submission.records)
            .collect();
        all.sort_by_key(|r| (r.stage, r.shard, r.submission, r.attempt));
        all
    }

    /// The sums of the fan-outs whose attempts are not kept one by one.
    pub fn shard_sums(&self) -> impl Iterator<Item = &ShardSums> {
        let stages = self.stages.values();
        stages.filter_map(|stage| stage.shard_sums.as_ref())
    }

    /// What each kind of host did for each stage.
    pub fn host_lines(&self) -> Vec<HostLine> {
        let mut lines = host_lines(&self.records());
        lines.extend(self.shard_sums().flat_map(|sums| sums.lines.clone()));
        lines.sort_by(|a, b| a.key().cmp(&b.key()));
        lines
    }

    /// The sums over all records.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for line in self.host_lines() {
            totals.attempt_s += line.attempt_s;
            match line.market {
                Market::Spot => totals.spot_s += line.host_s,
                Market::OnDemand => totals.on_demand_s += line.host_s,
            }
            match line.amounts {
                Some((paid, full)) => {
                    totals.cost += paid;
                    totals.on_demand_cost += full;
                }
                None => totals.unpriced_s += line.host_s,
            }
        }
        let records = self.records();
        totals.reclaims = records
            .iter()
            .filter(|record| was_reclaimed(record))
            .count();
        totals.repeated = interruptions(&records)
            .map(|(a, b)| repeated(a, b))
            .collect();
        for sums in self.shard_sums() {
            totals.reclaims += sums.reclaims;
            totals.shards_repeated_s += sums.repeated_s;
        }
        totals
    }

    /// What of the cost was for work that was done twice, at the price of the host that did it again; as far
    /// as the price file knows it.
    pub fn wasted(&self) -> Usd {
        let records = self.records();
        let host_s = host_seconds(&records);
        let of_shards = self.shard_sums().map(|sums| sums.wasted);
        wasted(&records, &host_s) + of_shards.sum()
    }

    /// What no record was found of in the fan-outs.
    pub fn gaps(&self) -> Gaps {
        let records = self.records();
        let mut all = Gaps::default();
        for (stage, record) in self
            .stages
            .iter()
            .filter(|(_, stage)| stage.shards.is_some())
        {
            let of_stage = || records.iter().copied().filter(|r| r.stage == *stage);
            let gaps = match &record.shard_sums {
                Some(sums) => sums.gaps,
                None => gaps(record, &of_stage().collect::<Vec<_>>()),
            };
            all.attempts += gaps.attempts;
            all.shards += gaps.shards;
        }
        all
    }
}

/// What was paid for work that was done twice: `host_s` are the seconds that each record answers for.
pub(super) fn wasted(records: &[&AttemptRecord], host_s: &[f64]) -> Usd {
    let answering: Vec<_> = records
        .iter()
        .copied()
        .zip(host_s.iter().copied())
        .collect();
    answering
        .windows(2)
        .filter_map(|pair| {
            let [(before, _), (after, host_s)] = pair else {
                return None;
            };
            let length_s = length_s(after);
            let share = if length_s > 0.0 {
                host_s / length_s
            } else {
                1.0
            };
            let again_s = repeated(before, after).repeated_s * share;
            follows(before, after).then(|| cost_of(after, market_of(after), again_s))?
        })
        .sum()
}

/// Each attempt that another one followed, with that one.
pub(super) fn interruptions<'r>(
    records: &'r [&'r AttemptRecord],
) -> impl Iterator<Item = (&'r AttemptRecord, &'r AttemptRecord)> {
    records.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        follows(before, after).then_some((*before, *after))
    })
}

/// With a record missing in between, nobody knows what was lost where.
fn follows(before: &AttemptRecord, after: &AttemptRecord) -> bool {
    let is_next = (before.submission == after.submission && before.attempt + 1 == after.attempt)
        || (before.submission + 1 == after.submission && after.attempt == 1);
    let is_same = (before.stage, before.shard) == (after.stage, after.shard);
    is_same && is_next
}

pub(super) fn repeated(before: &AttemptRecord, after: &AttemptRecord) -> Repeated {
    let last_step = before.last_step.unwrap_or(0);
    let resumed_from = after.resumed_from.unwrap_or(0);
    let steps = last_step.saturating_sub(resumed_from);
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    let repeated_s = match before.last_rate {
        Some(rate) if rate > 0.0 => steps as f64 / rate,
        _ => 0.0,
    };
    Repeated {
        stage: before.stage,
        interrupted: (before.submission, before.attempt),
        is_reclaim: was_reclaimed(before),
        at: before.notice_at.unwrap_or(before.ended_at),
        last_step,
        resumed_from,
        repeated_s,
        change_over_s: after
            .program_started_at
            .map_or(0.0, |started| seconds_between(before.ended_at, started)),
    }
}
