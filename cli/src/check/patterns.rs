//! Event patterns: each event that Batch sends must wake the door that the code has for it, once, and no
//! other. Tried with the events of `events/`, as they would come from each of the queues.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trainspot_localcloud::Declared;
use trainspot_shared::batch_event::BatchEvent;

use super::disagreement::Disagreement;
use super::doors::{FAN_OUT, HANDLE_FAILURE, SUPERVISE_RUNS};

/// A queue of the same account that is none of ours.
const FOREIGN_QUEUE: &str = "arn:aws:batch:us-east-1:123456789012:job-queue/somebody-elses";

/// What happened, the event, and whom it must wake.
struct Case {
    file: &'static str,
    text: &'static str,
    said: &'static str,
    wakes: Option<&'static str>,
}

macro_rules! case {
    ($file:literal, $said:literal, $wakes:expr) => {
        Case {
            file: concat!("events/", $file),
            text: include_str!(concat!("../../../events/", $file)),
            said: $said,
            wakes: $wakes,
        }
    };
}

const CASES: [Case; 16] = [
    case!(
        "batch-succeeded.json",
        "a job that succeeded",
        Some(FAN_OUT)
    ),
    case!(
        "batch-succeeded-on-second-attempt.json",
        "a job that succeeded after a lost host",
        Some(FAN_OUT)
    ),
    case!(
        "batch-succeeded-array-parent.json",
        "an array that succeeded",
        Some(FAN_OUT)
    ),
    case!(
        "batch-succeeded-array-child.json",
        "a child of an array that succeeded",
        None
    ),
    case!(
        "batch-failed-exit-1.json",
        "a job that failed",
        Some(HANDLE_FAILURE)
    ),
    case!(
        "batch-failed-host-lost-without-exit-code.json",
        "a job whose every host was lost",
        Some(HANDLE_FAILURE)
    ),
    case!(
        "batch-failed-no-capacity-queue-time-limit.json",
        "a job that never started",
        Some(HANDLE_FAILURE)
    ),
    case!(
        "batch-failed-array-parent.json",
        "an array that failed",
        Some(HANDLE_FAILURE)
    ),
    case!(
        "batch-failed-array-child.json",
        "a child of an array that failed",
        None
    ),
    case!(
        "batch-queue-blocked-no-capacity.json",
        "a queue that is blocked",
        Some(HANDLE_FAILURE)
    ),
    case!(
        "batch-running-with-no-attempts-yet.json",
        "a job that runs",
        Some(SUPERVISE_RUNS)
    ),
    case!(
        "batch-running-second-attempt.json",
        "a job that runs again",
        Some(SUPERVISE_RUNS)
    ),
    case!(
        "batch-runnable-again-after-host-lost.json",
        "a job that went back to its queue",
        Some(SUPERVISE_RUNS)
    ),
    case!(
        "batch-runnable.json",
        "a job that waits for its first host",
        None
    ),
    case!("batch-starting.json", "a job that starts", None),
    case!(
        "batch-pending-array-parent.json",
        "an array whose children live",
        None
    ),
];

/// What is wrong with one or more cases, on one or more queues.
struct Wrong<'t> {
    place: String,
    /// Before the case.
    what: String,
    todo: &'static str,
    cases: BTreeSet<&'static str>,
    first: String,
    queues: BTreeSet<&'t str>,
}

/// Says of many cases and queues once what is the same.
#[derive(Default)]
struct Told<'t>(Vec<Wrong<'t>>);

impl<'t> Told<'t> {
    fn tell(&mut self, place: &str, what: String, todo: &'static str, case: &Case, queue: &'t str) {
        let mut all = self.0.iter_mut();
        if let Some(wrong) = all.find(|wrong| wrong.place == place && wrong.what == what) {
            wrong.cases.insert(case.file);
            wrong.queues.insert(queue);
            return;
        }
        self.0.push(Wrong {
            place: place.to_owned(),
            what,
            todo,
            cases: BTreeSet::from([case.file]),
            first: format!("{} ({})", case.said, case.file),
            queues: BTreeSet::from([queue]),
        });
    }
}

const LOOK: &str = "let one rule's pattern match it; events/ has what Batch really sends";

pub(super) fn disagreements(template: &Declared) -> Vec<Disagreement> {
    let mut told = Told::default();
    let mut used = BTreeSet::new();
    for case in &CASES {
        let Ok(event) = serde_json::from_str::<Value>(case.text) else {
            continue; // A test reads every one of them.
        };
        of_case(template, case, &event, &mut used, &mut told);
    }
    let n_queues = template.queues().count();
    let mut found: Vec<Disagreement> = told
        .0
        .into_iter()
        .map(|wrong| {
            let more = match wrong.cases.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            // On all of them is what one would think.
            let on = if wrong.queues.len() < n_queues {
                let names: Vec<&str> = wrong.queues.into_iter().collect();
                format!(", on {}", names.join(", "))
            } else {
                String::new()
            };
            let what = format!("{} {}{more}{on}", wrong.what, wrong.first);
            Disagreement::new(wrong.place, what, wrong.todo)
        })
        .collect();
    let ours: BTreeSet<_> = template.functions().map(|function| function.arn).collect();
    for rule in template.rules() {
        let wakes_us = rule
            .targets
            .iter()
            .any(|target| ours.contains(target.function_arn));
        let is_said = found.iter().any(|one| one.place == rule.logical_id);
        if rule.schedule.is_none() && wakes_us && !is_said && !used.contains(rule.logical_id) {
            found.push(Disagreement::new(
                rule.logical_id,
                "its pattern matches no event that Batch sends for the stack's queues",
                "look at the pattern's spelling; events/ has what Batch really sends",
            ));
        }
    }
    found
}

fn of_case<'t>(
    template: &'t Declared,
    case: &Case,
    event: &Value,
    used: &mut BTreeSet<&'t str>,
    told: &mut Told<'t>,
) {
    let foreign = [("a queue that is not the stack's", FOREIGN_QUEUE)];
    let ours = template.queues().map(|queue| (queue.logical_id, queue.arn));
    for (queue, arn) in ours.chain(foreign) {
        let expected = case.wakes.filter(|_| arn != FOREIGN_QUEUE);
        let event = on_queue(event, arn);
        let rules = match template.rules_for(&event) {
            Ok(rules) => rules,
            Err(why) => {
                let what = format!("no pattern can be tried ({why}) with");
                told.tell("Resources", what, "mend the event pattern", case, queue);
                continue;
            }
        };
        let mut n_right = 0;
        for rule in rules.iter().filter(|rule| rule.is_enabled) {
            for target in &rule.targets {
                let Some(function) = template.function(target.function_arn) else {
                    continue; // Said of the rule already.
                };
                if Some(function.binary) != expected {
                    let what = format!("it must not wake {} for", function.binary);
                    let todo = "narrow the event pattern, or name the right function";
                    told.tell(rule.logical_id, what, todo, case, queue);
                    continue;
                }
                n_right += 1;
                used.insert(rule.logical_id);
                let read = target
                    .payload_of_event(&event)
                    .and_then(|sent| BatchEvent::parse(&sent).map_err(|error| error.to_string()));
                if let Err(why) = read {
                    let what = format!("{} cannot read what it sends ({why}) for", function.binary);
                    let todo = "send the event as it is: no Input, no InputTransformer";
                    told.tell(rule.logical_id, what, todo, case, queue);
                }
            }
        }
        match (expected, n_right) {
            (Some(door), 0) => {
                let what = format!("nothing wakes {door} for");
                told.tell("Resources", what, LOOK, case, queue);
            }
            (Some(door), 2..) => {
                let what = format!("more than one rule wakes {door} for");
                told.tell("Resources", what, "leave one rule for it", case, queue);
            }
            _ => {}
        }
    }
}

/// The event as it would come from a queue.
fn on_queue(event: &Value, arn: &str) -> Value {
    let mut event = event.clone();
    if let Some(queue) = event.pointer_mut("/detail/jobQueue") {
        *queue = json!(arn);
    }
    if let Some(resources) = event.get_mut("resources").and_then(Value::as_array_mut) {
        for resource in resources {
            if resource
                .as_str()
                .is_some_and(|text| text.contains(":job-queue/"))
            {
                *resource = json!(arn);
            }
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_an_event() {
        for case in &CASES {
            let event: Value = serde_json::from_str(case.text).expect(case.file);

            BatchEvent::parse(&event).expect(case.file);
            assert!(
                on_queue(&event, FOREIGN_QUEUE)
                    .to_string()
                    .contains(FOREIGN_QUEUE),
                "{}",
                case.file
            );
        }
    }
}
