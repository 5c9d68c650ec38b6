//! Instance types against what EC2 offers in the region and in the zones where hosts may run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::finding::Finding;
use super::stack::some;

/// Every instance type that an environment names, by the queues that use it.
pub(super) fn types(case: &Case) -> BTreeMap<String, BTreeSet<String>> {
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for queue in case.template.queues() {
        for name in queue.instance_types {
            let queues = types.entry(name.clone()).or_default();
            queues.insert(queue.logical_id.to_owned());
        }
    }
    types
}

pub(super) fn call(case: &Case) -> Call {
    let names: Vec<String> = types(case).into_keys().collect();
    case.call(
        "ec2:DescribeInstanceTypeOfferings",
        [
            "ec2",
            "describe-instance-type-offerings",
            "--location-type",
            "availability-zone",
            "--filters",
            &format!("Name=instance-type,Values={}", names.join(",")),
        ],
    )
}

/// Whether the types are offered where hosts may run.
pub(super) fn offered(
    types: &BTreeMap<String, BTreeSet<String>>,
    zones: &BTreeSet<String>,
    region: &str,
    answer: &Value,
) -> Vec<Finding> {
    let list = answer
        .get("InstanceTypeOfferings")
        .and_then(Value::as_array);
    let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // By the zones of the whole region, of which hosts run in some.
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for offering in list.into_iter().flatten() {
        let text = |name: &str| offering.get(name).and_then(Value::as_str);
        if let (Some(name), Some(zone)) = (text("InstanceType"), text("Location")) {
            known.insert(name);
            if zones.contains(zone) {
                there.entry(name).or_default().insert(zone);
            }
        }
    }
    let mut queues: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, used_by) in types {
        for queue in used_by {
            queues.entry(queue).or_default().push(name);
        }
    }
    queues
        .into_iter()
        .map(|(queue, names)| {
            let check = format!("instance types, {queue}");
            let nowhere: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| !there.contains_key(name))
                .collect();
            let bare: Vec<&str> = zones
                .iter()
                .map(String::as_str)
                .filter(|zone| {
                    !names
                        .iter()
                        .any(|name| there.get(name).is_some_and(|zones| zones.contains(zone)))
                })
                .collect();
            let shown: Vec<&str> = zones.iter().map(String::as_str).collect();
            let (rest, unknown): (Vec<&str>, Vec<&str>) =
                names.iter().copied().partition(|name| known.contains(name));
            if rest.is_empty() {
                Finding::bad(
                    &check,
                    format!("the region {region} has none of them: {}", some(&unknown)),
                    "deploy in a region that has them, or with types that are offered here",
                )
            } else if !unknown.is_empty() {
                // Batch takes no list with a type that the region does not know.
                Finding::bad(
                    &check,
                    format!("the region {region} has no {}", some(&unknown)),
                    format!("deploy with those that it has: {}", rest.join(",")),
                )
            } else if nowhere.len() == names.len() {
                Finding::bad(
                    &check,
                    format!("none of them is offered in {}", some(&shown)),
                    "name types that are, or use other zones",
                )
            } else if !nowhere.is_empty() {
                Finding::warn(
                    &check,
                    format!("{} is offered in none of {}", some(&nowhere), some(&shown)),
                    "take it off the list, or use other zones: it can never be had here",
                )
            } else if !bare.is_empty() {
                Finding::warn(
                    &check,
                    format!("{} offers none of them", some(&bare)),
                    "use other zones, or add types that are offered there",
                )
            } else {
                Finding::ok(
                    &check,
                    format!("all {} are offered in {}", names.len(), some(&shown)),
                )
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn verdict(offerings: &[(&str, &str)], names: &[&str]) -> Verdict {
        let types = names
            .iter()
            .map(|name| ((*name).to_owned(), BTreeSet::from(["SpotQueue".to_owned()])))
            .collect();
        let zones = BTreeSet::from(["us-east-1a".to_owned(), "us-east-1b".to_owned()]);
        let list: Vec<_> = offerings
            .iter()
            .map(|(name, zone)| json!({"InstanceType": name, "LocationType": "availability-zone", "Location": zone}))
            .collect();
        let answer = json!({ "InstanceTypeOfferings": list });
        let found = offered(&types, &zones, "us-east-1", &answer);
        found[0].verdict
    }

    #[test]
    fn types_are_judged_by_the_zones_that_are_used() {
        let both = [("g5.xlarge", "us-east-1a"), ("g5.xlarge", "us-east-1b")];

        let elsewhere = ("g6.xlarge", "us-east-1f");

        assert_eq!(verdict(&both, &["g5.xlarge"]), Verdict::Ok);
        assert_eq!(
            verdict(&[both[0], both[1], elsewhere], &["g5.xlarge", "g6.xlarge"]),
            Verdict::Warn
        );
        assert_eq!(verdict(&both[..1], &["g5.xlarge"]), Verdict::Warn);
        assert_eq!(
            verdict(&[("g5.xlarge", "us-east-1f")], &["g5.xlarge"]),
            Verdict::Bad
        );
    }

    #[test]
    fn types_that_the_region_lacks_are_told_with_the_list_that_it_has() {
        let types = ["g5.xlarge", "g6e.xlarge", "p9.xlarge"]
            .map(|name| (name.to_owned(), BTreeSet::from(["SpotQueue".to_owned()])));
        let zones = BTreeSet::from(["eu-west-3a".to_owned()]);
        let answer = json!({"InstanceTypeOfferings": [{"InstanceType": "g5.xlarge", "Location": "eu-west-3a"}]});

        let found = offered(&types.into(), &zones, "eu-west-3", &answer);

        assert_eq!(found[0].verdict, Verdict::Bad);
        assert_eq!(
            found[0].what,
            "the region eu-west-3 has no g6e.xlarge, p9.xlarge"
        );
        assert_eq!(
            found[0].todo.as_deref(),
            Some("deploy with those that it has: g5.xlarge")
        );
    }
}
