//! A fan-out of more shards than a ledger keeps: what its children cost is in the account all the same.

use trainspot_shared::cost::Usd;
use trainspot_shared::identity::Stage;
use trainspot_shared::run::{Run, ShardSums};
use trainspot_stories::{Deed, Spec, Week};

use super::MONDAY;

const SHARDS: u32 = 65;

fn to_the_end(week: &mut Week) -> Run {
    week.tick(MONDAY);
    week.to_the_end();
    week.assert_all_ended_and_told();
    let run = week.run_of("20261123T0200Z");
    assert_eq!(week.end_of(&run), "succeeded", "{}", week.tell_all());
    week.ledger(&run).expect("a ledger")
}

fn sums(ledger: &Run) -> &ShardSums {
    let recommend = &ledger.stages[&Stage::Recommend];
    recommend.shard_sums.as_ref().expect("they were summed up")
}

/// The words about money of the last notice.
fn bill(week: &Week) -> String {
    let told = week.edge.told();
    let text = &told.last().expect("people are told").text;
    text.replace('\n', " ")
}

#[test]
fn sixty_five_shards_are_in_the_bill_and_not_in_the_ledger() {
    let mut week = Week::new(&Spec::default().shards(SHARDS));

    let ledger = to_the_end(&mut week);

    let sums = sums(&ledger);
    let [line] = &sums.lines[..] else {
        panic!("one kind of host: {:?}", sums.lines)
    };
    assert_eq!((line.attempts, line.attempt_s), (65, 65.0 * 600.0));
    assert_eq!(
        (sums.gaps.attempts, sums.gaps.shards, sums.unread),
        (0, 0, 0)
    );
    assert_eq!(ledger.records().len(), 3, "train, evaluate, gather");
    // 68 attempts of ten minutes at $0.18936 an hour.
    let cost = Usd::from_micros(68 * 31_560);
    assert_eq!(ledger.totals().cost, cost);
    let head = week.head();
    let spent: Vec<Usd> = head
        .spend
        .values()
        .flat_map(|runs| runs.values().copied())
        .collect();
    assert_eq!(spent, [cost]);
    let bill = bill(&week);
    assert!(bill.contains("Cost $2.15 (estimated)"), "{bill}");
}

#[test]
fn a_shard_whose_host_went_without_a_word_makes_it_at_least() {
    let mut week = Week::new(&Spec::default().shards(SHARDS));
    week.script_shard(7, [Deed::LosesHost]);
    week.script_shard(8, [Deed::Reclaimed { step: 10 }]);

    let ledger = to_the_end(&mut week);

    let sums = sums(&ledger);
    let attempts: usize = sums.lines.iter().map(|line| line.attempts).sum();
    assert_eq!((attempts, sums.gaps.attempts), (66, 1));
    assert_eq!((sums.reclaims, sums.interruptions), (1, 1));
    assert_eq!(ledger.totals().reclaims, 1);
    let bill = bill(&week);
    assert!(bill.contains("Cost at least $"), "{bill}");
    assert!(bill.contains("1 attempt left no record"), "{bill}");
}

#[test]
fn a_small_fan_out_with_a_lost_host_is_at_least_too() {
    let mut week = Week::new(&Spec::default());
    week.script_shard(2, [Deed::LosesHost]);

    let ledger = to_the_end(&mut week);

    assert_eq!(ledger.stages[&Stage::Recommend].shard_sums, None);
    let bill = bill(&week);
    assert!(bill.contains("Cost at least $"), "{bill}");
    assert!(bill.contains("1 attempt left no record"), "{bill}");
}
