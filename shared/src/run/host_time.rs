//! How long the hosts were there for each attempt: a host that several share is paid once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attempt::AttemptRecord;
use crate::cost::{self, Usd};
use crate::identity::{Market, Stage};

/// What one kind of host did for a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostLine {
    /// Which.
    pub stage: Stage,
    /// How it was bought.
    pub market: Market,
    /// Such as `g4dn.xlarge`; empty where the host told none.
    pub instance_type: String,
    /// How many attempts ran on such.
    pub attempts: usize,
    /// Their lengths, in seconds.
    pub attempt_s: f64,
    /// Of the hosts, in seconds: less than the attempts' where several were at work on one host at once.
    pub host_s: f64,
    /// Paid, and what it would have been on-demand; none where the price is not known.
    pub amounts: Option<(Usd, Usd)>,
}

impl HostLine {
    /// The order of lines, and what makes two of them one.
    pub(crate) fn key(&self) -> (Stage, Market, &str) {
        (self.stage, self.market, &self.instance_type)
    }
}

/// The records summed up by stage, market and type of host.
pub(super) fn host_lines(records: &[&AttemptRecord]) -> Vec<HostLine> {
    let mut lines: BTreeMap<(Stage, Market, &str), HostLine> = BTreeMap::new();
    for (record, host_s) in records.iter().zip(host_seconds(records)) {
        let market = market_of(record);
        let kind = record.instance_type.as_deref().unwrap_or_default();
        let line = lines
            .entry((record.stage, market, kind))
            .or_insert_with(|| HostLine {
                stage: record.stage,
                market,
                instance_type: kind.to_owned(),
                attempts: 0,
                attempt_s: 0.0,
                host_s: 0.0,
                amounts: None,
            });
        line.attempts += 1;
        line.attempt_s += length_s(record);
        line.host_s += host_s;
        let amounts =
            cost_of(record, market, host_s).zip(cost_of(record, Market::OnDemand, host_s));
        if let Some((paid, full)) = amounts {
            let (paid_before, full_before) = line.amounts.unwrap_or_default();
            line.amounts = Some((paid_before + paid, full_before + full));
        }
    }
    lines.into_values().collect()
}

/// For each record the seconds of its host that it answers for. Each moment of a host is shared out evenly
/// among the attempts that were at work on it; an attempt whose host has no name has it for itself.
pub(super) fn host_seconds(records: &[&AttemptRecord]) -> Vec<f64> {
    let mut shares: Vec<f64> = records.iter().map(|record| length_s(record)).collect();
    let mut hosts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        if let Some(host) = &record.instance_id {
            hosts.entry(host).or_default().push(place);
        }
    }
    for places in hosts.values().filter(|places| places.len() > 1) {
        share_out(records, places, &mut shares);
    }
    shares
}

/// One pass over the beginnings and ends on one host. `each` is what an attempt would answer for by then, had
/// it been there from the first moment on; what counts is the difference over its own time.
fn share_out(records: &[&AttemptRecord], places: &[usize], shares: &mut [f64]) {
    // An end comes before a beginning of the same moment: who follows another shares nothing with it.
    let mut moments: Vec<(Timestamp, bool, usize)> = Vec::new();
    for place in places {
        let Some(record) = records.get(*place).filter(|record| length_s(record) > 0.0) else {
            continue;
        };
        moments.push((record.started_at, true, *place));
        moments.push((record.ended_at, false, *place));
    }
    moments.sort_unstable();
    let mut at_work: BTreeMap<usize, f64> = BTreeMap::new();
    let mut each = 0.0;
    let mut last = None;
    for (at, begins, place) in moments {
        if let Some(last) = last
            && let Ok(n) = u32::try_from(at_work.len())
            && n > 0
        {
            each += seconds_between(last, at) / f64::from(n);
        }
        last = Some(at);
        if begins {
            at_work.insert(place, each);
        } else if let Some(before) = at_work.remove(&place)
            && let Some(share) = shares.get_mut(place)
        {
            *share = to_the_microsecond(each - before);
        }
    }
}

/// Differences of sums are a little more or less than what they stand for, and a begun second counts.
fn to_the_microsecond(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Where the host said that it was; the hosts of laptops say nothing and count as Spot.
pub(super) fn market_of(record: &AttemptRecord) -> Market {
    match record.life_cycle.as_deref() {
        Some("on-demand") => Market::OnDemand,
        _ => Market::Spot,
    }
}

/// So many seconds of the attempt's host; none when its price is not known.
pub(super) fn cost_of(record: &AttemptRecord, market: Market, seconds: f64) -> Option<Usd> {
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

/// How long an attempt took.
pub(super) fn length_s(record: &AttemptRecord) -> f64 {
    seconds_between(record.started_at, record.ended_at)
}

pub(super) fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::ledgers::record;

    /// An attempt from second `from` to second `to` of the day on `host`.
    fn on(host: Option<&str>, from: i64, to: i64) -> AttemptRecord {
        let midnight: Timestamp = "2026-11-23T00:00:00Z".parse().expect("a time");
        let at = |s| midnight + jiff::SignedDuration::from_secs(s);
        AttemptRecord {
            instance_id: host.map(str::to_owned),
            instance_type: Some("g4dn.xlarge".to_owned()),
            started_at: at(from),
            ended_at: at(to),
            ..record(Stage::Recommend)
        }
    }

    fn seconds(records: &[AttemptRecord]) -> Vec<f64> {
        host_seconds(&records.iter().collect::<Vec<_>>())
    }

    #[test]
    fn four_shards_at_once_on_one_host_cost_one_hosts_time() {
        let four: Vec<_> = (0..4).map(|_| on(Some("i-1"), 0, 240)).collect();
        let apart: Vec<_> = ["i-1", "i-2", "i-3", "i-4"]
            .map(|host| on(Some(host), 0, 240))
            .to_vec();
        let line = |records: &[AttemptRecord]| {
            let lines = host_lines(&records.iter().collect::<Vec<_>>());
            let [line] = &lines[..] else {
                panic!("one kind of host: {lines:?}")
            };
            let (paid, _) = line.amounts.expect("its price is known");
            (line.attempts, line.attempt_s, line.host_s, paid)
        };

        let (.., one_host) = line(&four[..1]);

        assert_eq!(line(&four), (4, 960.0, 240.0, one_host));
        assert_eq!(
            line(&apart),
            (4, 960.0, 960.0, Usd::from_micros(4 * one_host.micros()))
        );
    }

    #[test]
    fn each_moment_is_shared_by_those_that_are_at_work_in_it() {
        let records = [
            on(Some("i-1"), 0, 100),
            on(Some("i-1"), 50, 150),
            // Follows the first without a pause, on another host, and on nobody knows which.
            on(Some("i-1"), 150, 160),
            on(Some("i-2"), 0, 100),
            on(None, 0, 100),
            on(None, 0, 100),
        ];

        assert_eq!(seconds(&records), [75.0, 75.0, 10.0, 100.0, 100.0, 100.0]);
    }

    #[test]
    fn an_attempt_that_ends_before_it_begins_takes_nobodys_time() {
        let records = [on(Some("i-1"), 50, 40), on(Some("i-1"), 0, 100)];

        assert_eq!(seconds(&records), [0.0, 100.0]);
    }

    proptest::proptest! {
        /// However they overlap: no moment twice, none left out.
        #[test]
        fn the_shares_add_up_to_the_time_in_which_anybody_was_at_work(
            spans in proptest::collection::vec((0_i64..500, 1_i64..200), 1..20),
        ) {
            let records: Vec<_> = spans.iter().map(|(from, long)| on(Some("i-1"), *from, from + long)).collect();
            let mut busy = std::collections::BTreeSet::new();
            for (from, long) in &spans {
                busy.extend(*from..from + long);
            }

            let shared: f64 = seconds(&records).iter().sum();

            let expected = f64::from(u32::try_from(busy.len()).expect("few"));
            proptest::prop_assert!((shared - expected).abs() < 1e-3, "{shared} of {expected}");
        }
    }
}
