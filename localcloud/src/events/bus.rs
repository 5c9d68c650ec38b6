//! The default event bus.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use quamina::Quamina;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::input;
use super::schedule::Schedule;
use crate::errors::{Refused, StartError};
use crate::happening::{Happening, Watch};
use crate::ids::Ids;
use crate::lambda::Functions;
use crate::locked::locked;
use crate::sqs::Letters;
use crate::template::{ACCOUNT, Function, REGION, Rule, RuleKind, ScheduleKind, Stack, Trigger};

/// `EventBridge` and its Scheduler.
pub(crate) struct EventBus {
    stack: Arc<Stack>,
    patterns: Quamina<String>,
    /// The parsed schedule of each rule that has one, by logical id.
    schedules: Vec<(String, Schedule)>,
    functions: Arc<Functions>,
    letters: Arc<Letters>,
    ids: Arc<Ids>,
    watch: Arc<Watch>,
    duplicate: bool,
    clocks: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for EventBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventBus")
            .field("schedules", &self.schedules)
            .finish_non_exhaustive()
    }
}

impl EventBus {
    /// Refuses a template whose patterns or schedules cannot be followed here.
    pub(crate) fn new(
        stack: Arc<Stack>,
        functions: Arc<Functions>,
        letters: Arc<Letters>,
        ids: Arc<Ids>,
        watch: Arc<Watch>,
        duplicate: bool,
    ) -> Result<Arc<Self>, StartError> {
        let mut patterns = Quamina::new();
        let mut schedules = Vec::new();
        for rule in &stack.rules {
            let fail = |part: &str, why: String| StartError::Template {
                place: format!("{}.{part}", rule.logical_id),
                why,
            };
            match &rule.kind {
                RuleKind::Pattern(pattern) if rule.enabled => patterns
                    .add_pattern(rule.logical_id.clone(), pattern)
                    .map_err(|error| fail("EventPattern", error.to_string()))?,
                RuleKind::Pattern(_) => {}
                RuleKind::Schedule {
                    expression,
                    time_zone,
                    ..
                } => {
                    let schedule = Schedule::parse(expression, time_zone)
                        .map_err(|why| fail("ScheduleExpression", why))?;
                    schedules.push((rule.logical_id.clone(), schedule));
                }
            }
            for trigger in &rule.triggers {
                if stack.function(&trigger.function_arn).is_none() {
                    return Err(fail(
                        "Targets",
                        format!("`{}` is no function of the template", trigger.function_arn),
                    ));
                }
            }
        }
        Ok(Arc::new(Self {
            stack,
            patterns,
            schedules,
            functions,
            letters,
            ids,
            watch,
            duplicate,
            clocks: Mutex::default(),
        }))
    }

    /// Hands an event to the targets of every rule that matches it. Members that a sender may leave out are filled in.
    pub(crate) fn put(&self, mut event: Value) {
        if let Value::Object(members) = &mut event {
            for (name, value) in [
                ("version", json!("0")),
                ("id", json!(self.ids.uuid())),
                ("account", json!(ACCOUNT)),
                ("time", json!(seconds(Timestamp::now()))),
                ("region", json!(REGION)),
                ("resources", json!([])),
            ] {
                members.entry(name).or_insert(value);
            }
        }
        let matched = match self
            .patterns
            .matches_for_event(event.to_string().as_bytes())
        {
            Ok(matched) => matched,
            Err(error) => {
                self.watch.broken("match an event with the rules", &error);
                return;
            }
        };
        for rule in self
            .stack
            .rules
            .iter()
            .filter(|rule| matched.contains(&rule.logical_id))
        {
            for trigger in &rule.triggers {
                let payload = input::of_event(&trigger.input, rule, &event);
                self.deliver(rule, trigger, &event, payload);
            }
        }
    }

    /// Fires a schedule for the time `at`, and answers the request id of the first target's invocation.
    pub(crate) fn tick(&self, rule_id: &str, at: Timestamp) -> Result<String, Refused> {
        let none = || Refused::NoSuchRule(rule_id.to_owned());
        let rule = self
            .stack
            .rules
            .iter()
            .find(|rule| rule.logical_id == rule_id)
            .ok_or_else(none)?;
        let RuleKind::Schedule { kind, .. } = &rule.kind else {
            return Err(none());
        };
        let mut first = None;
        for trigger in &rule.triggers {
            let event = json!({
                "version": "0",
                "id": self.ids.uuid(),
                "detail-type": "Scheduled Event",
                "source": match kind { ScheduleKind::Rule => "aws.events", ScheduleKind::Scheduler => "aws.scheduler" },
                "account": ACCOUNT,
                "time": seconds(at),
                "region": REGION,
                "resources": [rule.arn],
                // Scheduler really sends a text here.
                "detail": match kind { ScheduleKind::Rule => json!({}), ScheduleKind::Scheduler => json!("{}") },
            });
            let payload = match kind {
                ScheduleKind::Rule => input::of_event(&trigger.input, rule, &event),
                ScheduleKind::Scheduler => {
                    input::of_schedule(&trigger.input, &rule.arn, at, &self.ids.hex(16), &event)
                }
            };
            let request_id = self.deliver(rule, trigger, &event, payload);
            first = first.or(request_id);
        }
        first.ok_or_else(none)
    }

    fn deliver(
        &self,
        rule: &Rule,
        trigger: &Trigger,
        event: &Value,
        payload: Result<Value, String>,
    ) -> Option<String> {
        let function = self.stack.function(&trigger.function_arn)?;
        let payload = match payload {
            Ok(payload) => Bytes::from(payload.to_string()),
            Err(why) => {
                self.dead_letter(rule, trigger, function, event, &why);
                return None;
            }
        };
        if self.duplicate {
            self.functions.invoke_later(function, payload.clone());
        }
        Some(self.functions.invoke_later(function, payload))
    }

    /// An input that cannot be made goes straight to the dead letters, as a target without permission does. The
    /// letter is the event as it came in, with the reasons beside it.
    fn dead_letter(
        &self,
        rule: &Rule,
        trigger: &Trigger,
        function: &Function,
        event: &Value,
        why: &str,
    ) {
        if let Some(queue) = &trigger.dead_letters {
            let attributes = [
                ("RULE_ARN", rule.arn.as_str()),
                ("TARGET_ARN", &function.arn),
                ("ERROR_CODE", "INVALID_INPUT"),
                ("ERROR_MESSAGE", why),
            ];
            let attributes = attributes
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            if !self.letters.send(queue, event.to_string(), attributes) {
                self.watch.broken(
                    "keep a dead letter",
                    &format!("the template has no queue `{queue}`"),
                );
            }
        }
        self.watch.report(Happening::DeadLettered {
            function: function.logical_id.clone(),
            error: why.to_owned(),
        });
    }

    /// Fires every enabled schedule by the wall clock from now on.
    pub(crate) fn start_clocks(self: &Arc<Self>) {
        for (rule_id, schedule) in &self.schedules {
            let enabled = self
                .stack
                .rules
                .iter()
                .any(|rule| rule.logical_id == *rule_id && rule.enabled);
            if !enabled {
                continue;
            }
            let (bus, rule_id, schedule) = (Arc::clone(self), rule_id.clone(), schedule.clone());
            locked(&self.clocks).spawn(async move {
                let mut last = Timestamp::now();
                while let Some(next) = schedule.next_after(last) {
                    let wait = next
                        .duration_since(Timestamp::now())
                        .max(SignedDuration::ZERO);
                    tokio::time::sleep(wait.unsigned_abs()).await;
                    if let Err(error) = bus.tick(&rule_id, next) {
                        bus.watch.broken("fire a schedule", &error);
                    }
                    last = next;
                }
            });
        }
    }

    /// Fires nothing any more.
    pub(crate) async fn stop(&self) {
        let mut clocks = std::mem::take(&mut *locked(&self.clocks));
        clocks.shutdown().await;
    }
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
