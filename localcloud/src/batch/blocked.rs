//! A queue whose first job cannot start: Batch tells so, and cancels the job where the queue sets a time limit for
//! the reason. AWS takes minutes to notice; here it is told at once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::Batch;
use super::job::{Job, Status};
use super::shape;
use super::state::State;
use crate::locked::locked;
use crate::template::Queue;

const MAX_RESOURCE: &str = "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU requirement of the job.";
const REQUIREMENT: &str = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the job queue.";
const CAPACITY: &str = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type";

/// What a host of a type has. The agent's own share of the memory is not taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    vcpus: u64,
    memory_mib: u64,
    gpus: u64,
}

static SHAPES: LazyLock<HashMap<&'static str, Shape>> = LazyLock::new(|| {
    let lines = include_str!("instance-shapes.csv").lines().skip(1);
    lines.filter_map(shape_of).collect()
});

fn shape_of(line: &'static str) -> Option<(&'static str, Shape)> {
    let mut fields = line.split(',');
    let name = fields.next()?;
    let mut number = || fields.next()?.parse::<u64>().ok();
    let shape = Shape {
        vcpus: number()?,
        memory_mib: number()? * 1024,
        gpus: number()?,
    };
    Some((name, shape))
}

/// Why no host of the queue could ever fit the job. A queue with a type that is not known here fits everything.
pub(super) fn misfit(job: &Job, queue: &Queue) -> Option<&'static str> {
    let wants = Shape {
        vcpus: wanted(job, "VCPU"),
        memory_mib: wanted(job, "MEMORY"),
        gpus: wanted(job, "GPU"),
    };
    if queue.max_vcpus.is_some_and(|most| wants.vcpus > most) {
        return Some(MAX_RESOURCE);
    }
    let mut shapes = queue
        .instance_types
        .iter()
        .map(|name| SHAPES.get(name.as_str()))
        .peekable();
    shapes.peek()?;
    let fits = shapes.any(|shape| {
        shape.is_none_or(|has| {
            has.vcpus >= wants.vcpus && has.memory_mib >= wants.memory_mib && has.gpus >= wants.gpus
        })
    });
    (!fits).then_some(REQUIREMENT)
}

fn wanted(job: &Job, kind: &str) -> u64 {
    let requirements = job.container.get("resourceRequirements");
    requirements
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|requirement| requirement.get("type").and_then(Value::as_str) == Some(kind))
        .and_then(|requirement| requirement.get("value")?.as_str()?.parse().ok())
        .unwrap_or(0)
}

impl Batch {
    /// Tells of every queue whose first job cannot start, once for a job and a reason.
    pub(super) fn tell_blocked(self: &Arc<Self>, state: &mut State) {
        for queue in &self.stack.queues {
            let first = state
                .waiting
                .iter()
                .filter_map(|turn| state.jobs.get(&turn.job_id))
                .find(|job| job.queue_arn == queue.arn && !job.status.is_final());
            let Some(job) = first else {
                continue;
            };
            let reason = match state.unfit.get(&job.id) {
                Some(why) => (*why).to_owned(),
                None if state.gets_hosts(&queue.arn) => {
                    let job_id = job.id.clone();
                    state.told_blocked.remove(&job_id);
                    continue;
                }
                None => {
                    let kind = queue.instance_type.as_deref();
                    format!("{CAPACITY} [{}]", kind.unwrap_or(&self.hosts.instance_type))
                }
            };
            if state.told_blocked.get(&job.id) == Some(&reason) {
                continue;
            }
            let mut detail = shape::event_detail(job, state.summaries.get(&job.id));
            detail["statusReason"] = json!(reason);
            let (job_id, job_arn) = (job.id.clone(), job.arn.clone());
            self.emit("Batch Job Queue Blocked", &[&job_arn, &queue.arn], &detail);
            self.limit(&job_id, &reason, queue);
            state.told_blocked.insert(job_id, reason);
        }
    }

    /// Cancels the job when the queue's time limit for this reason is over, if it still waits for that reason.
    fn limit(self: &Arc<Self>, job_id: &str, reason: &str, queue: &Queue) {
        let limit = queue
            .time_limits
            .iter()
            .find(|(named, _)| reason.starts_with(named.as_str()));
        let Some((named, seconds)) = limit.cloned() else {
            return;
        };
        let (this, job_id, reason) = (Arc::clone(self), job_id.to_owned(), reason.to_owned());
        let after = Duration::from_secs(seconds).mul_f64(self.hosts.time_scale);
        locked(&self.timers).spawn(async move {
            tokio::time::sleep(after).await;
            let mut state = locked(&this.state);
            let still_waits = state
                .jobs
                .get(&job_id)
                .is_some_and(|job| job.status == Status::Runnable)
                && state.told_blocked.get(&job_id) == Some(&reason);
            if still_waits {
                let why = format!("Canceled by JobStateTimeLimit action due to reason: {named}");
                this.fail(&mut state, &job_id, &why, |_| {});
                this.fill(&mut state);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_shapes_is_read() {
        let lines = include_str!("instance-shapes.csv").lines().count() - 1;

        assert_eq!(SHAPES.len(), lines);
        let g5 = Shape {
            vcpus: 4,
            memory_mib: 16_384,
            gpus: 1,
        };
        assert_eq!(SHAPES.get("g5.xlarge"), Some(&g5));
    }
}
