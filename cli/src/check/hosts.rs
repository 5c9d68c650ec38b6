//! What a stage asks for, against the hosts that the template lets it have.

use trainspot_localcloud::Declared;
use trainspot_shared::host_shape::{HostShape, Wants};
use trainspot_shared::identity::{Market, Stage};

use super::Specs;
use super::disagreement::Disagreement;
use super::doors::SUBMIT_TRAINING;
use super::variables;

const MIB_PER_GIB: u32 = 1024;

pub(super) fn disagreements(template: &Declared, specs: &Specs) -> Vec<Disagreement> {
    let settings = template
        .functions()
        .find(|function| function.binary == SUBMIT_TRAINING)
        .and_then(|function| variables::settings(&function).ok());
    let Some(platform) = settings.map(|settings| settings.platform) else {
        return Vec::new(); // What is wrong there is said of the variables.
    };
    let mut found = Vec::new();
    for (file, spec) in &specs.files {
        for stage in Stage::ALL {
            let Some(asks) = spec.pipeline.stage(stage) else {
                continue;
            };
            for market in [Market::Spot, Market::OnDemand] {
                let arn = platform.queue(stage, market);
                let Some(queue) = template.queues().find(|queue| queue.arn == arn) else {
                    continue;
                };
                let wants = Wants {
                    gpus: Some(asks.gpus),
                    vcpus: Some(asks.vcpus),
                    memory_mib: Some(asks.memory_gib.saturating_mul(MIB_PER_GIB)),
                };
                let what = no_host(&wants, queue.instance_types).or_else(|| {
                    let most = queue.max_vcpus?;
                    (u64::from(asks.vcpus) > most).then(|| {
                        format!(
                            "it wants {} vCPU, and an environment may have {most} at a time",
                            asks.vcpus
                        )
                    })
                });
                let disagreement = what.map(|what| {
                    Disagreement::new(
                        format!("[{stage}]"),
                        format!("no host of {} can take it: {what}", queue.logical_id),
                        "ask for less, or add a larger type to the template's list",
                    )
                    .in_file(file)
                });
                if let Some(disagreement) = disagreement.filter(|new| !found.contains(new)) {
                    found.push(disagreement);
                }
            }
        }
    }
    found
}

/// Why no host of these types can take a job; `None` when one can, or a type is not known here.
fn no_host(wants: &Wants, types: &[String]) -> Option<String> {
    let names = || types.iter().map(String::as_str);
    let is_known = !types.is_empty() && names().all(|name| HostShape::of(name).is_some());
    if !is_known || names().any(|name| wants.too_much_for([name]).is_none()) {
        return None;
    }
    Some(
        wants
            .too_much_for(names())
            .unwrap_or_else(|| format!("it wants {wants}, and no type has all of that at once")),
    )
}
