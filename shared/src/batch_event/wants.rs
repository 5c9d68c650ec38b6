//! What a job asks for, from its detail in either shape.

use serde_json::Value;

use crate::host_shape::Wants;

/// The requirements of a job with `container` or with `ecsProperties`.
pub fn wants(detail: &Value) -> Wants {
    let plain = detail.pointer("/container/resourceRequirements");
    let task = "/ecsProperties/taskProperties/0/containers/0/resourceRequirements";
    let requirements = plain
        .or_else(|| detail.pointer(task))
        .and_then(Value::as_array);
    let mut wants = Wants::default();
    for need in requirements.into_iter().flatten() {
        // Texts in every capture; a number would be as good.
        let value = need.get("value").and_then(|value| {
            let text = value.as_str().map(str::to_owned);
            text.unwrap_or_else(|| value.to_string())
                .parse::<u32>()
                .ok()
        });
        match need.get("type").and_then(Value::as_str) {
            Some("GPU") => wants.gpus = value,
            Some("VCPU") => wants.vcpus = value,
            Some("MEMORY") => wants.memory_mib = value,
            _ => {}
        }
    }
    wants
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_say_what_is_wanted() {
        let needs = json!([{"value": "4", "type": "GPU"}, {"value": "16", "type": "VCPU"},
                           {"value": "61440", "type": "MEMORY"}]);
        let plain = json!({"container": {"resourceRequirements": needs}});
        let task = json!({"ecsProperties": {"taskProperties": [
            {"containers": [{"resourceRequirements": needs}]}]}});

        assert_eq!(
            wants(&plain).to_string(),
            "4 GPU, 16 vCPU, 61440 MiB of memory"
        );
        assert_eq!(wants(&task), wants(&plain));
        assert_eq!(wants(&json!({})).to_string(), "what its definition says");
    }
}
