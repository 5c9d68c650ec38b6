//! Zones and subnets against what EC2 offers there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::offerings;
use super::stack::some;

const SUBNETS: &str = "subnets";
const ZONES: &str = "zones";

/// The subnets that hosts run in, if they are there already: of the stack, or those that were given.
pub(super) fn subnets(case: &Case) -> Vec<String> {
    let own: Vec<String> = case
        .deployed("AWS::EC2::Subnet")
        .map(|(_, id)| id.to_owned())
        .collect();
    if !own.is_empty() {
        return own;
    }
    let given = case.parameter("SubnetIds").unwrap_or_default();
    let ids = given.split(',').map(str::trim);
    ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

pub(super) fn subnets_call(case: &Case) -> Option<Call> {
    let subnets = subnets(case);
    (!subnets.is_empty()).then(|| {
        let words = ["ec2", "describe-subnets", "--subnet-ids"].map(str::to_owned);
        case.call("ec2:DescribeSubnets", words.into_iter().chain(subnets))
    })
}

fn zones_call(case: &Case) -> Call {
    case.call(
        "ec2:DescribeAvailabilityZones",
        [
            "ec2",
            "describe-availability-zones",
            "--filters",
            "Name=opt-in-status,Values=opt-in-not-required",
        ],
    )
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    let place = subnets_call(case).unwrap_or_else(|| zones_call(case));
    vec![place, offerings::call(case)]
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let mut found = Vec::new();
    let zones = zones(case, answers);
    let (finding, zones) = zones.unwrap_or_else(|finding| (finding, BTreeSet::new()));
    found.push(finding);
    let call = offerings::call(case);
    let answer = answers.of(&call);
    match json("instance types", &call, &answer) {
        Ok(value) if !zones.is_empty() => {
            let all = offerings::offered(&offerings::types(case), &zones, &case.region, value)
                .into_iter();
            found.extend(all.map(|one| one.asked(&call)));
        }
        Ok(_) => {}
        Err(finding) => found.push(finding),
    }
    found
}

/// The zones that hosts may run in: of the subnets, or the first ones of the region.
fn zones(case: &Case, answers: &Answers) -> Result<(Finding, BTreeSet<String>), Finding> {
    if let Some(call) = subnets_call(case) {
        let answer = answers.of(&call);
        let value = json(SUBNETS, &call, &answer)?;
        let zones = zones_of(value.get("Subnets"), "AvailabilityZone");
        return Ok((of_subnets(value).asked(&call), zones));
    }
    let call = zones_call(case);
    let answer = answers.of(&call);
    let value = json(ZONES, &call, &answer)?;
    let all = zones_of(value.get("AvailabilityZones"), "ZoneName");
    let wanted = case
        .parameter("ZoneCount")
        .and_then(|n| n.parse().ok())
        .unwrap_or(all.len());
    let finding = of_zones(&all, wanted).asked(&call);
    Ok((finding, all.into_iter().take(wanted).collect()))
}

fn zones_of(list: Option<&Value>, name: &str) -> BTreeSet<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| Some(item.get(name)?.as_str()?.to_owned()))
        .collect()
}

fn of_zones(all: &BTreeSet<String>, wanted: usize) -> Finding {
    if all.len() < wanted {
        return Finding::bad(
            ZONES,
            format!(
                "the region has {} zones, and ZoneCount is {wanted}",
                all.len()
            ),
            format!("deploy with ZoneCount={}", all.len()),
        );
    }
    Finding::ok(
        ZONES,
        format!("{wanted} of the region's {} zones will be used", all.len()),
    )
}

fn of_subnets(answer: &Value) -> Finding {
    /// A host takes one address; fewer than this and a fan-out stops for lack of them.
    const ADDRESSES_MIN: u64 = 16;
    let list = answer.get("Subnets").and_then(Value::as_array);
    let list: Vec<&Value> = list.into_iter().flatten().collect();
    let text = |subnet: &Value, name: &str| {
        subnet
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let vpcs: BTreeSet<String> = list.iter().map(|subnet| text(subnet, "VpcId")).collect();
    if vpcs.len() > 1 {
        return Finding::bad(
            SUBNETS,
            "they are in more than one VPC",
            "give subnets of one VPC",
        );
    }
    let short: Vec<String> = list
        .iter()
        .filter(|subnet| {
            let free = subnet
                .get("AvailableIpAddressCount")
                .and_then(Value::as_u64);
            free.is_some_and(|free| free < ADDRESSES_MIN) || text(subnet, "State") != "available"
        })
        .map(|subnet| text(subnet, "SubnetId"))
        .collect();
    let zones = zones_of(answer.get("Subnets"), "AvailabilityZone");
    if !short.is_empty() {
        let short: Vec<&str> = short.iter().map(String::as_str).collect();
        return Finding::warn(
            SUBNETS,
            format!(
                "{} has fewer than {ADDRESSES_MIN} free addresses, or is not available",
                some(&short)
            ),
            "give larger subnets, or free addresses",
        );
    }
    if zones.len() < 2 {
        return Finding::warn(
            SUBNETS,
            "all of them are in one zone: when it has no Spot capacity, there is none",
            "give subnets in more zones",
        );
    }
    Finding::ok(
        SUBNETS,
        format!("{} in {} zones of one VPC", list.len(), zones.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn subnets_are_judged_by_zones_and_addresses() {
        let subnet = |id: &str, zone: &str, free: u64| {
            json!({"SubnetId": id, "VpcId": "vpc-1", "State": "available", "AvailabilityZone": zone,
                   "AvailableIpAddressCount": free, "MapPublicIpOnLaunch": true})
        };
        let verdict = |list: &[Value]| of_subnets(&json!({ "Subnets": list })).verdict;

        assert_eq!(
            verdict(&[subnet("a", "x", 4000), subnet("b", "y", 4000)]),
            Verdict::Ok
        );
        assert_eq!(
            verdict(&[subnet("a", "x", 4000), subnet("b", "x", 4000)]),
            Verdict::Warn
        );
        assert_eq!(
            verdict(&[subnet("a", "x", 4000), subnet("b", "y", 3)]),
            Verdict::Warn
        );
        let mut other = subnet("b", "y", 4000);
        other["VpcId"] = json!("vpc-2");
        assert_eq!(verdict(&[subnet("a", "x", 4000), other]), Verdict::Bad);
    }

    #[test]
    fn a_region_with_fewer_zones_than_wanted_cannot_be_deployed_to() {
        let two = BTreeSet::from(["us-west-1a".to_owned(), "us-west-1c".to_owned()]);

        assert_eq!(of_zones(&two, 3).verdict, Verdict::Bad);
        assert_eq!(of_zones(&two, 2).verdict, Verdict::Ok);
    }
}
