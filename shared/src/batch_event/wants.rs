//! What a job asks for, in words: for a person who reads that no host of the queue can give it.

use serde_json::Value;

/// `4 GPU, 16 vCPU, 61440 MiB of memory`, from a job's detail in either shape.
pub fn wants(detail: &Value) -> String {
    let plain = detail.pointer("/container/resourceRequirements");
    let task = "/ecsProperties/taskProperties/0/containers/0/resourceRequirements";
    let requirements = plain
        .or_else(|| detail.pointer(task))
        .and_then(Value::as_array);
    let words: Vec<String> = requirements
        .into_iter()
        .flatten()
        .filter_map(|need| {
            let value = need.get("value")?.as_str()?;
            Some(match need.get("type")?.as_str()? {
                "VCPU" => format!("{value} vCPU"),
                "MEMORY" => format!("{value} MiB of memory"),
                other => format!("{value} {other}"),
            })
        })
        .collect();
    if words.is_empty() {
        "what its definition says".to_owned()
    } else {
        words.join(", ")
    }
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

        assert_eq!(wants(&plain), "4 GPU, 16 vCPU, 61440 MiB of memory");
        assert_eq!(wants(&task), wants(&plain));
        assert_eq!(wants(&json!({})), "what its definition says");
    }
}
