//! What a run cost, saved and repeated: arithmetic over its attempts' records.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Run;
use crate::attempt::AttemptRecord;
use crate::cost::{self, Usd};
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
    /// Host seconds on Spot.
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
    /// Every interruption.
    pub repeated: Vec<Repeated>,
}

impl Totals {
    /// What Spot saved against on-demand.
    pub fn saved(&self) -> Usd {
        self.on_demand_cost - self.cost
    }

    /// Seconds of work that were done twice.
    pub fn repeated_s(&self) -> f64 {
        // From 0.0 on: the empty sum of floats is -0.0, and it would be shown.
        self.repeated.iter().fold(0.0, |sum, r| sum + r.repeated_s)
    }
}

impl Run {
    /// Every attempt's record, by stage, submission, shard and attempt.
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

    /// The sums over all records.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let records = self.records();
        for record in &records {
            let seconds = seconds_between(record.started_at, record.ended_at);
            match market_of(record) {
                Market::Spot => totals.spot_s += seconds,
                Market::OnDemand => totals.on_demand_s += seconds,
            }
            let paid = cost_of(record, market_of(record), seconds);
            match (paid, cost_of(record, Market::OnDemand, seconds)) {
                (Some(paid), Some(full)) => {
                    totals.cost += paid;
                    totals.on_demand_cost += full;
                }
                _ => totals.unpriced_s += seconds,
            }
            totals.reclaims += usize::from(record.notice.as_deref() == Some("spot_notice"));
        }
        let interruptions = interruptions(&records);
        totals.repeated = interruptions.map(|(a, b)| repeated(a, b)).collect();
        totals
    }

    /// What of the cost was for work that was done twice, at the price of the host that did it again; as far
    /// as the price file knows it.
    pub fn wasted(&self) -> Usd {
        let records = self.records();
        interruptions(&records)
            .filter_map(|(before, after)| {
                let again_s = repeated(before, after).repeated_s;
                cost_of(after, market_of(after), again_s)
            })
            .sum()
    }
}

/// Where the host said that it was; the hosts of laptops say nothing and count as Spot.
fn market_of(record: &AttemptRecord) -> Market {
    match record.life_cycle.as_deref() {
        Some("on-demand") => Market::OnDemand,
        _ => Market::Spot,
    }
}

/// So many seconds of the attempt's host; none when its price is not known.
fn cost_of(record: &AttemptRecord, market: Market, seconds: f64) -> Option<Usd> {
    let price = cost::price(record.instance_type.as_deref()?, market)?;
    // Billed by the second; a begun one counts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative; attempts last hours"
    )]
    let whole = seconds.ceil() as u64;
    Some(cost::cost_of(whole, price.usd_per_hour))
}

/// Each attempt that another one followed, with that one.
fn interruptions<'r>(
    records: &'r [&'r AttemptRecord],
) -> impl Iterator<Item = (&'r AttemptRecord, &'r AttemptRecord)> {
    records.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        // With a record missing in between, nobody knows what was lost where.
        let is_next = (before.submission == after.submission
            && before.attempt + 1 == after.attempt)
            || (before.submission + 1 == after.submission && after.attempt == 1);
        let is_same = (before.stage, before.shard) == (after.stage, after.shard);
        (is_same && is_next).then_some((*before, *after))
    })
}

fn repeated(before: &AttemptRecord, after: &AttemptRecord) -> Repeated {
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
        is_reclaim: before.notice.as_deref() == Some("spot_notice"),
        at: before.notice_at.unwrap_or(before.ended_at),
        last_step,
        resumed_from,
        repeated_s,
        change_over_s: after
            .program_started_at
            .map_or(0.0, |started| seconds_between(before.ended_at, started)),
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
