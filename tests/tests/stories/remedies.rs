//! What two pages promise of each failure, held against the table that decides and the template's rules of retrying.

use std::collections::BTreeMap;

use trainspot_edge::memory::{ATTEMPTS_MAX, AttemptEnd, is_retried};
use trainspot_shared::batch_event::{AttemptSeen, JobSeen, JobStatus};
use trainspot_shared::failure::{Class, classify};
use trainspot_shared::identity::Market;
use trainspot_shared::run::{Remedy, Situation, remedy};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const BRING_YOUR_OWN: &str = include_str!("../../../docs/bring-your-own.md");

/// The n-th end of a stage in this class.
fn situation(class: Class, times: usize, market: Market) -> Situation {
    Situation {
        class,
        times,
        submissions: times,
        market,
        can_move: true,
        memory_mib: 4096,
        max_memory_mib: 16384,
        has_checkpoint: true,
    }
}

/// How often the stage is submitted again where there is no other market.
fn n_again(class: Class) -> usize {
    let is_tried = |times: &usize| {
        let decided = remedy(&situation(class, *times, Market::OnDemand));
        matches!(decided, Remedy::Again | Remedy::WithMemory { .. })
    };
    (1..8).take_while(is_tried).count()
}

/// What must stand in the column "what trainspot does".
fn promised(class: Class) -> Vec<&'static str> {
    let first = remedy(&situation(class, 1, Market::Spot));
    let without_checkpoint = remedy(&Situation {
        has_checkpoint: false,
        ..situation(class, 1, Market::Spot)
    });
    let mut words = match n_again(class) {
        _ if first == Remedy::Cancel => vec!["ends the run as cancelled"],
        0 => vec!["stops and tells"],
        1 => vec!["once more"],
        2 => vec!["twice more"],
        n => panic!("{class}: nobody has words for {n} times"),
    };
    match first {
        Remedy::MoveToOnDemand => words.push("on-demand"),
        Remedy::WithMemory { .. } => words.push("twice the memory"),
        Remedy::Again if without_checkpoint == first => words.push("then stops and tells"),
        Remedy::Again => words.push("where a checkpoint is published, else stops and tells"),
        Remedy::Stop | Remedy::Cancel => {}
    }
    words
}

/// The table of classes: the words of the first column, and the third.
fn rows() -> Vec<(Vec<String>, String)> {
    let (_, table) = OPERATIONS
        .split_once("| class | seen as | what trainspot does |")
        .expect("the page has the table");
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let words = cells[1]
                .split(", ")
                .map(|word| word.trim_matches('`').to_owned());
            (words.collect(), cells[3].to_owned())
        })
        .collect()
}

#[test]
fn the_page_for_operators_promises_of_each_class_what_is_done() {
    let rows = rows();
    let mut named: Vec<&str> = rows
        .iter()
        .flat_map(|(words, _)| words)
        .map(String::as_str)
        .collect();
    named.sort_unstable();
    let mut all: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    all.sort_unstable();
    assert_eq!(named, all, "each class has one row");

    for class in Class::ALL {
        let is_of =
            |(words, _): &&(Vec<String>, String)| words.iter().any(|word| word == class.as_str());
        let (_, does) = rows.iter().find(is_of).expect("it has a row");
        for word in promised(class) {
            assert!(does.contains(word), "{class}: `{word}` is not in: {does}");
        }
    }
}

#[test]
fn the_page_for_programs_promises_of_each_exit_code_what_is_done() {
    let mut expected: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for code in 1..=255 {
        let class = classify(&failed_with(code)).expect("it failed").class;
        let what = match n_again(class) {
            _ if is_retried(&AttemptEnd::exit(code)) => "Batch retries",
            0 => continue,
            1 => "once more",
            _ => "twice more",
        };
        expected.entry(what).or_default().push(code);
    }

    let (_, table) = BRING_YOUR_OWN
        .split_once("| code | what comes of it |")
        .expect("the page has the table");
    let lines = table
        .lines()
        .skip(2)
        .map(str::trim)
        .take_while(|line| line.starts_with('|'));
    let mut told: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(what) = ["Batch retries", "once more", "twice more"]
            .into_iter()
            .find(|what| cells[2].starts_with(what))
        else {
            assert_eq!(cells[1], "any other", "{line}");
            continue;
        };
        told.insert(what, codes(cells[1]));
    }
    assert_eq!(told, expected);
    assert_eq!(ATTEMPTS_MAX, 10, "\"ten attempts\" on both pages");
}

/// `74, 79, 129 to 131`, one by one.
fn codes(text: &str) -> Vec<i32> {
    let number = |text: &str| text.trim().parse::<i32>().expect("a code");
    let mut all: Vec<i32> = text
        .split(',')
        .flat_map(|part| match part.split_once(" to ") {
            Some((first, last)) => (number(first)..=number(last)).collect::<Vec<_>>(),
            None => vec![number(part)],
        })
        .collect();
    all.sort_unstable();
    all
}

fn failed_with(code: i32) -> JobSeen {
    let attempt = AttemptSeen {
        exit_code: Some(code),
        ..AttemptSeen::default()
    };
    JobSeen {
        id: "job-1".to_owned(),
        name: "n".to_owned(),
        queue: "q".to_owned(),
        status: JobStatus::Failed,
        status_reason: Some("Essential container in task exited".to_owned()),
        attempts: vec![attempt],
        created_at_ms: None,
        started_at_ms: None,
        stopped_at_ms: None,
        is_terminated: false,
        is_cancelled: false,
        array: None,
    }
}
