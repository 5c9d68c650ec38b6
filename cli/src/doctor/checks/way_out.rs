//! Whether a host in each subnet reaches the endpoints it needs. One that does not leaves its job RUNNABLE for ever.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::call::Call;
use super::super::case::Case;
use super::super::command::Answers;
use super::super::finding::{Finding, json};
use super::network::{subnets, subnets_call};
use super::stack::some;

const CHECK: &str = "way out";
/// What ECS's agent, the image's pull and the job need, as names of VPC endpoints.
const NEEDED: [&str; 7] = [
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "ecr.api",
    "ecr.dkr",
    "logs",
    "s3",
];

fn of_vpc(case: &Case, action: &'static str, operation: &str, vpc: &str) -> Call {
    let filter = format!("Name=vpc-id,Values={vpc}");
    case.call(action, ["ec2", operation, "--filters", &filter])
}

fn routes_call(case: &Case, vpc: &str) -> Call {
    of_vpc(
        case,
        "ec2:DescribeRouteTables",
        "describe-route-tables",
        vpc,
    )
}

fn endpoints_call(case: &Case, vpc: &str) -> Call {
    of_vpc(
        case,
        "ec2:DescribeVpcEndpoints",
        "describe-vpc-endpoints",
        vpc,
    )
}

fn vpc(case: &Case) -> Option<String> {
    let own = case
        .deployed("AWS::EC2::VPC")
        .next()
        .map(|(_, id)| id.to_owned());
    own.or_else(|| case.parameter("VpcId").filter(|id| !id.is_empty()))
}

pub(super) fn calls(case: &Case) -> Vec<Call> {
    match vpc(case) {
        Some(vpc) if !subnets(case).is_empty() => {
            vec![routes_call(case, &vpc), endpoints_call(case, &vpc)]
        }
        // The stack's own network is made when it is deployed.
        _ => Vec::new(),
    }
}

pub(super) fn findings(case: &Case, answers: &Answers) -> Vec<Finding> {
    let (Some(vpc), Some(subnets)) = (vpc(case), subnets_call(case)) else {
        return Vec::new();
    };
    let (routes, endpoints) = (routes_call(case, &vpc), endpoints_call(case, &vpc));
    let read = |call: &Call| {
        let answer = answers.of(call);
        json(CHECK, call, &answer).cloned()
    };
    let found = match (read(&subnets), read(&routes), read(&endpoints)) {
        (Ok(subnets), Ok(routes), Ok(endpoints)) => {
            judge(&subnets, &routes, &endpoints).asked(&routes_call(case, &vpc))
        }
        (Err(finding), ..) | (_, Err(finding), _) | (.., Err(finding)) => finding,
    };
    vec![found]
}

/// Where a subnet's packets go.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// To an internet gateway; hosts need addresses of their own.
    Gateway,
    /// To a NAT gateway, a transit gateway, or the like.
    Other,
    None,
}

fn items<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn way(subnet: &str, routes: &Value) -> Way {
    let associated =
        |table: &Value, is_it: &dyn Fn(&Value) -> bool| items(table, "Associations").any(is_it);
    let table = items(routes, "RouteTables")
        .find(|table| associated(table, &|one| text(one, "SubnetId") == Some(subnet)))
        .or_else(|| {
            items(routes, "RouteTables")
                .find(|table| associated(table, &|one| one.get("Main") == Some(&Value::Bool(true))))
        });
    let default = table.and_then(|table| {
        items(table, "Routes").find(|route| {
            text(route, "DestinationCidrBlock") == Some("0.0.0.0/0")
                && text(route, "State") != Some("blackhole")
        })
    });
    match default {
        None => Way::None,
        Some(route) if text(route, "GatewayId").is_some_and(|id| id.starts_with("igw-")) => {
            Way::Gateway
        }
        Some(_) => Way::Other,
    }
}

fn judge(subnets: &Value, routes: &Value, endpoints: &Value) -> Finding {
    let there: BTreeSet<&str> = items(endpoints, "VpcEndpoints")
        .filter(|endpoint| {
            text(endpoint, "State").is_none_or(|state| state.eq_ignore_ascii_case("available"))
        })
        .filter_map(|endpoint| text(endpoint, "ServiceName"))
        // com.amazonaws.<region>.<service>
        .filter_map(|name| name.splitn(4, '.').nth(3))
        .collect();
    let lacking: Vec<&str> = NEEDED
        .into_iter()
        .filter(|name| !there.contains(name))
        .collect();
    let (mut shut, mut without_address, mut n_open) = (Vec::new(), Vec::new(), 0);
    for subnet in items(subnets, "Subnets") {
        let Some(id) = text(subnet, "SubnetId") else {
            continue;
        };
        let has_address = subnet.get("MapPublicIpOnLaunch") == Some(&Value::Bool(true));
        match way(id, routes) {
            Way::Gateway if !has_address => without_address.push(id),
            Way::Gateway | Way::Other => n_open += 1,
            Way::None if lacking.is_empty() => n_open += 1,
            Way::None => shut.push(id),
        }
    }
    if !without_address.is_empty() {
        return Finding::bad(
            CHECK,
            format!(
                "{} has a route to the internet gateway and gives hosts no public address",
                some(&without_address)
            ),
            "switch on MapPublicIpOnLaunch there, or give subnets behind a NAT gateway",
        );
    }
    if !shut.is_empty() {
        return Finding::bad(
            CHECK,
            format!(
                "{} has no default route and no endpoint for {}: jobs there stay RUNNABLE",
                some(&shut),
                lacking.join(", ")
            ),
            "add a route, or VPC endpoints for these (the hourly kind costs money between runs)",
        );
    }
    let s3 = if there.contains("s3") {
        "with"
    } else {
        "without"
    };
    Finding::ok(
        CHECK,
        format!("{n_open} subnets reach AWS, {s3} an S3 endpoint"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Verdict;
    use super::*;
    use serde_json::json;

    fn subnets(has_address: bool) -> Value {
        json!({"Subnets": [{"SubnetId": "subnet-1", "MapPublicIpOnLaunch": has_address}]})
    }

    fn routes(route: &Value, is_main: bool) -> Value {
        let association = if is_main {
            json!({"Main": true})
        } else {
            json!({"Main": false, "SubnetId": "subnet-1"})
        };
        json!({"RouteTables": [{"Associations": [association], "Routes": [
            {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}, route]}]})
    }

    fn endpoints(names: &[&str]) -> Value {
        let list: Vec<_> = names
            .iter()
            .map(|name| json!({"ServiceName": format!("com.amazonaws.us-east-1.{name}"), "State": "available"}))
            .collect();
        json!({ "VpcEndpoints": list })
    }

    #[test]
    fn a_way_out_is_a_gateway_with_an_address_a_nat_or_every_endpoint() {
        let gateway =
            json!({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"});
        let nat = json!({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"});
        let dead = json!({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"});
        let none = json!({"DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": "pcx-1", "State": "active"});
        let verdict = |has_address, route: &Value, is_main, names: &[&str]| {
            judge(
                &subnets(has_address),
                &routes(route, is_main),
                &endpoints(names),
            )
            .verdict
        };

        assert_eq!(verdict(true, &gateway, false, &["s3"]), Verdict::Ok);
        assert_eq!(verdict(true, &gateway, true, &[]), Verdict::Ok);
        assert_eq!(verdict(false, &gateway, false, &["s3"]), Verdict::Bad);
        assert_eq!(verdict(false, &nat, false, &[]), Verdict::Ok);
        assert_eq!(verdict(false, &dead, false, &[]), Verdict::Bad);
        assert_eq!(verdict(false, &none, false, &["s3"]), Verdict::Bad);
        assert_eq!(verdict(false, &none, false, &NEEDED), Verdict::Ok);
    }
}
