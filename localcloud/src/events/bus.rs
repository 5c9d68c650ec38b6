//! The default event bus.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use quamina::Quamina;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::input;
use super::schedule::Schedule;
use crate::asked::Asked;
use crate::chaos::{Held, Strikes};
use crate::errors::{Refused, StartError};
use crate::happening::{Happening, RecordedCall, Watch};
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
    strikes: Arc<Strikes>,
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
        strikes: Arc<Strikes>,
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
            strikes,
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
                self.deliver(rule, trigger, &event, payload, false);
            }
        }
    }

    /// Fires a schedule for the time `at`, and answers the request id of the first target's invocation. Chaos may
    /// double it, and lose or hold it back unless somebody waits for it.
    pub(crate) fn tick(
        &self,
        rule_id: &str,
        at: Timestamp,
        is_waited_for: bool,
    ) -> Result<Option<String>, Refused> {
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
            let request_id = self.deliver(rule, trigger, &event, payload, is_waited_for);
            first = first.or(request_id);
        }
        Ok(first)
    }

    fn deliver(
        &self,
        rule: &Rule,
        trigger: &Trigger,
        event: &Value,
        payload: Result<Value, String>,
        must_come: bool,
    ) -> Option<String> {
        let function = self.stack.function(&trigger.function_arn)?;
        let payload = match payload {
            Ok(payload) => Bytes::from(payload.to_string()),
            Err(why) => {
                self.dead_letter(rule, trigger, function, event, &why);
                return None;
            }
        };
        let invocation = Asked::about("lambda:InvokeFunction", &function.arn);
        self.record(rule, "lambda", "Invoke", invocation);
        let about = about(event);
        let fate = self.strikes.event(&function.logical_id, &about, must_come);
        let second = fate
            .second
            .or_else(|| self.duplicate.then_some(Held::NOT_AT_ALL));
        if let Some(held) = second {
            self.functions.invoke_later(function, &payload, held);
        }
        let held = fate.first?;
        Some(self.functions.invoke_later(function, &payload, held))
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
            self.record(
                rule,
                "sqs",
                "SendMessage",
                Asked::about("sqs:SendMessage", queue),
            );
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

    /// What the service does for a rule: its own right (a rule), or the right of a role (Scheduler's schedule).
    fn record(&self, rule: &Rule, service: &str, operation: &str, asked: Asked) {
        let kind = match rule.kind {
            RuleKind::Schedule {
                kind: ScheduleKind::Scheduler,
                ..
            } => "schedule",
            _ => "rule",
        };
        self.watch.record(RecordedCall {
            at: Timestamp::now(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            resource: asked.resources.join(","),
            status: 200,
            caller: format!("{kind}/{}", rule.logical_id),
            asked: Some(asked),
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
                    if let Err(error) = bus.tick(&rule_id, next, false) {
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

/// An event in a few words, for the telling of what befell it.
fn about(event: &Value) -> String {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    match (text("/detail/jobName"), text("/detail/status")) {
        (Some(job), Some(status)) => format!("{job} {status}"),
        _ => text("/detail-type").unwrap_or("an event").to_owned(),
    }
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
